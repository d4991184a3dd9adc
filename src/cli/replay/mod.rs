//! `waypost replay`: recorded decisions made again.
//!
//! Without a config each record is held against itself: the same plan, bit for bit, or what differs. With `--config DIR`
//! each is decided by that config instead, and the log is asked what would have been: which targets gain and lose, and
//! what cost, latency and success would have become, with intervals (`estimate.rs`) and with what the log cannot tell
//! (`tally.rs`).
//!
//! `diff --records` compares two configs by what their decisions expect; this looks at what came of them.

#[cfg(test)]
mod coverage;
mod estimate;
mod interval;
mod revisions;
mod sample;
mod show;
mod tally;
mod verify;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::admin::Admin;
use super::again::{Routes, again, decisions};
use super::check::{Finding, Reading};
use super::records::{Place, Source, Unreadable, each, record_of};
use super::{print, print_error};
use crate::config::{Catalogue, Route};
use crate::journal::Record;
use crate::units::UnixMillis;

use revisions::Revisions;
use tally::{RouteReport, Tally};
use verify::{Verdict, Verified};

/// Records that are kept for the estimates; some 300 bytes each. More would tell little more.
const SAMPLES_MAX: usize = 1_000_000;
/// Records of another plan that are told in full.
const DIFFERENT_MAX: usize = 20;
/// Where `npm start` listens.
const LOCAL_URL: &str = "http://127.0.0.1:8787";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Files of NDJSON, plain or gzip, or folders of them; `-` reads standard input.
    #[arg(required_unless_present = "id")]
    records: Vec<PathBuf>,
    /// Decide by this config folder, and tell what would have been.
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    /// One record alone: of RECORDS if there are any, else of the Worker at --url.
    #[arg(long, conflicts_with = "config")]
    id: Option<String>,
    /// Only records of this route, as the client asked for it or as it decided.
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Only records from this time on: `2026-11-21`, `2026-11-21T10:00:00Z`, or milliseconds since 1970.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    since: Option<u64>,
    /// Only records before this time.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    until: Option<u64>,
    /// A config folder whose entries may be the revisions that decided; may be given several times.
    #[arg(long, value_name = "DIR")]
    revisions: Vec<PathBuf>,
    /// A Worker that keeps the revisions, and with --id the record. Its admin key is in `WAYPOST_ADMIN_KEY`.
    #[arg(long, value_name = "URL", env = "WAYPOST_URL")]
    url: Option<String>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// What was read.
#[derive(Debug, Default, Serialize)]
struct Read {
    records: u64,
    /// Seen before: delivery is at least once.
    repeated: u64,
    /// Refused before any target was considered.
    undecided: u64,
    unreadable: Unreadable,
}

/// Records against themselves.
#[derive(Debug, Default, Serialize)]
struct Verification {
    read: Read,
    same: u64,
    different: u64,
    /// Candidates were left out of them, to fit the queue.
    untold: u64,
    /// Of all, those made again from their own figures alone.
    from_figures: u64,
    /// Why, by reason; empty where no revisions were asked for.
    reasons: BTreeMap<String, u64>,
    /// The first that differ.
    first_different: Vec<Found>,
}

#[derive(Debug, Serialize)]
struct Found {
    #[serde(flatten)]
    place: Place,
    #[serde(flatten)]
    verdict: Verdict,
}

/// Records against a config.
#[derive(Debug, Default, Serialize)]
struct Whatif {
    read: Read,
    /// Not looked at any more, because there are so many.
    left_out: u64,
    routes: BTreeMap<String, RouteReport>,
}

/// Why there is nothing to tell.
enum Refusal {
    Usage(String),
    Problem(String),
    Config(Vec<Finding>),
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let told = match (&arguments.id, &arguments.config) {
        (Some(id), _) => tell_one(arguments, id),
        (None, None) => verify(arguments),
        (None, Some(config)) => estimate(arguments, config),
    };
    match told {
        Ok((shown, is_good)) => {
            print(&shown);
            ExitCode::from(u8::from(!is_good))
        }
        Err(Refusal::Usage(mistake)) => {
            print_error(&mistake);
            ExitCode::from(2)
        }
        Err(Refusal::Problem(problem)) => {
            print_error(&problem);
            ExitCode::from(1)
        }
        Err(Refusal::Config(findings)) => {
            let problems = serde_json::json!({ "problems": &findings });
            print(&arguments.shown(&problems, || show::findings(&findings)));
            ExitCode::from(1)
        }
    }
}

type Shown = Result<(String, bool), Refusal>;

fn tell_one(arguments: &Arguments, id: &str) -> Shown {
    let url = arguments.url.as_deref();
    let url = url.or_else(|| arguments.records.is_empty().then_some(LOCAL_URL));
    let admin = url.map(Admin::at).transpose().map_err(Refusal::Usage)?;
    let record = match &admin {
        Some(admin) if arguments.records.is_empty() => {
            let text = admin.record(id).map_err(Refusal::Problem)?;
            text.map(|text| record_of(text.as_bytes()))
                .transpose()
                .map_err(Refusal::Problem)?
        }
        _ => find(arguments, id)?,
    };
    let record = record.ok_or_else(|| {
        Refusal::Problem(format!(
            "expected a record of the id `{id}`, found none; records appear some seconds after their exchange"
        ))
    })?;
    let mut revisions = Revisions::new(&arguments.revisions, admin);
    let verdict = Verdict::of(&record, &mut revisions);
    let is_good =
        verdict.outcome == Verified::Same && (revisions.is_empty() || !verdict.is_shallow());
    let shown = arguments.shown(&verdict, || show::verdict(&verdict, &record));
    Ok((shown, is_good))
}

