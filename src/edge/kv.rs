//! Reads and writes KV entries, many in one operation.

use js_sys::{Array, Map};
use wasm_bindgen::{JsCast, JsValue};
use worker::Env;

use super::js::{self, Thrown};

/// The cache that KV has at each place; its least value. A change is seen this much later at the most, plus KV's own lag.
const CACHE_TTL_SECONDS: f64 = 30.0;
/// Names listed at once; KV's own limit for one call.
const LIST_MAX: f64 = 1_000.0;

/// The entries' texts, in the order of their names; `None` where there is none.
pub async fn read(env: &Env, names: &[String]) -> Result<Vec<Option<String>>, Thrown> {
    let keys: Array = names.iter().map(|name| JsValue::from_str(name)).collect();
    let options = js::object(&[
        ("type", "text".into()),
        ("cacheTtl", CACHE_TTL_SECONDS.into()),
    ]);
    let found = js::call(&binding(env), "get", &[keys.into(), options.into()]).await?;
    let found: Map = found.dyn_into().map_err(|_| Thrown)?;
    let text = |name: &String| found.get(&JsValue::from_str(name)).as_string();
    Ok(names.iter().map(text).collect())
}

pub async fn write(env: &Env, name: &str, text: &str) -> Result<(), Thrown> {
    js::call(&binding(env), "put", &[name.into(), text.into()]).await?;
    Ok(())
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
