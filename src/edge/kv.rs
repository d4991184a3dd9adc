//! Reads and writes KV entries, many in one operation.

use js_sys::futures::JsFuture;
use js_sys::{Array, Map, Promise};
use wasm_bindgen::{JsCast, JsValue};
use worker::Env;

use super::js::{self, Thrown};

/// The cache that KV has at each place; its least value. A change is seen this much later at the most, plus KV's own lag.
const CACHE_TTL_SECONDS: f64 = 30.0;
/// Names listed at once; KV's own limit for one call.
const LIST_MAX: f64 = 1_000.0;
/// A longer name is no key of KV's: <https://developers.cloudflare.com/kv/platform/limits/>, 2026-11-22.
const NAME_BYTES_MAX: usize = 512;

/// The entries' texts, in the order of their names; `None` where there is none.
///
/// KV gives at most 25 MB at once. Where the entries are more together, or it fails, each is read by itself, one behind
/// the other, so that a KV which does not answer is asked once more and not a hundred times.
pub async fn read(env: &Env, names: &[String]) -> Result<Vec<Option<String>>, Thrown> {
    // It refuses all of them for one name that it cannot have.
    let fit = |name: &&String| name.len() <= NAME_BYTES_MAX;
    let keys: Array = names
        .iter()
        .filter(fit)
        .map(|name| JsValue::from_str(name))
        .collect();
    if let Ok(found) = get(env, keys.into()).await {
        let found: Map = found.dyn_into().map_err(|_| Thrown)?;
        let text = |name: &String| found.get(&JsValue::from_str(name)).as_string();
        return Ok(names.iter().map(text).collect());
    }
    let mut texts = Vec::with_capacity(names.len());
    for name in names {
        let text = match Some(name).filter(fit) {
            Some(name) => get(env, JsValue::from_str(name)).await?.as_string(),
            None => None,
        };
        texts.push(text);
    }
    Ok(texts)
}

/// The value of one key, or a map of those of several.
async fn get(env: &Env, keys: JsValue) -> Result<JsValue, Thrown> {
    let options = js::object(&[
        ("type", "text".into()),
        ("cacheTtl", CACHE_TTL_SECONDS.into()),
    ]);
    js::call(&binding(env), "get", &[keys, options.into()]).await
}

pub async fn write(env: &Env, name: &str, text: &str) -> Result<(), Thrown> {
    js::call(&binding(env), "put", &[name.into(), text.into()]).await?;
    Ok(())
}

/// Writes entries, by name and text, all at once. Whatever fails is left as it was.
pub async fn write_all(
    env: &Env,
    entries: impl Iterator<Item = (String, String)>,
) -> Result<(), Thrown> {
    let kv = binding(env);
    let put =
        |(name, text): (String, String)| js::call_now(&kv, "put", &[name.into(), text.into()]);
    let puts: Result<Array, Thrown> = entries.map(put).collect();
    JsFuture::from(Promise::all_settled(&puts?.into())).await?;
    Ok(())
}

/// As [`write`], with metadata, a JSON text, that a listing gives back.
pub async fn write_with_metadata(
    env: &Env,
    name: &str,
    text: &str,
    metadata: &str,
) -> Result<(), Thrown> {
    let metadata = js_sys::JSON::parse(metadata)?;
    let options = js::object(&[("metadata", metadata)]);
    js::call(
        &binding(env),
        "put",
        &[name.into(), text.into(), options.into()],
    )
    .await?;
    Ok(())
}

pub async fn delete(env: &Env, name: &str) -> Result<(), Thrown> {
    js::call(&binding(env), "delete", &[name.into()]).await?;
    Ok(())
}

/// The first entries that begin so, in the order of their names, each with its metadata as JSON.
pub async fn list_with_metadata(
    env: &Env,
    prefix: &str,
    limit: u32,
) -> Result<Vec<(String, String)>, Thrown> {
    let options = js::object(&[("prefix", prefix.into()), ("limit", limit.into())]);
    let page = js::call(&binding(env), "list", &[options.into()]).await?;
    let read = |key: JsValue| {
        let metadata = js_sys::JSON::stringify(&js::get(&key, "metadata")).ok()?;
        Some((js::get_text(&key, "name")?, String::from(metadata)))
    };
    Ok(Array::from(&js::get(&page, "keys"))
        .iter()
        .filter_map(read)
        .collect())
}

/// The names of all entries that begin so, at most a thousand.
pub async fn list(env: &Env, prefix: &str) -> Result<Vec<String>, Thrown> {
    let options = js::object(&[("prefix", prefix.into()), ("limit", LIST_MAX.into())]);
    let page = js::call(&binding(env), "list", &[options.into()]).await?;
    let keys = Array::from(&js::get(&page, "keys"));
    Ok(keys
        .iter()
        .filter_map(|key| js::get_text(&key, "name"))
        .collect())
}

fn binding(env: &Env) -> JsValue {
    js::get(env, "KV")
}
