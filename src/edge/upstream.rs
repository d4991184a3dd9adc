//! Calls a provider and reads its answer, as the exchange says.
//!
//! Only headers that a dialect asks for, the credential and our own name are sent: the client's headers stay here.
//! Redirects are not followed, because the credential would travel with them.

use js_sys::futures::JsFuture;
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    AbortController, Headers, ReadableStreamDefaultReader, RequestInit, Response, WorkerGlobalScope,
};
use worker::Env;

use super::js::{self, Thrown};
use crate::chat::AttemptFailure;
use crate::exchange::{Call, CredentialPlace, Input, ProviderHead};

const USER_AGENT: &str = concat!("waypost/", env!("CARGO_PKG_VERSION"));

/// An attempt's connection. Dropping it does not close it; [`Connection::cancel`] does.
pub struct Connection {
    abort: AbortController,
}

/// The part of an answer that is still to come.
pub struct Body {
    reader: Option<ReadableStreamDefaultReader>,
}

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
        env: &Env,
    ) -> impl Future<Output = (Input, Option<Body>)> + use<> {
        let signal = self.abort.signal();
        let env = env.clone();
        async move {
            match send(&call, &env, &signal).await {
                Ok((head, body)) => (Input::Head { attempt, head }, Some(body)),
                Err(failure) => (Input::Failed { attempt, failure }, None),
            }
        }
    }
}

impl Body {
    /// Reads the next piece.
    pub async fn read(self, attempt: usize) -> (Input, Option<Self>) {
        let Some(reader) = &self.reader else {
            return (Input::End { attempt }, None);
        };
        let Ok(step) = JsFuture::from(reader.read()).await else {
            let failure = AttemptFailure::Unreachable;
            return (Input::Failed { attempt, failure }, None);
        };
        if js::get(&step, "done").is_truthy() {
            return (Input::End { attempt }, None);
        }
        let bytes = js::get(&step, "value")
            .dyn_into::<Uint8Array>()
            .map(|bytes| bytes.to_vec())
            .unwrap_or_default();
        (Input::Chunk { attempt, bytes }, Some(self))
    }
}

async fn send(
    call: &Call,
    env: &Env,
    signal: &web_sys::AbortSignal,
) -> Result<(ProviderHead, Body), AttemptFailure> {
    let (url, headers) = address(call, env)?;
    let response = fetch(&url, &headers, &call.body, signal)
        .await
        .map_err(|_| AttemptFailure::Unreachable)?;
    let text = |name: &str| response.headers().get(name).ok().flatten();
    let head = ProviderHead {
        status: response.status(),
        content_type: text("content-type").unwrap_or_default(),
        retry_after: text("retry-after"),
        retry_after_ms: text("retry-after-ms"),
    };
    let reader = response
        .body()
        .map(|body| body.get_reader().unchecked_into());
    Ok((head, Body { reader }))
}

async fn fetch(
    url: &str,
    headers: &Headers,
    body: &[u8],
    signal: &web_sys::AbortSignal,
) -> Result<Response, Thrown> {
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_headers(headers);
    init.set_body(&Uint8Array::from(body));
    init.set_signal(Some(signal));
    Reflect::set(&init, &"redirect".into(), &"manual".into())?;
    let global: WorkerGlobalScope = js_sys::global().unchecked_into();
    let response = JsFuture::from(global.fetch_with_str_and_init(url, &init)).await?;
    Ok(response.unchecked_into())
}

/// The URL and headers, with the secret in its place.
fn address(call: &Call, env: &Env) -> Result<(String, Headers), AttemptFailure> {
    let unreachable = |_: JsValue| AttemptFailure::Unreachable;
    let headers = Headers::new().map_err(unreachable)?;
    let mut url = call.url.clone();
    let own = [
        ("content-type", "application/json"),
        ("user-agent", USER_AGENT),
    ];
    for (name, value) in own.iter().chain(&call.headers) {
        headers.set(name, value).map_err(unreachable)?;
    }
    let Some(credential) = &call.credential else {
        return Ok((url, headers));
    };
    let missing = || AttemptFailure::SecretMissing {
        name: credential.secret.clone(),
    };
    let secret = js::get_text(env, &credential.secret).filter(|secret| !secret.is_empty());
    let secret = secret.ok_or_else(missing)?;
    // A secret with a line end cannot be a header's value; the runtime's error would repeat it.
    let as_header = |name: &str, value: &str| headers.set(name, value).map_err(|_| missing());
    match &credential.place {
        CredentialPlace::Bearer => as_header("authorization", &format!("Bearer {secret}"))?,
        CredentialPlace::Header(name) => as_header(name, &secret)?,
        CredentialPlace::Query(name) => {
            let value = String::from(js_sys::encode_uri_component(&secret));
            url = format!("{url}?{name}={value}");
        }
    }
    Ok((url, headers))
}
