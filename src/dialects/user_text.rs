//! What the user said, for conditions on text: the newest bytes of it, the newest message first.
//!
//! Messages are read one by one and none is kept, so what is held at once is a few times the limit, and the longest
//! message while it is unescaped; never the conversation.

use super::{ClientDialect, anthropic, gemini, openai_chat, openai_responses};
use crate::chat::{Message, Part, RequestError};

/// The newest `limit` bytes of the user's messages. The newest message comes first, the parts of one in their order,
/// and a line ends between two pieces.
///
/// # Errors
/// The caller's mistake, with the path of the field.
pub fn user_text(client: ClientDialect, body: &[u8], limit: usize) -> Result<String, RequestError> {
    let mut tail = Tail::new(limit);
    let visit: &mut dyn FnMut(Message) = &mut |message| {
        if let Message::User(parts) = message {
            tail.begin();
            for part in parts {
                if let Part::Text(piece) = part {
                    tail.push(&piece);
                }
            }
        }
    };
    match client {
        ClientDialect::OpenaiChat => openai_chat::each_message(body, visit)?,
        ClientDialect::Anthropic => anthropic::each_message(body, visit)?,
        ClientDialect::OpenaiResponses => openai_responses::each_message(body, visit)?,
        ClientDialect::Gemini => gemini::each_message(body, visit)?,
    }
    Ok(tail.newest_first())
}

/// The longest character, less one byte: what is kept beyond the limit, so that only the last cut shortens a text.
const CHARACTER_REST: usize = 3;

/// The end of a conversation, oldest first, and where each message begins in it.
struct Tail {
    limit: usize,
    text: String,
    starts: Vec<usize>,
}

impl Tail {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            text: String::new(),
            starts: Vec::new(),
        }
    }

    fn begin(&mut self) {
        // A message without text leaves no trace.
        if self.starts.last() != Some(&self.text.len()) {
            self.starts.push(self.text.len());
        }
    }

    fn push(&mut self, piece: &str) {
        if self.starts.last() != Some(&self.text.len()) {
            self.text.push('\n');
        }
        let kept = self.limit.saturating_add(CHARACTER_REST);
        self.text.push_str(end_of(piece, kept));
        if self.text.len() > self.limit.saturating_mul(2) {
            self.forget();
        }
    }

    /// Forgets the oldest, down to the limit.
    fn forget(&mut self) {
        let kept = self.limit.saturating_add(CHARACTER_REST);
        let gone = self.text.len() - end_of(&self.text, kept).len();
        self.text.drain(..gone);
        let first_kept = self.starts.iter().rposition(|start| *start <= gone);
        self.starts.drain(..first_kept.unwrap_or_default());
        for start in &mut self.starts {
            *start = start.saturating_sub(gone);
        }
    }

    fn newest_first(&self) -> String {
        let mut out = String::with_capacity(self.text.len().min(self.limit));
        let mut end = self.text.len();
        for start in self.starts.iter().rev() {
            let message = self.text.get(*start..end).unwrap_or_default();
            end = *start;
            let between = usize::from(!out.is_empty());
            let room = self.limit.saturating_sub(out.len() + between);
            let kept = end_of(message, room);
            if !kept.is_empty() {
                out.extend((between > 0).then_some('\n'));
                out.push_str(kept);
            }
            if kept.len() < message.len() {
                break;
            }
        }
        out
    }
}

/// The last `bytes` of a text, less what would cut a character. The end of a long message holds the question; its
/// start is often a document.
fn end_of(text: &str, bytes: usize) -> &str {
    let start = text.len().saturating_sub(bytes);
    let start = (start..=text.len()).find(|place| text.is_char_boundary(*place));
    start
        .and_then(|start| text.get(start..))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(messages: &[Vec<String>]) -> String {
        let part = |text: &String| serde_json::json!({"type": "text", "text": text});
        let message = |parts: &Vec<String>| {
            let parts: Vec<_> = parts.iter().map(part).collect();
            serde_json::json!({"role": "user", "content": parts})
        };
        let turn = |parts: &Vec<String>| serde_json::json!({"role": "user", "parts": parts.iter().map(part).collect::<Vec<_>>()});
        let contents: Vec<_> = messages.iter().map(turn).collect();
        let messages: Vec<_> = messages.iter().map(message).collect();
        serde_json::json!({ "messages": messages, "input": messages, "contents": contents })
            .to_string()
    }

    #[test]
    fn newest_message_comes_first_and_its_parts_in_order() {
        let said = [vec!["old"], vec![], vec!["new", "er"]];
        let said = said.map(|parts| parts.into_iter().map(str::to_owned).collect());
        let text =
            |limit| user_text(ClientDialect::Anthropic, body(&said).as_bytes(), limit).unwrap();
        assert_eq!(text(100), "new\ner\nold");
        assert_eq!(text(8), "new\ner\nd");
        assert_eq!(text(7), "new\ner");
        assert_eq!(text(4), "w\ner");
        assert_eq!(text(0), "");
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_a_reader_of_it_all_would_keep(
            said in prop::collection::vec(prop::collection::vec("[a-cé]{1,5}", 0..3), 0..9),
            limit in 1_usize..40,
        ) {
            let messages: Vec<String> = said.iter().map(|parts| parts.join("\n")).collect();
            let spoken: Vec<&str> = messages.iter().map(String::as_str).filter(|it| !it.is_empty()).collect();
            let mut all = String::new();
            for message in spoken.into_iter().rev() {
                let between = usize::from(!all.is_empty());
                let kept = end_of(message, limit.saturating_sub(all.len() + between));
                if !kept.is_empty() {
                    all += if all.is_empty() { "" } else { "\n" };
                    all += kept;
                }
                if kept.len() < message.len() {
                    break;
                }
            }
            for dialect in ClientDialect::ALL {
                let text = user_text(dialect, body(&said).as_bytes(), limit).unwrap();
                prop_assert_eq!(&text, &all);
                prop_assert!(text.len() <= limit);
            }
        }
    }
}