fn find(arguments: &Arguments, id: &str) -> Result<Option<Record>, Refusal> {
    let mut found = None;
    let sources = Source::all(&arguments.records).map_err(Refusal::Usage)?;
    each(&sources, |record, _| {
        if record.id == id {
            found = Some(record);
        }
    });
    Ok(found)
}

fn verify(arguments: &Arguments) -> Shown {
    let mut revisions = arguments.known_revisions(&[])?;
    let mut told = Verification::default();
    told.read = arguments.each(|record, place, read| {
        let verdict = Verdict::of(&record, &mut revisions);
        if verdict.outcome == Verified::Undecided {
            read.undecided += 1;
            return;
        }
        told.from_figures += u64::from(verdict.is_shallow());
        for reason in verdict.reasons() {
            *told.reasons.entry(reason.to_owned()).or_default() += 1;
        }
        match verdict.outcome {
            Verified::Same => told.same += 1,
            Verified::Different if told.first_different.len() < DIFFERENT_MAX => {
                told.different += 1;
                let place = place.clone();
                told.first_different.push(Found { place, verdict });
            }
            Verified::Different => told.different += 1,
            Verified::Undecided | Verified::Untold => told.untold += 1,
        }
    })?;
    let is_deep = revisions.is_empty() || told.from_figures == 0;
    let is_good = told.different == 0 && told.read.unreadable.count == 0 && is_deep;
    Ok((
        arguments.shown(&told, || show::verification(&told)),
        is_good,
    ))
}

fn estimate(arguments: &Arguments, config: &PathBuf) -> Shown {
    if !config.is_dir() {
        let mistake = format!("{} is not a folder", config.display());
        return Err(Refusal::Usage(mistake));
    }
    let Reading {
        report,
        catalogue,
        mut routes,
        ..
    } = Reading::of(config);
    // What a config with a mistake would do is not known.
    if !report.problems.is_empty() {
        return Err(Refusal::Config(report.problems));
    }
    let mut revisions = arguments.known_revisions(std::slice::from_ref(config))?;
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let (mut kept, mut left_out) = (0, 0);
    let read = arguments.each(|record, _, read| {
        // What came of it belongs to the first choice of all, whichever names of the client's came after.
        let Some(decided) = decisions(&record).next() else {
            read.undecided += 1;
            return;
        };
        if kept >= SAMPLES_MAX {
            left_out += 1;
            return;
        }
        kept += 1;
        let name = decided.asked_for();
        add_direct(&mut routes, name, &catalogue);
        let asked = decided.config;
        let asked = asked.and_then(|config| revisions.route(decided.route, config).ok());
        let again = again(&decided, asked, &routes);
        let tally = tallies.entry(name.to_owned()).or_default();
        tally.take(&record, &decided, &again, asked);
    })?;
    let report = |(name, tally): (String, Tally)| (name, tally.report());
    let told = Whatif {
        left_out,
        routes: tallies.into_iter().map(report).collect(),
        read,
    };
    let is_good = told.read.unreadable.count == 0;
    Ok((arguments.shown(&told, || show::whatif(&told)), is_good))
}

/// A client that names a provider's model meets a route that no entry is behind.
fn add_direct(routes: &mut Routes, name: &str, catalogue: &Catalogue) {
    if routes.contains_key(name) {
        return;
    }
    let direct = name.split_once('/').and_then(|(provider, model)| {
        let provider = catalogue.provider(provider)?;
        Some(Route::direct(provider, model, catalogue))
    });
    routes.extend(direct.map(|route| (name.to_owned(), route)));
}

impl Arguments {
    fn shown(&self, told: &impl Serialize, text: impl FnOnce() -> String) -> String {
        if self.json {
            return serde_json::to_string_pretty(told).unwrap_or_default();
        }
        text()
    }

    fn known_revisions(&self, others: &[PathBuf]) -> Result<Revisions, Refusal> {
        let admin = self.url.as_deref().map(Admin::at).transpose();
        let folders = [&self.revisions, others].concat();
        if let Some(missing) = folders.iter().find(|folder| !folder.is_dir()) {
            let mistake = format!("{} is not a folder", missing.display());
            return Err(Refusal::Usage(mistake));
        }
        Ok(Revisions::new(&folders, admin.map_err(Refusal::Usage)?))
    }

    /// Calls `take` with each record that is meant, once for each id.
    fn each(&self, mut take: impl FnMut(Record, &Place, &mut Read)) -> Result<Read, Refusal> {
        let sources = Source::all(&self.records).map_err(Refusal::Usage)?;
        let mut read = Read::default();
        let mut known = HashSet::new();
        read.unreadable = each(&sources, |record, place| {
            if !self.means(&record) {
                return;
            }
            read.records += 1;
            if known.insert(xxh3_64(record.id.as_bytes())) {
                take(record, place, &mut read);
            } else {
                read.repeated += 1;
            }
        });
        Ok(read)
    }

    fn means(&self, record: &Record) -> bool {
        let UnixMillis(at) = record.at;
        let is_within =
            self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until);
        let is_of = |name: &String| {
            record.route == *name
                || decisions(record)
                    .any(|decided| decided.route == name || decided.via.contains(name))
        };
        is_within && self.route.as_ref().is_none_or(is_of)
    }
}

fn instant(text: &str) -> Result<u64, String> {
    if let Ok(since_ms) = text.parse() {
        return Ok(since_ms);
    }
    let midnight = || {
        let day: jiff::civil::Date = text.parse().ok()?;
        let midnight = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(midnight.timestamp())
    };
    let found = text.parse().ok().or_else(midnight);
    let since_ms = found.and_then(|found: jiff::Timestamp| found.as_millisecond().try_into().ok());
    since_ms.ok_or_else(|| {
        "expected `2026-11-21`, `2026-11-21T10:00:00Z` or milliseconds since 1970".to_owned()
    })
}
