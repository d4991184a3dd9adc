//! Which reports of one sender are known, so that one that comes twice is folded once.

use serde::{Deserialize, Serialize};

use super::report::Report;
use crate::units::UnixMillis;

/// Which reports of one sender are in a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "HeardWire", into = "HeardWire")]
pub(super) struct Heard {
    pub sender: String,
    /// The highest number.
    last: u64,
    /// Bit `n` stands for the number `last - n`.
    seen: u64,
    /// Of the newest report.
    pub at: UnixMillis,
}

/// Sender, last number, bits, and when.
type HeardWire = (String, u64, u64, u64);

impl From<HeardWire> for Heard {
    fn from((sender, last, seen, at): HeardWire) -> Self {
        let at = UnixMillis(at);
        Self {
            sender,
            last,
            seen,
            at,
        }
    }
}

impl From<Heard> for HeardWire {
    fn from(heard: Heard) -> Self {
        (heard.sender, heard.last, heard.seen, heard.at.0)
    }
}

impl Heard {
    /// A sender of whom nothing has come yet.
    pub fn of(sender: &str) -> Self {
        Self {
            sender: sender.to_owned(),
            ..Self::default()
        }
    }

    pub fn has(&self, number: u64) -> bool {
        let bit = self.last.checked_sub(number);
        bit.is_some_and(|bit| bit >= 64 || (self.seen >> bit) & 1 == 1)
    }

    /// Whether the report is new; it counts as known from now on. A number that is too old to tell counts as known: better
    /// one report lost than one counted twice.
    pub fn note(&mut self, report: &Report) -> bool {
        self.at = self.at.max(report.at);
        let number = report.number;
        if self.seen != 0 && self.has(number) {
            return false;
        }
        if self.seen == 0 || number > self.last {
            let ahead = number - self.last.min(number);
            let kept = u32::try_from(ahead)
                .ok()
                .and_then(|n| self.seen.checked_shl(n));
            self.seen = kept.unwrap_or(0) | 1;
            self.last = number;
        } else {
            self.seen |= 1 << (self.last - number);
        }
        true
    }
}
