//! What happens next: events in the order of their times, and of their making where times are equal.
//!
//! A heap of small entries. Half of what the simulator itself takes is to wait for the heap's memory, so an entry's time
//! and number share a word, and numbers of places are short.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::world::START;
use crate::units::{Millis, UnixMillis};

/// One call to a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CallId {
    pub slot: SlotId,
    attempt: u8,
}

impl CallId {
    /// An exchange makes at most eight calls.
    pub fn of(slot: SlotId, attempt: usize) -> Self {
        let attempt = u8::try_from(attempt).unwrap_or(u8::MAX);
        Self { slot, attempt }
    }

    pub fn attempt(self) -> usize {
        usize::from(self.attempt)
    }
}

/// An exchange. Its place is used again; then the generation is another, and what is said to the old one is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlotId {
    place: u32,
    pub generation: u32,
}

impl SlotId {
    pub fn of(place: usize, generation: u32) -> Self {
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        Self { place, generation }
    }

    pub fn place(self) -> usize {
        usize::try_from(self.place).unwrap_or(usize::MAX)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Arrival {
        region: u32,
    },
    /// The provider's headers and the first good token.
    FirstToken(CallId),
    /// The provider's last bytes.
    Rest(CallId),
    /// The provider says no, with a status; without one nobody is there.
    Refusal {
        call: CallId,
        status: Option<u16>,
    },
    Tick(SlotId),
    Report {
        isolate: u32,
    },
    /// The queue delivers what it has.
    Deliver,
    /// KV gets the newest snapshot.
    Publish,
    /// A fault begins that is not looked up when it matters.
    Strike {
        fault: u32,
    },
}

#[derive(Debug, Default)]
pub(super) struct Agenda {
    entries: BinaryHeap<Entry>,
    made: u64,
}

#[derive(Debug)]
struct Entry {
    /// The milliseconds since the start, then a count of the entries, so that no two compare equal.
    key: u64,
    event: Event,
}

/// A run of a day has 2^27 milliseconds, and 2^37 events are more than a machine makes in one.
const NUMBER_BITS: u32 = 37;

impl Ord for Entry {
    /// The earliest is the greatest: it is what the heap gives.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key.cmp(&self.key)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Entry {}

impl Agenda {
    pub fn add(&mut self, at: UnixMillis, event: Event) {
        self.made += 1;
        let key = at.since(START).0 << NUMBER_BITS | self.made;
        self.entries.push(Entry { key, event });
    }

    pub fn next(&mut self) -> Option<(UnixMillis, Event)> {
        let Entry { key, event } = self.entries.pop()?;
        Some((START + Millis(key >> NUMBER_BITS), event))
    }
}
