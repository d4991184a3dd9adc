//! How much wider the choice is because what is known has grown old.
//!
//! All who read the same old figures would choose the same target: a herd, which a figure of now would disperse. So the
//! temperature rises with the figures' age, by as much as the route's score rests on figures: a split by weight, a
//! strict priority and the cheapest stay what they are. What is fresh changes nothing at all.
//!
//! The age is one for the whole plan, so that a candidate's key still depends on its own target alone. A view holds it,
//! and so does the record.

use crate::config::Prefer;
use crate::health::View;
use crate::units::Millis;

/// Up to this age figures are as good as new: a busy isolate's are, and a `PoP`'s.
const FRESH: Millis = Millis(10_000);
/// After each such time half of what is still to come of the width has come.
const HALF_LIFE: Millis = Millis(30_000);
/// The most by which the logarithm of an old figure is taken to be off: a quarter, as streams of one target differ.
const LN_WIDTH_MAX: f64 = 0.25;

/// What is added to the temperature.
pub(super) fn width(prefer: Prefer, views: &[View]) -> f64 {
    let age = views.iter().map(|view| view.age).max().unwrap_or_default();
    if age <= FRESH {
        return 0.0;
    }
    let old = Millis(age.0 - FRESH.0).as_seconds() / HALF_LIFE.as_seconds();
    let learned =
        prefer.ttft.abs() + prefer.speed.abs() + prefer.reliability.abs() + prefer.load.abs();
    LN_WIDTH_MAX * (1.0 - libm::exp2(-old)) * learned
}
