//! The consumer of health reports: folds them into parts in D1, and gives KV the edition that isolates read.
//!
//! Parts are rows of D1 because a fold must see the one before it, which KV does not promise for a minute. A fold reads and
//! writes the rows that its reports touch, and no others. Each row is written only if nobody has written it since it was
//! read; a sender's reports are all in one row, which remembers them, so a row that is folded again counts nothing twice and
//! rows need not change together.
//!
//! KV gets an edition of all rows at once where the last one is old enough, or else with a later fold. Only a batch after
//! which the queue is empty waits for that time, and no more than a second: the platform acknowledges a batch when its
//! `wait_until` has ended, and brings the next one to the same consumer after that
//! (<https://developers.cloudflare.com/workers/configuration/compatibility-flags/>, of queue consumers).
//!
//! Not here: what a fold and an edition are, and which reports wait for others (`health/`).

use std::cell::{Cell, RefCell};

use js_sys::Array;
use wasm_bindgen::JsValue;
use worker::{Context, Env, MessageBatch, MessageExt};

use super::clock::{now, sleep};
use super::health::within;
use super::js::{self, Thrown};
use super::kv;
use crate::health::{Edition, Held, PARTS, Report, Snapshot, by_part};
use crate::units::{Millis, UnixMillis};

/// Folds of one batch, where another consumer was quicker.
const FOLD_TRIES: u32 = 3;
/// Messages of a full batch, as `wrangler.toml` has it. Behind a full one there are more.
const BATCH_FULL: usize = 100;
/// How long a batch may wait for the next edition's time; its queue is held up meanwhile.
const WAIT_MAX: Millis = Millis(1_000);
/// Calls at once that an invocation may have waiting; more would queue while their time runs.
const PUTS_AT_ONCE: usize = 6;

thread_local! {
    static HELD: RefCell<Held> = RefCell::default();
    static LAST: Cell<Last> = const { Cell::new(Last { at: UnixMillis(0), interval: Millis(0), is_awaited: false }) };
}

/// The last edition, and when the next one may come.
#[derive(Clone, Copy)]
struct Last {
    at: UnixMillis,
    interval: Millis,
    /// Whether a timer is set for the next one.
    is_awaited: bool,
}

/// Folds a batch of reports, or holds it until more have come. What cannot be read is dropped, and what cannot be stored is
/// tried again by the queue; either fades within a minute.
pub async fn consume(batch: MessageBatch<JsValue>, env: &Env, context: &Context) {
    let messages: Vec<_> = batch.raw_iter().collect();
    let is_full = messages.len() >= BATCH_FULL;
    let read = |text: String| Report::parse(&text, now());
    let reports: Vec<Report> = messages
        .iter()
        .filter_map(|message| message.body().as_string().and_then(read))
        .collect();
    let own = reports.len();
    let mut due = HELD.with_borrow_mut(|held| held.take(reports, is_full, now()));
    if due.is_empty() {
        messages.iter().for_each(MessageExt::ack);
        return;
    }
    if fold(&due, env).await.is_ok() {
        messages.iter().for_each(MessageExt::ack);
        publish(is_full, env, context).await;
        return;
    }
    // The queue brings this batch's again; nobody else has those of the batches before.
    due.truncate(due.len() - own);
    HELD.with_borrow_mut(|held| held.put_back(due));
    messages.iter().for_each(MessageExt::retry);
    worker::console_error!("a batch of health reports could not be stored, and will be retried");
}

const CREATE: &str = "CREATE TABLE IF NOT EXISTS health_parts (part INTEGER PRIMARY KEY, \
    number INTEGER NOT NULL, snapshot TEXT NOT NULL)";
const SELECT: &str = "SELECT part, number, snapshot FROM health_parts";
const SELECT_SOME: &str = "SELECT part, number, snapshot FROM health_parts \
    WHERE part IN (SELECT value FROM json_each(?1))";
/// Nothing is written where another consumer has been quicker.
const WRITE: &str = "INSERT INTO health_parts (part, number, snapshot) VALUES (?1, ?2 + 1, ?3) \
    ON CONFLICT (part) DO UPDATE SET number = excluded.number, snapshot = excluded.snapshot \
    WHERE health_parts.number = ?2 RETURNING part";

/// A part as D1 has it.
#[derive(Default)]
struct Row {
    /// Counts the writes; 0 where there is none.
    number: f64,
    snapshot: Snapshot,
}

