//! An explanation as text: some lines on the request and the route, then a table with a line for each target.
//!
//! Targets stand in the order of the plan, those that are not in it below, with the reason. Signals, preferences and
//! traits are listed by the names under which they are serialised, so that a new one needs nothing here.
//!
//! Names come from configs and records of others; a control character in one is escaped, so that it cannot write
//! over the terminal.

use serde::Serialize;
use serde_json::Value;

use crate::config::Prefer;
use crate::decide::{Candidate, Exclusion, SeedSource};
use crate::health::Admission;
use crate::journal::{Explained, Explanation};

/// Between two columns.
const GAP: &str = "  ";
const LABEL_WIDTH: usize = 13;
/// The heading of the last column.
const REMARKS: &str = "remarks";
/// What is not known, or does not apply.
const NONE: &str = "-";

pub(super) fn text(explanation: &Explanation) -> String {
    let mut lines = Vec::new();
    for earlier in &explanation.fell_back_from {
        lines.extend(one(earlier));
        lines.push("\nNo target of it answered. Then the client's next name:\n".to_owned());
    }
    lines.extend(one(explanation));
    for later in &explanation.fallbacks {
        lines.push("\nIf no target of it answers, the client's next name:\n".to_owned());
        lines.extend(one(later));
    }
    lines.join("\n")
}

/// What one of the client's names comes to.
fn one(explanation: &Explanation) -> Vec<String> {
    let mut lines = head(explanation);
    lines.push(String::new());
    lines.extend(aligned(&rows(explanation)));
    lines
}

/// One of the lines above the table.
pub(super) fn line(label: &str, value: &str) -> String {
    format!("{label:LABEL_WIDTH$}{}", printable(value))
}

fn head(explanation: &Explanation) -> Vec<String> {
    let Explanation {
        route,
        via,
        config,
        traits,
        decision,
        ..
    } = explanation;
    let mut lines = vec![line("route", route)];
    if !via.is_empty() {
        lines.push(line("sent on by", &via.join(", ")));
    }
    if let Some(config) = config {
        let mut parts = vec![format!("route {}", config.route.0)];
        if !config.providers.0.is_empty() {
            parts.push(format!("providers {}", config.providers.0));
        }
        if let Some(health) = &decision.health {
            parts.push(format!("health {health}"));
        }
        if config.problems > 0 {
            parts.push(format!("newer entries had {} problems", config.problems));
        }
        lines.push(line("config", &parts.join(", ")));
    }
    lines.push(line("traits", &fields(traits)));
    let rules = match decision.rules.as_slice() {
        [] => "none fired".to_owned(),
        rules => rules.join("; "),
    };
    lines.push(line("rules", &rules));
    let seed = decision.seed;
    let source = match seed.source {
        SeedSource::Random => "random",
        SeedSource::Session => "of the session",
        SeedSource::User => "of the user",
        SeedSource::Key => "of the key",
        SeedSource::Header => "of a header",
    };
    lines.push(line("seed", &format!("{:016x}, {source}", seed.value)));
    lines.push(line("prefer", &prefer(decision.prefer)));
    if let Some(temperature) = decision.temperature {
        lines.push(line("temperature", &temperature.to_string()));
    }
    let plan = match decision.plan.as_slice() {
        [] => "empty: no target is left".to_owned(),
        plan => format!(
            "{}; the first with a probability of {}",
            plan.join(", "),
            percent(decision.propensity)
        ),
    };
    lines.push(line("plan", &plan));
    if decision.is_trimmed {
        let note = "yes: candidates were left out to fit the queue's limit";
        lines.push(line("trimmed", note));
    }
    lines
}

fn prefer(prefer: Option<Prefer>) -> String {
    match prefer {
        None => "not recorded, so contributions are not known".to_owned(),
        Some(prefer) if prefer == Prefer::default() => "nothing, weights alone".to_owned(),
        Some(prefer) => fields(&prefer),
    }
}

