//! How news of health travels: the queue, the one consumer's fold, KV and its cache at each place.
//!
//! The reports, the fold and what is made of a snapshot are the router's own; here is only how late, and whether at all,
//! each arrives. A put to KV is seen after [`Lag::kv`] where no cache answers, and a place's cache answers for
//! [`Lag::kv_cache`] with what it has. The consumer holds reports and puts editions as `edge/fold.rs` does.

use std::collections::VecDeque;
use std::rc::Rc;

use super::agenda::{Agenda, Event};
use super::scenario::Lag;
use crate::health::{Edition, Held, PARTS, Report, Snapshot, by_part};
use crate::units::{Millis, UnixMillis};

/// As in `edge/fold.rs`: how long a batch may wait for the next edition's time.
const WAIT_MAX: Millis = Millis(1_000);

#[derive(Debug)]
pub(super) struct Tidings {
    lag: Lag,
    queue: Vec<Report>,
    /// When the next batch comes to the consumer.
    batch_due: Option<UnixMillis>,
    held: Held,
    parts: Vec<Snapshot>,
    /// Whether a timer is set for the next edition, when the last one was put, and how long after it the next one may be.
    is_put_awaited: bool,
    put_at: UnixMillis,
    put_interval: Millis,
    /// What was put, and when; the newest last.
    puts: VecDeque<(UnixMillis, Rc<Edition>)>,
    counts: Counts,
}

/// What the platform has had to do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Messages to the queue.
    pub reports: u64,
    pub folds: u64,
    /// Rows of D1 that were written.
    pub rows: u64,
    /// Entries of KV that were put.
    pub puts: u64,
    /// Reads of KV that no cache answered.
    pub reads: u64,
    /// Of the last edition: all of its entries together, and the largest one.
    pub edition_bytes: usize,
    pub entry_bytes_max: usize,
}

/// What KV's cache at one place holds.
#[derive(Debug, Default)]
pub(super) struct Cached {
    at: UnixMillis,
    edition: Option<Rc<Edition>>,
}

impl Tidings {
    pub fn new(lag: Lag) -> Self {
        Self {
            lag,
            queue: Vec::new(),
            batch_due: None,
            held: Held::default(),
            parts: vec![Snapshot::default(); PARTS],
            is_put_awaited: false,
            put_at: UnixMillis(0),
            put_interval: Millis(0),
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

    /// The consumer gets the batch that is due. Gives whether KV is to get an edition at once.
    pub fn deliver(&mut self, agenda: &mut Agenda, now: UnixMillis) -> bool {
        if self.batch_due != Some(now) {
            return false;
        }
        self.batch_due = None;
        let count = self.queue.len().min(self.lag.batch_max);
        let is_full = count == self.lag.batch_max;
        let reports: Vec<Report> = self.queue.drain(..count).collect();
        if !self.queue.is_empty() {
            self.await_batch(agenda, now);
        }
        let reports = self.held.take(reports, is_full, now);
        if reports.is_empty() {
            return false;
        }
        self.counts.folds += 1;
        let touched = self.parts.iter_mut().zip(by_part(&reports));
        for (part, reports) in touched.filter(|(_, reports)| !reports.is_empty()) {
            self.counts.rows += 1;
            part.fold(reports, now);
        }
        let wait = (self.put_at + self.put_interval).since(now);
        if wait <= WAIT_MAX && wait.0 > 0 && !is_full && !self.is_put_awaited {
            self.is_put_awaited = true;
            agenda.add(now + wait, Event::Publish);
        }
        wait.0 == 0
    }

    /// KV gets an edition of what there is now, unless it is down.
    pub fn publish(&mut self, is_down: bool, now: UnixMillis) {
        self.is_put_awaited = false;
        self.put_at = now;
        if is_down {
            return;
        }
        let edition = Edition::of(self.parts.clone(), now);
        self.put_interval = edition.interval();
        self.counts.puts += edition.count();
        self.puts.push_back((now, Rc::new(edition)));
        // The one that is seen everywhere, and those after it.
        while self.is_seen(1, now) {
            self.puts.pop_front();
        }
    }

    /// What a read at this place gives.
    pub fn read(&mut self, cached: &mut Cached, now: UnixMillis) -> Option<Rc<Edition>> {
        if cached.at.0 == 0 || now.since(cached.at) >= self.lag.kv_cache {
            let seen = (0..self.puts.len()).rev();
            let newest = seen.into_iter().find(|place| self.is_seen(*place, now));
            let newest = newest.and_then(|place| self.puts.get(place));
            self.counts.reads += 1;
            cached.at = now;
            cached.edition = newest.map(|(_, edition)| Rc::clone(edition));
        }
        cached.edition.clone()
    }

    pub fn counts(&self) -> Counts {
        let last = self.puts.back();
        let entries = last.into_iter().flat_map(|(_, edition)| edition.entries());
        let sizes: Vec<usize> = entries.map(|(_, text)| text.len()).collect();
        Counts {
            edition_bytes: sizes.iter().sum(),
            entry_bytes_max: sizes.into_iter().max().unwrap_or(0),
            ..self.counts
        }
    }

    fn is_seen(&self, place: usize, now: UnixMillis) -> bool {
        let put = self.puts.get(place);
        put.is_some_and(|(at, _)| *at + self.lag.kv <= now)
    }
}