async fn fold(reports: &[Report], env: &Env) -> Result<(), Thrown> {
    let database = js::get(env, "DB");
    ensure_table(&database).await?;
    let mut parts = by_part(reports);
    for _ in 0..FOLD_TRIES {
        let numbered = parts.iter().enumerate();
        let touched: Array = numbered
            .filter(|(_, reports)| !reports.is_empty())
            .map(|(part, _)| number(part))
            .collect();
        let touched = js_sys::JSON::stringify(&touched)?;
        let rows = select(&database, SELECT_SOME, &[touched.into()]).await?;
        let now = now();
        let writes = Array::new();
        for (part, (mut row, reports)) in rows.into_iter().zip(&parts).enumerate() {
            if !reports.is_empty() {
                row.snapshot.fold(reports.iter().copied(), now);
                let text = row.snapshot.encode().into();
                let values = [number(part), row.number.into(), text];
                writes.push(&statement(&database, WRITE, &values)?);
            }
        }
        let results = js::call(&database, "batch", &[writes.into()]).await?;
        for result in Array::from(&results).iter() {
            let written = Array::from(&js::get(&result, "results")).get(0);
            if let Some(part) = part(&written).and_then(|part| parts.get_mut(part)) {
                part.clear();
            }
        }
        if parts.iter().all(Vec::is_empty) {
            return Ok(());
        }
    }
    Err(Thrown)
}

fn statement(database: &JsValue, sql: &str, values: &[JsValue]) -> Result<JsValue, Thrown> {
    let prepared = js::call_now(database, "prepare", &[sql.into()])?;
    if values.is_empty() {
        return Ok(prepared);
    }
    js::call_now(&prepared, "bind", values)
}

/// Rows in the order of their parts. One that is missing or cannot be read is empty.
async fn select(database: &JsValue, sql: &str, values: &[JsValue]) -> Result<Vec<Row>, Thrown> {
    let found = js::call(&statement(database, sql, values)?, "all", &[]).await?;
    let now = now();
    let mut rows: Vec<Row> = Vec::new();
    rows.resize_with(PARTS, Row::default);
    for given in Array::from(&js::get(&found, "results")).iter() {
        if let Some(row) = part(&given).and_then(|part| rows.get_mut(part)) {
            let text = js::get_text(&given, "snapshot").unwrap_or_default();
            row.number = js::get(&given, "number").as_f64().unwrap_or_default();
            row.snapshot = Snapshot::parse(&text, now).unwrap_or_default();
        }
    }
    Ok(rows)
}

fn number(part: usize) -> JsValue {
    u32::try_from(part).unwrap_or_default().into()
}

/// The part that a row is of.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversion saturates, and there is no such part then"
)]
fn part(row: &JsValue) -> Option<usize> {
    let part = row.is_object().then(|| js::get(row, "part"))?;
    Some(part.as_f64()? as usize)
}

async fn ensure_table(database: &JsValue) -> Result<(), Thrown> {
    thread_local! {
        static IS_MADE: Cell<bool> = const { Cell::new(false) };
    }
    if !IS_MADE.get() {
        js::call(&statement(database, CREATE, &[])?, "run", &[]).await?;
        IS_MADE.set(true);
    }
    Ok(())
}

/// Gives KV an edition now, or as soon as it may have another. Where that is long, or more batches wait, a later one does.
async fn publish(is_more_waiting: bool, env: &Env, context: &Context) {
    let last = LAST.get();
    let since = now().since(last.at);
    let wait = Millis(last.interval.0.saturating_sub(since.0));
    if wait.0 == 0 {
        put_edition(env).await;
    } else if wait <= WAIT_MAX && !is_more_waiting && !last.is_awaited {
        LAST.set(Last {
            is_awaited: true,
            ..last
        });
        let env = env.clone();
        context.wait_until(async move {
            sleep(wait).await;
            put_edition(&env).await;
        });
    }
}

async fn put_edition(env: &Env) {
    let database = js::get(env, "DB");
    LAST.set(Last {
        at: now(),
        is_awaited: false,
        ..LAST.get()
    });
    // Whatever fails here, the next fold tries again.
    let Ok(rows) = select(&database, SELECT, &[]).await else {
        return;
    };
    let parts = rows.into_iter().map(|row| row.snapshot);
    let edition = Edition::of(parts.collect(), now());
    LAST.set(Last {
        interval: edition.interval(),
        ..LAST.get()
    });
    let mut entries = edition.entries().peekable();
    while entries.peek().is_some() {
        let some = entries.by_ref().take(PUTS_AT_ONCE);
        within(kv::write_all(env, some)).await;
    }
}
