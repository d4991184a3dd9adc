//! What the provider answers and the clients expect, told by the name of the model alone.
//!
//! A router sends on neither the client's headers nor its path, but every router sends the model. `json` is a whole
//! answer of about a kilobyte. `lf-100x10` is a stream of 100 events, 10 ms apart, with LF line ends; `crlf-100x0` one
//! without pauses, with CRLF. The first event has no content, the last ends the answer, those between are numbered, so that
//! a client can tell a whole answer from one with an event lost, doubled or out of order.

use std::time::Duration;

use serde::Deserialize;

/// A paced provider thinks this long before its first event.
pub const THINKING: Duration = Duration::from_millis(50);
/// The content of a whole answer.
const CONTENT_BYTES: usize = 800;
/// The first event, the last, and something between.
const EVENTS_MIN: u32 = 3;

/// What a model's name asks for.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    Whole,
    Stream(Stream),
}

#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// Without the end marker.
    pub events: u32,
    pub gap: Duration,
    line_end: &'static str,
}

impl Shape {
    pub fn of(model: &str) -> Result<Self, String> {
        if model == "json" {
            return Ok(Self::Whole);
        }
        let stream = || {
            let (line_end, numbers) = model.split_once('-')?;
            let (events, gap_ms) = numbers.split_once('x')?;
            Some(Stream {
                events: events.parse().ok().filter(|events| *events >= EVENTS_MIN)?,
                gap: Duration::from_millis(gap_ms.parse().ok()?),
                line_end: match line_end {
                    "lf" => "\n",
                    "crlf" => "\r\n",
                    _ => return None,
                },
            })
        };
        let expected = || format!("expected a model like `json` or `lf-100x10`, got `{model}`");
        stream().map(Self::Stream).ok_or_else(expected)
    }
}

pub fn whole() -> String {
    let content = "x".repeat(CONTENT_BYTES);
    format!(
        r#"{{"id":"chatcmpl-bench","object":"chat.completion","created":1,"model":"bench","choices":[{{"index":0,"message":{{"role":"assistant","content":"{content}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":200,"completion_tokens":200,"total_tokens":400}}}}"#
    )
}

