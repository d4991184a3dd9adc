//! A provider's stream, from its bytes to what they mean.
//!
//! The provider's own bytes are kept beside the events, whole events at a time, so that a client of the same dialect gets
//! them unchanged. What follows the end marker belongs to no answer.

use super::attempt::{Failed, too_large};
use crate::chat::{AttemptFailure, Event, ProviderError};

use crate::dialects::{Dialect, Framing, StreamDecoder, StreamFault};
use crate::{eventstream, sse};

/// A piece of a stream: what it means, and the bytes that said so.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub events: Vec<Event>,
    pub raw: Vec<u8>,
}

impl Heard {
    pub fn append(&mut self, mut other: Self) {
        self.events.append(&mut other.events);
        self.raw.append(&mut other.raw);
    }

    pub fn has_good_token(&self) -> bool {
        self.events.iter().any(Event::is_good_token)
    }
}

/// Which of an answer's calls count: all, or the first where the caller wants one and the provider could not be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calls {
    All,
    First,
}

/// The type of a stream of this provider's.
pub(super) fn content_type(provider: Dialect) -> &'static str {
    match provider.framing() {
        Framing::ServerSentEvents => "text/event-stream",
        Framing::EventStream => "application/vnd.amazon.eventstream",
    }
}

/// The state between two pieces of one stream.
#[derive(Debug)]
pub(super) struct Stream {
    framing: Frames,
    decoder: StreamDecoder,
    calls: Calls,
    /// The provider's bytes since the last whole event.
    raw: Vec<u8>,
    unread: Unread,
    garbled: u32,
    /// Whether the bytes had ended within an event when they ended.
    was_within_an_event: bool,
}

/// What cuts the bytes into events.
#[derive(Debug)]
enum Frames {
    Lines(sse::Decoder),
    Messages(eventstream::Decoder),
}

impl Stream {
    pub fn new(provider: Dialect, calls: Calls) -> Self {
        Self {
            framing: match provider.framing() {
                Framing::ServerSentEvents => Frames::Lines(sse::Decoder::new()),
                Framing::EventStream => Frames::Messages(eventstream::Decoder::new()),
            },
            decoder: StreamDecoder::new(provider),
            calls,
            raw: Vec::new(),
            unread: Unread::All,
            garbled: 0,
            was_within_an_event: false,
        }
    }

    /// Events that could not be read, and were skipped.
    pub fn garbled(&self) -> u32 {
        self.garbled
    }

    /// Whether the bytes so far end within an event.
    pub fn is_within_an_event(&self) -> bool {
        !self.raw.is_empty() || self.was_within_an_event
    }

