//! Splits a provider's byte stream into the messages of `application/vnd.amazon.eventstream`, which AWS streams with.
//!
//! Feed [`Decoder::push`] bytes as the network cut them. A cut may fall anywhere and never changes the events;
//! `tests/dialects/bedrock/` tries every position. A message becomes an [`Event`] like a server-sent one, so that
//! dialects read both alike: its name is the type of the event or of the exception, and its data is the payload. An error
//! that is no exception is called [`ERROR`].
//!
//! Format: <https://docs.aws.amazon.com/lexv2/latest/dg/event-stream-encoding.html>. A message is its length, the length
//! of its headers, a checksum of both, headers, payload, and a checksum of all. Both checksums are checked: the first
//! before a length is believed, so that nothing is awaited that no message announced. After a message that is wrong,
//! nobody knows where the next one begins, so that is the end.
//!
//! Checksums come from `crc` with its smallest table, a kilobyte: a faster crate brings sixteen, to save microseconds in
//! an answer.
//!
//! Not here: what an event means. That is `dialects/bedrock/`.

use crc::{CRC_32_ISO_HDLC, Crc, Table};
use serde::Serialize;

use crate::sse::{EVENT_BYTES_MAX, Event};

const CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);
/// The name of a message that is an error, which is not one of the exceptions that the service describes.
pub const ERROR: &str = "error";
/// Two lengths and their checksum.
const PRELUDE_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 4;
/// Headers of one message. The format allows 128 KB; real ones have some hundred bytes.
const HEADERS_BYTES_MAX: usize = 128 * 1024;

/// Why the stream cannot be read any further. The decoder is of no further use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("a message has more than {EVENT_BYTES_MAX} bytes")]
    TooLong,
    /// Lengths that cannot be, another checksum, or headers that end before their end.
    #[error("expected a message of an event stream, got other bytes")]
    Malformed,
}

/// The state between two pieces of one stream.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The start of a message whose end has not come.
    message: Vec<u8>,
}

impl Decoder {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes and appends the events that they complete.
    ///
    /// # Errors
    /// A message is too long, or none. Those before it have been appended.
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Broken> {
        let mut rest = bytes;
        loop {
            rest = self.fill(rest, PRELUDE_BYTES);
            let Some(length) = self.length()? else {
                return Ok(());
            };
            rest = self.fill(rest, length);
            if self.message.len() < length {
                return Ok(());
            }
            let message = std::mem::take(&mut self.message);
            events.push(event(&message).ok_or(Broken::Malformed)?);
        }
    }

    /// How many of the bytes pushed so far belong to a message that is not complete.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.message.len()
    }

    /// Takes bytes until the message has `length` of them, and gives back the rest.
    fn fill<'a>(&mut self, bytes: &'a [u8], length: usize) -> &'a [u8] {
        let missing = length.saturating_sub(self.message.len());
        let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
        self.message.extend_from_slice(taken);
        rest
    }

    /// The length of the whole message; `None` until its prelude has come.
    fn length(&self) -> Result<Option<usize>, Broken> {
        let Some((prelude, _)) = self.message.split_first_chunk::<PRELUDE_BYTES>() else {
            return Ok(None);
        };
        let (lengths, checksum) = prelude.split_at(PRELUDE_BYTES - CHECKSUM_BYTES);
        if number(checksum) != CRC.checksum(lengths) as usize {
            return Err(Broken::Malformed);
        }
        let (total, headers) = lengths.split_at(4);
        let (total, headers) = (number(total), number(headers));
        if total > EVENT_BYTES_MAX {
            return Err(Broken::TooLong);
        }
        let least = headers.saturating_add(PRELUDE_BYTES + CHECKSUM_BYTES);
        if headers > HEADERS_BYTES_MAX || total < least {
            return Err(Broken::Malformed);
        }
        Ok(Some(total))
    }
}

/// A big-endian number of up to four bytes.
fn number(bytes: &[u8]) -> usize {
    let add = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
    bytes.iter().fold(0, add)
}

