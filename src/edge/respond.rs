//! Makes the client's responses.

use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use web_sys::{Headers, ReadableStream, Response, ResponseInit};

use crate::dialects::{ClientError, Dialect, encode_error};
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
        content_type: "application/json",
        headers: Vec::new(),
    };
    serde_json::to_vec(body).map_or_else(|_| bug(), |bytes| whole(&head, &bytes))
}

pub fn error(
    dialect: Dialect,
    error: &ClientError,
    headers: Vec<(&'static str, String)>,
) -> Response {
    let head = ResponseHead {
        status: error.status,
        content_type: "application/json",
        headers,
    };
    whole(&head, &encode_error(dialect, error))
}

/// The runtime refused to make a response, which no input of ours should bring about.
fn bug() -> Response {
    Response::error()
}

fn init(head: &ResponseHead) -> ResponseInit {
    let init = ResponseInit::new();
    init.set_status(head.status);
    if let Ok(headers) = Headers::new() {
        let _ = headers.set("content-type", head.content_type);
        // A cache or a proxy that buffers would hold back the first token.
        let _ = headers.set("cache-control", "no-store");
        for (name, value) in &head.headers {
            // A name of a team's own may have characters that no header can carry.
            if headers.set(name, value).is_err() {
                let safe = String::from(js_sys::encode_uri_component(value));
                let _ = headers.set(name, &safe);
            }
        }
        init.set_headers(&JsValue::from(headers));
    }
    init
}
