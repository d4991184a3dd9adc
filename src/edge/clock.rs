//! The only clock and the only source of randomness.

use std::time::Duration;

use futures::future::{self, LocalBoxFuture};
use worker::Delay;

use crate::units::{Millis, UnixMillis};

/// Now. In production it stands still between two pieces of I/O.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "milliseconds since 1970 are a positive whole number below 2^53"
)]
pub fn now() -> UnixMillis {
    UnixMillis(js_sys::Date::now() as u64)
}

pub async fn sleep(span: Millis) {
    /// `setTimeout` takes a signed 32-bit number and fires at once on a larger one.
    const TIMEOUT_MS_MAX: u64 = 2_147_483_647;
    Delay::from(Duration::from_millis(span.0.min(TIMEOUT_MS_MAX))).await;
}

/// One timer for many waits: most end before their time, and a timer for each would cost more than the waiting.
#[derive(Default)]
pub struct Alarm {
    set: Option<(UnixMillis, LocalBoxFuture<'static, ()>)>,
}

impl Alarm {
    /// Ends at an instant, at the next turn of the event loop if that has passed; never without one. May be dropped
    /// before, and asked again for another instant.
    pub async fn ring(&mut self, at: Option<UnixMillis>) {
        let Some(at) = at else {
            return future::pending().await;
        };
        loop {
            // A timer that is set for earlier does as well: it is set anew when it goes off.
            let is_late = self.set.as_ref().is_none_or(|(set, _)| *set > at);
            if is_late {
                self.set = Some((at, Box::pin(sleep(at.since(now())))));
            }
            if let Some((_, timer)) = &mut self.set {
                timer.await;
            }
            self.set = None;
            if now() >= at {
                return;
            }
        }
    }
}

/// Fresh bits from the runtime's cryptographic generator. Without it, the clock: a plan needs spread, not secrecy.
pub fn random() -> u64 {
    getrandom::u64().unwrap_or(now().0)
}

/// A new exchange's id: sorts by time, and two never meet.
pub fn exchange_id(now: UnixMillis) -> String {
    format!("wp-{:011x}-{:016x}", now.0, random())
}

/// `2026-11-21T06`: the hour of an instant, in UTC.
pub fn hour(at: UnixMillis) -> String {
    iso(at).chars().take(13).collect()
}

/// `2026-11-21T06:30:00.000Z`: an instant in UTC.
pub fn iso(at: UnixMillis) -> String {
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds since 1970 are below 2^53"
    )]
    let date = js_sys::Date::new(&wasm_bindgen::JsValue::from_f64(at.0 as f64));
    // An instant beyond the calendar has no ISO text and would throw.
    if date.get_time().is_nan() {
        return "0000-00-00T00:00:00.000Z".to_owned();
    }
    String::from(date.to_iso_string())
}
