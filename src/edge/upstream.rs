//! Calls a provider and reads its answer, as the exchange says.
//!
//! Only headers that a dialect asks for, the credential and our own name are sent: the client's headers stay here.
//! Redirects are not followed, because the credential would travel with them.
//!
//! Where the exchange may relay a stream, its body is taken twice: the client's copy is pumped by the runtime alone, and
//! the other is looked at in large pieces, a few times a second (`relay.rs`). A look at each event would cost four times
//! as much as the event itself.

use js_sys::futures::JsFuture;
use js_sys::{ArrayBuffer, Uint8Array};
use serde::Serialize;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    AbortController, ReadableStream, ReadableStreamByobReader, ReadableStreamDefaultReader,
    RequestInit, Response, WorkerGlobalScope,
};
use worker::Env;

use super::clock::now;
use super::google;
use super::js::{self, Thrown, header_object};
use crate::chat::AttemptFailure;
use crate::dialects::ROOM_HEADERS;
use crate::exchange::{Binding, Call, CredentialPlace, Input, ProviderHead};
use crate::providers::sigv4::{self, Scope};

const USER_AGENT: &str = concat!("waypost/", env!("CARGO_PKG_VERSION"));

/// An attempt's connection. Dropping it does not close it; [`Connection::cancel`] does.
pub struct Connection {
    abort: AbortController,
}

/// The part of an answer that is still to come.
pub struct Body {
    reader: Option<Reader>,
    /// The same bytes once more, from the first one on, for the client.
    pub twin: Option<ReadableStream>,
}

enum Reader {
    /// Gives all of it in one piece.
    Whole(Response),
    /// Gives a piece as the network cut it.
    Default(ReadableStreamDefaultReader),
    /// Gives all that has come, as much as the buffer takes. The buffer goes there and back.
    Tap(ReadableStreamByobReader, ArrayBuffer),
}

/// An answer that is to be so long by its own word is awaited whole: it was sent whole, and each piece costs as much as the
/// waiting. Of one that is compressed, the length tells nothing: some kilobytes unpack to gigabytes.
const WHOLE_BYTES_MAX: u32 = 64 * 1024;
/// The most that one look at a relayed stream takes. A full one is followed by another at once.
pub const TAP_BYTES: u32 = 64 * 1024;

impl Connection {
    pub fn open() -> Result<Self, Thrown> {
        Ok(Self {
            abort: AbortController::new()?,
        })
    }

    pub fn cancel(&self) {
        self.abort.abort();
    }

    /// Sends the call. The future holds nothing of `self`, so that it may run beside a cancellation.
    pub fn send(
        &self,
        attempt: usize,
        call: Call,
        may_relay: bool,
        env: &Env,
    ) -> impl Future<Output = (Input, Option<Body>)> + use<> {
        let signal = self.abort.signal();
        let env = env.clone();
        async move {
            match send(&call, may_relay, &env, &signal).await {
                Ok((head, body)) => (Input::Head { attempt, head }, Some(body)),
                Err(failure) => (Input::Failed { attempt, failure }, None),
            }
        }
    }

    /// Sends a call of another method, and gives the answer as it comes.
    pub fn pass_on(
        &self,
        method: &'static str,
        call: Call,
        env: &Env,
    ) -> impl Future<Output = Result<Response, AttemptFailure>> + use<> {
        let signal = self.abort.signal();
        let env = env.clone();
        async move {
            let (url, credential) = address(&call, &env, &signal).await?;
            let headers = headers(&call, &credential);
            fetch(method, &url, &headers, &call.body, &signal)
                .await
                .map_err(|_| AttemptFailure::Unreachable)
        }
    }
}

/// All that are sent. The body's type is the dialect's to say.
fn headers<'a>(call: &'a Call, credential: &'a [(String, String)]) -> Vec<(&'a str, &'a str)> {
    let own = [("user-agent", USER_AGENT)];
    let credential = credential.iter();
    let credential = credential.map(|(name, value)| (name.as_str(), value.as_str()));
    let dialect = call.headers.iter();
    let dialect = dialect.map(|(name, value)| (*name, value.as_ref()));
    own.into_iter().chain(dialect).chain(credential).collect()
}

impl Body {
    fn ended() -> Self {
        Self::read_by(None)
    }

    fn read_by(reader: Option<Reader>) -> Self {
        Self { reader, twin: None }
    }

