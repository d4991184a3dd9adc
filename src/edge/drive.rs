//! The loop that obeys an exchange: feeds it what happened, does what it says, decides nothing.
//!
//! It runs in `wait_until`, apart from the handler: the handler only awaits the response's head. So the runtime
//! keeps it alive after the head is out, and a client that leaves before the head cancels nothing in here; we
//! hear of it from the request's signal, close the provider's connection, and still write the record.
//!
//! While the client has not taken what was written, nothing is read from the provider: back-pressure reaches it.

use std::cell::RefCell;
use std::pin::{Pin, pin};
use std::rc::Rc;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{self, Either};
use futures::stream::{FuturesUnordered, StreamExt};
use js_sys::Uint8Array;
use js_sys::futures::JsFuture;
use wasm_bindgen::JsCast;
use web_sys::{ReadableStream, Response, WritableStream, WritableStreamDefaultWriter};
use worker::{Context, Env};

use super::clock::{now, sleep};
use super::gone::Gone;
use super::respond;
use super::upstream::{Body, Connection};
use super::{journal, js};
use crate::exchange::{Exchange, Input, Order, Output, ResponseHead};
use crate::health::Health;
use crate::journal::Explanation;
use crate::units::{Millis, UnixMillis};

thread_local! {
    /// What this isolate has seen of the targets.
    static HEALTH: RefCell<Health> = RefCell::default();
}

/// A client that takes longer than this to drain what was written has kept us from listening.
const DRAIN_NOTABLE: Millis = Millis(100);

/// How long promises that were called off may take to settle; they do so at once.
const SETTLE_MAX: Millis = Millis(2_000);

type Step = Pin<Box<dyn Future<Output = (Input, Option<Body>)>>>;

/// What [`drive`] would decide now.
pub fn explain(order: &Order) -> Explanation {
    HEALTH.with_borrow(|health| order.explain(health, now()))
}

/// Runs one exchange to its end. The response goes out through `respond` as soon as it begins.
pub async fn drive(
    order: Order,
    env: Env,
    context: Rc<Context>,
    mut gone: Gone,
    respond: oneshot::Sender<Response>,
) {
    let (exchange, outputs) =
        HEALTH.with_borrow_mut(|health| Exchange::begin(order, health, now()));
    let mut driver = Driver {
        exchange,
        env,
        context,
        steps: FuturesUnordered::new(),
        settling: FuturesUnordered::new(),
        connections: Vec::new(),
        wake_at: None,
        respond: Some(respond),
        client: None,
    };
    let mut outputs = outputs;
    loop {
        let input = match driver.obey(outputs, &mut gone).await {
            Some(input) => input,
            None if driver.exchange.is_over() => break,
            None => driver.next(&mut gone).await,
        };
        outputs = driver.tell(input);
    }
    driver.settle().await;
}

struct Driver {
    exchange: Exchange,
    env: Env,
    context: Rc<Context>,
    /// One future per attempt that has something to say.
    steps: FuturesUnordered<Step>,
    /// Promises of the client's body that nobody waits for any more.
    settling: FuturesUnordered<JsFuture>,
    connections: Vec<Option<Connection>>,
    wake_at: Option<UnixMillis>,
    respond: Option<oneshot::Sender<Response>>,
    /// The client's body, once it has begun.
    client: Option<WritableStreamDefaultWriter>,
}

impl Driver {
    fn tell(&mut self, input: Input) -> Vec<Output> {
        HEALTH.with_borrow_mut(|health| self.exchange.on(input, health, now()))
    }

    /// Waits for the first thing to happen.
    async fn next(&mut self, gone: &mut Gone) -> Input {
        let wait = self.wake_at.map(|at| at.since(now()));
        let tick = async {
            match wait {
                Some(wait) => sleep(wait).await,
                None => future::pending().await,
            }
        };
        futures::pin_mut!(tick);
        // Bytes that have come count before a deadline that has passed.
        futures::select_biased! {
            (input, body) = self.steps.select_next_some() => {
                if let (Some(body), Some(attempt)) = (body, attempt_of(&input)) {
                    self.read_on(attempt, body);
                }
                input
            }
            () = gone.wait().fuse() => Input::ClientGone,
            () = tick.as_mut().fuse() => {
                self.wake_at = None;
                Input::Tick
            }
        }
    }

    fn read_on(&mut self, attempt: usize, body: Body) {
        if self.connections.get(attempt).is_some_and(Option::is_some) {
            self.steps.push(Box::pin(body.read(attempt)));
        }
    }

