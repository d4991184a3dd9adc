//! Tokens for Google Cloud, which a service account gets for a signature with its key.
//!
//! The signature is the runtime's, so that no RSA is in our wasm. An isolate keeps a token until shortly before it ends.
//! Requests that come meanwhile each ask for one of their own: to await another request's would end with that request.
//!
//! A failure says which secret is at fault and never what is in it. Google's own words about a refused key are not kept,
//! because they name the account.

use std::cell::RefCell;
use std::collections::BTreeMap;

use js_sys::{ArrayBuffer, Uint8Array};
use serde::Deserialize;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::AbortSignal;

use super::clock::now;
use super::js::{self, Thrown};
use super::upstream::fetch;
use crate::chat::AttemptFailure;
use crate::config::is_for_secrets;
use crate::providers::{ServiceAccount, token_request};
use crate::units::{Millis, UnixMillis};

/// A token is not used when it ends within this time: the call that it is sent with takes a while.
const LEFT_MIN: Millis = Millis(120_000);
/// Tokens that are kept; a team has a handful of accounts.
const TOKENS_MAX: usize = 64;
/// Google's tokens have some 1,000 characters; what is much longer is none.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

thread_local! {
    /// By the name of the secret. Secrets change with the Worker's version, and isolates with it.
    static TOKENS: RefCell<BTreeMap<String, Token>> = const { RefCell::new(BTreeMap::new()) };
}

#[derive(Clone)]
struct Token {
    value: String,
    ends_at: UnixMillis,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    /// Seconds.
    expires_in: u64,
}

/// The header that shows who calls, by the service account whose key `secret` is, and `name` its name.
pub async fn authorization(
    name: &str,
    secret: &str,
    signal: &AbortSignal,
) -> Result<(String, String), AttemptFailure> {
    let known = TOKENS.with_borrow(|tokens| tokens.get(name).cloned());
    let known = known.filter(|token| now() + LEFT_MIN < token.ends_at);
    let token = if let Some(token) = known {
        token
    } else {
        let token = granted(name, secret, signal).await?;
        TOKENS.with_borrow_mut(|tokens| {
            if tokens.len() >= TOKENS_MAX {
                tokens.clear();
            }
            tokens.insert(name.to_owned(), token.clone());
        });
        token
    };
    let value = format!("Bearer {}", token.value);
    Ok(("authorization".to_owned(), value))
}

async fn granted(name: &str, secret: &str, signal: &AbortSignal) -> Result<Token, AttemptFailure> {
    let unusable = || AttemptFailure::SecretMissing {
        name: format!("{name}, the JSON key of a Google service account,"),
    };
    let account = ServiceAccount::parse(secret).map_err(|_| unusable())?;
    let key = account.private_key().ok_or_else(unusable)?;
    if !is_for_secrets(&account.token_uri) {
        return Err(unusable());
    }
    let asked_at = now();
    let claims = account.claims(asked_at);
    let signature = sign(&key, &claims).await.map_err(|Thrown| unusable())?;
    let body = token_request(&claims, &signature);
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let response = fetch(
        "POST",
        &account.token_uri,
        &headers,
        body.as_bytes(),
        signal,
    )
    .await
    .map_err(|Thrown| AttemptFailure::Unreachable)?;
    match response.status() {
        200 => {}
        status @ 429 => {
            return Err(AttemptFailure::RateLimited {
                status,
                retry_after: None,
            });
        }
        status @ 500.. => {
            return Err(AttemptFailure::ServerError {
                status,
                retry_after: None,
            });
        }
        status => return Err(AttemptFailure::KeyRejected { status }),
    }
    let malformed = AttemptFailure::Malformed {
        expected: "an access token from the service account's `token_uri`",
    };
    let bytes = match response.array_buffer() {
        Ok(promise) => js::bytes(promise.unchecked_into()).await,
        Err(_) => Err(Thrown),
    };
    let bytes = bytes.map_err(|Thrown| AttemptFailure::Unreachable)?;
    let granted: Option<Granted> = serde_json::from_slice(&bytes).ok();
    let is_token = |token: &str| token.len() <= TOKEN_BYTES_MAX && js::is_header_value(token);
    let granted = granted.filter(|granted| is_token(&granted.access_token));
    let granted = granted.ok_or(malformed)?;
    Ok(Token {
        value: granted.access_token,
        ends_at: asked_at + Millis(granted.expires_in.saturating_mul(1_000)),
    })
}

/// Signs with RS256. `key` is PKCS #8 in base64.
async fn sign(key: &str, claims: &str) -> Result<Vec<u8>, Thrown> {
    let global = js_sys::global();
    let binary = js::call_now(&global, "atob", &[JsValue::from_str(key)])?;
    let binary = binary.as_string().ok_or(Thrown)?;
    // `atob` gives a character for each byte.
    let der: Vec<u8> = binary
        .chars()
        .map(|c| u8::try_from(u32::from(c)))
        .collect::<Result<_, _>>()
        .map_err(|_| Thrown)?;
    let subtle = js::get(&js::get(&global, "crypto"), "subtle");
    let algorithm: JsValue = js::object(&[
        ("name", "RSASSA-PKCS1-v1_5".into()),
        ("hash", "SHA-256".into()),
    ])
    .into();
    let usages = js_sys::Array::of1(&"sign".into());
    let arguments = [
        "pkcs8".into(),
        Uint8Array::from(der.as_slice()).into(),
        algorithm.clone(),
        false.into(),
        usages.into(),
    ];
    let key = js::call(&subtle, "importKey", &arguments).await?;
    let claims = Uint8Array::from(claims.as_bytes()).into();
    let signature = js::call(&subtle, "sign", &[algorithm, key, claims]).await?;
    let signature: ArrayBuffer = signature.dyn_into().map_err(|_| Thrown)?;
    Ok(Uint8Array::new(&signature).to_vec())
}
