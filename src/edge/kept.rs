//! Passes on calls for what a provider keeps, and its answers.
//!
//! One call to the one provider that the key's terms name (`kept_at`). The answer goes to the client as it comes, status
//! and all; only what is the operator's to mend becomes an error of ours. Nothing was decided, so no record is written.

use futures::future::{self, Either};
use web_sys::{Request, Response};
use worker::Env;

use super::caller::{self, body};
use super::clock::sleep;
use super::entries::Entries;
use super::respond;
use super::upstream::Connection;
use crate::access::KeyTerms;
use crate::chat::{AttemptFailure, RequestError};
use crate::dialects::ClientError;
use crate::exchange::{KeptCall, ResponseHead};
use crate::units::Millis;

/// Labels and the like.
const BODY_BYTES_MAX: u64 = 1024 * 1024;
/// For the headers of the answer.
const HEADERS_WITHIN: Millis = Millis(30_000);

pub async fn answer(
    kept: KeptCall<'_>,
    query: &str,
    request: &Request,
    terms: &KeyTerms,
    env: &Env,
    entries: &Entries,
) -> Result<Response, ClientError> {
    let Some(name) = &terms.kept_at else {
        caller::discard(request).await;
        return Err(not_allowed());
    };
    let body = body(request, BODY_BYTES_MAX).await;
    let body = match body {
        Err(RequestError::Missing { .. }) => Vec::new(),
        body => body.map_err(|error| ClientError::from(&error))?,
    };
    let catalogue = entries.catalogue().await?.value.unwrap_or_default();
    let provider = catalogue.provider(name);
    let Some(call) = provider.and_then(|provider| kept.to(provider, query, body)) else {
        return Err(no_such_place(name));
    };
    let connection = Connection::open().map_err(|_| unreachable(name))?;
    let sent = Box::pin(connection.pass_on(kept.method, call, env));
    let response = match future::select(sent, Box::pin(sleep(HEADERS_WITHIN))).await {
        Either::Left((sent, _)) => sent.map_err(|failure| match failure {
            AttemptFailure::SecretMissing { .. } => refused(name),
            _ => unreachable(name),
        })?,
        Either::Right(_) => {
            connection.cancel();
            return Err(late(name));
        }
    };
    match response.status() {
        // It is our secret that it does not know, not the client's key.
        401 => Err(refused(name)),
        300..=399 => Err(unreachable(name)),
        _ => Ok(handed_on(name, &response)),
    }
}

fn handed_on(provider: &str, response: &Response) -> Response {
    let text = |name: &str| response.headers().get(name).ok().flatten();
    let retry_after = text("retry-after").map(|wait| ("retry-after", wait));
    let own = [("x-waypost-provider", provider.to_owned())];
    let head = ResponseHead {
        status: response.status(),
        content_type: text("content-type").unwrap_or_default().into(),
        headers: own.into_iter().chain(retry_after).collect(),
    };
    match response.body() {
        Some(body) => respond::stream(&head, &body),
        None => respond::whole(&head, b""),
    }
}

fn not_allowed() -> ClientError {
    let message = "this key may not reach what a provider keeps; an operator can let it, by `kept_at` in the key's entry";
    ClientError::new(403, "not_allowed", message)
}

fn no_such_place(provider: &str) -> ClientError {
    let message = format!(
        "`kept_at` of this key names `{provider}`, which is no provider here, or has no such paths: it must speak \
         `openai-chat` or `openai-responses`, by a URL without `{{model}}`"
    );
    ClientError::new(503, "key_unusable", message)
}

fn unreachable(provider: &str) -> ClientError {
    ClientError::new(
        502,
        "provider_unreachable",
        format!("`{provider}` could not be reached"),
    )
}

fn refused(provider: &str) -> ClientError {
    let message =
        format!("`{provider}` refuses the secret that is set for it here, or none is set");
    ClientError::new(502, "provider_key_rejected", message)
}

fn late(provider: &str) -> ClientError {
    let message = format!(
        "`{provider}` sent nothing within {} s",
        HEADERS_WITHIN.0 / 1_000
    );
    ClientError::new(504, "timeout", message)
}
