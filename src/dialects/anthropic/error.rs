//! Errors as Anthropic's SDKs expect them: by status, and by `error.type` inside a stream.

use std::borrow::Cow;

use serde::Serialize;

use super::super::ClientError;
use super::super::client_error::in_known_words;

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    error: WireError<'a>,
}

#[derive(Serialize)]
struct WireError<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message: Cow<'a, str>,
}

pub(in super::super) fn encode_error(error: &ClientError) -> Vec<u8> {
    let kind = match error.status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        504 => "timeout_error",
        503 | 529 => "overloaded_error",
        _ => "api_error",
    };
    let body = Body {
        kind: "error",
        error: WireError {
            kind,
            // This API has no code for it.
            message: in_known_words(error, &["prompt is too long"], "prompt is too long"),
        },
    };
    serde_json::to_vec(&body).unwrap_or_default()
}
