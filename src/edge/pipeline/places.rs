//! Where a record's line stands in R2, and how it is read back.
//!
//! Objects are gzip, in members: a file of several is one to every reader of gzip, and any member can be unpacked without
//! those before it. A place names the object and the member, as `records/…/<name>.ndjson.gz#<offset>+<length>`; `offset`
//! and `length` beside it are in the unpacked text of the member. So one record costs one read of some ten kilobytes.
//!
//! Objects of before they were packed have no member, and `offset` and `length` are in the object itself.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use serde::Deserialize;
use serde_json::value::RawValue;
use wasm_bindgen::JsValue;
use worker::Env;

use super::database::text;
use super::{Failed, archive, tables};

#[derive(Deserialize)]
struct Place {
    object: String,
    offset: usize,
    length: usize,
}

/// An object, and the member of it.
struct Source<'a> {
    key: &'a str,
    member: Option<(f64, f64)>,
}

const PLACE: &str = "json_object('object', object, 'offset', offset, 'length', length)";

/// The newest records, as JSON. What the bucket no longer has is left out.
pub async fn newest(limit: u32, env: &Env) -> Result<Vec<Box<RawValue>>, Failed> {
    tables::ensure(env).await?;
    let sql = format!(
        "SELECT json_group_array(json(place)) AS text FROM \
         (SELECT {PLACE} AS place FROM records ORDER BY at DESC, id DESC LIMIT ?1)"
    );
    let found = text(env, &sql, &[limit.into()]).await?;
    read(&found.unwrap_or_default(), env).await
}

/// One record, as JSON.
pub async fn one(id: &str, env: &Env) -> Result<Option<Box<RawValue>>, Failed> {
    tables::ensure(env).await?;
    let sql = format!("SELECT json_array({PLACE}) AS text FROM records WHERE id = ?1");
    let found = text(env, &sql, &[JsValue::from_str(id)]).await?;
    let Some(found) = found else {
        return Ok(None);
    };
    Ok(read(&found, env).await?.pop())
}

async fn read(places: &str, env: &Env) -> Result<Vec<Box<RawValue>>, Failed> {
    let places: Vec<Place> = serde_json::from_str(places).unwrap_or_default();
    // Neighbours share a member, which is read once.
    let mut members: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for place in &places {
        members.entry(&place.object).or_default();
    }
    let unpacked = members.keys().map(|object| unpack(object, env));
    let unpacked = try_join_all(unpacked).await?;
    for (text, unpacked) in members.values_mut().zip(unpacked) {
        *text = unpacked;
    }
    let line = |place: &Place| {
        let end = place.offset.checked_add(place.length)?;
        let line = members.get(place.object.as_str())?.get(place.offset..end)?;
        serde_json::from_slice(line).ok()
    };
    Ok(places.iter().filter_map(line).collect())
}

/// The text of a member, or of a whole object; nothing where the bucket no longer has it.
async fn unpack(object: &str, env: &Env) -> Result<Vec<u8>, Failed> {
    let Source { key, member } = source(object);
    let found = archive::get(env, key, member).await;
    let Some(bytes) = found.map_err(Failed::at("R2"))? else {
        return Ok(Vec::new());
    };
    match member {
        Some(_) => archive::gunzip(&bytes).await.map_err(Failed::at("gunzip")),
        None => Ok(bytes),
    }
}

fn source(object: &str) -> Source<'_> {
    let split = || {
        let (key, member) = object.rsplit_once('#')?;
        let (offset, length) = member.split_once('+')?;
        Some(Source {
            key,
            member: Some((offset.parse().ok()?, length.parse().ok()?)),
        })
    };
    split().unwrap_or(Source {
        key: object,
        member: None,
    })
}
