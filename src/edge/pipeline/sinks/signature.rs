//! Signs a webhook as Standard Webhooks 1.0.0 wants it: HMAC-SHA256 over `id.timestamp.body`, as `v1,<base64>`
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>, read 2026-11-21).
//!
//! By the runtime's `crypto.subtle`, which costs no wasm.

use js_sys::{Array, Uint8Array};
use wasm_bindgen::JsValue;

use crate::edge::js::{self, Thrown};

const KEY_PREFIX: &str = "whsec_";
/// What the specification allows, in bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Keys that sign at the same time, while one replaces another.
const KEYS_MAX: usize = 4;

/// The value of `webhook-signature`, one signature for each secret.
pub async fn sign(secrets: &str, id: &str, seconds: &str, body: &str) -> Result<String, Thrown> {
    let content = format!("{id}.{seconds}.{body}");
    let mut signatures = Vec::new();
    for secret in secrets.split_whitespace().take(KEYS_MAX) {
        let key = key(secret)?;
        let signature = hmac(&key, content.as_bytes()).await?;
        signatures.push(format!("v1,{}", base64(&signature)?));
    }
    if signatures.is_empty() {
        return Err(Thrown);
    }
    Ok(signatures.join(" "))
}

fn key(secret: &str) -> Result<Vec<u8>, Thrown> {
    let text = secret.strip_prefix(KEY_PREFIX).ok_or(Thrown)?;
    let binary = js::call_now(&js_sys::global(), "atob", &[text.into()])?;
    let binary = binary.as_string().ok_or(Thrown)?;
    // One character for each byte.
    let bytes: Result<Vec<u8>, _> = binary.chars().map(u8::try_from).collect();
    let bytes = bytes.map_err(|_| Thrown)?;
    KEY_BYTES
        .contains(&bytes.len())
        .then_some(bytes)
        .ok_or(Thrown)
}

async fn hmac(key: &[u8], content: &[u8]) -> Result<Vec<u8>, Thrown> {
    let subtle = js::get(&js::get(&js_sys::global(), "crypto"), "subtle");
    let algorithm = js::object(&[("name", "HMAC".into()), ("hash", "SHA-256".into())]);
    let usages: Array = [JsValue::from_str("sign")].iter().collect();
    let arguments = [
        "raw".into(),
        Uint8Array::from(key).into(),
        algorithm.into(),
        false.into(),
        usages.into(),
    ];
    let key = js::call(&subtle, "importKey", &arguments).await?;
    let content = Uint8Array::from(content).into();
    let signed = js::call(&subtle, "sign", &["HMAC".into(), key, content]).await?;
    Ok(Uint8Array::new(&signed).to_vec())
}

fn base64(bytes: &[u8]) -> Result<String, Thrown> {
    let binary: String = bytes.iter().copied().map(char::from).collect();
    let text = js::call_now(&js_sys::global(), "btoa", &[binary.into()])?;
    text.as_string().ok_or(Thrown)
}
