//! Writes server-sent events.
//!
//! The output is what [`super::Decoder`] reads back: data with line ends in it becomes several data lines.
//! We always write LF and a space after the colon, as all providers do, because some clients' parsers know
//! nothing else.

/// Appends one event. `name` must not contain a line end.
pub fn write_event(out: &mut Vec<u8>, name: Option<&str>, data: &[u8]) {
    if let Some(name) = name {
        debug_assert!(!name.contains(['\n', '\r']), "an event's name is one line");
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    let mut rest = data;
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        let (line, tail) = rest.split_at(end);
        write_line(out, line);
        rest = match tail {
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
            [] => &[],
        };
    }
    write_line(out, rest);
    out.push(b'\n');
}

fn write_line(out: &mut Vec<u8>, line: &[u8]) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(line);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sse::{Decoder, Event};

    #[test]
    fn what_is_written_reads_back() {
        let mut bytes = Vec::new();
        write_event(&mut bytes, Some("ping"), b"");
        write_event(&mut bytes, None, b"one\n\r\ntwo\rthree\n");
        let mut events = Vec::new();
        assert_eq!(Decoder::new().push(&bytes, &mut events), Ok(()));
        let expected = [("ping", ""), ("", "one\n\ntwo\nthree\n")].map(|(name, data)| Event {
            name: name.to_owned(),
            data: data.to_owned(),
        });
        assert_eq!(events, expected);
    }
}
