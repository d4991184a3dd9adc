//! Reads and writes objects of R2, and packs bytes with the runtime's gzip.
//!
//! R2 is called without the `worker` crate's wrappers: those end the isolate where an object is not as they expect.

use js_sys::{Array, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use worker::Env;

use crate::edge::js::{self, Thrown};

/// Objects that R2 lists, and deletes, at once.
pub const PAGE_MAX: u32 = 1_000;

/// An object as a listing tells it.
pub struct Listed {
    pub key: String,
    pub bytes: f64,
}

pub async fn put(env: &Env, key: &str, bytes: &[u8]) -> Result<(), Thrown> {
    let bytes = Uint8Array::from(bytes);
    js::call(&bucket(env), "put", &[key.into(), bytes.into()]).await?;
    Ok(())
}

/// An object's bytes, or `length` of them from `offset` on. None where there is no such object.
pub async fn get(
    env: &Env,
    key: &str,
    range: Option<(f64, f64)>,
) -> Result<Option<Vec<u8>>, Thrown> {
    let mut arguments = vec![JsValue::from_str(key)];
    if let Some((offset, length)) = range {
        let range = js::object(&[("offset", offset.into()), ("length", length.into())]);
        arguments.push(js::object(&[("range", range.into())]).into());
    }
    let object = js::call(&bucket(env), "get", &arguments).await?;
    if object.is_null() {
        return Ok(None);
    }
    let promise = js::call_now(&object, "arrayBuffer", &[])?;
    Ok(Some(js::bytes(promise.unchecked_into()).await?))
}

/// The first objects whose keys begin so and come after `after`, in order, and whether there are more.
pub async fn list(
    env: &Env,
    prefix: &str,
    after: &str,
    limit: u32,
) -> Result<(Vec<Listed>, bool), Thrown> {
    let mut options = vec![("prefix", prefix.into()), ("limit", limit.into())];
    if !after.is_empty() {
        options.push(("startAfter", after.into()));
    }
    let page = js::call(&bucket(env), "list", &[js::object(&options).into()]).await?;
    let listed = |object: JsValue| {
        Some(Listed {
            key: js::get_text(&object, "key")?,
            bytes: js::get(&object, "size").as_f64()?,
        })
    };
    let objects = Array::from(&js::get(&page, "objects"));
    let is_truncated = js::get(&page, "truncated").is_truthy();
    Ok((objects.iter().filter_map(listed).collect(), is_truncated))
}

pub async fn delete(env: &Env, keys: &[&str]) -> Result<(), Thrown> {
    let keys: Array = keys.iter().map(|key| JsValue::from_str(key)).collect();
    js::call(&bucket(env), "delete", &[keys.into()]).await?;
    Ok(())
}

pub async fn gzip(bytes: &[u8]) -> Result<Vec<u8>, Thrown> {
    through("CompressionStream", bytes).await
}

/// Unpacks one gzip member, of our own making.
pub async fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, Thrown> {
    through("DecompressionStream", bytes).await
}

async fn through(class: &str, bytes: &[u8]) -> Result<Vec<u8>, Thrown> {
    let whole = js::construct("Response", &[Uint8Array::from(bytes).into()])?;
    let stream = js::construct(class, &["gzip".into()])?;
    let out = js::call_now(&js::get(&whole, "body"), "pipeThrough", &[stream])?;
    let out = js::construct("Response", &[out])?;
    let promise = js::call_now(&out, "arrayBuffer", &[])?;
    js::bytes(promise.unchecked_into()).await
}

fn bucket(env: &Env) -> JsValue {
    js::get(env, "ARCHIVE")
}
