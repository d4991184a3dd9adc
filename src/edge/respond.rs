//! Makes the client's responses.

use std::borrow::Cow;

use js_sys::Uint8Array;
use serde::Serialize;
use wasm_bindgen::JsCast;
use web_sys::{ReadableStream, Response, ResponseInit};

use super::js::{self, header_object};
use crate::dialects::{ClientDialect, ClientError, encode_error, error_status};
use crate::exchange::ResponseHead;

/// A response whose body is known.
pub fn whole(head: &ResponseHead, bytes: &[u8]) -> Response {
    let init = init(head);
    let body = Uint8Array::from(bytes);
    Response::new_with_opt_js_u8_array_and_init(Some(&body), &init).unwrap_or_else(|_| bug())
}

/// A response whose body is still being written.
pub fn stream(head: &ResponseHead, body: &ReadableStream) -> Response {
    let init = init(head);
    Response::new_with_opt_readable_stream_and_init(Some(body), &init).unwrap_or_else(|_| bug())
}

pub fn json(status: u16, body: &impl serde::Serialize) -> Response {
    let head = ResponseHead {
        status,
        content_type: "application/json".into(),
        headers: Vec::new(),
    };
    serde_json::to_vec(body).map_or_else(|_| bug(), |bytes| whole(&head, &bytes))
}

pub fn error(
    dialect: ClientDialect,
    error: &ClientError,
    headers: Vec<(&'static str, String)>,
) -> Response {
    let head = ResponseHead {
        status: error_status(dialect, error),
        content_type: "application/json".into(),
        headers,
    };
    whole(&head, &encode_error(dialect, error))
}

/// The runtime refused to make a response, which no input of ours should bring about.
fn bug() -> Response {
    Response::error()
}

/// Status and headers. What a dialect or a team names is text of any kind, and not all of it can be a header's value.
fn init(head: &ResponseHead) -> ResponseInit {
    let own = [
        ("content-type", head.content_type.as_ref()),
        // A cache or a proxy that buffers would hold back the first token.
        ("cache-control", "no-store"),
    ];
    let own = own
        .into_iter()
        .map(|(name, value)| (name, Cow::Borrowed(value)));
    let others = head
        .headers
        .iter()
        .map(|(name, value)| (*name, sendable(value)));
    let init = js::parse(&Init {
        status: head.status,
        headers: own.chain(others).collect(),
    });
    init.map_or_else(|_| ResponseInit::new(), JsCast::unchecked_into)
}

fn sendable(value: &str) -> Cow<'_, str> {
    if js::is_header_value(value) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(String::from(js_sys::encode_uri_component(value)))
}

#[derive(Serialize)]
struct Init<'a> {
    status: u16,
    #[serde(serialize_with = "header_object")]
    headers: Vec<(&'static str, Cow<'a, str>)>,
}
