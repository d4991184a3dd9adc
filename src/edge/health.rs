//! What this isolate knows of the targets, and how it reaches the others: the `PoP`'s cache, the queue, KV.
//!
//! No request waits for any of it, with one exception: an isolate's first request gives the snapshot [`FIRST_WAIT`] to
//! come, beside the reads that it has to wait for anyway. After that, a request that finds what is known grown old has it
//! read again beside itself. Whatever fails or hangs is given up after [`CALL_LIMIT`]; routing goes on with what is known.
//!
//! Reports go out from `wait_until`: the exchange after which there is something to tell sets one timer, others find it
//! set. The consumer folds reports into a row of D1, because a fold must see the one before it, which KV does not promise
//! for a minute; KV gets a copy, at most one a second, for the isolates to read.
//!
//! Not here: what a report says, when it is due, and what follows from it (`health/`).

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures::channel::oneshot;
use futures::future::{self, Either};
use wasm_bindgen::JsValue;
use web_sys::Request;
use worker::{Context, Env, MessageBatch, MessageExt};
use xxhash_rust::xxh3::xxh3_64;

use super::clock::{now, random, sleep};
use super::js::{self, Thrown};
use super::kv;
use crate::health::{Health, Here, Place, Report, Snapshot};
use crate::units::{Millis, UnixMillis};

/// How long an isolate's first request waits for the snapshot. A read of KV's nearest store takes a few milliseconds.
const FIRST_WAIT: Millis = Millis(100);
/// How old the `PoP`'s entry and the snapshot may grow before they are read again.
const PLACE_REFRESH: Millis = Millis(2_000);
const SNAPSHOT_REFRESH: Millis = Millis(5_000);
/// A call that takes longer is given up, whoever it is to.
const CALL_LIMIT: Millis = Millis(2_000);
/// A timer that is this late was lost with the exchange that set it.
const TIMER_LOST: Millis = Millis(5_000);
/// How long the cache keeps the `PoP`'s entry; what is in it fades sooner.
const PLACE_CACHE_CONTROL: &str = "max-age=120";
/// Times that a report is put into it, and how long after each it is looked for, or up to twice that.
const PLACE_TRIES: u32 = 4;
const PLACE_LOOK: Millis = Millis(150);
/// KV takes one write a second for a key.
const PUT_INTERVAL: Millis = Millis(1_000);
/// Folds of one batch, where another consumer was quicker.
const FOLD_TRIES: u32 = 3;

/// The entry of the snapshot.
const ENTRY: &str = "health";
/// What a place is called where the platform does not say; local runs do not.
const UNKNOWN: &str = "unknown";

thread_local! {
    static HEALTH: RefCell<Health> = RefCell::default();
    static REACH: RefCell<Reach> = RefCell::default();
    static PUT: RefCell<Put> = RefCell::default();
}

/// How far this isolate's word and hearing go.
#[derive(Default)]
struct Reach {
    /// Where the `PoP`'s entry stands in its cache.
    place_url: String,
    place_asked_at: Option<UnixMillis>,
    snapshot_asked_at: Option<UnixMillis>,
    /// The hash of the snapshot that was taken last.
    snapshot_hash: u64,
    /// When the next report goes out.
    timer: Option<UnixMillis>,
}

/// The consumer's last write to KV, and what it is to write next.
#[derive(Default)]
struct Put {
    at: UnixMillis,
    next: Option<String>,
}

/// What an isolate's first request waits for, if it is one.
pub struct FirstRead(Option<oneshot::Receiver<()>>);

/// Looks at what is known.
pub fn look<T>(look: impl FnOnce(&Health) -> T) -> T {
    HEALTH.with_borrow(look)
}

/// Changes what is known.
pub fn with<T>(change: impl FnOnce(&mut Health) -> T) -> T {
    HEALTH.with_borrow_mut(change)
}

/// Has what others know read again, beside the request, where it has grown old.
pub fn refresh(request: &Request, env: &Env, context: &Context) -> FirstRead {
    let now = now();
    let is_first = look(|health| health.here().is_none());
    if is_first {
        settle(request);
    }
    let is_due = |asked_at: &mut Option<UnixMillis>, refresh: Millis| {
        let is_due = asked_at.is_none_or(|at| now.since(at) >= refresh);
        if is_due {
            *asked_at = Some(now);
        }
        is_due
    };
    let (is_place_due, is_snapshot_due) = REACH.with_borrow_mut(|reach| {
        (
            is_due(&mut reach.place_asked_at, PLACE_REFRESH),
            is_due(&mut reach.snapshot_asked_at, SNAPSHOT_REFRESH),
        )
    });
    if is_place_due {
        context.wait_until(async {
            if let Some(place) = within(read_place()).await {
                with(|health| health.take_place(&place, self::now()));
            }
        });
    }
    if !is_snapshot_due {
        return FirstRead(None);
    }
    let (done, first) = oneshot::channel();
    let env = env.clone();
    context.wait_until(async move {
        read_snapshot(&env).await;
        // Nobody waits but an isolate's first request.
        let _ = done.send(());
    });
    FirstRead(is_first.then_some(first))
}

