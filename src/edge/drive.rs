//! The loop that obeys an exchange: feeds it what happened, does what it says, decides nothing.
//!
//! It runs in `wait_until`, apart from the handler: the handler only awaits the response's head. So the runtime
//! keeps it alive after the head is out, and a client that leaves before the head cancels nothing in here; we
//! hear of it from the request's signal, close the provider's connection, and still write the record.
//!
//! While the client has not taken what was written, nothing is read from the provider: back-pressure reaches it.

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

use super::clock::{Alarm, now, sleep};
use super::gone::Gone;
use super::relay::Relay;
use super::respond;
use super::upstream::{Body, Connection, TAP_BYTES};
use super::{health, journal, js};
use crate::exchange::{Exchange, Input, Order, Output, ResponseHead};
use crate::journal::{Ending, Explanation};
use crate::units::{Millis, UnixMillis};

/// A client that takes longer than this to drain what was written has kept us from listening.
const DRAIN_NOTABLE: Millis = Millis(100);

/// How long promises that were called off may take to settle; they do so at once.
const SETTLE_MAX: Millis = Millis(2_000);

type Step = Pin<Box<dyn Future<Output = (Input, Option<Body>)>>>;

/// What [`drive`] would decide now.
pub fn explain(order: &Order) -> Explanation {
    health::look(|health| order.explain(health, now()))
}

