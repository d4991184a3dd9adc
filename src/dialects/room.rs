//! What a provider says is left of its rate limits, in its answers' headers.
//!
//! - OpenAI, and those that copy it: `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`; a reset is a span, `6m0s`.
//!   <https://platform.openai.com/docs/guides/rate-limits>
//! - Azure: the same names; a reset is a number of seconds, and what it does not tell is -1.
//!   <https://learn.microsoft.com/en-us/answers/questions/5625878/azure-openai-responses-api-x-ratelimit-headers-val>
//! - Anthropic: `anthropic-ratelimit-{requests,tokens}-{limit,remaining,reset}`; a reset is an instant (RFC 3339), and
//!   `tokens` is the tightest of its limits on tokens. <https://platform.claude.com/docs/en/api/rate-limits>
//!
//! All read on 2026-11-21; `tests/rate_limits/` has their examples. What cannot be read is not told: no answer fails for
//! it. Not here: what becomes of it (`health/room.rs`).

use crate::units::{Millis, UnixMillis};

/// The headers that are read, by family. A family is looked at only if one of its first two is there.
pub const ROOM_HEADERS: [[&str; 6]; 2] = [
    [
        "x-ratelimit-remaining-requests",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-limit-requests",
        "x-ratelimit-limit-tokens",
        "x-ratelimit-reset-requests",
        "x-ratelimit-reset-tokens",
    ],
    [
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-requests-reset",
        "anthropic-ratelimit-tokens-reset",
    ],
];
/// How long what is left counts, where no reset is told. Azure counts in spans of ten seconds.
const RESET_DEFAULT: Millis = Millis(10_000);
/// Limits renew within a day at the most.
const RESET_MAX: Millis = Millis(86_400_000);

/// What is left, as of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    pub requests: Option<Allowance>,
    pub tokens: Option<Allowance>,
}

/// What is left of one limit. It refills evenly, until it is whole again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    pub remaining: u64,
    /// All there is, where it is told.
    pub limit: Option<u64>,
    pub told_at: UnixMillis,
    /// When it is whole again.
    pub whole_at: UnixMillis,
}

impl Room {
    /// Reads the headers of one family, in the order of [`ROOM_HEADERS`]; none where they tell nothing.
    #[must_use]
    pub fn parse(values: &[Option<String>], now: UnixMillis) -> Option<Self> {
        let [
            requests_left,
            tokens_left,
            requests,
            tokens,
            requests_reset,
            tokens_reset,
        ] = values
        else {
            return None;
        };
        let room = Self {
            requests: allowance(
                requests_left.as_ref(),
                requests.as_ref(),
                requests_reset.as_ref(),
                now,
            ),
            tokens: allowance(
                tokens_left.as_ref(),
                tokens.as_ref(),
                tokens_reset.as_ref(),
                now,
            ),
        };
        (room != Self::default()).then_some(room)
    }
}

impl Allowance {
    /// What is left by now; none once nothing is known any more.
    #[must_use]
    pub fn at(&self, now: UnixMillis) -> Option<f64> {
        let (remaining, limit) = (as_f64(self.remaining), self.limit.map(as_f64));
        if now >= self.whole_at {
            return limit;
        }
        let Some(limit) = limit else {
            return Some(remaining);
        };
        let passed = now.since(self.told_at).as_seconds();
        let whole = self.whole_at.since(self.told_at).as_seconds();
        Some(remaining + (limit - remaining).max(0.0) * passed / whole)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "limits stay far below 2^53, and a larger one is plenty however it is rounded"
)]
fn as_f64(count: u64) -> f64 {
    count as f64
}

fn allowance(
    remaining: Option<&String>,
    limit: Option<&String>,
    reset: Option<&String>,
    now: UnixMillis,
) -> Option<Allowance> {
    let count = |text: Option<&String>| text?.trim().parse::<u64>().ok();
    let limit = count(limit).filter(|limit| *limit > 0);
    let wait = reset.and_then(|text| wait(text.trim(), now));
    Some(Allowance {
        remaining: count(remaining)?,
        limit,
        told_at: now,
        whole_at: now + wait.unwrap_or(RESET_DEFAULT).min(RESET_MAX),
    })
}

/// A span (`1h2m3.5s`, `12ms`, or a number of seconds) or the time until an instant.
fn wait(text: &str, now: UnixMillis) -> Option<Millis> {
    if let Some(at) = rfc3339(text) {
        return Some(at.since(now));
    }
    let seconds = text.parse::<f64>().ok().or_else(|| span(text))?;
    (seconds.is_finite() && seconds >= 0.0).then(|| Millis::from_seconds(seconds))
}

/// Go's way of writing a span, in seconds.
fn span(text: &str) -> Option<f64> {
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at_checked(digits)?;
        let units = [
            ("ms", 1e-3),
            ("us", 1e-6),
            ("µs", 1e-6),
            ("ns", 1e-9),
            ("h", 3_600.0),
            ("m", 60.0),
            ("s", 1.0),
        ];
        let (name, worth) = units.into_iter().find(|(name, _)| unit.starts_with(name))?;
        seconds += number.parse::<f64>().ok()? * worth;
        rest = unit.strip_prefix(name)?;
    }
    (!text.is_empty()).then_some(seconds)
}

/// `2025-08-21T12:40:59Z`, with or without a fraction, and with `Z` or an offset.
fn rfc3339(text: &str) -> Option<UnixMillis> {
    let (date, time) = text.split_once(['T', 't'])?;
    let mut parts = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (
        parts.next()?.ok()?,
        parts.next()?.ok()?,
        parts.next()?.ok()?,
    );
    let zone = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at_checked(zone)?;
    let mut parts = time.splitn(3, ':').map(str::parse::<f64>);
    let (hour, minute, second) = (
        parts.next()?.ok()?,
        parts.next()?.ok()?,
        parts.next()?.ok()?,
    );
    let is_date =
        (1970..3000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    let seconds = hour * 3_600.0 + minute * 60.0 + second - offset(zone)?;
    if !is_date || !(-86_400.0..172_800.0).contains(&seconds) {
        return None;
    }
    // Days from the civil calendar, with years that begin in March: <https://howardhinnant.github.io/date_algorithms.html>.
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let year = if month > 2 { year } else { year - 1 };
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468;
    let midnight = u64::try_from(days * 86_400_000).ok()?;
    Some(UnixMillis(midnight) + Millis::from_seconds(seconds))
}

/// `+02:00` in seconds.
fn offset(zone: &str) -> Option<f64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0.0);
    }
    let sign = if zone.starts_with('-') { -1.0 } else { 1.0 };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes) = (hours.parse::<f64>().ok()?, minutes.parse::<f64>().ok()?);
    Some(sign * (hours * 3_600.0 + minutes * 60.0))
}
