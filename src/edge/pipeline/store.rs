//! Stores records: a line each in an object of R2, then a row each in D1.
//!
//! The order matters. A row that is there says that its line is too; a consumer that ends in between leaves an object that
//! no row names, and its records are stored once more in another. So objects are noted as unfinished before they are put,
//! and the note goes in the transaction that adds their rows: what is still noted an hour later is deleted (`retention`).
//! No name is used twice, so that a late deletion never meets a new object.

use std::collections::{BTreeMap, BTreeSet};

use wasm_bindgen::JsValue;
use worker::Env;

use super::database::text;
use super::{Failed, Line, archive, tables};
use crate::edge::clock::{hour, now, random};
use crate::journal::Row;

/// Text of one gzip member: what is unpacked to read one record.
const MEMBER_BYTES_MAX: usize = 128 * 1024;
/// Rows of one statement, as JSON: D1 takes 2 MB in a parameter.
const ROWS_BYTES_MAX: usize = 1_000_000;
const KNOWN: &str = "SELECT json_group_array(id) AS text FROM records WHERE id IN (SELECT value FROM json_each(?1))";

/// Lines of one hour as they will stand in an object.
#[derive(Default)]
struct Object<'a> {
    packed: Vec<u8>,
    members: Vec<Member<'a>>,
}

/// One gzip member: its range in the object, and its lines with their offset in its text.
struct Member<'a> {
    start: usize,
    length: usize,
    lines: Vec<(&'a Line, usize)>,
}

/// Stores the records that are not stored yet, and returns them.
pub async fn store<'a>(lines: &[&'a Line], env: &Env) -> Result<Vec<&'a Line>, Failed> {
    tables::ensure(env).await?;
    let fresh = fresh(lines, env).await?;
    let mut by_hour: BTreeMap<String, Vec<&Line>> = BTreeMap::new();
    for line in &fresh {
        let hour = hour(line.summary.at);
        by_hour.entry(hour).or_default().push(line);
    }
    let named = |(hour, lines): (&String, &Vec<&'a Line>)| {
        let folder = hour.replace(['-', 'T'], "/");
        let key = format!(
            "records/{folder}/{:016x}{:016x}.ndjson.gz",
            random(),
            random()
        );
        (key, lines.clone())
    };
    let objects: Vec<(String, Vec<&Line>)> = by_hour.iter().map(named).collect();
    let keys: Vec<&String> = objects.iter().map(|(key, _)| key).collect();
    let keys = serde_json::to_string(&keys).unwrap_or_default();
    if !objects.is_empty() {
        tables::begin(&keys, now(), env).await?;
    }
    let mut rows = Rows::default();
    for (key, lines) in &objects {
        let object = pack(lines).await?;
        let put = archive::put(env, key, &object.packed).await;
        put.map_err(Failed::at("R2"))?;
        for member in &object.members {
            let place = format!("{key}#{}+{}", member.start, member.length);
            for (line, offset) in &member.lines {
                rows.push(&Row::new(&line.summary, &place, *offset, line.text.len()));
            }
        }
    }
    if !objects.is_empty() {
        tables::insert(rows.parts(), &keys, env).await?;
    }
    Ok(fresh)
}

/// Those that D1 has not, each once.
async fn fresh<'a>(lines: &[&'a Line], env: &Env) -> Result<Vec<&'a Line>, Failed> {
    let ids: BTreeSet<&str> = lines.iter().map(|line| line.summary.id.as_str()).collect();
    let ids = serde_json::to_string(&ids).unwrap_or_default();
    let known = text(env, KNOWN, &[JsValue::from_str(&ids)]).await?;
    let known = known.unwrap_or_default();
    let known: Vec<String> = serde_json::from_str(&known).unwrap_or_default();
    let mut seen: BTreeSet<&str> = known.iter().map(String::as_str).collect();
    let mut fresh = Vec::with_capacity(lines.len());
    for line in lines {
        if seen.insert(&line.summary.id) {
            fresh.push(*line);
        }
    }
    Ok(fresh)
}

async fn pack<'a>(lines: &[&'a Line]) -> Result<Object<'a>, Failed> {
    let mut object = Object::default();
    let mut text = String::new();
    let mut members = Vec::new();
    for line in lines {
        if text.len() + line.text.len() > MEMBER_BYTES_MAX && !text.is_empty() {
            object.push(&text, std::mem::take(&mut members)).await?;
            text.clear();
        }
        members.push((*line, text.len()));
        text.push_str(&line.text);
        text.push('\n');
    }
    object.push(&text, members).await?;
    Ok(object)
}

impl<'a> Object<'a> {
    async fn push(&mut self, text: &str, lines: Vec<(&'a Line, usize)>) -> Result<(), Failed> {
        let packed = archive::gzip(text.as_bytes()).await;
        let packed = packed.map_err(Failed::at("gzip"))?;
        self.members.push(Member {
            start: self.packed.len(),
            length: packed.len(),
            lines,
        });
        self.packed.extend_from_slice(&packed);
        Ok(())
    }
}

/// Rows as JSON arrays, each of a size that D1 takes.
#[derive(Default)]
struct Rows {
    full: Vec<String>,
    open: String,
}

impl Rows {
    fn push(&mut self, row: &Row<'_>) {
        // Fails for maps whose keys are no text, which there are none of.
        let row = serde_json::to_string(row).unwrap_or_default();
        if self.open.len() + row.len() > ROWS_BYTES_MAX && !self.open.is_empty() {
            self.full.push(std::mem::take(&mut self.open));
        }
        self.open.push(if self.open.is_empty() { '[' } else { ',' });
        self.open.push_str(&row);
    }

    fn parts(self) -> impl Iterator<Item = String> {
        let parts = self.full.into_iter().chain([self.open]);
        parts.filter(|part| !part.is_empty()).map(|part| part + "]")
    }
}
