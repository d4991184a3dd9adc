//! The snapshot of all `PoP`s, in one piece while they are few and in parts when they are many.
//!
//! Each `PoP` belongs to one of [`PARTS`] parts, by its name. The consumer folds and stores parts; what KV gets is an
//! [`Edition`] of them. Where everything fits into one snapshot, the entry `health` has it all. Where it does not, there is
//! an entry for each part, `health:0` to `health:31`: its own `PoP`s one by one, and all others rolled up to regions; `health`
//! then says no more than that. So what an isolate reads is bounded by its part and the number of regions, not by how many
//! data centres there are.
//!
//! A part is made whole by itself, from one fold: a reader must be able to leave out its own `PoP`, and an entry that
//! arrived sooner or later than another would have it count twice. That is why the roll-ups are in each part, and not in
//! an entry for all.
//!
//! We did not make a part of each region: the platform tells the region of a caller, not of a data centre, so isolates of
//! one `PoP` may disagree on it, and each would read another's entry. Nor an entry for each `PoP`: KV is paid by the write.

use xxhash_rust::xxh3::xxh3_64;

use super::report::Report;
use super::snapshot::{SENDERS_MAX, SNAPSHOT_CELLS_MAX, Snapshot};
use super::votes::{RollUps, add_all};
use crate::units::{Millis, UnixMillis};

/// Parts of the world. With 330 `PoP`s at most some twenty of them fall into one, which at 64 targets are 1,300 of its
/// 2,048 cells.
pub const PARTS: usize = 32;
/// The entry of KV that has everything, or says that the parts have it. With `:` and a number it is that of a part.
pub const ENTRY: &str = "health";
/// KV takes one write a second for a key.
const PUT_INTERVAL: Millis = Millis(1_000);
/// Parts are written less often: KV is paid by the write, and its readers are half a minute behind anyway.
const PARTS_PUT_INTERVAL: Millis = Millis(5_000);
/// A part that is this much older than it should be is not written any more, or was not for a time.
const PART_LIFETIME: Millis = Millis(120_000);

/// The part that a `PoP` belongs to: a number below [`PARTS`].
#[must_use]
pub fn part_of(pop: &str) -> usize {
    let hash = usize::try_from(xxh3_64(pop.as_bytes()) >> 32);
    hash.unwrap_or_default() % PARTS
}

/// Reports by the part that they are folded into; of many parts none.
#[must_use]
pub fn by_part(reports: &[Report]) -> Vec<Vec<&Report>> {
    let mut parts = vec![Vec::new(); PARTS];
    for report in reports {
        if let Some(part) = parts.get_mut(part_of(&report.pop)) {
            part.push(report);
        }
    }
    parts
}

/// What the entries of KV are to hold.
#[derive(Debug, Default)]
pub struct Edition {
    /// What the entry of all holds.
    whole: Snapshot,
    /// Empty where the whole has everything.
    parts: Vec<Snapshot>,
}

impl Edition {
    /// From all parts as they were last folded, in order.
    #[must_use]
    pub fn of(mut parts: Vec<Snapshot>, now: UnixMillis) -> Self {
        parts.resize_with(PARTS, Snapshot::default);
        let (mut cells, mut senders, mut number) = (0, 0, 0_u64);
        for part in &mut parts {
            part.age(now);
            let (more_cells, more_senders) = part.size();
            cells += more_cells;
            senders += more_senders;
            number = number.saturating_add(part.number);
        }
        let mut whole = Snapshot::empty(number, now);
        if cells <= SNAPSHOT_CELLS_MAX && senders <= SENDERS_MAX {
            for part in parts.drain(..) {
                whole.join(part);
            }
        } else {
            whole.parts = Some(PARTS);
            roll_up_the_others(&mut parts);
            for part in &mut parts {
                part.number = number;
            }
        }
        Self { whole, parts }
    }

