//! Where else records go: OpenTelemetry and a webhook, each only where it is configured.
//!
//! [`forward`] puts a message for each sink into the queue, [`deliver_all`] delivers what comes out of it. A sink that is
//! no longer configured gets nothing more. Redirects are not followed: what is sent there is signed or has a credential.
//!
//! A queue's batch is over when its last message is settled, and records wait behind it. So a sink that does not answer
//! rests for [`REST`] in this isolate, and its messages are put off unseen.
//!
//! | variable | says |
//! |---|---|
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | the base URL of an OTLP/HTTP receiver; traces go to `/v1/traces` below it |
//! | `OTEL_EXPORTER_OTLP_HEADERS` | `name=value`, several with commas, values percent-encoded |
//! | `OTEL_SERVICE_NAME` | `service.name`, `waypost` without it |
//! | `WAYPOST_WEBHOOK_URL` | where records are posted to |
//! | `WAYPOST_WEBHOOK_SECRET` | `whsec_` and the key in base64; several, with blanks, while one replaces another |
//!
//! The first three are OpenTelemetry's own
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>, read 2026-11-21).

mod signature;

use std::cell::RefCell;
use std::collections::BTreeMap;

use futures::future::LocalBoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use js_sys::futures::JsFuture;
use js_sys::{Array, Promise, Uint8Array};
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsCast;
use web_sys::{RequestInit, Response, WorkerGlobalScope};
use worker::{Env, MessageExt};

use super::{Failed, Letter, addressed, retry};
use crate::config::sha256_hex;
use crate::edge::js::{self, Thrown};
use crate::edge::{clock, journal};
use crate::journal::{Summary, trace_export};
use crate::units::{Millis, UnixMillis};

/// How long a receiver may take.
const ANSWER_WITHIN_MS: f64 = 10_000.0;
/// How long a sink that did not answer is left alone: six times as long as it holds up a batch.
const REST: Millis = Millis(60_000);
/// Deliveries at the same time: a Worker opens six connections.
const AT_ONCE: usize = 6;
const ID_CHARS: usize = 32;
const USER_AGENT: &str = concat!("waypost/", env!("CARGO_PKG_VERSION"));

