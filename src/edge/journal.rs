//! Records on their way: from an exchange to the queue, and from the queue to R2 and D1.
//!
//! Finished records are packed. The exchange that opens a pack sends it after [`PACK_WAIT`], its own `wait_until`
//! keeping the isolate alive; one that fills it sends it at once. No exchange awaits another's future.
//!
//! The consumer stores a batch as one object of lines per hour and one row per record. Both are safe to repeat: the
//! object's name is the hash of its content, and a row that is there is left alone. What cannot be stored is
//! retried, then goes to the dead-letter queue; nothing is dropped.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wasm_bindgen::JsValue;
use worker::{Bucket, Context, D1Database, Env, MessageBatch, MessageExt};

use super::clock::{hour, sleep};
use super::js;
use crate::config::sha256_hex;
use crate::journal::{Ending, Record, Summary, VERSION};
use crate::units::{MicroUsd, Millis, Tokens, UnixMillis};

/// DESIGN section 7.
const PACK_WAIT: Millis = Millis(250);
/// A queue takes 128 KB a message.
const PACK_BYTES_MAX: usize = 96 * 1024;
/// Tries to hand a pack to the queue, and the wait before each further one.
const SEND_TRIES: u64 = 4;
const SEND_RETRY_WAIT: Millis = Millis(500);

thread_local! {
    static PACK: RefCell<Pack> = RefCell::default();
    /// Records that the queue never took, for `/healthz`.
    static LOST: RefCell<u64> = const { RefCell::new(0) };
}

#[derive(Default)]
struct Pack {
    lines: Vec<String>,
    bytes: usize,
}

/// What the queue carries. The lines are records as JSON, untouched.
#[derive(Serialize, Deserialize)]
struct Message<'a> {
    v: u32,
    #[serde(borrow)]
    records: Vec<&'a RawValue>,
}

/// Records that the queue refused for good, in this isolate.
pub fn lost() -> u64 {
    LOST.with_borrow(|lost| *lost)
}

/// Puts a record into the pack, and sends the pack when it is this record's turn to.
pub fn append(record: &Record, env: &Env, context: &Rc<Context>) {
    let Some(line) = record.to_line(PACK_BYTES_MAX) else {
        LOST.with_borrow_mut(|lost| *lost += 1);
        return;
    };
    let (full, is_opener) = PACK.with_borrow_mut(|pack| {
        let is_over = pack.bytes + line.len() > PACK_BYTES_MAX;
        let full = is_over.then(|| std::mem::take(pack));
        pack.bytes += line.len() + 1;
        pack.lines.push(line);
        (full, pack.lines.len() == 1)
    });
    if let Some(full) = full.filter(|pack| !pack.lines.is_empty()) {
        let env = env.clone();
        context.wait_until(async move { send(full, &env).await });
    }
    if is_opener {
        let env = env.clone();
        context.wait_until(async move {
            sleep(PACK_WAIT).await;
            let pack = PACK.with_borrow_mut(std::mem::take);
            send(pack, &env).await;
        });
    }
}

async fn send(pack: Pack, env: &Env) {
    if pack.lines.is_empty() {
        return;
    }
    let text = format!("{{\"v\":{VERSION},\"records\":[{}]}}", pack.lines.join(","));
    let queue = js::get(env, "RECORDS");
    let options = js::object(&[("contentType", "text".into())]);
    for try_number in 0..SEND_TRIES {
        if try_number > 0 {
            sleep(Millis(SEND_RETRY_WAIT.0 << (try_number - 1))).await;
        }
        let arguments = [JsValue::from_str(&text), options.clone().into()];
        if js::call(&queue, "send", &arguments).await.is_ok() {
            return;
        }
    }
    let count = u64::try_from(pack.lines.len()).unwrap_or(u64::MAX);
    LOST.with_borrow_mut(|lost| *lost = lost.saturating_add(count));
    worker::console_error!("{count} records were lost: the queue took none of {SEND_TRIES} tries");
}

/// Stores a batch of packs. Each message is acknowledged or retried by itself.
pub async fn consume(batch: MessageBatch<JsValue>, env: &Env) {
    let mut by_hour: BTreeMap<String, Vec<Stored>> = BTreeMap::new();
    let mut readable = Vec::new();
    for message in batch.raw_iter() {
        match message.body().as_string().and_then(|text| read_pack(&text)) {
            Some(records) => {
                for record in records {
                    by_hour
                        .entry(hour(record.summary.at))
                        .or_default()
                        .push(record);
                }
                readable.push(message);
            }
            // It goes to the dead-letter queue in the end, where a person can look at it.
            None => message.retry(),
        }
    }
    let result = store(by_hour, env).await;
    for message in readable {
        match result {
            Ok(()) => message.ack(),
            Err(_) => message.retry(),
        }
    }
    if let Err(error) = result {
        worker::console_error!("a batch of records will be retried: {error}");
    }
}

struct Stored {
    summary: Summary,
    line: String,
}

fn read_pack(text: &str) -> Option<Vec<Stored>> {
    let message: Message<'_> = serde_json::from_str(text).ok()?;
    let read = |raw: &&RawValue| {
        Some(Stored {
            summary: serde_json::from_str(raw.get()).ok()?,
            line: raw.get().to_owned(),
        })
    };
    message.records.iter().map(read).collect()
}