    /// Names and texts, made one by one; those of parts come first, so that what points to them comes after them.
    pub fn entries(&self) -> impl Iterator<Item = (String, String)> {
        let parts = self.parts.iter().enumerate();
        let parts = parts.map(|(part, snapshot)| (entry_of(part), snapshot.encode()));
        let whole = std::iter::once_with(|| (ENTRY.to_owned(), self.whole.encode()));
        parts.chain(whole)
    }

    /// How many entries there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        1 + u64::try_from(self.parts.len()).unwrap_or(u64::MAX)
    }

    /// How long after this edition the next one may come.
    #[must_use]
    pub fn interval(&self) -> Millis {
        if self.is_in_parts() {
            PARTS_PUT_INTERVAL
        } else {
            PUT_INTERVAL
        }
    }

    #[must_use]
    pub fn is_in_parts(&self) -> bool {
        !self.parts.is_empty()
    }

    /// What an isolate of this `PoP` finds.
    #[must_use]
    pub fn for_pop(&self, pop: &str) -> &Snapshot {
        self.parts.get(part_of(pop)).unwrap_or(&self.whole)
    }
}

/// Gives each part the roll-ups of all others: those before it and those after it, each summed up once.
fn roll_up_the_others(parts: &mut [Snapshot]) {
    let own: Vec<RollUps> = parts.iter().map(Snapshot::rolled_up).collect();
    let mut after = vec![RollUps::new()];
    for rolled_up in own.iter().skip(1).rev() {
        let mut sums = after.last().cloned().unwrap_or_default();
        add_all(&mut sums, rolled_up);
        after.push(sums);
    }
    let mut before = RollUps::new();
    for (part, rolled_up) in parts.iter_mut().zip(&own) {
        let mut rest = after.pop().unwrap_or_default();
        add_all(&mut rest, &before);
        part.set_rest(rest);
        add_all(&mut before, rolled_up);
    }
}

fn entry_of(part: usize) -> String {
    format!("{ENTRY}:{part}")
}

/// Which entries an isolate reads: both at first, then the one that has what it needs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    from: From,
    /// The hash of the text that was taken last, and the instant that it tells of.
    hash: u64,
    taken: UnixMillis,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum From {
    #[default]
    Either,
    Whole,
    Part,
}

impl Reading {
    /// The names of the entries to read next, for an isolate of this `PoP`.
    #[must_use]
    pub fn names(&self, pop: &str) -> Vec<String> {
        let (whole, part) = (ENTRY.to_owned(), entry_of(part_of(pop)));
        match self.from {
            From::Either => vec![whole, part],
            From::Whole => vec![whole],
            From::Part => vec![part],
        }
    }

    /// The snapshot in the texts of those entries. None where there is no other than before.
    pub fn take(&mut self, texts: &[Option<String>], now: UnixMillis) -> Option<Snapshot> {
        let mut texts = texts.iter().map(Option::as_deref);
        let first = texts.next().flatten();
        if self.from == From::Part {
            let part = self.unless_taken(first, now);
            let part = part.map(|(hash, part)| self.accept(hash, part, From::Part));
            if now.since(self.taken) >= PART_LIFETIME {
                self.from = From::Either;
            }
            return part;
        }
        let (hash, whole) = self.unless_taken(first, now)?;
        if whole.parts.is_none() {
            return Some(self.accept(hash, whole, From::Whole));
        }
        self.from = From::Either;
        let (hash, part) = self.unless_taken(texts.next().flatten(), now)?;
        let is_its_part = whole.parts == Some(PARTS) && part.parts.is_none();
        let is_of_its_time = whole.at.since(part.at) < PART_LIFETIME;
        (is_its_part && is_of_its_time).then(|| self.accept(hash, part, From::Part))
    }

    fn unless_taken(&self, text: Option<&str>, now: UnixMillis) -> Option<(u64, Snapshot)> {
        let hash = xxh3_64(text?.as_bytes());
        let snapshot = (hash != self.hash).then(|| Snapshot::parse(text?, now))??;
        Some((hash, snapshot))
    }

    fn accept(&mut self, hash: u64, snapshot: Snapshot, from: From) -> Snapshot {
        (self.from, self.hash, self.taken) = (from, hash, snapshot.at);
        snapshot
    }
}
