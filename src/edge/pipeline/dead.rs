//! Messages that could not be taken after all retries.
//!
//! A queue cannot be looked into, and forgets after some days. So the dead-letter queue is consumed too, and each of its
//! messages becomes an object of R2 below `dead/`: its text as it was, under the hour and a hash of it. From there a person
//! reads it, puts it back into the queue, or deletes it. One that R2 does not take is retried as long as the queue keeps it.

use serde::Serialize;
use wasm_bindgen::JsValue;
use worker::{Env, MessageBatch, MessageExt};

use super::{Failed, archive, retry};
use crate::config::sha256_hex;
use crate::edge::{clock, journal};

const PREFIX: &str = "dead/";
const SUFFIX: &str = ".json";
const HASH_CHARS: usize = 32;
/// What one call lists or puts back.
const PAGE_MAX: u32 = 50;

/// A message that waits for a person.
#[derive(Serialize)]
pub struct DeadLetter {
    /// The hour in which it was buried, and a hash.
    pub name: String,
    pub bytes: f64,
}

#[derive(Serialize)]
pub struct Page {
    pub dead: Vec<DeadLetter>,
    /// Whether there are more.
    pub has_more: bool,
}

pub async fn consume(batch: MessageBatch<JsValue>, env: &Env) {
    for message in batch.raw_iter() {
        let body = message.body();
        let text = body.as_string().or_else(|| {
            // Not ours, but not for us to lose.
            js_sys::JSON::stringify(&body).ok().map(String::from)
        });
        let text = text.unwrap_or_default();
        let hash: String = sha256_hex(text.as_bytes())
            .chars()
            .take(HASH_CHARS)
            .collect();
        let key = format!("{PREFIX}{}-{hash}{SUFFIX}", clock::hour(clock::now()));
        if archive::put(env, &key, text.as_bytes()).await.is_ok() {
            worker::console_error!("a message could not be taken and waits in R2 as {key}");
            message.ack();
        } else {
            worker::console_error!("a dead message was not stored: R2 failed");
            retry(&message, None);
        }
    }
}

/// The oldest dead messages.
pub async fn list(env: &Env) -> Result<Page, Failed> {
    let (listed, has_more) = page(env, PAGE_MAX).await?;
    let letter = |object: archive::Listed| {
        let name = object.key.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        Some(DeadLetter {
            name: name.to_owned(),
            bytes: object.bytes,
        })
    };
    Ok(Page {
        dead: listed.into_iter().filter_map(letter).collect(),
        has_more,
    })
}

/// How many there are, up to a thousand.
pub async fn count(env: &Env) -> Result<usize, Failed> {
    Ok(page(env, archive::PAGE_MAX).await?.0.len())
}

async fn page(env: &Env, limit: u32) -> Result<(Vec<archive::Listed>, bool), Failed> {
    let listed = archive::list(env, PREFIX, "", limit).await;
    listed.map_err(Failed::at("R2"))
}

/// A message's text as the queue had it.
pub async fn read(name: &str, env: &Env) -> Result<Option<Vec<u8>>, Failed> {
    let found = archive::get(env, &key(name), None).await;
    found.map_err(Failed::at("R2"))
}

pub async fn delete(name: &str, env: &Env) -> Result<(), Failed> {
    let deleted = archive::delete(env, &[&key(name)]).await;
    deleted.map_err(Failed::at("R2"))
}

/// Puts a message back into the queue, then deletes it. False where there is none of this name.
pub async fn revive(name: &str, env: &Env) -> Result<bool, Failed> {
    let Some(bytes) = read(name, env).await? else {
        return Ok(false);
    };
    let text = String::from_utf8_lossy(&bytes);
    let sent = journal::enqueue(&text, env).await;
    sent.map_err(Failed::at("the queue"))?;
    delete(name, env).await?;
    Ok(true)
}

/// Puts the oldest messages back; tells how many, and whether there are more.
pub async fn revive_all(env: &Env) -> Result<(usize, bool), Failed> {
    let page = list(env).await?;
    let mut count = 0;
    for letter in &page.dead {
        count += usize::from(revive(&letter.name, env).await?);
    }
    Ok((count, page.has_more))
}

fn key(name: &str) -> String {
    format!("{PREFIX}{name}{SUFFIX}")
}
