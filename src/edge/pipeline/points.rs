//! Data points for Analytics Engine, where the binding `ANALYTICS` is there.
//!
//! A point is written at once and may not be seen again: the binding neither fails nor knows an id. So points are written
//! for records that were stored just now, and a consumer that ends right then leaves them out. The rollups are exact.
//!
//! | column | holds |
//! |---|---|
//! | `index1` | route |
//! | `blob1` … `blob6` | route, target, variant, outcome, team, pop |
//! | `double1` | the exchanges that the point stands for |
//! | `double2` … `double7` | attempts, prompt tokens, answer tokens, cost in dollars, seconds to the first token, seconds in all |

use js_sys::Array;
use wasm_bindgen::JsValue;
use worker::Env;

use super::Line;
use crate::edge::js;
use crate::journal::Summary;

/// What one invocation may write. Of more exchanges every n-th is written, and stands for n.
const POINTS_MAX: usize = 250;
/// An index has 96 bytes at the most.
const INDEX_CHARS_MAX: usize = 24;

/// Writes the points of records that have just been stored.
pub fn write(records: &[&Line], env: &Env) {
    let binding = js::get(env, "ANALYTICS");
    if binding.is_undefined() {
        return;
    }
    let stride = records.len().div_ceil(POINTS_MAX).max(1);
    for part in records.chunks(stride) {
        let Some(line) = part.first() else { continue };
        let point = point(&line.summary, part.len());
        // Refused only where the point is not as the binding wants it, which would be for all.
        if js::call_now(&binding, "writeDataPoint", &[point]).is_err() {
            worker::console_error!("Analytics Engine refused a data point");
            return;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "both are far below 2^53")]
fn point(record: &Summary, stands_for: usize) -> JsValue {
    let outcome = &record.outcome;
    let tokens = record.tokens().unwrap_or_default();
    let index: String = record.route.chars().take(INDEX_CHARS_MAX).collect();
    let blobs = [
        record.route.as_str(),
        outcome.target.as_deref().unwrap_or_default(),
        record.variant.as_deref().unwrap_or_default(),
        outcome.code.code(),
        record.traits.team.as_deref().unwrap_or_default(),
        record.traits.pop.as_deref().unwrap_or_default(),
    ];
    let doubles = [
        stands_for as f64,
        record.attempts.len() as f64,
        tokens.prompt.as_f64(),
        tokens.answer.as_f64(),
        outcome.cost.0 / 1e6,
        outcome.first_token_ms.unwrap_or_default().as_seconds(),
        outcome.total_ms.as_seconds(),
    ];
    let texts = |texts: &[&str]| texts.iter().map(|text| JsValue::from_str(text)).collect();
    let indexes: Array = texts(&[&index]);
    let blobs: Array = texts(&blobs);
    let doubles: Array = doubles.into_iter().map(JsValue::from_f64).collect();
    let point = [
        ("indexes", indexes.into()),
        ("blobs", blobs.into()),
        ("doubles", doubles.into()),
    ];
    js::object(&point).into()
}
