//! What the client sees: its answer, in its dialect, streamed or whole, or an error that says why.

use std::borrow::Cow;

use crate::chat::{Answer, AttemptFailure, Collector, Event, ProviderError, Usage};
use crate::dialects::{
    ArrayWriter, CONTEXT_TOO_LONG, ClientDialect, ClientError, Delivery, Endpoint, StreamEncoder,
    encode_answer, encode_completion, encode_end, encode_error, encode_error_event,
};
use crate::units::{Millis, Tokens, UnixMillis};

use super::attempt::Failed;
use super::listen::Heard;

/// The client's side of one exchange.
#[derive(Debug)]
pub(super) struct Client {
    dialect: ClientDialect,
    endpoint: Endpoint,
    is_streaming: bool,
    created: UnixMillis,
    /// For an answer whose provider gives it none.
    answer_id: String,
    sink: Sink,
    /// What makes an array of the stream's events, for a client that wants one.
    array: Option<Box<ArrayWriter>>,
    /// Whether the dialect's end marker has been shown.
    has_ended: bool,
    /// A comment that comes before the end marker.
    last_words: Option<String>,
    /// Of an answer that is passed on unread, for an endpoint that is no conversation.
    bytes_type: Option<String>,
}

#[derive(Debug)]
enum Sink {
    /// Nothing is shown yet.
    Undecided,
    /// The provider's own bytes. Beside them, where the answer may be carried on by another target, an encoder that
    /// has seen it all.
    Relay(Option<Box<StreamEncoder>>),
    /// The provider's own bytes, which the edge passes on by itself.
    Native,
    Encode(Box<StreamEncoder>),
    /// For a client that wants the answer whole.
    Collect(Box<Collector>),
}

impl Client {
    pub fn new(
        dialect: ClientDialect,
        endpoint: Endpoint,
        delivery: Delivery,
        is_streaming: bool,
        created: UnixMillis,
        exchange_id: &str,
    ) -> Self {
        let is_array = is_streaming && delivery == Delivery::Array;
        Self {
            dialect,
            endpoint,
            is_streaming,
            created,
            answer_id: dialect.answer_id(endpoint, exchange_id),
            sink: Sink::Undecided,
            array: is_array.then(Box::default),
            has_ended: false,
            last_words: None,
            bytes_type: None,
        }
    }

    pub fn is_streaming(&self) -> bool {
        self.is_streaming
    }

    /// Whether what the provider says is shown as it comes.
    pub fn is_shown_at_once(&self) -> bool {
        self.is_streaming || !self.endpoint.is_conversation()
    }