/// A whole message, its prelude already judged.
fn event(message: &[u8]) -> Option<Event> {
    let (checked, checksum) = message.split_last_chunk::<CHECKSUM_BYTES>()?;
    if number(checksum) != CRC.checksum(checked) as usize {
        return None;
    }
    let (prelude, body) = checked.split_first_chunk::<PRELUDE_BYTES>()?;
    let headers = number(prelude.get(4..8)?);
    let (headers, payload) = body.split_at_checked(headers)?;
    let headers = Headers::read(headers)?;
    let data = String::from_utf8_lossy(payload).into_owned();
    Some(match headers.message_type.as_str() {
        "error" => Event {
            name: ERROR.to_owned(),
            data: headers.error(),
        },
        "exception" => Event {
            name: headers.exception_type,
            data,
        },
        _ => Event {
            name: headers.event_type,
            data,
        },
    })
}

/// The headers that say what a message is.
#[derive(Default)]
struct Headers {
    message_type: String,
    event_type: String,
    exception_type: String,
    error_code: String,
    error_message: String,
}

#[derive(Serialize)]
struct Error<'a> {
    code: &'a str,
    message: &'a str,
}

impl Headers {
    /// An error has no payload, but a code and words.
    fn error(&self) -> String {
        let error = Error {
            code: &self.error_code,
            message: &self.error_message,
        };
        serde_json::to_string(&error).unwrap_or_default()
    }

    fn read(mut bytes: &[u8]) -> Option<Self> {
        let mut headers = Self::default();
        while let Some((length, rest)) = bytes.split_first() {
            let (name, rest) = rest.split_at_checked(usize::from(*length))?;
            let (kind, rest) = rest.split_first()?;
            let (text, rest) = value(*kind, rest)?;
            bytes = rest;
            let place = match name {
                b":message-type" => &mut headers.message_type,
                b":event-type" => &mut headers.event_type,
                b":exception-type" => &mut headers.exception_type,
                b":error-code" => &mut headers.error_code,
                b":error-message" => &mut headers.error_message,
                _ => continue,
            };
            if let Some(text) = text {
                *place = String::from_utf8_lossy(text).into_owned();
            }
        }
        Some(headers)
    }
}

