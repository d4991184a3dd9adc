//! Figures as text: tables for a person.

use super::outcome::{News, Outcome, Phase};
use super::reaction::Reaction;
use super::real;
use crate::cli::table::{percent, printable};

const GAP: &str = "  ";
const NONE: &str = "-";

pub(super) fn text(outcome: &Outcome) -> String {
    let Outcome {
        requests,
        pops,
        isolates,
        seed,
        ..
    } = outcome;
    let mut lines = vec![
        format!("{requests} requests at {pops} PoPs with {isolates} isolates, seed {seed}"),
        String::new(),
    ];
    lines.extend(aligned(&phases(outcome)));
    if !outcome.reactions.is_empty() {
        lines.push(String::new());
        lines.extend(aligned(&reactions(&outcome.reactions)));
    }
    lines.push(String::new());
    lines.extend(aligned(&providers(outcome)));
    lines.extend([String::new(), news(&outcome.news)]);
    lines.join("\n")
}

/// A line for each run of a sweep.
pub(super) fn sweep(runs: &[(String, Outcome)]) -> String {
    let heading = [
        "value",
        "completed",
        "p50 ms",
        "p99 ms",
        "calls",
        "$/1000",
        "left s",
        "PoP s",
        "world s",
        "back s",
        "swing",
        "probes",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for (value, outcome) in runs {
        let whole = &outcome.whole;
        let reaction = outcome.reactions.first();
        let time = |of: fn(&Reaction) -> Option<f64>| seconds(reaction.and_then(of));
        let probes: u64 = outcome.providers.iter().map(|known| known.probes).sum();
        rows.push(vec![
            printable(value),
            percent_of(whole.completed),
            whole.first_token_ms_p50.to_string(),
            whole.first_token_ms_p99.to_string(),
            format!("{:.3}", whole.calls_per_request),
            format!("{:.3}", whole.usd_per_1000),
            time(|reaction| reaction.traffic_s),
            time(|reaction| reaction.pop_s),
            time(|reaction| reaction.world_s),
            time(|reaction| reaction.back_s),
            percent(outcome.swing_max()),
            probes.to_string(),
        ]);
    }
    aligned(&rows).join("\n")
}

fn phases(outcome: &Outcome) -> Vec<Vec<String>> {
    let mut heading: Vec<String> = [
        "seconds",
        "requests",
        "completed",
        "cut",
        "good/s",
        "p50 ms",
        "p99 ms",
        "$/1000",
        "calls",
    ]
    .map(str::to_owned)
    .to_vec();
    for share in &outcome.whole.targets {
        heading.push(printable(&share.provider));
        heading.push("swing".to_owned());
    }
    let phases = outcome.phases.iter();
    let rows = phases.map(|phase| phase_row(format!("{}-{}", phase.from_s, phase.to_s), phase));
    let all = phase_row("all".to_owned(), &outcome.whole);
    [heading].into_iter().chain(rows).chain([all]).collect()
}

fn phase_row(name: String, phase: &Phase) -> Vec<String> {
    let mut row = vec![
        name,
        phase.requests.to_string(),
        percent_of(phase.completed),
        percent_of(phase.cut),
        format!("{:.1}", phase.goodput),
        phase.first_token_ms_p50.to_string(),
        phase.first_token_ms_p99.to_string(),
        format!("{:.3}", phase.usd_per_1000),
        format!("{:.3}", phase.calls_per_request),
    ];
    for share in &phase.targets {
        let period = share.period_s.map(|period| format!(" / {period} s"));
        row.push(percent(share.share));
        row.push(format!(
            "{}{}",
            percent(share.swing),
            period.unwrap_or_default()
        ));
    }
    row
}

fn reactions(reactions: &[Reaction]) -> Vec<Vec<String>> {
    let heading = [
        "fault",
        "left s",
        "isolate s",
        "PoP s",
        "region s",
        "world s",
        "back s",
    ];
    let row = |reaction: &Reaction| {
        vec![
            format!("{} {}", printable(&reaction.provider), reaction.what),
            seconds(reaction.traffic_s),
            seconds(reaction.isolate_s),
            seconds(reaction.pop_s),
            seconds(reaction.region_s),
            seconds(reaction.world_s),
            seconds(reaction.back_s),
        ]
    };
    let heading = heading.map(str::to_owned).to_vec();
    [heading]
        .into_iter()
        .chain(reactions.iter().map(row))
        .collect()
}

fn providers(outcome: &Outcome) -> Vec<Vec<String>> {
    let heading = [
        "provider",
        "calls",
        "fullest",
        "ejections",
        "probes",
        "a PoP and minute",
        "least gap s",
        "crowded",
        "last resorts",
    ];
    let heading = heading.map(str::to_owned).to_vec();
    let rows = outcome.providers.iter().map(|known| {
        vec![
            printable(&known.provider),
            known.calls.to_string(),
            percent(known.fullness_max),
            known.ejections.to_string(),
            known.probes.to_string(),
            format!("{:.2}", known.probes_per_pop_minute),
            seconds(known.probe_gap_s_min),
            known.probes_crowded.to_string(),
            known.last_resorts.to_string(),
        ]
    });
    [heading].into_iter().chain(rows).collect()
}

fn news(news: &News) -> String {
    let News {
        reports_per_s,
        folds_per_s,
        rows_per_s,
        kv_puts_per_s,
        kv_reads_per_s,
        snapshot_bytes,
        entry_bytes_max,
    } = news;
    let kilobytes = |bytes: usize| real(u64::try_from(bytes).unwrap_or(u64::MAX)) / 1e3;
    format!(
        "health news a second: {reports_per_s:.1} reports, {folds_per_s:.1} folds, {rows_per_s:.1} rows of D1, \
         {kv_puts_per_s:.2} puts to KV, {kv_reads_per_s:.1} reads beyond its caches; the snapshot has {:.1} KB, \
         of which an isolate reads at most {:.1}",
        kilobytes(*snapshot_bytes),
        kilobytes(*entry_bytes_max)
    )
}

fn seconds(time: Option<f64>) -> String {
    time.map_or(NONE.to_owned(), |time| format!("{time:.1}"))
}

/// With two digits: a share of 99.97 % is not one of 100 %.
fn percent_of(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// The first column to the left, the others to the right.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let padded = cells.map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        padded.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}
