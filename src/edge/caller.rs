//! Who calls: the key and its terms, the place, and the body.

use std::sync::Arc;

use js_sys::Uint8Array;
use js_sys::futures::JsFuture;
use wasm_bindgen::JsCast;
use web_sys::{ReadableStreamDefaultReader, Request};
use worker::Env;

use super::entries::Entries;
use super::{is_models, js, path_of};
use crate::access::{KEY_BYTES_MAX, KeyTerms};
use crate::chat::RequestError;
use crate::classify::{Caller, shortened};
use crate::config::sha256_hex;
use crate::dialects::{ClientDialect, ClientError, Endpoint, GeminiAddress};
use crate::units::UnixMillis;

/// The keys of local mode.
const LOCAL_KEY: &str = "wp-demo";
const LOCAL_ADMIN_KEY: &str = "wp-admin";
/// How much of a body that is too large is read and dropped: a client that is refused while it still uploads sees a
/// broken connection instead of the reason.
const DISCARDED_BYTES_MAX: u64 = 48 * 1024 * 1024;

pub fn header(request: &Request, name: &str) -> Option<String> {
    let value = request.headers().get(name).ok().flatten()?;
    Some(shortened(&value))
}

/// The dialect that the path says, or a header where several dialects share the path.
pub fn said_dialect(request: &Request, path: &str) -> Option<ClientDialect> {
    let is_route = path == "/v1/route";
    match path {
        "/v1/messages" | "/v1/messages/count_tokens" => Some(ClientDialect::Anthropic),
        "/v1/responses" => Some(ClientDialect::OpenaiResponses),
        _ if GeminiAddress::is_path(path) => Some(ClientDialect::Gemini),
        // Anthropic's API demands this header, so its SDKs always send it.
        _ if (is_route || is_models(path)) && header(request, "anthropic-version").is_some() => {
            Some(ClientDialect::Anthropic)
        }
        _ if is_route && header(request, "x-goog-api-key").is_some() => Some(ClientDialect::Gemini),
        _ => None,
    }
}

/// `authorization: Bearer`, as OpenAI's SDKs send it, `x-api-key`, as Anthropic's do, or `x-goog-api-key`, as Google's do.
/// On Gemini's paths it may be in the URL, as Google takes it.
fn key_of(request: &Request) -> Option<String> {
    let bearer = header(request, "authorization").and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        let is_bearer = scheme.eq_ignore_ascii_case("bearer");
        is_bearer.then(|| key.trim().to_owned())
    });
    let key = bearer
        .or_else(|| header(request, "x-api-key"))
        .or_else(|| header(request, "x-goog-api-key"))
        .or_else(|| key_in_url(&request.url()))?;
    (!key.is_empty() && key.len() <= KEY_BYTES_MAX).then_some(key)
}

fn key_in_url(url: &str) -> Option<String> {
    let (path, query) = path_of(url);
    let mut fields = query.split('&');
    let key = fields.find_map(|field| field.strip_prefix("key="))?;
    GeminiAddress::is_path(path).then(|| key.to_owned())
}

fn is_local(env: &Env) -> bool {
    js::get_text(env, "WAYPOST_LOCAL").as_deref() == Some("1")
}

/// The terms of the caller's key.
pub async fn key_terms(
    request: &Request,
    env: &Env,
    entries: &Entries,
) -> Result<Arc<KeyTerms>, ClientError> {
    let Some(key) = key_of(request) else {
        let remedy = if is_local(env) {
            "locally, `authorization: Bearer wp-demo` works"
        } else {
            "send `authorization: Bearer <key>`, `x-api-key: <key>` or `x-goog-api-key: <key>`"
        };
        return Err(unauthorized(
            "missing_key",
            &format!("no key was sent; {remedy}"),
        ));
    };
    if is_local(env) && key == LOCAL_KEY {
        return Ok(Arc::new(KeyTerms::unlimited(LOCAL_KEY)));
    }
    let terms = entries.key(&key).await?;
    match terms {
        Some(terms) if terms.is_disabled => Err(unauthorized(
            "disabled_key",
            "this key is disabled; ask whoever gave it to you",
        )),
        Some(terms) => Ok(terms),
        None if is_local(env) => Err(unauthorized(
            "unknown_key",
            "this key is not known here; locally, `wp-demo` works, and so do those in keys.json of the config folder",
        )),
        None if entries.has_keys().await => Err(unauthorized(
            "unknown_key",
            "this key is not known here; ask your operator for one",
        )),
        None => Err(unauthorized(
            "no_keys_configured",
            "no keys are configured, so every call is refused. To make one, choose a long random KEY and run: \
             npx wrangler kv key put --binding KV --remote \"key:$(printf %s \"$KEY\" | sha256sum | cut -c1-64)\" '{}'",
        )),
    }
}

