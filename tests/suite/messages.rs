//! Writes the messages of an AWS event stream from text, so that a fixture can be read: one message a line, the type of
//! the event, a space, the payload. An exception's type has a `!` before it, an error's code a `!!`.

use crc::{CRC_32_ISO_HDLC, Crc};

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// The bytes of all messages.
pub fn encode(text: &str) -> Vec<u8> {
    text.lines().flat_map(message).collect()
}

fn message(line: &str) -> Vec<u8> {
    let (name, payload) = line.split_once(' ').unwrap_or((line, ""));
    let json = (":content-type", "application/json");
    let (headers, payload) = if let Some(code) = name.strip_prefix("!!") {
        let headers = vec![
            (":error-code", code),
            (":error-message", payload),
            (":message-type", "error"),
        ];
        (headers, "")
    } else if let Some(kind) = name.strip_prefix('!') {
        let kind = (":exception-type", kind);
        (vec![kind, json, (":message-type", "exception")], payload)
    } else {
        let kind = (":event-type", name);
        (vec![kind, json, (":message-type", "event")], payload)
    };
    let headers: Vec<u8> = headers.into_iter().flat_map(header).collect();
    let length = |bytes: usize| u32::try_from(bytes).unwrap().to_be_bytes();
    let mut out = length(headers.len() + payload.len() + 16).to_vec();
    out.extend(length(headers.len()));
    out.extend(CRC.checksum(&out).to_be_bytes());
    out.extend(headers);
    out.extend_from_slice(payload.as_bytes());
    out.extend(CRC.checksum(&out).to_be_bytes());
    out
}

/// One whose value is a text, kind 7.
fn header((name, value): (&str, &str)) -> Vec<u8> {
    let mut out = vec![u8::try_from(name.len()).unwrap()];
    out.extend_from_slice(name.as_bytes());
    out.push(7);
    out.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
    out.extend_from_slice(value.as_bytes());
    out
}
