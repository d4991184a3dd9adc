//! What goes wrong in a scenario, when, and for whom.

use super::capacity::Capacity;
use super::scenario::{Region, number, seconds_of};
use super::whole;
use crate::config::{Node, Object, Problems};
use crate::units::Millis;

const FAULTS_MAX: usize = 50;

/// One fault.
#[derive(Debug)]
pub(super) struct Fault {
    pub what: What,
    pub from: Millis,
    pub lasts: Millis,
    /// Whose fault it is, as a place among the capacities. Of another fault: whose share is watched.
    pub provider: Option<usize>,
    /// The share of calls that it hits.
    pub share: f64,
    /// What `slow` multiplies times with, and `capacity` what can be done at once.
    pub factor: f64,
    /// The places of the regions from which it is seen; none means all.
    pub regions: Vec<usize>,
    /// The first `PoP`s of each region that it is for; none means all.
    pub pops: Option<usize>,
    /// It comes and goes with this period, ...
    pub every: Option<Millis>,
    /// ... and is there for this share of it.
    pub duty: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The connection is refused.
    Refused,
    /// A status, at once.
    Status(u16),
    /// The call is taken, and nothing comes.
    Silent,
    /// The answer breaks off after its first token.
    Cut,
    Slow,
    /// Fewer calls at once.
    Capacity,
    /// KV fails, for reads and writes.
    Kv,
    /// The queue of health reports takes nothing.
    Queue,
    /// The data centres' caches fail.
    Cache,
    /// Isolates and caches of places begin anew.
    Cold,
}

pub(super) const KINDS: [(&str, What); 12] = [
    ("refused", What::Refused),
    ("overloaded", What::Status(503)),
    ("error", What::Status(500)),
    ("limited", What::Status(429)),
    ("silent", What::Silent),
    ("cut", What::Cut),
    ("slow", What::Slow),
    ("capacity", What::Capacity),
    ("kv", What::Kv),
    ("queue", What::Queue),
    ("cache", What::Cache),
    ("cold", What::Cold),
];

/// Where a call comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct From {
    pub region: usize,
    /// The place of its `PoP` within the region.
    pub pop: usize,
}

impl What {
    pub fn name(self) -> &'static str {
        let known = KINDS.iter().find(|(_, what)| *what == self);
        known.map_or("", |(name, _)| name)
    }

    fn is_of_provider(self) -> bool {
        !matches!(self, Self::Kv | Self::Queue | Self::Cache | Self::Cold)
    }
}

impl Fault {
    pub fn until(&self) -> Millis {
        Millis(self.from.0 + self.lasts.0)
    }

    /// Whether it is there at this time since the start.
    pub fn is_on(&self, at: Millis) -> bool {
        if at < self.from || at >= self.until() {
            return false;
        }
        self.every.is_none_or(|every| {
            let phase = Millis((at.0 - self.from.0) % every.0.max(1));
            phase.as_seconds() < every.as_seconds() * self.duty
        })
    }

    pub fn is_for(&self, from: From) -> bool {
        (self.regions.is_empty() || self.regions.contains(&from.region))
            && self.pops.is_none_or(|pops| from.pop < pops)
    }
}

const FIELDS: [&str; 10] = [
    "what", "at_s", "for_s", "provider", "share", "factor", "regions", "pops", "every_s", "duty",
];

pub(super) fn read(
    fields: &Object<'_>,
    providers: &[Capacity],
    regions: &[Region],
    problems: &mut Problems,
) -> Vec<Fault> {
    let Some(node) = fields.field("faults") else {
        return Vec::new();
    };
    let items = node.array(FAULTS_MAX, problems).unwrap_or_default();
    let read = |item: &Node<'_>| one(item, providers, regions, problems);
    items.iter().filter_map(read).collect()
}

fn one(
    node: &Node<'_>,
    providers: &[Capacity],
    regions: &[Region],
    problems: &mut Problems,
) -> Option<Fault> {
    let fields = node.object(&FIELDS, problems)?;
    let what = fields.required("what", "what happens", problems)?;
    let what = what.choice("one of", &KINDS, problems)?;
    let names: Vec<&str> = providers.iter().map(|known| known.name.as_str()).collect();
    let provider = if what.is_of_provider() {
        fields.required("provider", "whose fault it is", problems)
    } else {
        fields.field("provider")
    };
    let provider = provider.and_then(|node| place(&node, "a provider", &names, problems));
    let names: Vec<&str> = regions.iter().map(|known| known.name.as_str()).collect();
    let seen_from = fields.field("regions").map(|node| {
        let items = node.array(regions.len(), problems).unwrap_or_default();
        let place = |item: &Node<'_>| place(item, "a region", &names, problems);
        items.iter().filter_map(place).collect::<Vec<usize>>()
    });
    let pops = fields.field("pops");
    let pops = pops.and_then(|node| node.whole(1, 10_000, problems));
    let every = fields.field("every_s");
    let every = every.and_then(|node| node.number(0.1, 86_400.0, problems));
    Some(Fault {
        what,
        from: seconds_of(&fields, "at_s", 0.0, problems),
        lasts: seconds_of(&fields, "for_s", 60.0, problems),
        provider,
        share: number(&fields, "share", 1.0, (0.0, 1.0), problems),
        factor: number(&fields, "factor", 1.0, (0.0, 1_000.0), problems),
        regions: seen_from.unwrap_or_default(),
        pops: pops.and_then(|pops| usize::try_from(pops).ok()),
        every: every.map(|every| Millis(whole(every * 1_000.0))),
        duty: number(&fields, "duty", 0.5, (0.0, 1.0), problems),
    })
}

fn place(node: &Node<'_>, kind: &str, known: &[&str], problems: &mut Problems) -> Option<usize> {
    let name = node.text(problems)?;
    let place = known.iter().position(|known| *known == name);
    if place.is_none() {
        problems.unknown_name(&node.path, kind, name, known);
    }
    place
}