/// A header's value where it is a text, and what follows it. The kinds are numbered by the format.
fn value(kind: u8, bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let fixed = match kind {
        // True and false have no bytes.
        0 | 1 => 0,
        2 => 1,
        3 => 2,
        4 => 4,
        // A long and a time.
        5 | 8 => 8,
        // A UUID.
        9 => 16,
        // Bytes and a text tell their length.
        6 | 7 => {
            let (length, rest) = bytes.split_at_checked(2)?;
            let (value, rest) = rest.split_at_checked(number(length))?;
            return Some(((kind == 7).then_some(value), rest));
        }
        _ => return None,
    };
    let (_, rest) = bytes.split_at_checked(fixed)?;
    Some((None, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of the `event_stream` package for Elixir, whose headers have no type.
    const FOREIGN: [u8; 30] = [
        0, 0, 0, 30, 0, 0, 0, 0, 186, 242, 246, 138, 123, 34, 102, 111, 111, 34, 58, 32, 34, 98,
        97, 114, 34, 125, 174, 114, 88, 228,
    ];

    /// One with headers, which botocore 1.44.5 reads.
    const TYPED: &[u8] =
        b"\x00\x00\x00\x84\x00\x00\x00Q=(\xa8Y\x0b:event-type\x07\x00\x0bmessageStop\x0d:\
        content-type\x07\x00\x10application/json\x0d:message\
        -type\x07\x00\x05event{\"p\":\"abc\",\"stopReason\":\"en\
        d_turn\"}\x8a{\xbd\xd0";

    fn decoded(pieces: &[&[u8]]) -> (Vec<Event>, Result<usize, Broken>) {
        let mut decoder = Decoder::new();
        let mut events = Vec::new();
        for piece in pieces {
            if let Err(broken) = decoder.push(piece, &mut events) {
                return (events, Err(broken));
            }
        }
        (events, Ok(decoder.pending_bytes()))
    }

    /// A message of these headers' bytes, its checksums right.
    fn message(total: u32, headers: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut out = total.to_be_bytes().to_vec();
        out.extend(u32::try_from(headers.len()).unwrap().to_be_bytes());
        out.extend(CRC.checksum(&out).to_be_bytes());
        out.extend_from_slice(headers);
        out.extend_from_slice(payload);
        out.extend(CRC.checksum(&out).to_be_bytes());
        out
    }

    fn whole(headers: &[u8], payload: &[u8]) -> Vec<u8> {
        let total = PRELUDE_BYTES + CHECKSUM_BYTES + headers.len() + payload.len();
        message(u32::try_from(total).unwrap(), headers, payload)
    }

    #[test]
    fn other_programs_messages_are_read() {
        let event = Event {
            name: String::new(),
            data: r#"{"foo": "bar"}"#.to_owned(),
        };
        assert_eq!(decoded(&[&FOREIGN]), (vec![event], Ok(0)));
        let event = Event {
            name: "messageStop".to_owned(),
            data: r#"{"p":"abc","stopReason":"end_turn"}"#.to_owned(),
        };
        assert_eq!(decoded(&[TYPED]), (vec![event], Ok(0)));
    }

    #[test]
    fn each_wrong_byte_is_noticed() {
        for place in 0..FOREIGN.len() {
            for bit in 0..8 {
                let mut wrong = FOREIGN;
                wrong[place] ^= 1 << bit;
                assert_eq!(decoded(&[&wrong]), (Vec::new(), Err(Broken::Malformed)));
            }
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_refused_before_anything_is_awaited() {
        let long = u32::try_from(EVENT_BYTES_MAX + 1).unwrap();
        for (total, broken) in [
            (0, Broken::Malformed),
            (15, Broken::Malformed),
            (long, Broken::TooLong),
            (u32::MAX, Broken::TooLong),
        ] {
            let bytes = message(total, &[], &[]);
            assert_eq!(
                decoded(&[&bytes[..PRELUDE_BYTES]]).1,
                Err(broken),
                "{total}"
            );
        }
        let headers = message(20, &[0; 5], &[]);
        assert_eq!(
            decoded(&[&headers[..PRELUDE_BYTES]]).1,
            Err(Broken::Malformed)
        );
    }

    #[test]
    fn headers_of_every_kind_are_passed_over() {
        let mut headers = Vec::new();
        let values: [&[u8]; 10] = [
            b"",
            b"",
            b"1",
            b"22",
            b"4444",
            b"88888888",
            b"\0\x02ab",
            b"\0\x02ab",
            b"88888888",
            b"1234567890123456",
        ];
        for (kind, value) in (0..).zip(values) {
            headers.extend_from_slice(b"\x01h");
            headers.push(kind);
            headers.extend_from_slice(value);
        }
        headers.extend_from_slice(b"\x0b:event-type\x07\0\x04stop");
        let (events, outcome) = decoded(&[&whole(&headers, b"{}")]);
        assert_eq!((events[0].name.as_str(), outcome), ("stop", Ok(0)));
        for (cut, kind) in [(1, 7), (0, 10)] {
            let odd = [b"\x01h".as_slice(), &[kind], &[0][cut..]].concat();
            assert_eq!(decoded(&[&whole(&odd, b"")]).1, Err(Broken::Malformed));
        }
    }

    #[test]
    fn an_error_without_payload_has_its_headers_words() {
        let headers = b"\x0d:message-type\x07\0\x05error\x0b:error-code\x07\0\x04Oops\x0e:error-message\x07\0\x02no";
        let (events, _) = decoded(&[&whole(headers, b"")]);
        let event = &events[0];
        let told = (event.name.as_str(), event.data.as_str());
        assert_eq!(told, (ERROR, r#"{"code":"Oops","message":"no"}"#));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_alike_however_they_are_cut(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..4),
            rest in prop::collection::vec(any::<u8>(), 0..30),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes: Vec<u8> = messages.iter().flat_map(|payload| whole(&[], payload)).collect();
            bytes.extend(rest);
            let (left, right) = bytes.split_at(cut.index(bytes.len() + 1));
            let (events, outcome) = decoded(&[&bytes]);
            prop_assert!(events.len() >= messages.len());
            prop_assert_eq!((events, outcome), decoded(&[left, right]));
        }
    }
}
