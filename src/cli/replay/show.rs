//! A replay as text: what was read, a table of targets and one of figures for each route, and what the log cannot tell.
//!
//! Names come from configs and records of others: control characters in them are escaped.

use super::estimate::Told;
use super::interval::Estimate;
use super::sample::{METRICS, Metric};
use super::tally::{RouteReport, TargetReport, UNTOLD_MIN};
use super::verify::{Difference, From, Repeated, Verdict, Verified};
use super::{Found, Read, Verification, Whatif};
use crate::cli::check::Finding;
use crate::cli::table::{line, percent, printable};
use crate::journal::Record;

const VALUE_CHARS_MAX: usize = 60;
/// Targets of one route that are shown; `--json` has all.
const LINES_MAX: usize = 40;
const NONE: &str = "-";

pub(super) fn findings(findings: &[Finding]) -> String {
    let line = |finding: &Finding| format!("{}: {}", printable(&finding.file), finding.problem);
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// One record, looked up by its id.
pub(super) fn verdict(verdict: &Verdict, record: &Record) -> String {
    let mut lines = vec![line("record", &verdict.id)];
    if verdict.decisions.is_empty() {
        let code = record.outcome.error.as_deref().unwrap_or("unknown");
        let none = format!("none: the request was refused with `{code}`");
        lines.push(line("plan", &none));
    }
    for repeated in &verdict.decisions {
        lines.extend(one(repeated));
    }
    lines.join("\n")
}

fn one(repeated: &Repeated) -> Vec<String> {
    let mut lines = vec![line("route", &repeated.route)];
    let plan = match repeated.plan.as_slice() {
        [] => "empty: no target was left".to_owned(),
        plan => plan.join(", "),
    };
    lines.push(line("plan", &plan));
    let from = match repeated.from {
        From::Revision => "from the revision that the record names",
        From::Figures => "from the record's own figures alone",
    };
    let told = match repeated.outcome {
        Verified::Same => format!("the same plan, bit for bit, {from}"),
        Verified::Different => format!("another plan, {from}"),
        Verified::Untold | Verified::Undecided => "cannot be told".to_owned(),
    };
    lines.push(line("replayed", &told));
    if let Some(reason) = &repeated.reason {
        lines.push(line("because", reason));
    }
    lines.extend(repeated.differences.iter().map(difference));
    lines
}

fn difference(difference: &Difference) -> String {
    let shown = |value: &serde_json::Value| {
        let text = printable(&value.to_string());
        let mut shown: String = text.chars().take(VALUE_CHARS_MAX).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        shown
    };
    let (recorded, replayed) = (shown(&difference.recorded), shown(&difference.replayed));
    let path = printable(&difference.path);
    format!("    {path}: recorded {recorded}, replayed {replayed}")
}

pub(super) fn verification(told: &Verification) -> String {
    let decided = told.same + told.different + told.untold;
    let mut lines = vec![format!(
        "same plan: {} of {}",
        grouped(&told.same),
        grouped(&decided)
    )];
    if told.untold > 0 {
        let untold = grouped(&told.untold);
        lines.push(format!("{untold} cannot be told"));
    }
    if told.from_figures > 0 {
        let from_figures = grouped(&told.from_figures);
        lines.push(format!("{from_figures} from their own figures alone"));
        if told.reasons.is_empty() {
            let hint = "with --revisions or --url, rules and signals are made again as well";
            lines.push(format!("  {hint}"));
        }
    }
    for (reason, count) in told.reasons.iter().take(LINES_MAX) {
        lines.push(format!(
            "  {} records: {}",
            grouped(&count),
            printable(reason)
        ));
    }
    for Found { place, verdict } in &told.first_different {
        lines.push(format!("\n{} ({place})", printable(&verdict.id)));
        let differ = verdict.decisions.iter();
        let differ = differ.filter(|repeated| repeated.outcome == Verified::Different);
        lines.extend(differ.flat_map(one).map(|line| format!("  {line}")));
    }
    lines.push(String::new());
    lines.extend(read_lines(&told.read));
    lines.join("\n")
}

pub(super) fn whatif(told: &Whatif) -> String {
    let mut lines = Vec::new();
    for (name, route) in &told.routes {
        lines.extend(route_lines(name, route));
        lines.push(String::new());
    }
    lines.extend(read_lines(&told.read));
    if told.left_out > 0 {
        let left_out = grouped(&told.left_out);
        lines.push(format!(
            "{left_out} more were not looked at: narrow the time"
        ));
    }
    lines.join("\n")
}

fn read_lines(read: &Read) -> Vec<String> {
    let mut lines = vec![format!(
        "{} records read, {} of them seen before, {} refused before a decision",
        grouped(&read.records),
        grouped(&read.repeated),
        grouped(&read.undecided)
    )];
    if read.unreadable.count > 0 {
        let count = grouped(&read.unreadable.count);
        lines.push(format!("{count} lines could not be read:"));
        let first = read.unreadable.first.iter();
        lines.extend(first.map(|line| format!("  {line}")));
    }
    lines
}

fn route_lines(name: &str, route: &RouteReport) -> Vec<String> {
    let (records, moved) = (route.records, route.moved);
    let share = share_of(moved, records);
    let mut lines = vec![format!(
        "route {}: {} records decided again, {} ({share}) would try another target first",
        printable(name),
        grouped(&records),
        grouped(&moved)
    )];
    if records > 0 {
        lines.push(String::new());
        lines.extend(columns(&target_rows(&route.targets)));
    }
    if !route.estimates.is_empty() {
        lines.push(String::new());
        lines.extend(columns(&figure_rows(route)));
        let overlap = &route.overlap;
        lines.push(String::new());
        lines.push(format!(
            "  worth {:.0} equal exchanges by weight; the largest weight is {:.1}",
            overlap.effective_sample, overlap.weight_max
        ));
    }
    if !route.warnings.is_empty() {
        lines.push(String::new());
    }
    let warnings = route.warnings.iter();
    lines.extend(warnings.map(|warning| format!("  ! {}", printable(&warning.message))));
    lines
}

fn target_rows(targets: &[TargetReport]) -> Vec<Vec<String>> {
    let heading = ["target", "before", "after", "began with it", "not told"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(targets.iter().take(LINES_MAX).map(|target| {
        let untold = match target.untold {
            untold if untold < UNTOLD_MIN => NONE.to_owned(),
            untold => percent(untold),
        };
        vec![
            printable(&target.target),
            percent(target.old),
            percent(target.new),
            grouped(&target.first_in),
            untold,
        ]
    }));
    if targets.len() > LINES_MAX {
        let more = targets.len() - LINES_MAX;
        rows.push(vec![format!("and {more} more; --json has all")]);
    }
    rows
}

fn figure_rows(route: &RouteReport) -> Vec<Vec<String>> {
    let heading = [
        "with 95 % intervals",
        "logged",
        "doubly robust",
        "change",
        "self-normalised",
        "inverse prop.",
        "naive (wrong)",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for metric in METRICS {
        let Some(told) = route.estimates.get(metric.name()) else {
            continue;
        };
        rows.extend(rows_of(metric, told));
    }
    rows
}

/// The figure, and its interval below it.
fn rows_of(metric: Metric, told: &Told) -> [Vec<String>; 2] {
    let columns = [
        Some(told.old),
        Some(told.doubly_robust),
        Some(told.change),
        Some(told.self_normalised),
        told.inverse_propensity,
        told.naive,
    ];
    let is_change = |column: usize| column == 2;
    let value = |(column, estimate): (usize, &Option<Estimate>)| match estimate {
        Some(estimate) => shown(metric, estimate.value, is_change(column)),
        None => NONE.to_owned(),
    };
    let bounds = |(column, estimate): (usize, &Option<Estimate>)| {
        let bound = |bound: f64| shown(metric, bound, is_change(column));
        let known = estimate.and_then(|known| Some((known.low?, known.high?)));
        known.map_or(NONE.to_owned(), |(low, high)| {
            format!("{} … {}", bound(low), bound(high))
        })
    };
    let (name, unit) = match metric {
        Metric::Cost => ("cost", "US $ per 1,000"),
        Metric::FirstToken => ("first token", "ms, streamed"),
        Metric::Total => ("total time", "ms, completed"),
        Metric::Success => ("success", "% of requests"),
    };
    let row = |label: String, cells: Vec<String>| [vec![label], cells].concat();
    [
        row(
            name.to_owned(),
            columns.iter().enumerate().map(value).collect(),
        ),
        row(
            format!("  {unit}"),
            columns.iter().enumerate().map(bounds).collect(),
        ),
    ]
}

fn shown(metric: Metric, value: f64, is_change: bool) -> String {
    let (value, digits) = match metric {
        Metric::Cost => (value, 4),
        Metric::FirstToken | Metric::Total => (value, 0),
        Metric::Success => (value * 100.0, 2),
    };
    let text = format!("{value:.digits$}");
    if text.chars().all(|c| matches!(c, '-' | '0' | '.')) {
        // Without the sign of what rounds to nothing.
        return text.replace('-', "");
    }
    if is_change && value > 0.0 {
        return format!("+{text}");
    }
    text
}

/// The first column to the left, the others to the right.
fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let is_whole = |row: &&Vec<String>| row.len() == count;
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter(is_whole)
            .filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        format!("  {}", line.trim_end())
    };
    rows.iter().map(line).collect()
}

fn share_of(part: usize, whole: usize) -> String {
    use super::interval::count;
    match whole {
        0 => percent(0.0),
        whole => percent(count(part) / count(whole)),
    }
}

/// Digits in threes.
fn grouped(number: &impl ToString) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}