/// As [`check_admin`], but that the key in the secret of this name does as well.
pub fn check_admin_or(request: &Request, env: &Env, secret: &str) -> Result<(), ClientError> {
    let other = js::get_text(env, secret).filter(|key| !key.is_empty());
    match (other, key_of(request)) {
        (Some(other), Some(given)) if is_same(&given, &other) => Ok(()),
        _ => check_admin(request, env),
    }
}

pub fn check_admin(request: &Request, env: &Env) -> Result<(), ClientError> {
    let local = is_local(env).then(|| LOCAL_ADMIN_KEY.to_owned());
    let configured = js::get_text(env, "WAYPOST_ADMIN_KEY").filter(|key| !key.is_empty());
    let Some(expected) = configured.or(local) else {
        return Err(unauthorized(
            "no_admin_key_configured",
            "no admin key is configured. To set one: npx wrangler secret put WAYPOST_ADMIN_KEY",
        ));
    };
    let given = key_of(request).unwrap_or_default();
    if is_same(&given, &expected) {
        return Ok(());
    }
    Err(unauthorized(
        "wrong_admin_key",
        "this path wants the admin key, as `authorization: Bearer <key>`",
    ))
}

/// Hashes are compared, so that the time it takes tells nothing of the key.
fn is_same(given: &str, expected: &str) -> bool {
    sha256_hex(given.as_bytes()) == sha256_hex(expected.as_bytes())
}

fn unauthorized(code: &str, message: &str) -> ClientError {
    ClientError {
        status: 401,
        code: code.to_owned(),
        message: message.to_owned(),
        param: Some("authorization".to_owned()),
        retry_after: None,
    }
}

/// What the edge knows of the caller besides the body.
pub fn caller_of(
    request: &Request,
    terms: &KeyTerms,
    dialect: ClientDialect,
    endpoint: Endpoint,
    at: UnixMillis,
) -> Caller {
    let place = js::get(request, "cf");
    let text = |name: &str| {
        // Without an object there, reading a field would throw.
        let field = place.is_object().then(|| js::get_text(&place, name));
        field.flatten()
    };
    Caller {
        dialect: Some(dialect),
        endpoint,
        at,
        key: terms.name.clone(),
        team: terms.team.clone(),
        session: header(request, "x-waypost-session"),
        user: header(request, "x-waypost-user"),
        tags: header(request, "x-waypost-tags"),
        country: text("country"),
        continent: text("continent"),
        pop: text("colo"),
        ..Caller::default()
    }
}

/// Reads the body of a request that was refused without a look at it, and keeps nothing of it.
///
/// The runtime closes a connection on which it has answered before the body was read, and does not say so: the next
/// request on it, which the SDKs send on the same connection, would fail.
pub async fn discard(request: &Request) {
    // Whatever it is: the client is told of something else.
    let _ = body(request, 0).await;
}

/// The request's body. Where the client says nothing of its length, or too much, it is read piece by piece, so that it
/// can be stopped.
pub async fn body(request: &Request, limit: u64) -> Result<Vec<u8>, RequestError> {
    let stated = header(request, "content-length").and_then(|text| text.parse::<u64>().ok());
    let missing = || RequestError::Missing {
        field: "body".to_owned(),
        remedy: "send a JSON object",
    };
    if stated.is_some_and(|bytes| (1..=limit).contains(&bytes)) {
        let whole = request.array_buffer().map_err(|_| missing())?;
        return js::bytes(whole.unchecked_into())
            .await
            .map_err(|_| missing());
    }
    let stream = request.body().ok_or_else(missing)?;
    let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
    let mut body = Vec::new();
    let mut bytes = 0;
    loop {
        let step = JsFuture::from(reader.read()).await.map_err(|_| missing())?;
        let is_done = js::get(&step, "done").is_truthy();
        if bytes > limit && (is_done || bytes > limit + DISCARDED_BYTES_MAX) {
            return Err(RequestError::TooLarge {
                bytes: stated.unwrap_or(bytes),
                limit,
            });
        }
        if is_done {
            return Ok(body);
        }
        let Ok(piece) = js::get(&step, "value").dyn_into::<Uint8Array>() else {
            continue;
        };
        bytes += u64::from(piece.length());
        if bytes <= limit {
            body.extend_from_slice(&piece.to_vec());
        } else {
            body = Vec::new();
        }
    }
}