impl FirstRead {
    pub async fn wait(self) {
        if let Some(read) = self.0 {
            future::select(read, Box::pin(sleep(FIRST_WAIT))).await;
        }
    }
}

/// Sees to it that what was observed is reported in time.
pub fn schedule(env: &Env, context: &Rc<Context>) {
    let Some(due) = look(Health::report_due) else {
        return;
    };
    let now = now();
    let is_set = REACH.with_borrow_mut(|reach| {
        let is_set = reach
            .timer
            .is_some_and(|at| at <= due.max(now) && now.since(at) < TIMER_LOST);
        if !is_set {
            reach.timer = Some(due.max(now));
        }
        is_set
    });
    if is_set {
        return;
    }
    let (env, context) = (env.clone(), Rc::clone(context));
    context.clone().wait_until(async move {
        sleep(due.since(now)).await;
        REACH.with_borrow_mut(|reach| reach.timer = None);
        match look(Health::report_due) {
            Some(due) if due <= self::now() => report(&env).await,
            // Another timer has reported meanwhile.
            Some(_) => schedule(&env, &context),
            None => {}
        }
    });
}

async fn report(env: &Env) {
    let Some((fresh, whole)) = with(|health| health.report(now())) else {
        return;
    };
    // What the queue does not take would be old news by the time of another try.
    let queue = within(send(&fresh, env));
    let place = within(put_place(whole));
    future::join(queue, place).await;
}

/// Where and who this isolate is. The region is the continent of its callers, who are near it by anycast.
fn settle(request: &Request) {
    let place = js::get(request, "cf");
    let text = |name: &str| {
        let field = place.is_object().then(|| js::get_text(&place, name));
        let field = field.flatten().filter(|text| !text.is_empty());
        let field = field.unwrap_or_else(|| UNKNOWN.to_owned());
        field.chars().take(8).collect::<String>()
    };
    let pop = text("colo");
    let url = request.url();
    let origin: Vec<&str> = url.splitn(4, '/').take(3).collect();
    let is_name = pop.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let folder = if is_name { pop.as_str() } else { UNKNOWN };
    let place_url = format!("{}/.waypost/health/{folder}", origin.join("/"));
    REACH.with_borrow_mut(|reach| reach.place_url = place_url);
    let here = Here {
        isolate: format!("{:012x}", random() >> 16),
        region: text("continent"),
        pop,
    };
    with(|health| health.settle(here));
}

/// None where it fails or takes too long.
async fn within<T>(call: impl Future<Output = Result<T, Thrown>>) -> Option<T> {
    let limit = Box::pin(sleep(CALL_LIMIT));
    match future::select(Box::pin(call), limit).await {
        Either::Left((result, _)) => result.ok(),
        Either::Right(_) => None,
    }
}

async fn read_snapshot(env: &Env) {
    let names = [ENTRY.to_owned()];
    let Some(texts) = within(kv::read(env, &names)).await else {
        return;
    };
    let Some(text) = texts.first().and_then(Option::as_deref) else {
        return;
    };
    let hash = xxh3_64(text.as_bytes());
    let is_new =
        REACH.with_borrow_mut(|reach| std::mem::replace(&mut reach.snapshot_hash, hash) != hash);
    if is_new && let Some(snapshot) = Snapshot::parse(text, now()) {
        with(|health| health.take_snapshot(&snapshot, now()));
    }
}

/// The data centre's own cache. Not every kind of host name has one.
fn cache() -> JsValue {
    let caches = js::get(&js_sys::global(), "caches");
    if caches.is_object() {
        js::get(&caches, "default")
    } else {
        JsValue::UNDEFINED
    }
}

fn place_url() -> JsValue {
    REACH.with_borrow(|reach| JsValue::from_str(&reach.place_url))
}

async fn read_place() -> Result<Place, Thrown> {
    let cache = cache();
    if !cache.is_object() {
        return Err(Thrown);
    }
    let found = js::call(&cache, "match", &[place_url()]).await?;
    if !found.is_object() {
        return Ok(Place::default());
    }
    let text = js::call(&found, "text", &[]).await?;
    let now = now();
    Ok(Place::parse(&text.as_string().unwrap_or_default(), now).at(now))
}

