//! A scenario: the JSON of a person becomes a world that can be simulated, or every problem with its path.
//!
//! The fields stand in `docs/scale.md`. Providers and the route are written as in a config folder.

use std::sync::Arc;

use serde_json::Value;

use super::capacity::{self, Capacity};
use super::dice::Spread;
use super::fault::{self, Fault};
use super::{real, whole};
use crate::config::{Catalogue, Checked, Node, Object, Problem, Problems, Route};
use crate::units::Millis;

/// The longest run. A day at a request a second is what fits a person's patience.
const SECONDS_MAX: f64 = 86_400.0;
/// The highest rate of one region.
const PER_SECOND_MAX: f64 = 1e6;
/// The longest lag. Snapshots that are on their way are kept, one a second.
const LAG_SECONDS_MAX: f64 = 600.0;
const PLACES_MAX: u64 = 2_000;
const LIST_MAX: usize = 100;
const NAME_BYTES_MAX: usize = 20;

/// What is simulated.
#[derive(Debug)]
pub(super) struct Scenario {
    pub seed: u64,
    pub duration: Millis,
    /// Where figures are told apart, from the start.
    pub cuts: Vec<Millis>,
    pub route: Arc<Route>,
    pub providers: Vec<Capacity>,
    pub regions: Vec<Region>,
    pub isolates_per_pop: usize,
    pub isolate_lifetime: Millis,
    pub teams: usize,
    pub prompt_tokens: Spread,
    pub lag: Lag,
    pub faults: Vec<Fault>,
}

/// Where requests come from.
#[derive(Debug)]
pub(super) struct Region {
    pub name: String,
    pub pops: usize,
    pub per_second: f64,
    /// The `n`th largest place has `n^-skew` times the first one's requests.
    pub skew: f64,
    /// Seconds and factors, in order; straight lines between them.
    pub curve: Vec<(f64, f64)>,
}

/// How late news is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lag {
    /// From an isolate to the queue's consumer, without waiting for a batch.
    pub queue: Millis,
    pub batch: Millis,
    pub batch_max: usize,
    /// Until a put is seen by reads that KV's cache at a place does not answer.
    pub kv: Millis,
    pub kv_cache: Millis,
}

/// The batches of `wrangler.toml`, and the cache of `edge/kv.rs`.
impl Default for Lag {
    fn default() -> Self {
        Self {
            queue: Millis(200),
            batch: Millis(1_000),
            batch_max: 100,
            kv: Millis(10_000),
            kv_cache: Millis(30_000),
        }
    }
}

impl Region {
    /// Requests a second at this time.
    pub fn rate(&self, at: Millis) -> f64 {
        let at = at.as_seconds();
        let later = self.curve.partition_point(|(time, _)| *time <= at);
        let before = later.checked_sub(1).and_then(|place| self.curve.get(place));
        let factor = match (before, self.curve.get(later)) {
            (Some((from, low)), Some((to, high))) => low + (high - low) * (at - from) / (to - from),
            (Some((_, factor)), None) | (None, Some((_, factor))) => *factor,
            (None, None) => 1.0,
        };
        self.per_second * factor
    }

    pub fn rate_max(&self) -> f64 {
        let most = self.curve.iter().map(|(_, factor)| *factor);
        self.per_second * most.reduce(f64::max).unwrap_or(1.0)
    }
}

const FIELDS: [&str; 17] = [
    "$schema",
    "description",
    "seed",
    "seconds",
    "scale",
    "cut_at_s",
    "providers",
    "models",
    "route",
    "capacity",
    "regions",
    "isolates_per_pop",
    "isolate_lifetime_s",
    "teams",
    "prompt_tokens",
    "lag",
    "faults",
];

impl Scenario {
    /// # Errors
    /// Every problem.
    pub fn parse(tree: &Value) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let scenario = read(&Node::root(tree), &mut problems);
        match scenario {
            Some(scenario) if problems.list.is_empty() => Ok(scenario),
            _ => Err(problems.list),
        }
    }

    pub fn pops(&self) -> usize {
        self.regions.iter().map(|region| region.pops).sum()
    }
}