async fn store(by_hour: BTreeMap<String, Vec<Stored>>, env: &Env) -> worker::Result<()> {
    let bucket = env.bucket("ARCHIVE")?;
    let database = env.d1("DB")?;
    ensure_table(&database).await?;
    for (hour, records) in by_hour {
        store_hour(&hour, &records, &bucket, &database).await?;
    }
    Ok(())
}

async fn store_hour(
    hour: &str,
    records: &[Stored],
    bucket: &Bucket,
    database: &D1Database,
) -> worker::Result<()> {
    let mut lines = String::new();
    let mut places = Vec::with_capacity(records.len());
    for record in records {
        places.push((lines.len(), record.line.len()));
        lines.push_str(&record.line);
        lines.push('\n');
    }
    let hash: String = sha256_hex(lines.as_bytes()).chars().take(32).collect();
    let object = format!("records/{}/{hash}.ndjson", hour.replace(['-', 'T'], "/"));
    bucket.put(&object, lines).execute().await?;
    let rows: Vec<Row<'_>> = records
        .iter()
        .zip(places)
        .map(|(stored, (offset, length))| Row::of(&stored.summary, &object, offset, length))
        .collect();
    for rows in rows.chunks(ROWS_MAX) {
        let rows = serde_json::to_string(rows)?;
        database.prepare(INSERT).bind(&[rows.into()])?.run().await?;
    }
    Ok(())
}

/// Rows of one statement: D1 takes 2 MB in a parameter, and a row has some 400 bytes.
const ROWS_MAX: usize = 2_000;
const CREATE: &str = "CREATE TABLE IF NOT EXISTS records (id TEXT PRIMARY KEY, at INTEGER NOT NULL, \
    route TEXT NOT NULL, target TEXT, outcome TEXT NOT NULL, status INTEGER NOT NULL, \
    attempts INTEGER NOT NULL, first_token_ms INTEGER, total_ms INTEGER NOT NULL, \
    prompt_tokens INTEGER, answer_tokens INTEGER, cost_micro_usd REAL NOT NULL, key TEXT NOT NULL, \
    team TEXT, pop TEXT, object TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL)";
const CREATE_INDEX: &str = "CREATE INDEX IF NOT EXISTS records_at ON records (at)";
/// One statement for all rows: D1 counts statements.
const INSERT: &str = "INSERT OR IGNORE INTO records (id, at, route, target, outcome, status, attempts, \
    first_token_ms, total_ms, prompt_tokens, answer_tokens, cost_micro_usd, key, team, pop, object, offset, \
    length) SELECT value->>'id', value->>'at', value->>'route', value->>'target', value->>'outcome', \
    value->>'status', value->>'attempts', value->>'first_token_ms', value->>'total_ms', \
    value->>'prompt_tokens', value->>'answer_tokens', value->>'cost_micro_usd', value->>'key', \
    value->>'team', value->>'pop', value->>'object', value->>'offset', value->>'length' FROM json_each(?)";

/// Makes the table where it is missing, so that there is no step to forget at deployment.
pub async fn ensure_table(database: &D1Database) -> worker::Result<()> {
    thread_local! {
        static IS_MADE: RefCell<bool> = const { RefCell::new(false) };
    }
    if IS_MADE.with_borrow(|is_made| *is_made) {
        return Ok(());
    }
    let statements = vec![database.prepare(CREATE), database.prepare(CREATE_INDEX)];
    database.batch(statements).await?;
    IS_MADE.with_borrow_mut(|is_made| *is_made = true);
    Ok(())
}

/// A record's row in D1: what lists and sums are made from, and where its line stands in R2.
#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    at: UnixMillis,
    route: &'a str,
    target: Option<&'a str>,
    outcome: Ending,
    status: u16,
    attempts: usize,
    first_token_ms: Option<Millis>,
    total_ms: Millis,
    prompt_tokens: Option<Tokens>,
    answer_tokens: Option<Tokens>,
    cost_micro_usd: MicroUsd,
    key: &'a str,
    team: Option<&'a str>,
    pop: Option<&'a str>,
    object: &'a str,
    offset: usize,
    length: usize,
}

impl<'a> Row<'a> {
    fn of(record: &'a Summary, object: &'a str, offset: usize, length: usize) -> Self {
        let outcome = &record.outcome;
        let tokens = record.tokens();
        Self {
            id: &record.id,
            at: record.at,
            route: &record.route,
            target: outcome.target.as_deref(),
            outcome: outcome.code,
            status: outcome.status,
            attempts: record.attempts.len(),
            first_token_ms: outcome.first_token_ms,
            total_ms: outcome.total_ms,
            prompt_tokens: tokens.map(|tokens| tokens.prompt),
            answer_tokens: tokens.map(|tokens| tokens.answer),
            cost_micro_usd: outcome.cost,
            key: &record.traits.key,
            team: record.traits.team.as_deref(),
            pop: record.traits.pop.as_deref(),
            object,
            offset,
            length,
        }
    }
}