    /// Reads the next piece.
    pub async fn read(mut self, attempt: usize) -> (Input, Option<Self>) {
        let step = match &self.reader {
            None => return (Input::End { attempt }, None),
            Some(Reader::Whole(response)) => {
                let Ok(bytes) = whole(response).await else {
                    return broken(attempt);
                };
                return (Input::Chunk { attempt, bytes }, Some(Self::ended()));
            }
            Some(Reader::Default(reader)) => {
                JsFuture::from(reader.read()).await.map_err(Thrown::from)
            }
            Some(Reader::Tap(reader, buffer)) => {
                let view = Uint8Array::new(buffer);
                JsFuture::from(reader.read_with_array_buffer_view(&view))
                    .await
                    .map_err(Thrown::from)
            }
        };
        let Ok(step) = step else {
            return broken(attempt);
        };
        if js::get(&step, "done").is_truthy() {
            return (Input::End { attempt }, None);
        }
        let Ok(piece) = js::get(&step, "value").dyn_into::<Uint8Array>() else {
            return broken(attempt);
        };
        let bytes = piece.to_vec();
        if let Some(Reader::Tap(_, buffer)) = &mut self.reader {
            *buffer = piece.buffer();
        }
        (Input::Chunk { attempt, bytes }, Some(self))
    }
}

/// The connection broke.
fn broken(attempt: usize) -> (Input, Option<Body>) {
    let failure = AttemptFailure::Unreachable;
    (Input::Failed { attempt, failure }, None)
}

async fn send(
    call: &Call,
    may_relay: bool,
    env: &Env,
    signal: &web_sys::AbortSignal,
) -> Result<(ProviderHead, Body), AttemptFailure> {
    let (url, credential) = address(call, env, signal).await?;
    let headers = headers(call, &credential);
    let response = match &call.binding {
        Some(binding) => run(binding, &call.body, env, signal).await?,
        None => fetch("POST", &url, &headers, &call.body, signal)
            .await
            .map_err(|_| AttemptFailure::Unreachable)?,
    };
    let status = response.status();
    let received = response.headers();
    let text = |name: &str| received.get(name).ok().flatten();
    // Reading a header costs, so what only a failure has is read there alone.
    let of_failure = |name: &str| (status >= 300).then(|| text(name)).flatten();
    let head = ProviderHead {
        status,
        content_type: text("content-type").unwrap_or_default(),
        retry_after: of_failure("retry-after"),
        retry_after_ms: of_failure("retry-after-ms"),
        error_type: of_failure("x-amzn-errortype"),
        room: room(text),
    };
    // What is JSON is read whole, whatever was asked for.
    let is_relayed = may_relay && head.status < 300 && !head.content_type.contains("json");
    let is_stream = head.content_type.contains("event-stream");
    let length = || text("content-length").and_then(|length| length.parse::<u32>().ok());
    let is_compressed = || text("content-encoding").is_some();
    if head.status < 300
        && !is_stream
        && !is_relayed
        && length().is_some_and(|length| length <= WHOLE_BYTES_MAX)
        && !is_compressed()
    {
        return Ok((head, Body::read_by(Some(Reader::Whole(response)))));
    }
    let body = match response.body() {
        Some(body) if is_relayed => tapped(&body),
        Some(body) => Body::read_by(Some(Reader::Default(body.get_reader().unchecked_into()))),
        None => Body::ended(),
    };
    Ok((head, body))
}

/// What the provider says of its rate limits. Reading a header costs, so a family is known by its first two.
fn room(text: impl Fn(&str) -> Option<String>) -> Vec<Option<String>> {
    for [requests, tokens, others @ ..] in &ROOM_HEADERS {
        let first = [text(requests), text(tokens)];
        if first.iter().any(Option::is_some) {
            let others = others.iter().map(|name| text(name));
            return first.into_iter().chain(others).collect();
        }
    }
    Vec::new()
}

async fn whole(response: &Response) -> Result<Vec<u8>, Thrown> {
    js::bytes(response.array_buffer()?.unchecked_into()).await
}

/// The body twice: one to look at, one for the client.
fn tapped(body: &ReadableStream) -> Body {
    let twins = body.tee();
    let (seen, twin): (ReadableStream, ReadableStream) =
        (twins.get(0).unchecked_into(), twins.get(1).unchecked_into());
    let options = js::object(&[("mode", "byob".into())]);
    let reader = js::call_now(&seen, "getReader", &[options.into()]);
    let reader = match reader {
        Ok(reader) => Reader::Tap(reader.unchecked_into(), ArrayBuffer::new(TAP_BYTES)),
        Err(Thrown) => Reader::Default(seen.get_reader().unchecked_into()),
    };
    Body {
        reader: Some(reader),
        twin: Some(twin),
    }
}

