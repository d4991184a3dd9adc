//! A provider's stream on its way to the client, pumped by the runtime alone.
//!
//! The pump ends when the provider's bytes end, break, or the client leaves; only then may anything else be written. It
//! closes nothing: what follows the last byte (nothing, an error event) is the exchange's to say.
//!
//! The other copy of the stream is looked at when [`Relay::pause`] is over: a few times a second at first, once a second
//! when it goes on, and at once when the pump has ended. A look costs a timer and some promises, and what it leaves
//! behind lets the heap of a Worker with many long streams grow.

use std::cell::Cell;

use futures::FutureExt;
use futures::future::{self, LocalBoxFuture, Shared};
use js_sys::Promise;
use js_sys::futures::JsFuture;
use wasm_bindgen::JsCast;
use web_sys::{ReadableStream, WritableStream, WritableStreamDefaultWriter};

use super::clock::sleep;
use super::js;
use crate::units::Millis;

/// Before the first look at a relayed stream; each further one waits twice as long.
const PAUSE_MIN: Millis = Millis(200);
/// The longest wait for the next look, unless the exchange asks for a shorter one.
const PAUSE_MAX: Millis = Millis(1_000);
/// The shortest that it may ask for.
const PAUSE_LEAST: Millis = Millis(10);
/// What has come between two looks waits in memory. A look that finds more is followed by a sooner one.
const PIECE_BYTES_CALM: u32 = 16 * 1024;

/// The client's body, and what pumps into it.
pub struct Relay {
    pub attempt: usize,
    pause: Cell<Millis>,
    pause_max: Millis,
    writable: WritableStream,
    /// Whether all bytes of the stream went through.
    pump: Shared<LocalBoxFuture<'static, bool>>,
}

impl Relay {
    /// Starts the pump. None where the runtime refuses, which no input of ours should bring about.
    pub fn start(
        attempt: usize,
        look_within: Millis,
        twin: &ReadableStream,
        writable: WritableStream,
    ) -> Option<Self> {
        let options = js::object(&[("preventClose", true.into()), ("preventAbort", true.into())]);
        let pump = js::call_now(twin, "pipeTo", &[writable.clone().into(), options.into()]).ok()?;
        let pump = JsFuture::from(Promise::resolve(&pump));
        let pump = async move { pump.await.is_ok() }.boxed_local().shared();
        Some(Self {
            attempt,
            pause: Cell::new(PAUSE_MIN),
            pause_max: look_within.clamp(PAUSE_LEAST, PAUSE_MAX),
            writable,
            pump,
        })
    }

    /// Ends when it is time to look again, after a look that found so many bytes.
    pub fn pause(&self, found: u32) -> impl Future<Output = ()> + use<> {
        let pump = self.pump.clone();
        let is_calm = found <= PIECE_BYTES_CALM;
        let span = if is_calm { self.pause.get() } else { PAUSE_MIN };
        let span = span.min(self.pause_max);
        self.pause.set(Millis(span.0.saturating_mul(2)));
        async move {
            future::select(pump, Box::pin(sleep(span))).await;
        }
    }

    /// Ends with the pump: whether all went through.
    pub fn end(&self) -> impl Future<Output = bool> + use<> {
        self.pump.clone()
    }

    /// The client's body, to be written to behind the last byte. None before the pump has ended.
    pub fn writer(&self) -> Option<WritableStreamDefaultWriter> {
        self.pump.peek()?;
        let writer = self.writable.get_writer().ok()?;
        Some(writer.unchecked_into())
    }
}
