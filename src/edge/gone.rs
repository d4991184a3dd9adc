//! Notices that the client has left.
//!
//! Two signs, because each fails in places: the request's own signal (needs the flag `enable_request_signal`, and
//! fires before the head is out as well as after), and the closing of the body that we write. Whichever comes
//! first counts, and it stays.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Poll, Waker};

use futures::future::poll_fn;
use js_sys::futures::JsFuture;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{AbortSignal, WritableStreamDefaultWriter};

/// Whether the client has left, for one exchange.
pub struct Gone {
    state: Rc<State>,
    signal: AbortSignal,
    on_abort: Closure<dyn FnMut()>,
}

#[derive(Default)]
struct State {
    is_gone: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl State {
    fn set(&self) {
        self.is_gone.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Gone {
    pub fn new(signal: AbortSignal) -> Self {
        let state = Rc::<State>::default();
        if signal.aborted() {
            state.is_gone.set(true);
        }
        let seen = Rc::clone(&state);
        let on_abort = Closure::<dyn FnMut()>::new(move || seen.set());
        // Without the listener the second sign is left.
        let _ = signal.add_event_listener_with_callback("abort", on_abort.as_ref().unchecked_ref());
        Self {
            state,
            signal,
            on_abort,
        }
    }

    /// Watches the body as well. Its `closed` promise rejects when the reader's side is cancelled.
    pub fn watch(&self, writer: &WritableStreamDefaultWriter) {
        let state = Rc::clone(&self.state);
        let closed = JsFuture::from(writer.closed());
        js_sys::futures::spawn_local(async move {
            if closed.await.is_err() {
                state.set();
            }
        });
    }

    pub fn is_gone(&self) -> bool {
        self.state.is_gone.get()
    }

    /// Ends when the client has left; waits for ever where it stays.
    pub async fn wait(&self) {
        poll_fn(|context| {
            if self.state.is_gone.get() {
                return Poll::Ready(());
            }
            self.state.waker.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        // The signal may outlive us; it must not call a closure that is gone.
        let listener = self.on_abort.as_ref().unchecked_ref();
        let _ = self
            .signal
            .remove_event_listener_with_callback("abort", listener);
    }
}