    pub fn content_type(&self) -> Cow<'static, str> {
        match &self.bytes_type {
            Some(content_type) => content_type.clone().into(),
            None if self.is_streaming && self.array.is_none() => {
                "text/event-stream; charset=utf-8".into()
            }
            None => "application/json".into(),
        }
    }

    /// The answer is bytes of this type, which are passed on unread.
    pub fn hand_through(&mut self, content_type: &str) {
        self.bytes_type = Some(content_type.to_owned());
        self.sink = Sink::Relay(None);
        // Where they end, all has been said.
        self.has_ended = true;
    }

    /// Decides how to show the answer, which the client can read as it is where it `is_native`, and whether another target
    /// may carry it on. The prompt is expected to count so much.
    pub fn commit(
        &mut self,
        is_native: bool,
        may_be_carried_on: bool,
        prompt: Tokens,
        now: UnixMillis,
    ) {
        let encoder = || {
            let encoder = match self.endpoint {
                Endpoint::Completions => StreamEncoder::of_completion(now),
                _ => StreamEncoder::new(self.dialect, now, true).expecting(prompt),
            };
            Box::new(encoder.named(self.answer_id.clone()))
        };
        self.sink = if !self.is_streaming {
            Sink::Collect(Box::default())
        } else if is_native {
            // Another's events would have to go on with this provider's numbers and ids of items.
            let may_be_carried_on =
                may_be_carried_on && self.dialect != ClientDialect::OpenaiResponses;
            Sink::Relay(may_be_carried_on.then(encoder))
        } else {
            Sink::Encode(encoder())
        };
    }

    /// The edge passes the provider's bytes on by itself.
    pub fn relay(&mut self) {
        self.sink = Sink::Native;
    }

    pub fn is_relayed(&self) -> bool {
        matches!(self.sink, Sink::Native)
    }

    /// Whether some of a stream may be kept in memory until its end.
    pub fn may_keep(&self) -> bool {
        matches!(self.sink, Sink::Native | Sink::Encode(_) | Sink::Collect(_))
    }

    /// Whether the stream that has begun can go on with what another target says.
    pub fn may_be_carried_on(&self) -> bool {
        !matches!(self.sink, Sink::Relay(None) | Sink::Native)
    }

    /// What comes next is of another target: it goes on in the stream that has begun.
    pub fn carry_on(&mut self, target: &str) {
        self.last_words = Some(format!("waypost: continued by {target}"));
        self.sink = match std::mem::replace(&mut self.sink, Sink::Undecided) {
            Sink::Relay(Some(encoder)) => Sink::Encode(encoder),
            other => other,
        };
    }

    /// The bytes to send for what was heard, if any.
    pub fn show(&mut self, heard: &Heard) -> Option<Vec<u8>> {
        self.has_ended |= heard.events.contains(&Event::End);
        let bytes = match &mut self.sink {
            Sink::Undecided | Sink::Native => Vec::new(),
            Sink::Relay(shadow) => {
                if let Some(encoder) = shadow {
                    let mut unshown = Vec::new();
                    for event in &heard.events {
                        encoder.push(event, &mut unshown);
                        unshown.clear();
                    }
                }
                heard.raw.clone()
            }
            Sink::Encode(encoder) => {
                let mut bytes = Vec::new();
                for event in &heard.events {
                    if *event == Event::End {
                        write_last_words(self.last_words.take(), &mut bytes);
                    }
                    encoder.push(event, &mut bytes);
                }
                bytes
            }
            Sink::Collect(collector) => {
                for event in &heard.events {
                    collector.push(event.clone());
                }
                Vec::new()
            }
        };
        let bytes = match &mut self.array {
            Some(array) => array.push(&bytes),
            None => bytes,
        };
        (!bytes.is_empty()).then_some(bytes)
    }

    /// The end of a whole answer that came as a stream: the end marker if the provider left it out, or all of it; with its
    /// usage, where the provider did not count it and we tell it.
    pub fn close(&mut self, is_within_an_event: bool, usage: Option<Usage>) -> Option<Vec<u8>> {
        let end = self.end(is_within_an_event, usage);
        match &mut self.array {
            Some(array) => Some(finished(array, &end.unwrap_or_default())),
            None => end,
        }
    }

    fn end(&mut self, is_within_an_event: bool, usage: Option<Usage>) -> Option<Vec<u8>> {
        match std::mem::replace(&mut self.sink, Sink::Undecided) {
            Sink::Collect(collector) => {
                let mut answer = collector.finish();
                answer.usage = usage.or(answer.usage);
                Some(self.encode(answer))
            }
            Sink::Undecided => None,
            Sink::Relay(_) | Sink::Encode(_) | Sink::Native if self.has_ended => None,
            Sink::Relay(_) => Some(encode_end(self.dialect)),
            Sink::Native => Some(behind(is_within_an_event, encode_end(self.dialect))),
            Sink::Encode(mut encoder) => {
                let mut bytes = Vec::new();
                if let Some(usage) = usage {
                    encoder.push(&Event::Usage(usage), &mut bytes);
                }
                write_last_words(self.last_words.take(), &mut bytes);
                encoder.push(&Event::End, &mut bytes);
                Some(bytes)
            }
        }
    }

    /// An answer that came whole: the provider's own bytes where the client can read them.
    pub fn whole(&self, is_native: bool, answer: Answer, body: Vec<u8>) -> Vec<u8> {
        if is_native {
            return body;
        }
        self.encode(answer)
    }

    fn encode(&self, mut answer: Answer) -> Vec<u8> {
        if answer.id.is_empty() {
            answer.id.clone_from(&self.answer_id);
        }
        match self.endpoint {
            Endpoint::Completions => encode_completion(&answer, self.created),
            _ => encode_answer(self.dialect, &answer, self.created),
        }
    }

    /// Whether what breaks on its way can be told: in a stream of events, and in the array that we make of one.
    pub fn tells_failures(&self) -> bool {
        let is_stream = |kind: &String| kind.to_ascii_lowercase().contains("event-stream");
        self.bytes_type.as_ref().is_none_or(is_stream)
    }

    /// Ends a stream that broke, so that no client can take it for whole. Where nothing can be told, nothing is given: the
    /// body must be torn.
    pub fn break_off(&mut self, error: &ClientError, is_within_an_event: bool) -> Vec<u8> {
        if !self.tells_failures() {
            return Vec::new();
        }
        if self.bytes_type.is_some() {
            return behind(true, encode_error_event(self.dialect, error));
        }
        let is_cut = self.is_relayed() && is_within_an_event;
        let event = behind(is_cut, encode_error_event(self.dialect, error));
        match &mut self.array {
            Some(array) => finished(array, &event),
            None => event,
        }
    }

    pub fn error(&self, error: &ClientError) -> Vec<u8> {
        encode_error(self.dialect, error)
    }
}