impl Stream {
    /// One event, from 0. The last brings the end marker with it.
    pub fn event(&self, number: u32) -> String {
        let end = self.line_end;
        let (delta, finish, usage) = match number {
            0 => (
                r#"{"role":"assistant","content":""}"#.to_owned(),
                "null",
                "",
            ),
            last if last + 1 == self.events => (
                "{}".to_owned(),
                r#""stop""#,
                r#","usage":{"prompt_tokens":200,"completion_tokens":100,"total_tokens":300}"#,
            ),
            number => (format!(r#"{{"content":"t{number} "}}"#), "null", ""),
        };
        let mut text = format!(
            r#"data: {{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1,"model":"bench","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]{usage}}}{end}{end}"#
        );
        if number + 1 == self.events {
            text.push_str("data: [DONE]");
            text.push_str(end);
            text.push_str(end);
        }
        text
    }
}

/// As much of an answer as tells whether it is whole.
#[derive(Deserialize)]
struct Answer {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Text>,
    delta: Option<Text>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Text {
    content: Option<String>,
}

/// Says what is wrong with a whole answer, if anything is.
pub fn check_whole(body: &[u8]) -> Result<(), String> {
    let answer: Answer = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let content = answer
        .choices
        .into_iter()
        .find_map(|choice| choice.message?.content);
    match content {
        Some(content) if content.len() == CONTENT_BYTES => Ok(()),
        found => Err(format!(
            "expected {CONTENT_BYTES} bytes of content, got {:?}",
            found.map(|content| content.len())
        )),
    }
}

/// Follows a stream as it comes.
#[derive(Default)]
pub struct Follower {
    /// The start of an event whose end has not come.
    rest: Vec<u8>,
    /// Pieces of content so far; the next one bears this number plus one.
    contents: u32,
    is_finished: bool,
    is_ended: bool,
}

impl Follower {
    /// Takes the next bytes and gives how many events they completed, the end marker and comments not counted.
    pub fn push(&mut self, bytes: &[u8]) -> Result<u32, String> {
        self.rest
            .extend(bytes.iter().filter(|byte| **byte != b'\r'));
        let mut events = 0;
        let mut start = 0;
        let rest = std::mem::take(&mut self.rest);
        while let Some(length) = rest[start..].windows(2).position(|pair| pair == b"\n\n") {
            let event = &rest[start..start + length];
            events += u32::from(self.take(event)?);
            start += length + 2;
        }
        self.rest = rest[start..].to_vec();
        Ok(events)
    }

    pub fn has_content(&self) -> bool {
        self.contents > 0
    }

    /// Says what is missing at the end of the bytes.
    pub fn check_end(&self, stream: &Stream) -> Result<(), String> {
        let contents = stream.events - 2;
        if self.contents == contents && self.is_finished && self.is_ended && self.rest.is_empty() {
            return Ok(());
        }
        Err(format!(
            "expected {contents} pieces, a stop reason and the end marker; got {} pieces, stop reason: {}, marker: {}, bytes left over: {}",
            self.contents,
            self.is_finished,
            self.is_ended,
            self.rest.len()
        ))
    }

    /// Whether it was an event of the answer.
    fn take(&mut self, event: &[u8]) -> Result<bool, String> {
        let Some(data) = event.strip_prefix(b"data:") else {
            return match event.first() {
                Some(b':') => Ok(false),
                _ => Err(format!("unexpected: {}", String::from_utf8_lossy(event))),
            };
        };
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            self.is_ended = true;
            return Ok(false);
        }
        let answer: Answer = serde_json::from_slice(data)
            .map_err(|error| format!("{error} in {}", String::from_utf8_lossy(data)))?;
        for choice in answer.choices {
            self.is_finished |= choice.finish_reason.is_some();
            let content = choice.delta.and_then(|delta| delta.content);
            if let Some(content) = content.filter(|content| !content.is_empty()) {
                self.contents += 1;
                let expected = format!("t{} ", self.contents);
                if content != expected {
                    return Err(format!("expected the piece `{expected}`, got `{content}`"));
                }
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::{Follower, Shape, Stream, check_whole, whole};

    fn stream(model: &str) -> Stream {
        match Shape::of(model) {
            Ok(Shape::Stream(stream)) => stream,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_whole_answer_passes_and_a_shorter_one_does_not() {
        assert_eq!(check_whole(whole().as_bytes()), Ok(()));
        assert!(check_whole(whole().replace("xx", "x").as_bytes()).is_err());
    }

    #[test]
    fn a_stream_passes_at_every_cut() {
        for model in ["lf-5x10", "crlf-5x10"] {
            let stream = stream(model);
            let text: String = (0..5).map(|number| stream.event(number)).collect();
            for cut in 0..text.len() {
                let (first, second) = text.as_bytes().split_at(cut);
                let mut follower = Follower::default();
                let events = follower.push(first).unwrap() + follower.push(second).unwrap();
                assert_eq!(events, 5, "{model} cut at {cut}");
                assert_eq!(follower.check_end(&stream), Ok(()));
            }
        }
    }

    #[test]
    fn a_stream_that_lacks_any_event_fails() {
        let stream = stream("lf-5x10");
        for missing in 1..5 {
            let mut follower = Follower::default();
            let numbers = (0..5).filter(|number| *number != missing);
            let text: String = numbers.map(|number| stream.event(number)).collect();
            let pushed = follower.push(text.as_bytes()).map(|_| ());
            let result = pushed.and_then(|()| follower.check_end(&stream));
            assert!(result.is_err(), "without event {missing}");
        }
    }

    #[test]
    fn models_that_ask_for_nothing_known_are_refused() {
        for model in ["", "lf", "lf-2x10", "cr-5x10", "lf-5x", "json "] {
            assert!(Shape::of(model).is_err(), "{model}");
        }
    }
}
