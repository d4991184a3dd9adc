//! What becomes of records behind the queue.
//!
//! The consumer stores a message's records (`store`), hands them on to the sinks that are configured (`sinks`), and
//! acknowledges it. Delivery is at least once, so each step is safe to repeat: a record that D1 has is neither stored nor
//! counted again, and what a sink gets twice has the same id twice.
//!
//! A sink gets a message of its own through the same queue. So each is retried by itself: one that fails holds up neither
//! the records nor the other.
//!
//! A batch that cannot be stored is halved until the messages at fault are alone; the others go on. A message waits twice
//! as long before each retry; after the last one it is in the dead-letter queue, which this Worker consumes too (`dead`).
//!
//! Not here: how records come to the queue (`edge/journal.rs`), what is counted of them (`journal/rollup.rs`).

mod archive;
mod database;
pub mod dead;
pub mod figures;
pub mod places;
mod points;
pub mod retention;
mod sinks;
mod store;
mod tables;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wasm_bindgen::JsValue;
use worker::{Env, MessageBatch, MessageExt, QueueRetryOptionsBuilder, RawMessage};

use super::clock;
use crate::journal::{Summary, VERSION};
use crate::units::{Millis, UnixMillis};
use sinks::Sink;

pub use database::Failed;

/// The dead-letter queue's name ends so; every other queue holds records.
const DEAD_SUFFIX: &str = "-dead";
/// Waits before a retry. Between them a message waits as long again as it has waited so far.
const RETRY_MIN: Millis = Millis(1_000);
const RETRY_MAX: Millis = Millis(3_600_000);
/// Parts of a batch that may fail to be stored before the rest is retried unseen: the store is down, and not a message
/// at fault. Two messages at fault among a hundred take as many.
const FAILURES_MAX: usize = 16;

/// What the queue carries. The lines are records as JSON, untouched.
#[derive(Serialize, Deserialize)]
struct Message<'a> {
    v: u32,
    /// Whom it is for; the store where it says nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    sink: Option<Sink>,
    #[serde(borrow)]
    records: Vec<&'a RawValue>,
}

/// A message that could be read.
struct Letter {
    message: RawMessage,
    text: String,
    records: Vec<Line>,
}

/// A record's line, and what it says in short.
pub struct Line {
    summary: Summary,
    text: String,
}

/// Takes a batch. Each message is acknowledged or retried by itself.
pub async fn consume(batch: MessageBatch<JsValue>, env: &Env) {
    if batch.queue().ends_with(DEAD_SUFFIX) {
        return dead::consume(batch, env).await;
    }
    let mut letters = Vec::new();
    let mut deliveries = Vec::new();
    for message in batch.raw_iter() {
        let text = message.body().as_string();
        let Some((text, (sink, records))) =
            text.and_then(|text| Some((text.clone(), parse(&text)?)))
        else {
            // Perhaps a newer version of this Worker wrote it, which is about to take over.
            retry(&message, None);
            continue;
        };
        let letter = Letter {
            message,
            text,
            records,
        };
        match sink {
            Some(sink) => deliveries.push((sink, letter)),
            None => letters.push(letter),
        }
    }
    take_all(letters, env).await;
    sinks::deliver_all(deliveries, env).await;
}

/// Whom a message is for, and its records.
fn parse(text: &str) -> Option<(Option<Sink>, Vec<Line>)> {
    let message: Message<'_> = serde_json::from_str(text).ok()?;
    let read = |raw: &&RawValue| {
        Some(Line {
            summary: serde_json::from_str(raw.get()).ok()?,
            text: raw.get().to_owned(),
        })
    };
    let records: Option<Vec<Line>> = message.records.iter().map(read).collect();
    Some((message.sink, records?))
}

/// Stores what can be stored, in as few parts as it takes.
async fn take_all(letters: Vec<Letter>, env: &Env) {
    let mut parts = vec![letters];
    let mut failures = 0;
    while let Some(mut part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        if failures >= FAILURES_MAX {
            for letter in &part {
                retry(&letter.message, None);
            }
            continue;
        }
        match take(&part, env).await {
            Ok(()) => {
                for letter in &part {
                    letter.message.ack();
                }
            }
            Err(error) => {
                failures += 1;
                worker::console_error!(
                    "{} messages of records were not stored: {error}",
                    part.len()
                );
                if let [letter] = part.as_slice() {
                    retry(&letter.message, None);
                    continue;
                }
                let second = part.split_off(part.len() / 2);
                parts.extend([second, part]);
            }
        }
    }
}

async fn take(part: &[Letter], env: &Env) -> Result<(), Failed> {
    let lines: Vec<&Line> = part.iter().flat_map(|letter| &letter.records).collect();
    let fresh = store::store(&lines, env).await?;
    points::write(&fresh, env);
    sinks::forward(part.iter().map(|letter| letter.text.as_str()), env).await
}

/// Has a message delivered again: when it has waited as long again, or when whoever refused it wants it.
fn retry(message: &RawMessage, asked: Option<Millis>) {
    let sent = UnixMillis(message.timestamp().as_millis());
    let waited = clock::now().since(sent);
    let wait = waited.max(asked.unwrap_or_default());
    let wait = wait.clamp(RETRY_MIN, RETRY_MAX);
    let seconds = u32::try_from(wait.0.div_ceil(1_000)).unwrap_or(u32::MAX);
    let options = QueueRetryOptionsBuilder::new().with_delay_seconds(seconds);
    message.retry_with_options(&options.build());
}

/// The message that hands a message's records to a sink.
fn addressed(text: &str, sink: Sink) -> Option<String> {
    let message: Message<'_> = serde_json::from_str(text).ok()?;
    let addressed = Message {
        v: VERSION,
        sink: Some(sink),
        records: message.records,
    };
    serde_json::to_string(&addressed).ok()
}
