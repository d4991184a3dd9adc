//! A provider's calls under way, and what becomes of the next one.

use std::collections::VecDeque;

use super::agenda::CallId;
use super::capacity::{Capacity, WhenFull};
use super::dice::Dice;
use super::fault::{Fault, From, What};
use super::real;

use crate::units::Millis;

/// A provider at one instant.
#[derive(Debug, Default)]
pub(super) struct Load {
    pub in_flight: u32,
    pub waiting: VecDeque<CallId>,
}

/// What a provider does with a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fate {
    Refuse { status: Option<u16> },
    Silence,
    Serve { slow: f64, is_cut: bool },
}

/// How a call that is served goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Serving {
    pub first_token: Millis,
    /// From the first token to the end.
    pub rest: Millis,
    pub answer_tokens: u64,
    pub is_cut: bool,
}

/// Whether a call can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Free,
    None,
    Later,
}

/// What the faults of now make of a call to this provider.
pub(super) fn fate(
    place: usize,
    capacity: &Capacity,
    faults: &[Fault],
    from: From,
    at: Millis,
    dice: &mut Dice,
) -> Fate {
    let (mut slow, mut is_cut) = (1.0, false);
    for fault in faults {
        let is_hit = fault.provider == Some(place) && fault.is_on(at) && fault.is_for(from);
        if !is_hit || !(fault.share >= 1.0 || dice.chance(fault.share)) {
            continue;
        }
        match fault.what {
            What::Refused => return Fate::Refuse { status: None },
            What::Status(status) => {
                return Fate::Refuse {
                    status: Some(status),
                };
            }
            What::Silent => return Fate::Silence,
            What::Cut => is_cut = true,
            What::Slow => slow *= fault.factor,
            What::Capacity | What::Kv | What::Queue | What::Cache | What::Cold => {}
        }
    }
    if dice.chance(capacity.error_share) {
        return Fate::Refuse { status: Some(500) };
    }
    Fate::Serve { slow, is_cut }
}

/// How many calls it can have at once, by the faults of now; none where there is no end.
pub(super) fn most(place: usize, capacity: &Capacity, faults: &[Fault], at: Millis) -> Option<f64> {
    let lost = |fault: &&Fault| {
        fault.what == What::Capacity && fault.provider == Some(place) && fault.is_on(at)
    };
    let left: f64 = faults
        .iter()
        .filter(lost)
        .map(|fault| fault.factor)
        .product();
    capacity.concurrent_max.map(|most| most * left)
}

impl Load {
    pub fn room(&self, most: Option<f64>, when_full: WhenFull) -> Room {
        let is_free = most.is_none_or(|most| f64::from(self.in_flight) < most);
        match when_full {
            _ if is_free && self.waiting.is_empty() => Room::Free,
            WhenFull::Limit if is_free => Room::Free,
            WhenFull::Limit => Room::None,
            WhenFull::Queue => Room::Later,
        }
    }

    /// A call begins. All takes longer the fuller it is.
    pub fn begin(
        &mut self,
        capacity: &Capacity,
        most: Option<f64>,
        (slow, is_cut): (f64, bool),
        dice: &mut Dice,
    ) -> Serving {
        self.in_flight += 1;
        let fullness = most.map_or(0.0, |most| f64::from(self.in_flight) / most.max(1.0));
        let slow = slow * (1.0 + (capacity.slowdown - 1.0) * fullness.min(1.0));
        let first_token = dice.draw(capacity.ttft_ms) * slow / 1_000.0;
        let answer_tokens = super::whole(dice.draw(capacity.answer_tokens)).max(1);
        let rest = real(answer_tokens - 1) * slow / capacity.tokens_per_s;
        Serving {
            first_token: Millis::from_seconds(first_token),
            rest: Millis::from_seconds(if is_cut { rest / 2.0 } else { rest }),
            answer_tokens,
            is_cut,
        }
    }
}
