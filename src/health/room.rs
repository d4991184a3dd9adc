//! How much is left of a target's rate limits, and how soon it will be used up.
//!
//! Providers tell what is left with each answer, for the key that was used. What is left refills evenly until the reset;
//! keys of a pool add up. A plan compares it with what the next seconds need: so traffic moves before the 429.

use serde::{Deserialize, Serialize};

use crate::dialects::{Allowance, Room};
use crate::units::UnixMillis;

/// Keys of one target whose room is kept. Of a larger pool, those that answered last.
const KEYS_MAX: usize = 4;

/// What is left of a target's limits by now, over all keys that have answered of late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RoomLeft {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub requests: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tokens: Option<f64>,
    /// How fast it is being asked from here.
    pub attempts_per_second: f64,
}

/// What was told, by key.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rooms {
    keys: [Option<(u64, Room)>; KEYS_MAX],
}

impl Rooms {
    /// Takes what an answer to this key told.
    pub(super) fn take(&mut self, key: u64, room: Room) {
        let told_at = |kept: &Option<(u64, Room)>| {
            let room = kept.map(|(_, room)| room)?;
            let allowances = [room.requests, room.tokens].into_iter().flatten();
            allowances.map(|allowance| allowance.told_at).max()
        };
        let is_it = |kept: &Option<(u64, Room)>| kept.is_some_and(|(known, _)| known == key);
        let same = self.keys.iter().position(is_it);
        let places = self.keys.iter().enumerate();
        let oldest = places.min_by_key(|(_, kept)| told_at(kept));
        let place = same.or(oldest.map(|(place, _)| place));
        if let Some(kept) = place.and_then(|place| self.keys.get_mut(place)) {
            *kept = Some((key, room));
        }
    }

    pub(super) fn left(&self, attempts_per_second: f64, now: UnixMillis) -> Option<RoomLeft> {
        let sum = |part: fn(&Room) -> Option<Allowance>| {
            let rooms = self.keys.iter().flatten();
            let left = rooms.filter_map(|(_, room)| part(room)?.at(now));
            left.reduce(|sum, left| sum + left)
        };
        let (requests, tokens) = (sum(|room| room.requests), sum(|room| room.tokens));
        (requests.is_some() || tokens.is_some()).then_some(RoomLeft {
            requests,
            tokens,
            attempts_per_second,
        })
    }
}
