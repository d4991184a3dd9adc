//! Errors as OpenAI's SDKs expect them.
//!
//! The SDKs choose the exception by status, and show `message`; programs look at `code` and `param`. Inside a
//! stream the SDKs raise on any event whose data has an `error`.

use std::borrow::Cow;

use serde::Serialize;

use super::super::ClientError;
use super::super::client_error::in_known_words;

#[derive(Serialize)]
struct Body<'a> {
    error: WireError<'a>,
}

/// The error itself, as both of OpenAI's APIs write it.
#[derive(Serialize)]
pub(in super::super) struct WireError<'a> {
    pub(in super::super) message: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<&'a str>,
    code: &'a str,
}

impl<'a> From<&'a ClientError> for WireError<'a> {
    fn from(error: &'a ClientError) -> Self {
        let kind = match error.status {
            401 => "authentication_error",
            402 => "insufficient_quota",
            403 => "permission_error",
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        };
        Self {
            message: in_known_words(
                error,
                &["maximum context length", "context window"],
                "the prompt exceeds the model's maximum context length",
            ),
            kind,
            param: error.param.as_deref(),
            code: &error.code,
        }
    }
}

pub(in super::super) fn encode_error(error: &ClientError) -> Vec<u8> {
    let body = Body {
        error: error.into(),
    };
    serde_json::to_vec(&body).unwrap_or_default()
}
