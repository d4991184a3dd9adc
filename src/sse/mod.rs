//! Splits a provider's byte stream into server-sent events, and writes events for clients.
//!
//! Feed [`Decoder::push`] bytes as the network cut them. A cut may fall anywhere, even inside a character or
//! between CR and LF, and never changes the events; `tests/sse/` tries every position.
//!
//! Grammar: <https://html.spec.whatwg.org/multipage/server-sent-events.html>. It asks that invalid UTF-8 be
//! replaced and that an event without its blank line be dropped; [`Decoder::finish`] is for the providers that
//! end that way. `id`, `retry` and comments are dropped: an answer cannot be resumed.
//!
//! A relay forwards the provider's own bytes, not a rewriting of them, and must never forward half an event:
//! [`Decoder::pending_bytes`] tells how much of the tail to hold back.
//!
//! We did not use a stream adapter: it would tie the parser to `await` and hide the size limit.
//! Not here: what an event means. That is `dialects/`.

mod write;

pub use write::write_event;

/// The most bytes that one event may take, line ends and ignored fields included. Providers' events are a few
/// kilobytes; a whole tool call or an inline image in one event can reach a megabyte. An isolate has 128 MB for
/// all of its requests.
pub const EVENT_BYTES_MAX: usize = 4 * 1024 * 1024;

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// One dispatched event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Empty where the stream gave none; the grammar then calls it `message`.
    pub name: String,
    /// The data lines, joined with LF.
    pub data: String,
}

/// An event grew beyond [`EVENT_BYTES_MAX`]. The decoder is of no further use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event has more than {EVENT_BYTES_MAX} bytes")]
pub struct TooLong;

/// The state between two pieces of one stream.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The start of a line whose end has not come.
    line: Vec<u8>,
    name: Vec<u8>,
    /// Absent until a data line has come: an event without one is none.
    data: Option<Vec<u8>>,
    /// A field line has come, its event's blank line has not.
    is_open: bool,
    /// The last byte was CR: an LF that follows belongs to it.
    after_cr: bool,
    /// The first line has ended, so a byte-order mark can no longer come.
    past_first_line: bool,
    pending: usize,
    comments: u64,
}

impl Decoder {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes and appends the events that they complete.
    ///
    /// # Errors
    /// One event is too long. Those before it have been appended.
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), TooLong> {
        let mut rest = bytes;
        if self.after_cr
            && let Some((first, others)) = rest.split_first()
        {
            self.after_cr = false;
            if *first == b'\n' {
                self.count_line_end();
                rest = others;
            }
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, tail) = rest.split_at(end);
            self.pending = self.pending.saturating_add(line.len() + 1);
            self.check_length()?;
            self.end_line(line, events);
            rest = self.skip_line_end(tail);
        }
        self.pending = self.pending.saturating_add(rest.len());
        self.check_length()?;
        self.line.extend_from_slice(rest);
        Ok(())
    }

    /// Takes the end of the bytes for the blank line that never came, and appends the event it completes.
    ///
    /// The grammar drops such an event, because it may be cut. Call this where a cut event does no harm: half
    /// a JSON text does not parse, and `[DONE]` without a line end is still the end.
    pub fn finish(&mut self, events: &mut Vec<Event>) {
        let line = std::mem::take(&mut self.line);
        let line = self.without_bom(&line);
        if !line.is_empty() {
            self.field_line(line);
        }
        self.dispatch(events);
        self.pending = 0;
    }

    /// How many of the bytes pushed so far belong to an event, or to a line, that is not complete.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending
    }

    /// How many comment lines have come: a sign of life, but no content.
    #[must_use]
    pub fn comments(&self) -> u64 {
        self.comments
    }

    fn check_length(&self) -> Result<(), TooLong> {
        if self.pending > EVENT_BYTES_MAX {
            return Err(TooLong);
        }
        Ok(())
    }

    /// Counts an LF that came apart from its CR. Between events it belongs to nothing that is pending.
    fn count_line_end(&mut self) {
        if self.is_open {
            self.pending = self.pending.saturating_add(1);
        }
    }

    /// `tail` starts with a line end.
    fn skip_line_end<'a>(&mut self, tail: &'a [u8]) -> &'a [u8] {
        match tail {
            [b'\r', b'\n', rest @ ..] => {
                self.count_line_end();
                rest
            }
            [b'\r'] => {
                self.after_cr = true;
                &[]
            }
            [_, rest @ ..] => rest,
            [] => &[],
        }
    }

    fn end_line(&mut self, tail: &[u8], events: &mut Vec<Event>) {
        if self.line.is_empty() {
            self.whole_line(tail, events);
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(tail);
            self.whole_line(&line, events);
            line.clear();
            self.line = line;
        }
        if !self.is_open {
            self.pending = 0;
        }
    }

    fn whole_line(&mut self, line: &[u8], events: &mut Vec<Event>) {
        let line = self.without_bom(line);
        if line.is_empty() {
            self.dispatch(events);
        } else {
            self.field_line(line);
        }
    }

    fn without_bom<'a>(&mut self, line: &'a [u8]) -> &'a [u8] {
        if std::mem::replace(&mut self.past_first_line, true) {
            return line;
        }
        line.strip_prefix(&BOM).unwrap_or(line)
    }

    fn field_line(&mut self, line: &[u8]) {
        let mut halves = line.splitn(2, |byte| *byte == b':');
        let field = halves.next().unwrap_or_default();
        let value = halves.next().unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if field.is_empty() {
            self.comments = self.comments.saturating_add(1);
            return;
        }
        self.is_open = true;
        match field {
            b"data" => {
                if let Some(data) = &mut self.data {
                    data.push(b'\n');
                }
                self.data.get_or_insert_default().extend_from_slice(value);
            }
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            _ => {}
        }
    }

    fn dispatch(&mut self, events: &mut Vec<Event>) {
        let name = std::mem::take(&mut self.name);
        self.is_open = false;
        if let Some(data) = self.data.take() {
            events.push(Event {
                name: text(name),
                data: text(data),
            });
        }
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_event_is_refused_at_the_same_byte_however_it_is_cut() {
        let mut stream = b"data: ".to_vec();
        stream.resize(EVENT_BYTES_MAX - 2, b'x');
        stream.extend_from_slice(b"\n\n");
        let mut events = Vec::new();
        assert_eq!(Decoder::new().push(&stream, &mut events), Ok(()));
        assert_eq!(events.len(), 1);

        stream.insert(6, b'x');
        for cut in [0, 7, EVENT_BYTES_MAX - 2, EVENT_BYTES_MAX, stream.len()] {
            let mut decoder = Decoder::new();
            let (left, right) = stream.split_at(cut);
            let outcome = decoder
                .push(left, &mut events)
                .and_then(|()| decoder.push(right, &mut events));
            assert_eq!(outcome, Err(TooLong), "cut at {cut}");
        }
        assert_eq!(events.len(), 1);
    }

    #[test]
    fn ignored_lines_do_not_escape_the_limit() {
        let mut decoder = Decoder::new();
        let line = format!("id: {}\n", "7".repeat(1_000));
        let mut events = Vec::new();
        let pushes =
            (0..EVENT_BYTES_MAX).take_while(|_| decoder.push(line.as_bytes(), &mut events).is_ok());
        assert_eq!(pushes.count(), EVENT_BYTES_MAX / line.len());
    }
}
