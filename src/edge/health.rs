//! What this isolate knows of the targets, and how it tells and hears the others: the `PoP`'s cache, the queue, KV.
//!
//! No request waits for any of it, with one exception: an isolate's first request gives the snapshot [`FIRST_WAIT`] to
//! come, beside the reads that it has to wait for anyway. After that, a request that finds what is known grown old has it
//! read again beside itself. Whatever fails or hangs is given up after [`CALL_LIMIT`]; routing goes on with what is known.
//!
//! Reports go out from `wait_until`: the exchange after which there is something to tell sets one timer, others find it
//! set.
//!
//! Not here: what a report says, when it is due, and what follows from it (`health/`); the consumer of reports (`fold`).

use std::cell::RefCell;
use std::rc::Rc;

use futures::channel::oneshot;
use futures::future::{self, Either};
use wasm_bindgen::JsValue;
use web_sys::Request;
use worker::{Context, Env};

use super::clock::{now, random, sleep};
use super::js::{self, Thrown};
use super::kv;
use crate::health::{Health, Here, Place, Reading, Report};
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
/// What a place is called where the platform does not say; local runs do not.
const UNKNOWN: &str = "unknown";

thread_local! {
    static HEALTH: RefCell<Health> = RefCell::default();
    static REACH: RefCell<Reach> = RefCell::default();
}

/// How far this isolate's word and hearing go.
#[derive(Default)]
struct Reach {
    /// Where the `PoP`'s entry stands in its cache.
    place_url: String,
    place_asked_at: Option<UnixMillis>,
    snapshot_asked_at: Option<UnixMillis>,
    /// Where it stands in KV.
    reading: Reading,
    /// When the next report goes out.
    timer: Option<UnixMillis>,
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
pub async fn within<T>(call: impl Future<Output = Result<T, Thrown>>) -> Option<T> {
    let limit = Box::pin(sleep(CALL_LIMIT));
    match future::select(Box::pin(call), limit).await {
        Either::Left((result, _)) => result.ok(),
        Either::Right(_) => None,
    }
}

async fn read_snapshot(env: &Env) {
    let pop = look(|health| health.here().map(|here| here.pop.clone()));
    let pop = pop.unwrap_or_default();
    let reading = REACH.with_borrow(|reach| reach.reading);
    let Some(texts) = within(kv::read(env, &reading.names(&pop))).await else {
        return;
    };
    // What another read has found meanwhile, this one finds again.
    let mut reading = reading;
    let snapshot = reading.take(&texts, now());
    REACH.with_borrow_mut(|reach| reach.reading = reading);
    if let Some(snapshot) = snapshot {
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