/// The last of an array: what these events add, and its end.
fn finished(array: &mut ArrayWriter, events: &[u8]) -> Vec<u8> {
    let mut out = array.push(events);
    out.extend(array.finish());
    out
}

/// Ends the piece of an event that the client may have, or it would swallow ours.
fn behind(is_cut: bool, event: Vec<u8>) -> Vec<u8> {
    if is_cut {
        return [b"\n\n", event.as_slice()].concat();
    }
    event
}

/// As a comment, which no SDK reads and every log of the bytes shows.
fn write_last_words(words: Option<String>, out: &mut Vec<u8>) {
    if let Some(words) = words {
        out.extend_from_slice(b": ");
        // A target's id may hold anything; a line end would begin an event.
        let printable = words.chars().filter(|c| !c.is_control());
        out.extend(printable.collect::<String>().into_bytes());
        out.extend_from_slice(b"\n\n");
    }
}

/// The error that the client gets when all attempts have failed.
///
/// The caller's own mistake keeps the provider's status and words, as does what no target can carry out, where `last` is
/// what all of them come to (`is_unanimous`). Else 429 where every target was rate limited,
/// 504 where every wait was in vain, 502 otherwise; 503 where the providers are all overloaded.
pub(super) fn failure(
    failures: &[&AttemptFailure],
    reasons: &[String],
    last: Option<&Failed>,
    is_unanimous: bool,
    has_begun: bool,
) -> ClientError {
    if let Some((failure, words)) = last
        && (is_unanimous || !failure.may_another_help())
        && let Some(error) = callers_own(failure, words)
    {
        return error;
    }
    let all = |is: fn(&AttemptFailure) -> bool| failures.iter().all(|failure| is(failure));
    let status = if all(|failure| matches!(failure, AttemptFailure::RateLimited { .. })) {
        429
    } else if all(|failure| matches!(failure, AttemptFailure::DeadlinePassed { .. })) {
        504
    } else if all(|failure| {
        matches!(
            failure,
            AttemptFailure::RateLimited { .. }
                | AttemptFailure::ServerError {
                    status: 503 | 529,
                    ..
                }
        )
    }) {
        503
    } else {
        502
    };
    let retry_after: Option<Millis> = failures
        .iter()
        .filter_map(|failure| failure.retry_after())
        .min();
    let what = if has_begun {
        "the answer broke off"
    } else {
        "no target could answer"
    };
    ClientError {
        status,
        code: last
            .map_or("upstream_failed", |(failure, _)| failure.code())
            .to_owned(),
        message: format!("{what}: {}", reasons.join("; ")),
        param: None,
        retry_after,
    }
}

fn callers_own(failure: &AttemptFailure, words: &ProviderError) -> Option<ClientError> {
    let status = match failure {
        AttemptFailure::Rejected { status } => *status,
        AttemptFailure::ContextTooLong
        | AttemptFailure::ContentFiltered
        | AttemptFailure::NotTranslatable { .. } => 400,
        _ => return None,
    };
    let code = match failure {
        AttemptFailure::ContextTooLong => CONTEXT_TOO_LONG.to_owned(),
        AttemptFailure::ContentFiltered => "content_filter".to_owned(),
        _ => words
            .kind
            .clone()
            .unwrap_or_else(|| failure.code().to_owned()),
    };
    let message = if words.message.is_empty() {
        failure.to_string()
    } else {
        words.message.clone()
    };
    let param = match failure {
        AttemptFailure::NotTranslatable { field } => Some(field.clone()),
        _ => words.param.clone(),
    };
    Some(ClientError {
        status,
        code,
        message,
        param,
        retry_after: None,
    })
}
