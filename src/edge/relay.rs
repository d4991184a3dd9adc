//! A provider's stream on its way to the client, pumped by the runtime alone.
//!
//! The pump ends when the provider's bytes end, break, or the client leaves; only then may anything else be written. It
//! closes nothing: what follows the last byte (nothing, an error event) is the exchange's to say.
//!
//! The other copy of the stream is looked at when [`Relay::pause`] is over: a few times a second, and at once when the
//! pump has ended.

use futures::FutureExt;
use futures::future::{self, LocalBoxFuture, Shared};
use js_sys::Promise;
use js_sys::futures::JsFuture;
use wasm_bindgen::JsCast;
use web_sys::{ReadableStream, WritableStream, WritableStreamDefaultWriter};

use super::clock::sleep;
use super::js;
use crate::units::Millis;

/// Between two looks at a relayed stream: often enough for deadlines, rarely enough to cost nothing.
const LOOK_EVERY: Millis = Millis(200);

/// The client's body, and what pumps into it.
pub struct Relay {
    pub attempt: usize,
    writable: WritableStream,
    /// Whether all bytes of the stream went through.
    pump: Shared<LocalBoxFuture<'static, bool>>,
}

impl Relay {
    /// Starts the pump. None where the runtime refuses, which no input of ours should bring about.
    pub fn start(attempt: usize, twin: &ReadableStream, writable: WritableStream) -> Option<Self> {
        let options = js::object(&[("preventClose", true.into()), ("preventAbort", true.into())]);
        let pump = js::call_now(twin, "pipeTo", &[writable.clone().into(), options.into()]).ok()?;
        let pump = JsFuture::from(Promise::resolve(&pump));
        let pump = async move { pump.await.is_ok() }.boxed_local().shared();
        Some(Self {
            attempt,
            writable,
            pump,
        })
    }

    /// Ends when it is time to look again.
    pub fn pause(&self) -> impl Future<Output = ()> + use<> {
        let pump = self.pump.clone();
        async move {
            future::select(pump, Box::pin(sleep(LOOK_EVERY))).await;
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
