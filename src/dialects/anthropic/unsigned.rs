//! Takes thoughts without a signature out of a body that is spliced.
//!
//! We wrote such blocks, for what a model of another dialect thought, and a client sends back what it got. Anthropic refuses
//! them (quirk `no_unsigned_thoughts`); providers that only speak its dialect may want their own back. A message of which
//! nothing is left goes as well: one without content is refused, too. All other bytes stay.
//!
//! Spans are removed as they are met, and none is kept: a conversation may have any number of blocks.

use std::ops::Range;

use serde::Deserialize;

use super::super::read::{self, Kind, Raw};
use super::super::splice::Edit;
use crate::chat::RequestError;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<Raw<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Block<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Raw<'a>>,
    #[serde(borrow)]
    signature: Option<Raw<'a>>,
}

impl Block<'_> {
    fn is_unsigned_thought(&self) -> bool {
        let is = |field: Option<Raw>, text: &str| field.is_some_and(|raw| raw.get() == text);
        is(self.kind, "\"thinking\"") && is(self.signature, "\"\"")
    }
}

/// Removes them from `messages`, which is part of `text`.
///
/// # Errors
/// A message or a block is none.
pub(in super::super) fn remove_unsigned(
    text: &str,
    messages: Raw,
    edits: &mut Vec<Edit>,
) -> Result<(), RequestError> {
    // Whoever signs nothing pays nothing.
    if !messages.get().contains("\"signature\"") {
        return Ok(());
    }
    let span = |raw: Raw| {
        let start = raw.get().as_ptr().addr() - text.as_ptr().addr();
        start..start + raw.get().len()
    };
    let mut turns = Gaps::default();
    read::each(messages, format_args!("messages"), &mut |index, raw| {
        let at = format_args!("messages[{index}]");
        let message: Message = read::object(raw, at, "an object with `role` and `content`")?;
        let mut gaps = Gaps::default();
        let mut inner = Vec::new();
        if let Some(content) = message.content.filter(|raw| read::kind(raw) == Kind::Array) {
            read::each(content, at, &mut |_, raw| {
                let block: Block = read::object(raw, at, "an object with `type`")?;
                gaps.pass(span(raw), block.is_unsigned_thought(), &mut inner);
                Ok(())
            })?;
        }
        let is_emptied = gaps.kept_end.is_none() && gaps.lost.is_some();
        turns.pass(span(raw), is_emptied, edits);
        if !is_emptied {
            edits.extend(inner);
        }
        Ok(())
    })?;
    // Without a message left, the provider says so.
    edits.extend(turns.lost.map(removed));
    Ok(())
}

/// Removes elements of an array, each with the comma that divided it from what stays.
#[derive(Default)]
struct Gaps {
    /// Where the last one ends that stays, or that has been removed behind one that stays.
    kept_end: Option<usize>,
    /// What goes before the first that stays.
    lost: Option<Range<usize>>,
}

impl Gaps {
    /// The next element.
    fn pass(&mut self, span: Range<usize>, is_removed: bool, edits: &mut Vec<Edit>) {
        match (is_removed, self.kept_end) {
            (false, _) => {
                edits.extend(self.lost.take().map(|lost| removed(lost.start..span.start)));
                self.kept_end = Some(span.end);
            }
            (true, Some(end)) => {
                edits.push(removed(end..span.end));
                self.kept_end = Some(span.end);
            }
            (true, None) => {
                let start = self.lost.take().map_or(span.start, |lost| lost.start);
                self.lost = Some(start..span.end);
            }
        }
    }
}

fn removed(span: Range<usize>) -> Edit {
    Edit {
        span,
        with: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::splice::apply;
    use super::*;

    fn without(messages: &str) -> String {
        let body = format!("{{\"messages\":{messages} ,\"x\":1}}");
        let start = "{\"messages\":".len();
        let value = body.split_at(start).1.split_at(messages.len()).0;
        let mut edits = Vec::new();
        remove_unsigned(&body, serde_json::from_str(value).unwrap(), &mut edits).unwrap();
        let left = String::from_utf8(apply(&body, edits)).unwrap();
        assert!(
            serde_json::from_str::<serde_json::Value>(&left).is_ok(),
            "{left}"
        );
        let end = left.len() - " ,\"x\":1}".len();
        left.split_at(end).0.split_at(start).1.to_owned()
    }

    #[test]
    fn what_is_signed_or_no_thought_stays_byte_for_byte() {
        for messages in [
            r#"[ {"role":"user","content":"\"signature\""} ]"#,
            r#"[{"role":"assistant","content":[ {"type":"thinking","thinking":"h\u0069","signature":"s"} ,{"type":"text","text":"a"}]}]"#,
            r#"[{"role":"assistant","content":[{"type":"text","text":"\"signature\":\"\"","signature":""},{"type":"tool_use","input":{"type":"thinking","signature":""}}]}]"#,
        ] {
            assert_eq!(without(messages), messages);
        }
    }

    #[test]
    fn unsigned_thoughts_go_with_their_commas() {
        let said = r#"{"type":"text","text":"a"}"#;
        let no = r#"{"signature" : "", "type":"thinking","thinking":"x"}"#;
        for (content, left) in [
            (format!("[ {no} , {said} ]"), format!("[ {said} ]")),
            (format!("[{said},{no}]"), format!("[{said}]")),
            (
                format!("[{no},{no},{said},{no} ,{no} , {said}]"),
                format!("[{said} , {said}]"),
            ),
        ] {
            let turn = |content: &str| format!(r#"[{{"role":"assistant","content":{content}}}]"#);
            assert_eq!(without(&turn(&content)), turn(&left));
        }
    }

    #[test]
    fn a_turn_of_nothing_else_goes_too() {
        let user = r#"{"role":"user","content":"a"}"#;
        let silent =
            r#"{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":""}]}"#;
        for (messages, left) in [
            (
                format!("[{user}, {silent}, {user}]"),
                format!("[{user}, {user}]"),
            ),
            (format!("[{silent},{user}]"), format!("[{user}]")),
            (format!("[{user},{silent}]"), format!("[{user}]")),
            (format!("[{silent}]"), "[]".to_owned()),
        ] {
            assert_eq!(without(&messages), left);
        }
    }
}
