//! Numbers with a unit, so that a millisecond cannot be added to a token.
//!
//! All are plain copies with public contents: a unit has no invariant to protect. Times come from the
//! caller, never from a clock in here. Subtraction saturates, because two isolates' clocks may disagree.
//!
//! Not here: formatting for people. A number is shown where it is printed.

use std::fmt;
use std::ops::Add;

use serde::{Deserialize, Serialize};

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// How long ago `earlier` was; zero if it lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since 1970, as OpenAI's `created` wants them.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0 / 1_000
    }
}

impl Add<Millis> for UnixMillis {
    type Output = Self;

    fn add(self, wait: Millis) -> Self {
        Self(self.0.saturating_add(wait.0))
    }
}

/// A span of time in milliseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// The span in seconds, for formulas.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a span below 2^53 ms is exact, and no request lives for 285,000 years"
    )]
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1_000.0
    }

    /// A span given in seconds, to the nearest millisecond. What is negative or no number is none.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the conversion saturates, which is meant"
    )]
    pub fn from_seconds(seconds: f64) -> Self {
        Self((seconds * 1_000.0).round() as u64)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// A count of a model's tokens.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Tokens(pub u64);

impl Tokens {
    /// The count as a factor in a formula.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "token counts stay far below 2^53"
    )]
    pub fn as_f64(self) -> f64 {
        self.0 as f64
    }

    /// Whether there are none, for serde.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0 == 0
    }
}

impl Add for Tokens {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// Money in millionths of a US dollar. A price of one dollar per million tokens is one micro-dollar per token.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroUsd(pub f64);

impl Add for MicroUsd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_future_instant_is_no_time_ago() {
        assert_eq!(UnixMillis(5).since(UnixMillis(9)), Millis(0));
        assert_eq!(UnixMillis(9).since(UnixMillis(5)), Millis(4));
    }

    #[test]
    fn an_endless_wait_does_not_wrap_around() {
        assert_eq!(UnixMillis(1) + Millis(u64::MAX), UnixMillis(u64::MAX));
    }
}