thread_local! {
    /// Until when sinks that did not answer are left alone.
    static RESTING: RefCell<BTreeMap<Sink, UnixMillis>> = RefCell::default();
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sink {
    Otlp,
    Webhook,
}

/// Why a receiver has not got what it should have.
#[derive(Debug)]
enum Refusal {
    /// A variable is missing, or not as it must be.
    Misconfigured(&'static str),
    Unreachable,
    Status {
        status: u16,
        retry_after: Option<Millis>,
    },
}

/// A request, ready to be sent.
struct Post {
    url: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Sink {
    const ALL: [Self; 2] = [Self::Otlp, Self::Webhook];

    /// How long it is still to be left alone.
    fn rest(self, now: UnixMillis) -> Option<Millis> {
        let until = RESTING.with_borrow(|resting| resting.get(&self).copied())?;
        Some(until.since(now)).filter(|rest| *rest > Millis(0))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Otlp => "OTLP",
            Self::Webhook => "webhook",
        }
    }

    fn url(self, env: &Env) -> Option<String> {
        match self {
            Self::Otlp => {
                let base = variable(env, "OTEL_EXPORTER_OTLP_ENDPOINT")?;
                Some(format!("{}/v1/traces", base.trim_end_matches('/')))
            }
            Self::Webhook => variable(env, "WAYPOST_WEBHOOK_URL"),
        }
    }
}

/// Puts each message into the queue once more for each sink.
pub async fn forward(texts: impl Iterator<Item = &str>, env: &Env) -> Result<(), Failed> {
    let sinks = Sink::ALL.into_iter().filter(|sink| sink.url(env).is_some());
    let sinks: Vec<Sink> = sinks.collect();
    let messages = texts.flat_map(|text| sinks.iter().filter_map(|sink| addressed(text, *sink)));
    let messages: Vec<String> = messages.collect();
    for part in messages.chunks(AT_ONCE) {
        let sent: Array = part
            .iter()
            .map(|text| journal::enqueue_now(text, env))
            .collect();
        let sent = JsFuture::from(Promise::all(&sent))
            .await
            .map_err(Thrown::from);
        sent.map_err(Failed::at("the queue"))?;
    }
    Ok(())
}

/// Delivers messages to the sinks that they name. Each is acknowledged or retried by itself.
pub async fn deliver_all(letters: Vec<(Sink, Letter)>, env: &Env) {
    // Of the type that exchanges wait for too, so that the code is there once.
    let mut under_way: FuturesUnordered<LocalBoxFuture<'static, bool>> = FuturesUnordered::new();
    for (sink, letter) in letters {
        if under_way.len() >= AT_ONCE {
            under_way.next().await;
        }
        let env = env.clone();
        under_way.push(Box::pin(async move { settle(sink, &letter, &env).await }));
    }
    while under_way.next().await.is_some() {}
}

/// Delivers a message, and says whether it is done with.
async fn settle(sink: Sink, letter: &Letter, env: &Env) -> bool {
    if let Some(rest) = sink.rest(clock::now()) {
        retry(&letter.message, Some(rest));
        return false;
    }
    let delivered = match sink.url(env) {
        Some(url) => deliver(sink, url, letter, env).await,
        None => Ok(()),
    };
    match delivered {
        Ok(()) => letter.message.ack(),
        Err(ref refusal) => {
            refusal.tell(sink);
            if matches!(refusal, Refusal::Unreachable) {
                let until = UnixMillis(clock::now().0.saturating_add(REST.0));
                RESTING.with_borrow_mut(|resting| resting.insert(sink, until));
            }
            retry(&letter.message, refusal.retry_after());
        }
    }
    delivered.is_ok()
}

async fn deliver(sink: Sink, url: String, letter: &Letter, env: &Env) -> Result<(), Refusal> {
    let post = match sink {
        Sink::Otlp => otlp(url, letter, env)?,
        Sink::Webhook => webhook(url, letter, env).await?,
    };
    post.send().await
}

fn otlp(url: String, letter: &Letter, env: &Env) -> Result<Post, Refusal> {
    let service = variable(env, "OTEL_SERVICE_NAME");
    let summaries = letter.records.iter().map(|line| &line.summary);
    let summaries: Vec<&Summary> = summaries.collect();
    let export = trace_export(&summaries, service.as_deref().unwrap_or("waypost"));
    let headers = variable(env, "OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default();
    let headers = headers.split(',').filter(|pair| !pair.trim().is_empty());
    let read = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let value = js_sys::decode_uri_component(value.trim()).ok()?;
        Some((name.trim().to_owned(), String::from(value)))
    };
    let headers: Option<Vec<_>> = headers.map(read).collect();
    Ok(Post {
        url,
        headers: headers.ok_or(Refusal::Misconfigured(
            "OTEL_EXPORTER_OTLP_HEADERS: expected name=value, several with commas",
        ))?,
        body: export,
    })
}

/// The records as they are, in the envelope that Standard Webhooks recommends, and signed as it wants.
async fn webhook(url: String, letter: &Letter, env: &Env) -> Result<Post, Refusal> {
    let lines: Vec<&str> = letter
        .records
        .iter()
        .map(|line| line.text.as_str())
        .collect();
    let ids: String = letter
        .records
        .iter()
        .map(|line| line.summary.id.as_str())
        .collect();
    let newest = letter.records.iter().map(|line| line.summary.at).max();
    let body = format!(
        "{{\"type\":\"records.stored\",\"timestamp\":\"{}\",\"data\":{{\"records\":[{}]}}}}",
        clock::iso(newest.unwrap_or(UnixMillis(0))),
        lines.join(",")
    );
    let hash: String = sha256_hex(ids.as_bytes()).chars().take(ID_CHARS).collect();
    let id = format!("msg_{hash}");
    let secrets = variable(env, "WAYPOST_WEBHOOK_SECRET").unwrap_or_default();
    let seconds = clock::now().seconds().to_string();
    let signature = signature::sign(&secrets, &id, &seconds, &body).await;
    let signature = signature.map_err(|Thrown| {
        Refusal::Misconfigured(
            "WAYPOST_WEBHOOK_SECRET: expected `whsec_` and 24 to 64 bytes in base64",
        )
    })?;
    let headers = [
        ("webhook-id", id),
        ("webhook-timestamp", seconds),
        ("webhook-signature", signature),
    ];
    Ok(Post {
        url,
        headers: headers
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec(),
        body,
    })
}

impl Post {
    async fn send(self) -> Result<(), Refusal> {
        let response = self.fetch().await.map_err(|Thrown| Refusal::Unreachable)?;
        let status = response.status();
        let retry_after = response.headers().get("retry-after").ok().flatten();
        if let Some(body) = response.body() {
            // Nobody reads it, and what is not read keeps the connection.
            let _ = JsFuture::from(body.cancel()).await;
        }
        if (200..300).contains(&status) {
            return Ok(());
        }
        let seconds = retry_after.and_then(|seconds| seconds.trim().parse::<u64>().ok());
        Err(Refusal::Status {
            status,
            retry_after: seconds.map(|seconds| Millis(seconds.saturating_mul(1_000))),
        })
    }

    async fn fetch(&self) -> Result<Response, Thrown> {
        let own = [
            ("content-type", "application/json"),
            ("user-agent", USER_AGENT),
        ];
        let given = self.headers.iter();
        let given = given.map(|(name, value)| (name.as_str(), value.as_str()));
        let init = js::parse(&Init {
            method: "POST",
            redirect: "manual",
            headers: own.into_iter().chain(given).collect(),
        })?;
        let init: RequestInit = init.unchecked_into();
        init.set_body(&Uint8Array::from(self.body.as_bytes()));
        let timeouts = js::get(&js_sys::global(), "AbortSignal");
        let signal = js::call_now(&timeouts, "timeout", &[ANSWER_WITHIN_MS.into()])?;
        init.set_signal(Some(&signal.unchecked_into()));
        let global: WorkerGlobalScope = js_sys::global().unchecked_into();
        let response = JsFuture::from(global.fetch_with_str_and_init(&self.url, &init)).await?;
        Ok(response.unchecked_into())
    }
}

#[derive(Serialize)]
struct Init<'a> {
    method: &'static str,
    redirect: &'static str,
    headers: Vec<(&'a str, &'a str)>,
}

impl Refusal {
    fn retry_after(&self) -> Option<Millis> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Tells the operator. No URL: it may hold a secret.
    fn tell(&self, sink: Sink) {
        let sink = sink.name();
        match self {
            Self::Misconfigured(problem) => worker::console_error!("{sink}: {problem}"),
            Self::Unreachable => worker::console_error!("{sink}: no answer within 10 s"),
            Self::Status { status, .. } => worker::console_error!("{sink}: answered {status}"),
        }
    }
}

fn variable(env: &Env, name: &str) -> Option<String> {
    js::get_text(env, name).filter(|value| !value.trim().is_empty())
}
