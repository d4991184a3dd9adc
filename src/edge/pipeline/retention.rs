//! Deletes what is older than `RETENTION_DAYS`, in steps, when the cron trigger of `wrangler.toml` fires.
//!
//! Each step is whole by itself, so a run that is ended in between has done what it did, and the next goes on. Objects go
//! before rows: a row without its object is still counted and listed, an object without a row would never be found again.
//! Objects that no row names, because the consumer ended before it added the rows, go an hour after they were begun.
//! Totals of series that had no exchange for that long go too, and make room for others.

use wasm_bindgen::JsValue;
use worker::Env;

use super::database::{batch, statement};
use super::{Failed, archive, tables};
use crate::edge::{clock, js};
use crate::units::{Millis, UnixMillis};

/// Days that records and rollups are kept. `RETENTION_DAYS` sets another number; 0 keeps all.
const DAYS_DEFAULT: u64 = 30;
const DAY: u64 = 86_400_000;
const MINUTE: u64 = 60_000;
/// No consumer works on an object for longer: the platform ends it after 15 minutes.
const UNFINISHED_AFTER: Millis = Millis(3_600_000);
/// Steps of one kind in one run, so that a run stays within what an invocation may call.
const STEPS_MAX: usize = 100;
/// Rows of one step.
const ROWS_MAX: f64 = 5_000.0;
/// Minutes of rollups that one step takes.
const MINUTES_MAX: f64 = 60.0;

const DELETE_RECORDS: &str =
    "DELETE FROM records WHERE id IN (SELECT id FROM records WHERE at < ?1 ORDER BY at LIMIT ?2)";
const TABLES: [&str; 2] = ["rollups", "attempt_rollups"];
const DELETE_SERIES: &str = "DELETE FROM series WHERE \
    NOT EXISTS (SELECT 1 FROM rollups AS r WHERE r.minute = 0 AND r.route = series.route \
    AND r.target = series.target AND r.variant = series.variant) AND \
    NOT EXISTS (SELECT 1 FROM attempt_rollups AS r WHERE r.minute = 0 AND r.route = series.route \
    AND r.target = series.target AND r.variant = series.variant)";

/// One run. What fails is told, and tried again by the next.
pub async fn run(env: &Env) {
    if let Err(error) = sweep(env).await {
        worker::console_error!("unfinished objects were not all deleted: {error}");
    }
    let Some(days) = days(env) else {
        worker::console_error!("RETENTION_DAYS: expected a whole number of days, 0 to keep all");
        return;
    };
    if days == 0 {
        return;
    }
    let age = Millis(days.saturating_mul(DAY));
    let cutoff = UnixMillis(clock::now().0.saturating_sub(age.0));
    if let Err(error) = delete(cutoff, env).await {
        worker::console_error!("old records were not all deleted: {error}");
    }
}

/// Deletes the objects that were begun and never finished: their records stand in others.
async fn sweep(env: &Env) -> Result<(), Failed> {
    tables::ensure(env).await?;
    let before = UnixMillis(clock::now().0.saturating_sub(UNFINISHED_AFTER.0));
    for _ in 0..STEPS_MAX {
        let keys = tables::unfinished(before, archive::PAGE_MAX, env).await?;
        if keys.is_empty() {
            return Ok(());
        }
        let objects: Vec<&str> = keys.iter().map(String::as_str).collect();
        let deleted = archive::delete(env, &objects).await;
        deleted.map_err(Failed::at("R2"))?;
        tables::forget(&serde_json::to_string(&keys).unwrap_or_default(), env).await?;
    }
    Ok(())
}

fn days(env: &Env) -> Option<u64> {
    match js::get_text(env, "RETENTION_DAYS") {
        Some(text) => text.trim().parse().ok(),
        None => Some(DAYS_DEFAULT),
    }
}

async fn delete(cutoff: UnixMillis, env: &Env) -> Result<(), Failed> {
    tables::ensure(env).await?;
    let hour = clock::hour(cutoff);
    let folder = format!("records/{}", hour.replace(['-', 'T'], "/"));
    delete_objects("records/", &folder, env).await?;
    delete_objects("dead/", &format!("dead/{hour}"), env).await?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds since 1970 are below 2^53"
    )]
    let (at, minute) = (cutoff.0 as f64, (cutoff.0 / MINUTE) as f64);
    repeat(env, DELETE_RECORDS, &[at.into(), ROWS_MAX.into()]).await?;
    for table in TABLES {
        let sql = format!(
            "DELETE FROM {table} WHERE minute > 0 AND minute < min(?1, ?2 + \
             COALESCE((SELECT MIN(minute) FROM {table} WHERE minute > 0), 0))"
        );
        repeat(env, &sql, &[minute.into(), MINUTES_MAX.into()]).await?;
        let sql = format!("DELETE FROM {table} WHERE minute = 0 AND newest < ?1");
        batch(env, &[statement(env, &sql, &[minute.into()])?]).await?;
    }
    batch(env, &[statement(env, DELETE_SERIES, &[])?]).await?;
    Ok(())
}

/// Deletes the objects of a folder whose keys come before another. Keys begin with their hour, so they come oldest first.
async fn delete_objects(folder: &str, before: &str, env: &Env) -> Result<(), Failed> {
    for _ in 0..STEPS_MAX {
        let listed = archive::list(env, folder, "", archive::PAGE_MAX).await;
        let (listed, has_more) = listed.map_err(Failed::at("R2"))?;
        let keys = listed.iter().map(|object| object.key.as_str());
        let old: Vec<&str> = keys.take_while(|key| *key < before).collect();
        if old.is_empty() {
            return Ok(());
        }
        let deleted = archive::delete(env, &old).await;
        deleted.map_err(Failed::at("R2"))?;
        if old.len() < listed.len() || !has_more {
            return Ok(());
        }
    }
    Ok(())
}

/// Runs a statement until it changes nothing more.
async fn repeat(env: &Env, sql: &str, arguments: &[JsValue]) -> Result<(), Failed> {
    for _ in 0..STEPS_MAX {
        let statement = statement(env, sql, arguments)?;
        if batch(env, &[statement]).await? < 1.0 {
            return Ok(());
        }
    }
    Ok(())
}
