//! Asks D1. Whatever a question answers comes as one text, and what is stored goes as one: a row costs no crossing.

use std::fmt;

use js_sys::futures::JsFuture;
use js_sys::{Array, Promise};
use wasm_bindgen::JsValue;
use worker::Env;

use crate::edge::js::{self, Thrown};

/// What is shown of D1's own words.
const REASON_CHARS_MAX: usize = 200;

/// The store did not do as it was told.
#[derive(Debug)]
pub struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Failed {
    pub fn at(place: &str) -> impl FnOnce(Thrown) -> Self {
        let reason = format!("{place} failed");
        |_| Self(reason)
    }

    /// D1 quotes names of tables and columns, and no value of ours.
    fn of_database(thrown: &JsValue) -> Self {
        let reason = js::get_text(thrown, "message").unwrap_or_default();
        let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
        Self(format!("D1 failed: {reason}"))
    }
}

/// A statement with its arguments.
pub fn statement(env: &Env, sql: &str, arguments: &[JsValue]) -> Result<JsValue, Failed> {
    let prepared = js::call_now(&js::get(env, "DB"), "prepare", &[sql.into()]);
    let bound = prepared.and_then(|prepared| match arguments {
        [] => Ok(prepared),
        arguments => js::call_now(&prepared, "bind", arguments),
    });
    bound.map_err(Failed::at("D1"))
}

/// Runs statements as one transaction. Tells how many rows the last one changed.
pub async fn batch(env: &Env, statements: &[JsValue]) -> Result<f64, Failed> {
    let statements: Array = statements.iter().collect();
    let results = call(&js::get(env, "DB"), "batch", &[statements.into()]).await?;
    let last = Array::from(&results).pop();
    let meta = js::get(&last, "meta");
    Ok(js::get(&meta, "changes").as_f64().unwrap_or(0.0))
}

/// The text in the column `text` of the first row. None where there is no row.
pub async fn text(env: &Env, sql: &str, arguments: &[JsValue]) -> Result<Option<String>, Failed> {
    let statement = statement(env, sql, arguments)?;
    let found = call(&statement, "first", &["text".into()]).await?;
    Ok(found.as_string())
}

async fn call(object: &JsValue, method: &str, arguments: &[JsValue]) -> Result<JsValue, Failed> {
    let promise = js::call_now(object, method, arguments).map_err(Failed::at("D1"))?;
    let settled = JsFuture::from(Promise::resolve(&promise)).await;
    settled.map_err(|thrown| Failed::of_database(&thrown))
}