pub async fn fetch(
    method: &'static str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    signal: &web_sys::AbortSignal,
) -> Result<Response, Thrown> {
    // One crossing for all that is text.
    let init = js::parse(&Init {
        method,
        redirect: "manual",
        headers,
    })?;
    let init: RequestInit = init.unchecked_into();
    if method == "POST" {
        init.set_body(&Uint8Array::from(body));
    }
    init.set_signal(Some(signal));
    let global: WorkerGlobalScope = js_sys::global().unchecked_into();
    let response = JsFuture::from(global.fetch_with_str_and_init(url, &init)).await?;
    Ok(response.unchecked_into())
}

/// Calls Workers AI by its binding, which takes the model beside the body, and gives its answer as it came.
async fn run(
    binding: &Binding,
    body: &[u8],
    env: &Env,
    signal: &web_sys::AbortSignal,
) -> Result<Response, AttemptFailure> {
    let bound = js::get(env, &binding.name);
    if bound.is_falsy() {
        let name = binding.name.clone();
        return Err(AttemptFailure::SecretMissing { name });
    }
    run_bound(&bound, &binding.model, body, signal)
        .await
        .map_err(|_| AttemptFailure::Unreachable)
}

async fn run_bound(
    bound: &JsValue,
    model: &str,
    body: &[u8],
    signal: &web_sys::AbortSignal,
) -> Result<Response, Thrown> {
    let text = std::str::from_utf8(body).map_err(|_| Thrown)?;
    let inputs = js_sys::JSON::parse(text)?;
    // Nothing that has no such field can refuse.
    let _ =
        js_sys::Reflect::delete_property(inputs.unchecked_ref::<js_sys::Object>(), &"model".into());
    let options = js::object(&[
        ("returnRawResponse", JsValue::TRUE),
        ("signal", signal.into()),
    ]);
    let arguments = [model.into(), inputs, options.into()];
    let response = js::call(bound, "run", &arguments).await?;
    Ok(response.dyn_into()?)
}

#[derive(Serialize)]
struct Init<'a> {
    method: &'static str,
    redirect: &'static str,
    #[serde(serialize_with = "header_object")]
    headers: &'a [(&'a str, &'a str)],
}

/// The URL, and the headers that hold the secret, or were made with it, where it does not hold it.
async fn address(
    call: &Call,
    env: &Env,
    signal: &web_sys::AbortSignal,
) -> Result<(String, Vec<(String, String)>), AttemptFailure> {
    let mut url = call.url.clone();
    let Some(credential) = &call.credential else {
        return Ok((url, Vec::new()));
    };
    let missing = || AttemptFailure::SecretMissing {
        name: credential.secret.clone(),
    };
    let secret = js::get_text(env, &credential.secret).filter(|secret| !secret.is_empty());
    let secret = secret.ok_or_else(missing)?;
    let (name, value) = match &credential.place {
        CredentialPlace::Bearer => ("authorization".to_owned(), format!("Bearer {secret}")),
        CredentialPlace::Header(name) => (name.clone(), secret),
        CredentialPlace::Query(name) => {
            let value = String::from(js_sys::encode_uri_component(&secret));
            let mark = if url.contains('?') { '&' } else { '?' };
            url = format!("{url}{mark}{name}={value}");
            return Ok((url, Vec::new()));
        }
        CredentialPlace::AwsSigv4 { region, service } => {
            let scope = Scope { region, service };
            let mut types = call.headers.iter();
            let content_type = types.find(|(name, _)| *name == "content-type");
            let content_type = content_type.map_or("", |(_, value)| value.as_ref());
            let signed = sigv4::headers(&secret, &url, content_type, &call.body, scope, now());
            return Ok((url, signed.ok_or_else(missing)?));
        }
        CredentialPlace::GoogleServiceAccount => {
            // Boxed, as it is rare: see `Edge::answer_others`.
            Box::pin(google::authorization(&credential.secret, &secret, signal)).await?
        }
    };
    // A secret with a line end cannot be a header's value; the runtime's error would repeat it.
    js::is_header_value(&value)
        .then_some((url, vec![(name, value)]))
        .ok_or_else(missing)
}
