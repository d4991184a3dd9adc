//! Records on their way from an exchange to the queue.
//!
//! Finished records are packed. The exchange that opens a pack sends it after [`PACK_WAIT`], its own `wait_until`
//! keeping the isolate alive; one that fills it sends it at once. No exchange awaits another's future.
//!
//! Not here: what becomes of them behind the queue (`pipeline/`).

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::Promise;
use js_sys::futures::JsFuture;
use wasm_bindgen::JsValue;
use worker::{Context, Env};

use super::clock::sleep;
use super::js::{self, Thrown};
use crate::journal::{LINE_BYTES_LEAST, Record, VERSION};
use crate::units::Millis;

/// DESIGN section 7.
const PACK_WAIT: Millis = Millis(250);
/// A queue takes 128 KB a message.
const PACK_BYTES_MAX: usize = LINE_BYTES_LEAST;
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

/// Records that the queue refused for good, in this isolate.
pub fn lost() -> u64 {
    LOST.with_borrow(|lost| *lost)
}

/// Puts a record into the pack, and sends the pack when it is this record's turn to.
pub fn append(record: &Record, env: &Env, context: &Rc<Context>) {
    let line = record.to_line(PACK_BYTES_MAX);
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
    for try_number in 0..SEND_TRIES {
        if try_number > 0 {
            sleep(Millis(SEND_RETRY_WAIT.0 << (try_number - 1))).await;
        }
        if enqueue(&text, env).await.is_ok() {
            return;
        }
    }
    let count = u64::try_from(pack.lines.len()).unwrap_or(u64::MAX);
    LOST.with_borrow_mut(|lost| *lost = lost.saturating_add(count));
    worker::console_error!("{count} records were lost: the queue took none of {SEND_TRIES} tries");
}

/// Hands one message to the queue.
pub async fn enqueue(text: &str, env: &Env) -> Result<(), Thrown> {
    let promise = Promise::resolve(&enqueue_now(text, env));
    JsFuture::from(promise).await?;
    Ok(())
}

/// As [`enqueue`], for several at the same time: gives the promise.
pub fn enqueue_now(text: &str, env: &Env) -> JsValue {
    let options = js::object(&[("contentType", "text".into())]);
    let arguments = [JsValue::from_str(text), options.into()];
    let promise = js::call_now(&js::get(env, "RECORDS"), "send", &arguments);
    promise.unwrap_or_else(|Thrown| Promise::reject(&JsValue::UNDEFINED).into())
}
