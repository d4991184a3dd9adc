//! A data centre and its isolates: what each knows, and when it reads and tells.

use super::fault::From;
use super::real;
use super::scenario::Region;
use super::tidings::Cached;
use crate::health::{Health, Here, Place, Report, Snapshot};
use crate::units::{Millis, UnixMillis};

/// As in `edge/health.rs`: how old what is known may grow before it is read again.
const PLACE_REFRESH: Millis = Millis(2_000);
const SNAPSHOT_REFRESH: Millis = Millis(5_000);

/// A data centre.
#[derive(Debug)]
pub(super) struct Pop {
    pub name: String,
    pub region: String,
    pub from: From,
    pub number: usize,
    /// The isolates' numbers.
    pub isolates: Vec<usize>,
    /// The entry of its cache.
    pub place: Place,
    pub cached: Cached,
    /// The share of the region's requests that come here or to one before it.
    share_up_to: f64,
}

#[derive(Debug)]
pub(super) struct Isolate {
    pub health: Health,
    pub pop: usize,
    pub dies_at: UnixMillis,
    /// Exchanges.
    pub under_way: u32,
    place_asked_at: Option<UnixMillis>,
    snapshot_asked_at: Option<UnixMillis>,
    /// The number of the snapshot that was taken last.
    snapshot: u64,
    /// When the next report goes out.
    timer: Option<UnixMillis>,
}

/// What has grown old.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reads {
    pub is_place_due: bool,
    pub is_snapshot_due: bool,
}

impl Pop {
    pub fn all(regions: &[Region]) -> Vec<Self> {
        let mut pops = Vec::new();
        for (region, terms) in regions.iter().enumerate() {
            let weight = |place: usize| {
                let place = u64::try_from(place).unwrap_or(u64::MAX);
                libm::pow(real(place + 1), -terms.skew)
            };
            let total: f64 = (0..terms.pops).map(weight).sum();
            let mut sum = 0.0;
            for pop in 0..terms.pops {
                sum += weight(pop);
                pops.push(Self {
                    name: format!("{}{}", terms.name, pop + 1),
                    region: terms.name.clone(),
                    from: From { region, pop },
                    number: pops.len(),
                    isolates: Vec::new(),
                    place: Place::default(),
                    cached: Cached::default(),
                    // Rounding must not leave a gap before the next region.
                    share_up_to: if pop + 1 == terms.pops {
                        1.0
                    } else {
                        sum / total
                    },
                });
            }
        }
        pops
    }

    /// The place of the `PoP` that a draw between 0 and 1 falls to.
    pub fn drawn(pops: &[Self], region: usize, unit: f64) -> Option<usize> {
        let is_before = |pop: &Self| (pop.from.region, pop.share_up_to) < (region, unit);
        let place = pops.partition_point(is_before);
        let pop = pops.get(place).or_else(|| pops.last())?;
        Some(pop.number)
    }

    /// An isolate puts what it knows beside what the others do, and takes theirs.
    pub fn tell(&mut self, report: Report, isolate: &mut Isolate, now: UnixMillis) {
        let others = std::mem::take(&mut self.place).at(now);
        isolate.health.take_place(&others, now);
        self.place = others.joined(Place::of(vec![report]));
    }

    /// Its caches are lost.
    pub fn forget(&mut self) {
        self.place = Place::default();
        self.cached = Cached::default();
    }
}

impl Isolate {
    pub fn new(name: u64, pop: &Pop, dies_at: UnixMillis) -> Self {
        let mut health = Health::default();
        health.settle(Here {
            isolate: format!("{name:012x}"),
            pop: pop.name.clone(),
            region: pop.region.clone(),
        });
        Self {
            health,
            pop: pop.number,
            dies_at,
            under_way: 0,
            place_asked_at: None,
            snapshot_asked_at: None,
            snapshot: 0,
            timer: None,
        }
    }

    pub fn is_new(&self) -> bool {
        self.snapshot_asked_at.is_none()
    }

    /// What is to be read again; it counts as asked for.
    pub fn reads(&mut self, now: UnixMillis) -> Reads {
        let is_due = |asked_at: &mut Option<UnixMillis>, refresh: Millis| {
            let is_due = asked_at.is_none_or(|at| now.since(at) >= refresh);
            if is_due {
                *asked_at = Some(now);
            }
            is_due
        };
        Reads {
            is_place_due: is_due(&mut self.place_asked_at, PLACE_REFRESH),
            is_snapshot_due: is_due(&mut self.snapshot_asked_at, SNAPSHOT_REFRESH),
        }
    }

    pub fn take_snapshot(&mut self, snapshot: &Snapshot, now: UnixMillis) {
        if snapshot.number != self.snapshot {
            self.snapshot = snapshot.number;
            self.health.take_snapshot(snapshot, now);
        }
    }

    /// When a report is to be made that nobody waits for yet.
    pub fn await_report(&mut self, now: UnixMillis) -> Option<UnixMillis> {
        let due = self.health.report_due()?.max(now);
        if self.timer.is_some_and(|at| at <= due) {
            return None;
        }
        self.timer = Some(due);
        Some(due)
    }

    /// Whether the timer that rang is the one that is set.
    pub fn is_timer_due(&mut self, now: UnixMillis) -> bool {
        let is_due = self.timer.is_some_and(|at| at <= now);
        if is_due {
            self.timer = None;
        }
        is_due
    }

    /// What a dead isolate knew is given back, once its last exchange has ended.
    pub fn bury(&mut self, now: UnixMillis) {
        if self.dies_at <= now && self.under_way == 0 {
            self.health = Health::default();
            self.timer = None;
        }
    }
}