    /// Takes the next bytes. `is_silent` says that nothing has been said yet.
    pub fn push(&mut self, bytes: &[u8], is_silent: bool, heard: &mut Heard) -> Result<(), Failed> {
        let Frames::Lines(_) = &self.framing else {
            return self.push_messages(bytes, is_silent, heard);
        };
        let mut events = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let line;
            (line, rest) = split_line(rest);
            if !self.unread.takes(line) {
                break;
            }
            self.raw.extend_from_slice(line);
            if self.push_line(line, &mut events)? == 0 {
                self.decode(&events, is_silent, heard)?;
                events.clear();
                if heard.events.last() == Some(&Event::End) {
                    self.unread = Unread::after_end(line);
                }
            }
        }
        Ok(())
    }

    /// How many bytes of an event are pending then.
    fn push_line(&mut self, line: &[u8], events: &mut Vec<sse::Event>) -> Result<usize, Failed> {
        let Frames::Lines(lines) = &mut self.framing else {
            return Ok(0);
        };
        let outcome = lines.push(line, events);
        outcome.map_err(|_| too_large(sse::EVENT_BYTES_MAX))?;
        Ok(lines.pending_bytes())
    }

    /// Messages are passed on to nobody as they are, because no client reads them: their bytes only count as heard.
    fn push_messages(
        &mut self,
        bytes: &[u8],
        is_silent: bool,
        heard: &mut Heard,
    ) -> Result<(), Failed> {
        let Frames::Messages(messages) = &mut self.framing else {
            return Ok(());
        };
        if self.unread != Unread::All {
            return Ok(());
        }
        let mut events = Vec::new();
        let outcome = messages.push(bytes, &mut events);
        self.raw.extend_from_slice(bytes);
        self.decode(&events, is_silent, heard)?;
        if heard.events.last() == Some(&Event::End) {
            self.unread = Unread::Nothing;
            return Ok(());
        }
        outcome.map_err(broken)
    }

    /// Takes the end of the bytes.
    pub fn finish(&mut self, is_silent: bool, heard: &mut Heard) -> Result<(), Failed> {
        let mut events = Vec::new();
        self.was_within_an_event = !self.raw.is_empty();
        if let Frames::Lines(lines) = &mut self.framing {
            lines.finish(&mut events);
        }
        self.decode(&events, is_silent, heard)?;
        if !heard.raw.is_empty() {
            // Its blank line never came; what we append must not run into it.
            heard.raw.extend_from_slice(b"\n\n");
        }
        Ok(())
    }

    /// Decodes the events of one block of bytes. An unreadable one is skipped and its bytes with it. A block without
    /// events is a comment, which is worth passing on only once an answer has begun.
    fn decode(
        &mut self,
        events: &[sse::Event],
        is_silent: bool,
        heard: &mut Heard,
    ) -> Result<(), Failed> {
        let block = std::mem::take(&mut self.raw);
        let mut is_readable = true;
        for event in events {
            match self.decoder.push(event, &mut heard.events) {
                Ok(()) => {}
                Err(StreamFault::Garbled) => {
                    is_readable = false;
                    self.garbled = self.garbled.saturating_add(1);
                }
                Err(StreamFault::Failed(failure, words)) => return Err((failure, words)),
            }
        }
        if self.calls == Calls::First {
            heard.events.retain(|event| !is_of_later_call(event));
        }
        if is_readable && !(events.is_empty() && heard.events.is_empty() && is_silent) {
            heard.raw.extend_from_slice(&block);
        }
        Ok(())
    }
}

/// Whether it is a piece of another call than the first.
fn is_of_later_call(event: &Event) -> bool {
    matches!(
        event,
        Event::CallStart { index: 1.., .. }
            | Event::CallArguments { index: 1.., .. }
            | Event::CallSignature { index: 1.., .. }
    )
}

fn broken(broken: eventstream::Broken) -> Failed {
    match broken {
        eventstream::Broken::TooLong => too_large(sse::EVENT_BYTES_MAX),
        eventstream::Broken::Malformed => {
            let expected = "a message of an event stream";
            let failure = AttemptFailure::Malformed { expected };
            (failure, ProviderError::default())
        }
    }
}

/// What of a stream still counts. What follows the end marker belongs to no answer, and is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unread {
    All,
    /// The half of the end marker's last line end, which was cut.
    LineFeed,
    Nothing,
}

impl Unread {
    /// `line` is the last of the end marker.
    fn after_end(line: &[u8]) -> Self {
        match line {
            b"\r" => Self::LineFeed,
            _ => Self::Nothing,
        }
    }

    fn takes(&mut self, line: &[u8]) -> bool {
        *self == Self::All
            || (std::mem::replace(self, Self::Nothing) == Self::LineFeed && line == b"\n")
    }
}

/// The first line with its line end, and the rest. A line may end in LF, CR, or both. An event must be read before the
/// next one begins: what stands between two of them is neither's, and the bytes of both would be held back.
fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let Some(end) = bytes.iter().position(is_end) else {
        return (bytes, &[]);
    };
    let is_both = bytes.get(end..).is_some_and(|it| it.starts_with(b"\r\n"));
    bytes.split_at(end + if is_both { 2 } else { 1 })
}