/// Puts this isolate's report beside those of the others, and takes theirs. The cache has no transactions: another isolate
/// that wrote at the same time may have put this report out, so it is looked for again.
async fn put_place(report: Report) -> Result<(), Thrown> {
    for try_number in 0..PLACE_TRIES {
        if try_number > 0 {
            sleep(Millis(PLACE_LOOK.0 + random() % PLACE_LOOK.0)).await;
        }
        let others = read_place().await?;
        with(|health| health.take_place(&others, now()));
        if others.has(&report) {
            break;
        }
        let place = others.joined(Place::of(vec![report.clone()]));
        let headers = js::object(&[("cache-control", PLACE_CACHE_CONTROL.into())]);
        let init = js::object(&[("headers", headers.into())]);
        let response = js::construct("Response", &[place.encode().into(), init.into()])?;
        js::call(&cache(), "put", &[place_url(), response]).await?;
    }
    Ok(())
}

async fn send(report: &Report, env: &Env) -> Result<(), Thrown> {
    let text = serde_json::to_string(report).map_err(|_| Thrown)?;
    let options = js::object(&[("contentType", "text".into())]);
    let queue = js::get(env, "HEALTH");
    if !queue.is_object() {
        return Err(Thrown);
    }
    js::call(&queue, "send", &[text.into(), options.into()]).await?;
    Ok(())
}

/// Folds a batch of reports into the snapshot. What cannot be read is dropped, and what cannot be stored is tried again by
/// the queue; either fades within a minute.
pub async fn consume(batch: MessageBatch<JsValue>, env: &Env, context: &Context) {
    let messages: Vec<_> = batch.raw_iter().collect();
    let read = |text: String| Report::parse(&text, now());
    let reports: Vec<Report> = messages
        .iter()
        .filter_map(|message| message.body().as_string().and_then(read))
        .collect();
    let folded = fold(&reports, env).await;
    for message in messages {
        match &folded {
            Ok(_) => message.ack(),
            Err(_) => message.retry(),
        }
    }
    match folded {
        Ok(text) => publish(text, env, context).await,
        Err(Thrown) => worker::console_error!(
            "a batch of health reports could not be stored, and will be retried"
        ),
    }
}

const CREATE: &str = "CREATE TABLE IF NOT EXISTS health (id INTEGER PRIMARY KEY CHECK (id = 1), \
    number INTEGER NOT NULL, snapshot TEXT NOT NULL)";
const START: &str = "INSERT OR IGNORE INTO health (id, number, snapshot) VALUES (1, 0, '')";
const SELECT: &str = "SELECT number, snapshot FROM health WHERE id = 1";
/// Nothing is written where another consumer has been quicker.
const UPDATE: &str = "UPDATE health SET number = ?1 + 1, snapshot = ?2 WHERE id = 1 AND number = ?1 RETURNING number";

/// The new snapshot.
async fn fold(reports: &[Report], env: &Env) -> Result<String, Thrown> {
    let database = js::get(env, "DB");
    ensure_table(&database).await?;
    for _ in 0..FOLD_TRIES {
        let row = first(&database, SELECT, &[]).await?;
        let text = js::get_text(&row, "snapshot").unwrap_or_default();
        let now = now();
        let mut snapshot = Snapshot::parse(&text, now).unwrap_or_default();
        snapshot.fold(reports, now);
        let text = snapshot.encode();
        let update = [js::get(&row, "number"), text.as_str().into()];
        if first(&database, UPDATE, &update).await?.is_object() {
            return Ok(text);
        }
    }
    Err(Thrown)
}

/// The first row that a statement gives, or null.
async fn first(database: &JsValue, sql: &str, parameters: &[JsValue]) -> Result<JsValue, Thrown> {
    let statement = js::call_now(database, "prepare", &[sql.into()])?;
    let statement = js::call_now(&statement, "bind", parameters)?;
    js::call(&statement, "first", &[]).await
}

async fn ensure_table(database: &JsValue) -> Result<(), Thrown> {
    thread_local! {
        static IS_MADE: Cell<bool> = const { Cell::new(false) };
    }
    if !IS_MADE.get() {
        first(database, CREATE, &[]).await?;
        first(database, START, &[]).await?;
        IS_MADE.set(true);
    }
    Ok(())
}

/// Gives KV the snapshot now, or the newest of them once KV takes another.
async fn publish(text: String, env: &Env, context: &Context) {
    let (wait, is_waiting) = PUT.with_borrow_mut(|put| {
        let is_waiting = put.next.replace(text).is_some();
        let since = now().since(put.at);
        (Millis(PUT_INTERVAL.0.saturating_sub(since.0)), is_waiting)
    });
    if wait.0 == 0 {
        put_newest(env).await;
    } else if !is_waiting {
        let env = env.clone();
        context.wait_until(async move {
            sleep(wait).await;
            put_newest(&env).await;
        });
    }
}

async fn put_newest(env: &Env) {
    let newest = PUT.with_borrow_mut(|put| {
        put.at = now();
        put.next.take()
    });
    if let Some(text) = newest {
        // The next fold brings another.
        within(kv::write(env, ENTRY, &text)).await;
    }
}
