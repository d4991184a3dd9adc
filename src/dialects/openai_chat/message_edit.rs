//! What some providers want otherwise in the messages of a chat request: the ids of calls, and texts in parts.
//!
//! - Mistral's ids of calls have nine letters or digits, and it refuses others in former turns, which another provider's model may
//!   have made (quirk `short_call_ids`). A longer one becomes a hash: the same in the call and its result, and in every turn.
//! - DeepSeek and others take a message's content as a string alone (quirk `no_text_parts`), so parts that are texts become one, a
//!   blank line between two of them. A message with other parts stays, and the provider refuses it.
//!
//! Here for a body that is spliced; the encoder writes a translated one with the same two functions.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_64;

use super::super::read::{self, Kind, Raw, Text};
use super::super::splice::Edit;
use crate::chat::RequestError;

const ID_CHARS: usize = 9;
/// Between two texts that become one.
pub(super) const GAP: &str = "\n\n";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<Raw<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Raw<'a>>,
    #[serde(borrow)]
    tool_call_id: Option<Raw<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Call<'a> {
    #[serde(borrow)]
    id: Option<Raw<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Part<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Raw<'a>>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
}

/// An id of nine letters and digits: this one, or what stands for it.
pub(super) fn short_id(id: &str) -> Cow<'_, str> {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if id.len() == ID_CHARS && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Cow::Borrowed(id);
    }
    let mut rest = xxh3_64(id.as_bytes());
    let digit = || {
        let place = usize::try_from(rest % 62).unwrap_or_default();
        rest /= 62;
        char::from(DIGITS.get(place).copied().unwrap_or(b'0'))
    };
    Cow::Owned(std::iter::repeat_with(digit).take(ID_CHARS).collect())
}

/// Gives the calls in `messages`, which is part of `text`, ids that are short.
pub(in super::super) fn shorten_ids(
    text: &str,
    messages: Raw,
    edits: &mut Vec<Edit>,
) -> Result<(), RequestError> {
    each(messages, &mut |message| {
        let mut ids: Vec<Raw> = message.tool_call_id.into_iter().collect();
        if let Some(calls) = message.tool_calls {
            let at = format_args!("messages[].tool_calls");
            read::each(calls, at, &mut |_, raw| {
                let call: Call = read::object(raw, at, "an object with `id` and `function`")?;
                ids.extend(call.id);
                Ok(())
            })?;
        }
        for raw in ids {
            let Ok(Text(id)) = serde_json::from_str::<Text>(raw.get()) else {
                continue;
            };
            if let Cow::Owned(short) = short_id(&id) {
                edits.push(replaced(text, raw, &short));
            }
        }
        Ok(())
    })
}

/// Makes one text of each content that is texts alone.
pub(in super::super) fn join_texts(
    text: &str,
    messages: Raw,
    edits: &mut Vec<Edit>,
) -> Result<(), RequestError> {
    each(messages, &mut |message| {
        let Some(content) = message.content.filter(|raw| read::kind(raw) == Kind::Array) else {
            return Ok(());
        };
        let mut texts = Vec::new();
        let mut are_texts = true;
        let at = format_args!("messages[].content");
        read::each(content, at, &mut |_, raw| {
            let part: Part = read::object(raw, at, "an object with `type`")?;
            are_texts &= part.kind.is_some_and(|kind| kind.get() == "\"text\"");
            texts.extend(part.text.map(|text| text.0));
            Ok(())
        })?;
        if are_texts {
            edits.push(replaced(text, content, &texts.join(GAP)));
        }
        Ok(())
    })
}

fn each<'a>(
    messages: Raw<'a>,
    visit: &mut dyn FnMut(Message<'a>) -> Result<(), RequestError>,
) -> Result<(), RequestError> {
    read::each(messages, format_args!("messages"), &mut |index, raw| {
        let at = format_args!("messages[{index}]");
        visit(read::object(raw, at, "an object with `role`")?)
    })
}

fn replaced(text: &str, raw: Raw, with: &str) -> Edit {
    let start = raw.get().as_ptr().addr() - text.as_ptr().addr();
    let span: Range<usize> = start..start + raw.get().len();
    Edit {
        span,
        with: serde_json::to_string(with).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_short_and_stay_apart() {
        assert_eq!(short_id("aB3dE6gH9"), "aB3dE6gH9");
        let ids: BTreeSet<String> = (0..1_000)
            .map(|number| short_id(&format!("call_{number}")).into_owned())
            .collect();
        assert_eq!(ids.len(), 1_000);
        let is_short = |id: &String| id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric());
        assert!(ids.iter().all(is_short));
    }
}
