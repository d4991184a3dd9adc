//! An error inside a stream of the Responses API. Outside of one, an error looks as in chat completions.
//!
//! OpenAI's specification has the fields side by side (`ResponseErrorEvent`); its SDK for Python raises only where
//! the data has an `error`, and that for Node prefers it. So the event has both. Its number is 0, because only the
//! provider knows how many events of a relayed stream came before it.

use std::borrow::Cow;

use serde::Serialize;

use super::super::ClientError;
use super::super::openai_chat::WireError;

#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    sequence_number: u32,
    code: &'a str,
    message: Cow<'a, str>,
    param: Option<&'a str>,
    error: WireError<'a>,
}

pub(in super::super) fn encode_error_event(error: &ClientError) -> Vec<u8> {
    let nested = WireError::from(error);
    let event = Event {
        kind: "error",
        sequence_number: 0,
        code: &error.code,
        message: nested.message.clone(),
        param: error.param.as_deref(),
        error: nested,
    };
    serde_json::to_vec(&event).unwrap_or_default()
}