fn read(root: &Node<'_>, problems: &mut Problems) -> Option<Scenario> {
    let fields = root.object(&FIELDS, problems)?;
    let scale = number(&fields, "scale", 1.0, (1e-4, 1_000.0), problems);
    let regions = regions(&fields, scale, problems)?;
    let catalogue = catalogue(&fields, problems);
    let route = route(&fields, &catalogue?, problems)?;
    let providers = capacity::read(&fields, &route, &regions, scale, problems)?;
    let faults = fault::read(&fields, &providers, &regions, problems);
    // All are read before any is missed, so that every problem is told.
    let seconds = fields.required("seconds", "how long to simulate", problems);
    let seconds = seconds.and_then(|node| node.number(1.0, SECONDS_MAX, problems));
    Some(Scenario {
        duration: Millis::from_seconds(seconds.unwrap_or_default()),
        seed: count(&fields, "seed", 1, (0, u64::MAX), problems),
        cuts: cuts(&fields, &faults, problems),
        route: Arc::new(route),
        providers,
        regions,
        isolates_per_pop: places(count(&fields, "isolates_per_pop", 4, (1, 100), problems)),
        isolate_lifetime: seconds_of(&fields, "isolate_lifetime_s", 1_800.0, problems),
        teams: places(count(&fields, "teams", 8, (1, 10_000), problems)),
        prompt_tokens: spread(&fields, "prompt_tokens", (800.0, 4_000.0), problems),
        lag: lag(&fields, problems),
        faults,
    })
}

/// Where figures are told apart: as asked, else where the first fault begins and where the last ends.
fn cuts(fields: &Object<'_>, faults: &[Fault], problems: &mut Problems) -> Vec<Millis> {
    let Some(node) = fields.field("cut_at_s") else {
        let first = faults.iter().map(|fault| fault.from).min();
        let last = faults.iter().map(Fault::until).max();
        return first.into_iter().chain(last).collect();
    };
    let items = node.array(LIST_MAX, problems).unwrap_or_default();
    let seconds = items
        .iter()
        .filter_map(|item| item.number(0.0, SECONDS_MAX, problems));
    let mut cuts: Vec<Millis> = seconds.map(Millis::from_seconds).collect();
    cuts.sort_unstable();
    cuts
}

fn catalogue(fields: &Object<'_>, problems: &mut Problems) -> Option<Catalogue> {
    let mut entry = serde_json::Map::new();
    for name in ["providers", "models"] {
        if let Some(node) = fields.field(name) {
            entry.insert(name.to_owned(), node.value.clone());
        }
    }
    if entry.is_empty() {
        return Some(Catalogue::default());
    }
    let parsed = Catalogue::parse(&Value::Object(entry).to_string());
    taken(parsed, "", problems)
}

fn route(fields: &Object<'_>, catalogue: &Catalogue, problems: &mut Problems) -> Option<Route> {
    let node = fields.required("route", "a route, as in routes/NAME.json", problems)?;
    let parsed = Route::parse("simulated", &node.value.to_string(), catalogue);
    taken(parsed, "route", problems)
}

/// What was parsed; its problems go to the others, with the path of where it stands.
fn taken<T>(
    parsed: Result<Checked<T>, Vec<Problem>>,
    path: &str,
    problems: &mut Problems,
) -> Option<T> {
    let found = match parsed {
        Ok(checked) => return Some(checked.value),
        Err(found) => found,
    };
    for mut problem in found {
        let between = if path.is_empty() || problem.path.is_empty() {
            ""
        } else {
            "."
        };
        problem.path = format!("{path}{between}{}", problem.path);
        problems.list.push(problem);
    }
    None
}

fn regions(fields: &Object<'_>, scale: f64, problems: &mut Problems) -> Option<Vec<Region>> {
    let expected = "an object: each region with its `pops` and `requests_per_s`";
    let node = fields.required("regions", expected, problems)?;
    let mut regions = Vec::new();
    for (name, node) in node.open_object(problems)?.fields() {
        if name.len() > NAME_BYTES_MAX {
            let expected = format!("a name of at most {NAME_BYTES_MAX} bytes");
            problems.note(&node.path, expected, format!("{} bytes", name.len()));
        }
        let known = ["pops", "requests_per_s", "skew", "curve"];
        let Some(region) = node.object(&known, problems) else {
            continue;
        };
        let pops = count(&region, "pops", 1, (1, PLACES_MAX), problems);
        let rate = region.required("requests_per_s", "requests a second", problems);
        let rate = rate.and_then(|node| node.number(0.001, PER_SECOND_MAX, problems));
        regions.push(Region {
            name: name.to_owned(),
            pops: places(whole(real(pops) * scale.min(1.0)).max(1)),
            per_second: rate.unwrap_or_default() * scale,
            skew: number(&region, "skew", 0.0, (0.0, 3.0), problems),
            curve: curve(&region, problems),
        });
    }
    if regions.is_empty() {
        problems.note("regions", "at least one region", "none");
    }
    Some(regions)
}

