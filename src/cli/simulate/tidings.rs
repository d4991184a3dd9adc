//! How news of health travels: the queue, the one consumer's fold, KV and its cache at each place.
//!
//! The reports, the fold and what is made of a snapshot are the router's own; here is only how late, and whether at all,
//! each arrives. A put to KV is seen after [`Lag::kv`] where no cache answers, and a place's cache answers for
//! [`Lag::kv_cache`] with what it has. The consumer puts at most once a second, as KV demands.

use std::collections::VecDeque;
use std::rc::Rc;

use super::agenda::{Agenda, Event};
use super::scenario::Lag;
use crate::health::{Report, Snapshot};
use crate::units::{Millis, UnixMillis};

/// KV takes one write a second for a key.
const PUT_INTERVAL: Millis = Millis(1_000);

#[derive(Debug)]
pub(super) struct Tidings {
    lag: Lag,
    queue: Vec<Report>,
    /// When the next batch comes to the consumer.
    batch_due: Option<UnixMillis>,
    folded: Snapshot,
    /// Whether the consumer has something for KV, and when it put last.
    is_put_due: bool,
    put_at: UnixMillis,
    /// What was put, and when; the newest last.
    puts: VecDeque<(UnixMillis, Rc<Snapshot>)>,
    counts: Counts,
}

/// What the platform has had to do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Messages to the queue.
    pub reports: u64,
    /// Batches that were folded.
    pub folds: u64,
    pub puts: u64,
    /// Reads of KV that no cache answered.
    pub reads: u64,
    /// Of the last put.
    pub snapshot_bytes: usize,
}

/// What KV's cache at one place holds.
#[derive(Debug, Default)]
pub(super) struct Cached {
    at: UnixMillis,
    snapshot: Option<Rc<Snapshot>>,
}

impl Tidings {
    pub fn new(lag: Lag) -> Self {
        Self {
            lag,
            queue: Vec::new(),
            batch_due: None,
            folded: Snapshot::default(),
            is_put_due: false,
            put_at: UnixMillis(0),
            puts: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// The queue takes a report.
    pub fn send(&mut self, report: Report, agenda: &mut Agenda, now: UnixMillis) {
        self.counts.reports += 1;
        self.queue.push(report);
        if self.queue.len() == 1 || self.queue.len() == self.lag.batch_max {
            self.await_batch(agenda, now);
        }
    }

    /// A batch comes once it is full, or the batch's time after its first report.
    fn await_batch(&mut self, agenda: &mut Agenda, now: UnixMillis) {
        let is_full = self.queue.len() >= self.lag.batch_max;
        let wait = if is_full {
            self.lag.queue
        } else {
            Millis(self.lag.queue.0 + self.lag.batch.0)
        };
        let at = now + wait;
        self.batch_due = Some(self.batch_due.map_or(at, |due| due.min(at)));
        agenda.add(at, Event::Deliver);
    }

    /// The consumer folds the batch that is due.
    pub fn deliver(&mut self, agenda: &mut Agenda, now: UnixMillis) {
        if self.batch_due != Some(now) {
            return;
        }
        self.batch_due = None;
        let count = self.queue.len().min(self.lag.batch_max);
        let reports: Vec<Report> = self.queue.drain(..count).collect();
        if !self.queue.is_empty() {
            self.await_batch(agenda, now);
        }
        self.counts.folds += 1;
        self.folded.fold(&reports, now);
        if !self.is_put_due {
            self.is_put_due = true;
            agenda.add(now.max(self.put_at + PUT_INTERVAL), Event::Publish);
        }
    }

    /// KV gets the snapshot as it is now, unless it is down.
    pub fn publish(&mut self, is_down: bool, now: UnixMillis) {
        self.is_put_due = false;
        self.put_at = now;
        if is_down {
            return;
        }
        self.counts.puts += 1;
        self.puts.push_back((now, Rc::new(self.folded.clone())));
        // The one that is seen everywhere, and those after it.
        while self.is_seen(1, now) {
            self.puts.pop_front();
        }
    }

    /// What a read at this place gives.
    pub fn read(&mut self, cached: &mut Cached, now: UnixMillis) -> Option<Rc<Snapshot>> {
        if cached.at.0 == 0 || now.since(cached.at) >= self.lag.kv_cache {
            let seen = (0..self.puts.len()).rev();
            let newest = seen.into_iter().find(|place| self.is_seen(*place, now));
            let newest = newest.and_then(|place| self.puts.get(place));
            self.counts.reads += 1;
            cached.at = now;
            cached.snapshot = newest.map(|(_, snapshot)| Rc::clone(snapshot));
        }
        cached.snapshot.clone()
    }

    pub fn counts(&self) -> Counts {
        let last = self.puts.back();
        Counts {
            snapshot_bytes: last.map_or(0, |(_, snapshot)| snapshot.encode().len()),
            ..self.counts
        }
    }

    fn is_seen(&self, place: usize, now: UnixMillis) -> bool {
        let put = self.puts.get(place);
        put.is_some_and(|(at, _)| *at + self.lag.kv <= now)
    }
}