/// The fields that say something, by name.
fn fields(value: &impl Serialize) -> String {
    let Ok(Value::Object(fields)) = serde_json::to_value(value) else {
        return String::new();
    };
    let told = fields.iter().filter_map(|(name, value)| match value {
        Value::Null | Value::Bool(false) => None,
        Value::Bool(true) => Some(name.clone()),
        Value::Number(number) if number.as_f64() == Some(0.0) => None,
        // As a float it is shown without `.0` where it is whole.
        Value::Number(number) => Some(format!("{name} {}", number.as_f64()?)),
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(format!("{name} {text}")),
        other => Some(format!("{name} {other}")),
    });
    told.collect::<Vec<_>>().join(", ")
}

fn rows(explanation: &Explanation) -> Vec<Vec<String>> {
    let decision = &explanation.decision;
    let candidates = &decision.candidates;
    let known = candidates.iter().find_map(|known| known.contributions);
    let signals: Vec<&str> = known
        .iter()
        .flat_map(|known| known.0.map(|(name, _)| name))
        .collect();
    let has_remarks = candidates.iter().any(|known| remark(known).is_some());
    let mut rows = vec![heading(&signals, has_remarks)];
    for (place, target) in decision.plan.iter().enumerate() {
        let found = candidates
            .iter()
            .find(|known| known.candidate.target == *target);
        let rank = (place + 1).to_string();
        rows.push(row(rank, target, found, signals.len()));
    }
    for left in candidates
        .iter()
        .filter(|known| !decision.plan.contains(&known.candidate.target))
    {
        let target = &left.candidate.target;
        rows.push(row(NONE.to_owned(), target, Some(left), signals.len()));
    }
    rows
}

fn heading(signals: &[&str], has_remarks: bool) -> Vec<String> {
    let mut cells = vec!["#", "target", "share", "score"];
    cells.extend(signals);
    if has_remarks {
        cells.push(REMARKS);
    }
    cells.into_iter().map(str::to_owned).collect()
}

fn row(rank: String, target: &str, known: Option<&Explained>, signals: usize) -> Vec<String> {
    let mut cells = vec![rank, printable(target)];
    let Some(Explained {
        candidate,
        contributions,
    }) = known
    else {
        cells.resize(4 + signals, NONE.to_owned());
        return cells;
    };
    let share = match candidate.excluded {
        None | Some(Exclusion::Ejected) => percent(candidate.share),
        Some(_) => NONE.to_owned(),
    };
    cells.extend([share, number(candidate.score)]);
    match contributions {
        Some(known) => cells.extend(known.0.iter().map(|(_, term)| number(*term))),
        None => cells.resize(4 + signals, NONE.to_owned()),
    }
    cells.extend(known.and_then(remark));
    cells
}

/// What the numbers do not tell: why it is no candidate, or why its share is not what its score says.
fn remark(known: &Explained) -> Option<String> {
    let Candidate {
        excluded,
        health,
        beyond,
        ..
    } = &known.candidate;
    let admission = match (excluded, health.admission) {
        (Some(reason), _) => Some(printable(&reason.to_string())),
        (None, Admission::Recovering { share }) => {
            Some(format!("recovering, at {} of its weight", percent(share)))
        }
        (None, Admission::Ejected { .. }) => Some("ejected, as all others are".to_owned()),
        (None, Admission::Admitted) => None,
    };
    let is_tried = matches!(excluded, None | Some(Exclusion::Ejected));
    let set_back = (is_tried && !beyond.is_empty())
        .then(|| format!("set back: beyond the request's soft {}", beyond.join(", ")));
    let remarks: Vec<String> = admission.into_iter().chain(set_back).collect();
    (!remarks.is_empty()).then(|| remarks.join("; "))
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn number(term: f64) -> String {
    if term == 0.0 {
        return "0".to_owned();
    }
    let text = format!("{term:.2}");
    if text == "-0.00" {
        return "0.00".to_owned();
    }
    text
}

/// Names to the left, numbers to the right, no blanks at a line's end.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let names = [
        1,
        rows.first().map_or(0, |heading| {
            heading
                .iter()
                .position(|cell| cell == REMARKS)
                .unwrap_or(columns)
        }),
    ];
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let padded = cells.map(|(column, (cell, width))| {
            if names.contains(&column) {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        let line = padded.collect::<Vec<_>>().join(GAP);
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

pub(super) fn printable(text: &str) -> String {
    let escaped = |c: char| match c {
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(escaped).collect()
}