fn curve(region: &Object<'_>, problems: &mut Problems) -> Vec<(f64, f64)> {
    let Some(node) = region.field("curve") else {
        return Vec::new();
    };
    let items = node.array(LIST_MAX, problems).unwrap_or_default();
    let mut curve: Vec<(f64, f64)> = Vec::new();
    for item in items {
        let pair = item.array(2, problems).unwrap_or_default();
        let [at, factor] = pair.as_slice() else {
            let got = format!("a list of {}", pair.len());
            problems.note(&item.path, "two numbers: seconds and a factor", got);
            continue;
        };
        let at = at.number(0.0, SECONDS_MAX, problems);
        let factor = factor.number(0.0, 1_000.0, problems);
        if let (Some(at), Some(factor)) = (at, factor) {
            if curve.last().is_some_and(|(before, _)| *before >= at) {
                let expected = "a later time than that of the point before";
                problems.note(&item.path, expected, at.to_string());
            }
            curve.push((at, factor));
        }
    }
    curve
}

fn lag(fields: &Object<'_>, problems: &mut Problems) -> Lag {
    let known = ["queue_s", "batch_s", "batch_max", "kv_s", "kv_cache_s"];
    let node = fields.field("lag");
    let Some(lag) = node.and_then(|node| node.object(&known, problems)) else {
        return Lag::default();
    };
    let usual = Lag::default();
    let batch_max = places(count(&lag, "batch_max", 100, (1, 10_000), problems));
    let mut seconds = |name: &str, usual: Millis| {
        let bounds = (0.0, LAG_SECONDS_MAX);
        let lag = number(&lag, name, usual.as_seconds(), bounds, problems);
        Millis::from_seconds(lag)
    };
    Lag {
        queue: seconds("queue_s", usual.queue),
        batch: seconds("batch_s", usual.batch),
        batch_max,
        kv: seconds("kv_s", usual.kv),
        kv_cache: seconds("kv_cache_s", usual.kv_cache),
    }
}

pub(super) fn number(
    fields: &Object<'_>,
    name: &str,
    default: f64,
    (low, high): (f64, f64),
    problems: &mut Problems,
) -> f64 {
    let node = fields.field(name);
    let number = node.and_then(|node| node.number(low, high, problems));
    number.unwrap_or(default)
}

pub(super) fn seconds_of(
    fields: &Object<'_>,
    name: &str,
    default: f64,
    problems: &mut Problems,
) -> Millis {
    Millis::from_seconds(number(fields, name, default, (0.0, SECONDS_MAX), problems))
}

pub(super) fn count(
    fields: &Object<'_>,
    name: &str,
    default: u64,
    (low, high): (u64, u64),
    problems: &mut Problems,
) -> u64 {
    let node = fields.field(name);
    let count = node.and_then(|node| node.whole(low, high, problems));
    count.unwrap_or(default)
}

fn places(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// `{"median": M, "p95": P}`.
pub(super) fn spread(
    fields: &Object<'_>,
    name: &str,
    (median, p95): (f64, f64),
    problems: &mut Problems,
) -> Spread {
    let default = Spread::of(median, p95);
    let Some(node) = fields.field(name) else {
        return default;
    };
    let Some(given) = node.object(&["median", "p95"], problems) else {
        return default;
    };
    let mut read = |name: &str| {
        let node = given.required(name, "a number above 0", problems)?;
        node.number(1e-3, 1e9, problems)
    };
    let (Some(median), Some(p95)) = (read("median"), read("p95")) else {
        return default;
    };
    if p95 < median {
        let path = given.path_of("p95");
        problems.note(&path, "at least the median", p95.to_string());
        return default;
    }
    Spread::of(median, p95)
}
