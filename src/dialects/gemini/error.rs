//! Errors as Google's SDKs expect them: a `google.rpc.Status`, whole or as an event of a stream.
//!
//! The SDKs choose the class by the number, which must be one of an error, also inside a stream, where the HTTP status has
//! been told already. Our own code and the field at fault are in the details, where Google has the like
//! (<https://google.aip.dev/193>).

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::ClientError;

const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

#[derive(Serialize)]
struct Body<'a> {
    error: WireError<'a>,
}

#[derive(Serialize)]
struct WireError<'a> {
    code: u16,
    message: &'a str,
    status: &'static str,
    details: Vec<Detail<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Detail<'a> {
    Info {
        #[serde(rename = "@type")]
        kind: &'static str,
        reason: &'a str,
        domain: &'static str,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        metadata: BTreeMap<&'static str, &'a str>,
    },
    Retry {
        #[serde(rename = "@type")]
        kind: &'static str,
        #[serde(rename = "retryDelay")]
        retry_delay: String,
    },
}

pub(in super::super) fn encode_error(error: &ClientError) -> Vec<u8> {
    let field = error.param.as_deref().map(|param| ("field", param));
    let mut details = vec![Detail::Info {
        kind: ERROR_INFO,
        reason: &error.code,
        domain: "waypost",
        metadata: field.into_iter().collect(),
    }];
    details.extend(error.retry_after.map(|wait| Detail::Retry {
        kind: RETRY_INFO,
        retry_delay: format!("{}.{:03}s", wait.0 / 1_000, wait.0 % 1_000),
    }));
    let body = Body {
        error: WireError {
            code: error.status,
            message: &error.message,
            status: name(error.status),
            details,
        },
    };
    serde_json::to_vec(&body).unwrap_or_default()
}

/// The name of `google.rpc.Code` that goes with a status
/// (<https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto>).
fn name(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        402 => "FAILED_PRECONDITION",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        400..=499 => "INVALID_ARGUMENT",
        501 => "UNIMPLEMENTED",
        502 | 503 | 529 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "INTERNAL",
    }
}