/// Runs one exchange to its end. The response goes out through `respond` as soon as it begins.
pub async fn drive(
    order: Order,
    env: Env,
    context: Rc<Context>,
    mut gone: Gone,
    respond: oneshot::Sender<Response>,
) {
    let (exchange, outputs) = health::with(|health| Exchange::begin(order, health, now()));
    let mut driver = Driver {
        exchange,
        env,
        context,
        steps: FuturesUnordered::new(),
        settling: FuturesUnordered::new(),
        connections: Vec::new(),
        wake_at: None,
        alarm: Alarm::default(),
        respond: Some(respond),
        client: None,
        twins: Vec::new(),
        relay: None,
        pumps: FuturesUnordered::new(),
        is_broken: false,
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

/// What an exchange waited for.
enum Happened {
    /// An attempt has something to say, and there may be more of its body.
    Step(Input, Option<Body>),
    /// The client has left.
    Left,
    /// A relayed stream broke on its way.
    Broke,
    /// It is time for what was to be done then.
    Alarm,
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
    alarm: Alarm,
    respond: Option<oneshot::Sender<Response>>,
    /// The client's body, once it has begun and we may write to it.
    client: Option<WritableStreamDefaultWriter>,
    /// Copies of streams, by attempt, for a client that may get them unread.
    twins: Vec<Option<ReadableStream>>,
    /// The stream that goes to the client by itself.
    relay: Option<Relay>,
    /// What must have ended before we do.
    pumps: FuturesUnordered<Pin<Box<dyn Future<Output = bool>>>>,
    /// Whether a relayed stream broke on its way, so that what follows must not look like its end.
    is_broken: bool,
}

impl Driver {
    fn tell(&mut self, input: Input) -> Vec<Output> {
        health::with(|health| self.exchange.on(input, health, now()))
    }

    /// Waits for the first thing to happen.
    async fn next(&mut self, gone: &mut Gone) -> Input {
        loop {
            match self.wait(gone).await {
                Happened::Step(input, body) => {
                    match (attempt_of(&input), body) {
                        (Some(attempt), Some(body)) => {
                            self.read_on(attempt, body, &input);
                        }
                        (Some(attempt), None) => self.forget(attempt),
                        (None, _) => {}
                    }
                    return input;
                }
                Happened::Left => return Input::ClientGone,
                // The provider's end or the client's: whichever it is tells us, now that we watch both.
                Happened::Broke => self.end_relay(gone).await,
                Happened::Alarm => {
                    self.wake_at = None;
                    return Input::Tick;
                }
            }
        }
    }

    async fn wait(&mut self, gone: &mut Gone) -> Happened {
        let tick = self.alarm.ring(self.wake_at);
        let pump = self.relay.as_ref().map(Relay::end);
        let broke = async {
            let went_through = match pump {
                Some(pump) => pump.await,
                None => true,
            };
            if went_through {
                future::pending::<()>().await;
            }
        };
        futures::pin_mut!(tick, broke);
        // Bytes that have come count before a deadline that has passed.
        futures::select_biased! {
            (input, body) = self.steps.select_next_some() => Happened::Step(input, body),
            () = gone.wait().fuse() => Happened::Left,
            () = broke.fuse() => Happened::Broke,
            () = tick.fuse() => Happened::Alarm,
        }
    }

    /// An attempt has nothing more to say, so that there is nothing to close either.
    fn forget(&mut self, attempt: usize) {
        if let Some(connection) = self.connections.get_mut(attempt) {
            connection.take();
        }
    }

    /// Reads the next piece: at once, or where the client has it already, in a while.
    fn read_on(&mut self, attempt: usize, mut body: Body, last: &Input) {
        if self.connections.get(attempt).is_none_or(Option::is_none) {
            return;
        }
        if let Some(place) = self.twins.get_mut(attempt)
            && let Some(twin) = body.twin.take()
        {
            *place = Some(twin);
        }
        match &self.relay {
            Some(relay) if self.is_relayed(attempt) && found(last) < TAP_BYTES => {
                let pause = relay.pause(found(last));
                self.steps.push(Box::pin(async move {
                    pause.await;
                    body.read(attempt).await
                }));
            }
            _ => self.steps.push(Box::pin(body.read(attempt))),
        }
    }

    /// Does what the exchange says. Gives an input when doing it showed something that the exchange must know.
    async fn obey(&mut self, outputs: Vec<Output>, gone: &mut Gone) -> Option<Input> {
        let mut head = None;
        let mut bytes = Vec::new();
        let mut record = None;
        let mut relayed = None;
        let mut has_cut_off = false;
        // An attempt is over: something was observed.
        let is_news = |output: &Output| matches!(output, Output::Cancel { .. } | Output::Finish(_));
        if outputs.iter().any(is_news) {
            health::schedule(&self.env, &self.context);
        }
        for output in outputs {
            match output {
                Output::Send {
                    attempt,
                    call,
                    may_relay,
                } => self.send(attempt, call, may_relay),
                Output::Cancel { attempt } => {
                    has_cut_off |= self.is_relayed(attempt);
                    if let Some(connection) =
                        self.connections.get_mut(attempt).and_then(Option::take)
                    {
                        connection.cancel();
                    }
                }
                Output::WakeAt(at) => self.wake_at = Some(at),
                Output::Respond(begun) => head = Some(begun),
                Output::Relay {
                    attempt,
                    look_within,
                } => relayed = Some((attempt, look_within)),
                Output::Emit(more) if bytes.is_empty() => bytes = more,
                Output::Emit(more) => bytes.extend_from_slice(&more),
                Output::Finish(finished) => record = Some(finished),
            }
        }
        let is_whole = record.is_some();
        let ending = record.as_ref().map(|record| record.outcome.code);
        if let Some(record) = record {
            journal::append(&record, &self.env, &self.context);
        }
        if let Some(head) = head {
            if is_whole && relayed.is_none() {
                self.respond_whole(&head, &bytes);
                return None;
            }
            self.begin_body(&head, relayed, gone);
        }
        if is_whole || !bytes.is_empty() {
            self.end_relay(gone).await;
        }
        // An answer that is whole, but not all of which went through, is not ended as if it were. Where we broke it off,
        // because nothing came any more, it did go through.
        let is_torn = match ending {
            Some(Ending::Completed) => self.is_broken && !has_cut_off,
            Some(Ending::Cut) => !self.exchange.tells_failures(),
            _ => false,
        };
        if is_torn {
            bytes.clear();
        }
        let input = self.write(&bytes, gone).await;
        if is_whole {
            self.end_body(is_torn, gone).await;
            return None;
        }
        input
    }

    fn is_relayed(&self, attempt: usize) -> bool {
        let relay = self.relay.as_ref();
        relay.is_some_and(|relay| relay.attempt == attempt)
    }

    fn send(&mut self, attempt: usize, call: crate::exchange::Call, may_relay: bool) {
        let connection = Connection::open().ok();
        let step: Step = if let Some(connection) = &connection {
            Box::pin(connection.send(attempt, call, may_relay, &self.env))
        } else {
            let failure = crate::chat::AttemptFailure::Unreachable;
            Box::pin(future::ready((Input::Failed { attempt, failure }, None)))
        };
        self.connections.push(connection);
        self.twins.push(None);
        self.steps.push(step);
    }

    fn respond_whole(&mut self, head: &ResponseHead, bytes: &[u8]) {
        let response = respond::whole(head, bytes);
        if let Some(respond) = self.respond.take() {
            // Refused when the handler is gone, because the client is.
            let _ = respond.send(response);
        }
    }

    /// Opens the client's body, for us or for a stream that goes there by itself, and sends its head.
    fn begin_body(
        &mut self,
        head: &ResponseHead,
        relayed: Option<(usize, Millis)>,
        gone: &mut Gone,
    ) {
        let Ok(pipe) = js::construct("IdentityTransformStream", &[]) else {
            return;
        };
        let readable: ReadableStream = js::get(&pipe, "readable").unchecked_into();
        let writable: WritableStream = js::get(&pipe, "writable").unchecked_into();
        let twin = relayed.and_then(|(attempt, _)| self.twins.get_mut(attempt)?.take());
        let response = respond::stream(head, &readable);
        if let (Some((attempt, look_within)), Some(twin)) = (relayed, twin) {
            self.relay = Relay::start(attempt, look_within, &twin, writable);
        } else if let Ok(writer) = writable.get_writer() {
            gone.watch(&writer);
            self.client = Some(writer);
        }
        if let Some(respond) = self.respond.take() {
            let _ = respond.send(response);
        }
    }

    /// Waits until a relayed stream has gone through as far as it came, so that we may write behind it.
    async fn end_relay(&mut self, gone: &mut Gone) {
        let Some(relay) = self.relay.take() else {
            return;
        };
        self.pumps.push(Box::pin(relay.end()));
        match future::select(relay.end(), pin!(gone.wait())).await {
            Either::Left((went_through, _)) => self.is_broken = !went_through,
            Either::Right(_) => self.is_broken = true,
        }
        self.client = relay.writer();
        if let Some(writer) = &self.client {
            gone.watch(writer);
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
    async fn end_body(&mut self, is_torn: bool, gone: &mut Gone) {
        let Some(writer) = self.client.take() else {
            return;
        };
        if !gone.is_gone() && !is_torn {
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
        if let Some(relay) = self.relay.take() {
            self.pumps.push(Box::pin(relay.end()));
        }
        if self.steps.is_empty() && self.settling.is_empty() && self.pumps.is_empty() {
            return;
        }
        let limit = sleep(SETTLE_MAX).fuse();
        futures::pin_mut!(limit);
        while !(self.steps.is_empty() && self.settling.is_empty() && self.pumps.is_empty()) {
            futures::select_biased! {
                _ = self.steps.select_next_some() => {}
                _ = self.pumps.select_next_some() => {}
                _ = self.settling.select_next_some() => {}
                () = limit => return,
            }
        }
    }
}

/// How many bytes a look at a stream found. After a full one there may be more at once.
fn found(input: &Input) -> u32 {
    match input {
        Input::Chunk { bytes, .. } => u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        _ => 0,
    }
}

fn attempt_of(input: &Input) -> Option<usize> {
    match input {
        Input::Head { attempt, .. }
        | Input::Chunk { attempt, .. }
        | Input::End { attempt }
        | Input::Failed { attempt, .. } => Some(*attempt),
        _ => None,
    }
}
