//! What holds the pieces of a streamed answer together on their way to the client.
//!
//! All dialects send events, and Gemini's clients may ask for one JSON array instead, by leaving `alt=sse` out of the URL.
//! Its elements are the events' data, so whoever writes events needs not know: [`ArrayWriter`] makes the one of the other.

use crate::sse;

/// How a stream's pieces are held together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Server-sent events.
    #[default]
    Events,
    /// One JSON array.
    Array,
}

/// Makes one JSON array of a stream of events. Comments have no place in it.
#[derive(Debug, Default)]
pub struct ArrayWriter {
    events: sse::Decoder,
    has_begun: bool,
}

impl ArrayWriter {
    /// Takes whole events, and gives what they add to the array.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut events = Vec::new();
        // An event of ours is never too long, and a provider's has passed the same limit before.
        let _ = self.events.push(bytes, &mut events);
        self.write(&events)
    }

    /// The rest of the array.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        let mut events = Vec::new();
        self.events.finish(&mut events);
        let mut out = self.write(&events);
        if !std::mem::replace(&mut self.has_begun, true) {
            out.push(b'[');
        }
        out.extend_from_slice(b"]\n");
        out
    }

    fn write(&mut self, events: &[sse::Event]) -> Vec<u8> {
        let mut out = Vec::new();
        for event in events {
            let is_first = !std::mem::replace(&mut self.has_begun, true);
            out.extend_from_slice(if is_first { b"[" } else { b",\r\n" });
            out.extend_from_slice(event.data.as_bytes());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_elements_are_the_events(texts: Vec<String>, pings: bool) {
            let mut writer = ArrayWriter::default();
            let mut out = Vec::new();
            for text in &texts {
                let mut event = Vec::new();
                let data = serde_json::to_vec(text).unwrap();
                sse::write_event(&mut event, None, &data);
                if pings {
                    event.splice(0..0, *b": ping\n\n");
                }
                out.extend(writer.push(&event));
            }
            out.extend(writer.finish());
            let read: Vec<String> = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(read, texts);
        }
    }
}
