//! A difference as text, for a person who wants to know in one look whether to go on.
//!
//! Names and values come from configs and records of others: control characters in them are escaped.

use serde_json::Value;

use super::entries::{Change, EntryChange, Kind};
use super::impact::{Impact, Pair, RouteImpact};
use super::{Told, first};
use crate::cli::table::{percent, printable};

const VALUE_CHARS_MAX: usize = 60;
/// Paths of one entry, and targets of one route, that are shown; `--json` has all.
const LINES_MAX: usize = 40;

pub(super) fn text(told: &Told) -> String {
    let mut lines = Vec::new();
    for finding in &told.problems {
        lines.push(format!("{}: {}", finding.file, finding.problem));
    }
    for finding in &told.standing_problems {
        let (file, problem) = (&finding.file, &finding.problem);
        lines.push(format!("{file}: {problem} (as before)"));
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    for entry in &told.entries {
        lines.extend(entry_lines(entry));
    }
    if told.entries.is_empty() {
        lines.push("no difference".to_owned());
    }
    if let Some(impact) = &told.impact {
        lines.extend(impact_lines(impact));
    }
    lines.join("\n")
}

fn entry_lines(entry: &EntryChange) -> Vec<String> {
    let revision = match (&entry.old_revision, &entry.new_revision) {
        (Some(old), Some(new)) => format!("  {} -> {}", old.0, new.0),
        (None, Some(only)) | (Some(only), None) => format!("  {}", only.0),
        (None, None) => String::new(),
    };
    let word = word(entry.kind);
    let mut lines = vec![format!("{}  {word}{revision}", printable(&entry.entry))];
    if entry.kind == Kind::Changed && entry.changes.is_empty() {
        lines.push("  the same values in another form".to_owned());
    }
    let shown = entry.changes.iter().take(LINES_MAX).map(change_line);
    lines.extend(shown);
    lines.extend(left_out(entry.changes.len()));
    lines
}

fn change_line(change: &Change) -> String {
    let path = printable(&change.path);
    let value = |value: &Option<Value>| value.as_ref().map(shown).unwrap_or_default();
    let (old, new) = (value(&change.old), value(&change.new));
    match change.kind {
        _ if path.is_empty() => "  one of them is no JSON".to_owned(),
        Kind::Added => format!("  {path}: added {new}"),
        Kind::Removed => format!("  {path}: removed {old}"),
        Kind::Changed => format!("  {path}: {old} -> {new}"),
        Kind::Moved => format!("  {path}: order {old} -> {new}"),
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Added => "added",
        Kind::Removed => "removed",
        Kind::Changed => "changed",
        Kind::Moved => "moved",
    }
}

fn shown(value: &Value) -> String {
    let text = printable(&value.to_string());
    let mut shown: String = text.chars().take(VALUE_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

fn left_out(count: usize) -> Option<String> {
    let more = count.checked_sub(LINES_MAX).filter(|more| *more > 0)?;
    Some(format!("  and {more} more; --json has all"))
}

fn impact_lines(impact: &Impact) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, route) in &impact.routes {
        lines.push(String::new());
        lines.extend(route_lines(name, route));
    }
    lines.push(String::new());
    let Impact {
        records,
        unaffected,
        undecided,
        unreadable,
        ..
    } = impact;
    lines.push(format!(
        "{records} records read, {unaffected} not affected, {undecided} refused before a decision"
    ));
    if unreadable.count > 0 {
        lines.push(format!("{} lines could not be read:", unreadable.count));
        lines.extend(unreadable.first.iter().map(|line| format!("  {line}")));
    }
    lines
}

fn route_lines(name: &str, route: &RouteImpact) -> Vec<String> {
    let RouteImpact {
        replayed, moved, ..
    } = route;
    let mut lines = vec![
        format!(
            "route {}: {replayed} records decided again, {moved} ({}) would try another target first",
            printable(name),
            percent(ratio(*moved, *replayed))
        ),
        String::new(),
    ];
    let targets: Vec<String> = route
        .shares
        .iter()
        .map(|share| match &share.via {
            Some(via) => printable(&format!("{} (of {via})", share.target)),
            None => printable(&share.target),
        })
        .collect();
    let shown = targets.iter().take(LINES_MAX);
    let width = shown.map(|name| name.chars().count()).max().unwrap_or(0);
    let width = width.max("target".len());
    lines.push(format!(
        "  {:<width$}  {:>8}  {:>8}",
        "target", "before", "after"
    ));
    for (target, share) in targets.iter().zip(&route.shares).take(LINES_MAX) {
        let (old, new) = (percent(share.old), percent(share.new));
        lines.push(format!("  {target:<width$}  {old:>8}  {new:>8}"));
    }
    lines.extend(left_out(targets.len()));
    lines.push(String::new());
    lines.push(format!(
        "  expected cost per 1,000 requests: {}",
        costs(route)
    ));
    let Pair { old, new } = route.without_candidate;
    if old + new > 0 {
        lines.push(format!("  requests with no target left: {old} -> {new}"));
    }
    lines.extend(doubts(route).map(|doubt| format!("  {doubt}")));
    lines
}

fn costs(route: &RouteImpact) -> String {
    let dollars = |cost: Option<f64>| cost.map_or("none".to_owned(), |cost| format!("${cost:.4}"));
    let Pair { old, new } = &route.expected_usd_per_1000;
    let change = match (old, new) {
        (Some(old), Some(new)) if *old > 0.0 => {
            format!(" ({:+.1} %)", (new / old - 1.0) * 100.0)
        }
        _ => String::new(),
    };
    format!("{} -> {}{change}", dollars(*old), dollars(*new))
}

/// What the log cannot tell.
fn doubts(route: &RouteImpact) -> impl Iterator<Item = String> + '_ {
    let of = |count: u64| format!("{count} of {} records", route.replayed);
    let revision = (route.other_revision > 0).then(|| {
        let count = of(route.other_revision);
        format!("{count} were decided by another revision than the one compared with")
    });
    let trimmed = (route.trimmed > 0).then(|| {
        let count = of(route.trimmed);
        format!(
            "{count} were cut to fit the queue: health of their other targets is taken to be fresh"
        )
    });
    let unknown = route.unknown_health.iter().map(move |(target, count)| {
        let (target, count) = (printable(target), of(*count));
        format!("{count} do not know `{target}`: its health is taken to be fresh")
    });
    let list = |names: &std::collections::BTreeSet<String>| {
        let names: Vec<String> = names.iter().cloned().collect();
        printable(&first(&names, LINES_MAX).join(", "))
    };
    let asked = (!route.not_recorded.is_empty()).then(|| {
        let names = list(&route.not_recorded);
        format!("not in the log, so taken to be absent: {names}")
    });
    let price = (!route.price_assumed.is_empty()).then(|| {
        let names = list(&route.price_assumed);
        format!("without a listed price, so a typical one is assumed: {names}")
    });
    let parts = revision.into_iter().chain(trimmed).chain(unknown);
    parts.chain(asked).chain(price)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "nobody has 2^53 records in a file"
)]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}