    /// Does what the exchange says. Gives an input when doing it showed something that the exchange must know.
    async fn obey(&mut self, outputs: Vec<Output>, gone: &mut Gone) -> Option<Input> {
        let mut head = None;
        let mut bytes = Vec::new();
        let mut record = None;
        for output in outputs {
            match output {
                Output::Send { attempt, call } => self.send(attempt, call),
                Output::Cancel { attempt } => {
                    if let Some(connection) =
                        self.connections.get_mut(attempt).and_then(Option::take)
                    {
                        connection.cancel();
                    }
                }
                Output::WakeAt(at) => self.wake_at = Some(at),
                Output::Respond(begun) => head = Some(begun),
                Output::Emit(more) if bytes.is_empty() => bytes = more,
                Output::Emit(more) => bytes.extend_from_slice(&more),
                Output::Finish(finished) => record = Some(finished),
            }
        }
        let is_whole = record.is_some();
        if let Some(record) = record {
            journal::append(&record, &self.env, &self.context);
        }
        if let Some(head) = head {
            if is_whole {
                self.respond_whole(&head, &bytes);
                return None;
            }
            self.begin_body(&head, gone);
        }
        let input = self.write(&bytes, gone).await;
        if is_whole {
            self.end_body(gone).await;
            return None;
        }
        input
    }

    fn send(&mut self, attempt: usize, call: crate::exchange::Call) {
        let connection = Connection::open().ok();
        let step: Step = if let Some(connection) = &connection {
            Box::pin(connection.send(attempt, call, &self.env))
        } else {
            let failure = crate::chat::AttemptFailure::Unreachable;
            Box::pin(future::ready((Input::Failed { attempt, failure }, None)))
        };
        self.connections.push(connection);
        self.steps.push(step);
    }

    fn respond_whole(&mut self, head: &ResponseHead, bytes: &[u8]) {
        let response = respond::whole(head, bytes);
        if let Some(respond) = self.respond.take() {
            // Refused when the handler is gone, because the client is.
            let _ = respond.send(response);
        }
    }

    /// Opens the client's body and sends its head.
    fn begin_body(&mut self, head: &ResponseHead, gone: &mut Gone) {
        let Ok(pipe) = js::construct("IdentityTransformStream", &[]) else {
            return;
        };
        let readable: ReadableStream = js::get(&pipe, "readable").unchecked_into();
        let writable: WritableStream = js::get(&pipe, "writable").unchecked_into();
        let Ok(writer) = writable.get_writer() else {
            return;
        };
        gone.watch(&writer);
        let response = respond::stream(head, &readable);
        self.client = Some(writer);
        if let Some(respond) = self.respond.take() {
            let _ = respond.send(response);
        }
    }

    /// Writes, and waits until the client has taken it or left.
    async fn write(&mut self, bytes: &[u8], gone: &mut Gone) -> Option<Input> {
        let writer = self.client.as_ref().filter(|_| !bytes.is_empty())?;
        let began = now();
        let chunk = Uint8Array::from(bytes);
        let write = JsFuture::from(writer.write_with_chunk(&chunk));
        match future::select(write, pin!(gone.wait())).await {
            Either::Left((Ok(_), _)) => {}
            Either::Left((Err(_), _)) => return Some(Input::ClientGone),
            Either::Right(((), write)) => {
                self.settling.push(write);
                return Some(Input::ClientGone);
            }
        }
        (now().since(began) > DRAIN_NOTABLE).then_some(Input::Drained)
    }

    /// Closes the body once the client has taken it. When it has left, the body is aborted: it takes nothing more.
    async fn end_body(&mut self, gone: &mut Gone) {
        let Some(writer) = self.client.take() else {
            return;
        };
        if !gone.is_gone() {
            let close = JsFuture::from(writer.close());
            match future::select(close, pin!(gone.wait())).await {
                Either::Left(_) => return,
                Either::Right(((), close)) => self.settling.push(close),
            }
        }
        self.settling.push(JsFuture::from(writer.abort()));
        // Settles what `Gone::watch` waits for.
        writer.release_lock();
    }

    /// Waits until every promise that we began has settled. The runtime drops the reactions of those that are open when
    /// an exchange ends, and with them all that they hold stays in memory for good.
    async fn settle(&mut self) {
        for connection in self.connections.iter_mut().filter_map(Option::take) {
            connection.cancel();
        }
        let limit = sleep(SETTLE_MAX).fuse();
        futures::pin_mut!(limit);
        while !(self.steps.is_empty() && self.settling.is_empty()) {
            futures::select_biased! {
                _ = self.steps.select_next_some() => {}
                _ = self.settling.select_next_some() => {}
                () = limit => return,
            }
        }
    }
}

fn attempt_of(input: &Input) -> Option<usize> {
    match input {
        Input::Head { attempt, .. } | Input::Chunk { attempt, .. } => Some(*attempt),
        _ => None,
    }
}
