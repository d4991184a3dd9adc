//! Figures in Prometheus' text format.
//!
//! Counters and histograms are totals of the whole fleet, as D1 has summed them up, so that every isolate tells the same
//! ones and they only grow. Gauges named `waypost_isolate_*` and `waypost_target_*` are what the isolate that answers knows.
//!
//! Format: <https://prometheus.io/docs/instrumenting/exposition_formats/>. We did not use a client crate: those count in
//! memory, and an isolate's memory is neither whole nor lasting.
//!
//! Not here: where the figures come from (`edge/metrics.rs`).

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::LATENCY_BOUNDS;

/// All that one scrape tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    pub version: String,
    pub requests: Vec<RequestTotals>,
    pub attempts: Vec<AttemptTotals>,
    /// When the newest stored exchange began, in seconds since 1970.
    pub newest_seconds: Option<f64>,
    /// Messages that nobody could take.
    pub dead_letters: Option<f64>,
    /// What follows is known to one isolate.
    pub records_lost: f64,
    pub config_problems: f64,
    /// Entries in force, each with its revision.
    pub config: Vec<(String, String)>,
    pub targets: Vec<TargetHealth>,
}

/// Sums over exchanges of one route, target and variant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RequestTotals {
    pub route: String,
    /// The one that answered; empty where none did.
    pub target: String,
    pub variant: String,
    /// By ending, in the order of [`ENDINGS`].
    pub endings: Vec<f64>,
    /// Exchanges that took more than one attempt.
    pub failovers: f64,
    pub first_token: Latency,
    pub total: Latency,
}

/// How many exchanges fell into each bucket of `LATENCY_BOUNDS` and beyond them, and their times together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    pub buckets: Vec<f64>,
    pub sum_ms: f64,
}

/// Sums over attempts of one route, target, variant and outcome.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AttemptTotals {
    pub route: String,
    pub target: String,
    pub variant: String,
    /// An attempt's outcome, or `ejected` for those that a target was set back from.
    pub outcome: String,
    pub attempts: f64,
    pub prompt_tokens: f64,
    pub cached_tokens: f64,
    pub answer_tokens: f64,
    pub reasoning_tokens: f64,
    pub cost_micro_usd: f64,
}

/// A target as the isolate that answers knows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetHealth {
    /// `provider/model`.
    pub target: String,
    pub is_ejected: bool,
    pub p_success: f64,
    pub ttft_seconds: f64,
}

/// The endings of exchanges, in the order in which they are counted.
pub const ENDINGS: [&str; 5] = ["completed", "cut", "failed", "rejected", "client_gone"];

/// The figures as a scraper reads them.
#[must_use]
pub fn exposition(figures: &Figures) -> String {
    let mut out = Exposition::default();
    out.requests(&figures.requests);
    out.attempts(&figures.attempts);
    out.pipeline(figures);
    out.isolate(figures);
    out.text
}

#[derive(Default)]
struct Exposition {
    text: String,
}

/// A family's name and help, and how it is read.
type Sum<T> = (&'static str, &'static str, fn(&T) -> f64);
type Labels<'a> = [(&'a str, &'a str)];

impl Exposition {
    fn requests(&mut self, all: &[RequestTotals]) {
        let name = "waypost_requests_total";
        self.family(
            name,
            "counter",
            "Exchanges, by how they ended for the client.",
        );
        for totals in all {
            for (ending, count) in ENDINGS.iter().zip(&totals.endings) {
                let [route, target, variant] = totals.labels();
                let labels = [route, target, variant, ("outcome", ending)];
                self.sample(name, &labels, *count);
            }
        }
        let name = "waypost_failovers_total";
        self.family(
            name,
            "counter",
            "Exchanges that took more than one attempt.",
        );
        for totals in all {
            self.sample(name, &totals.labels(), totals.failovers);
        }
        let name = "waypost_first_token_seconds";
        let help = "From the request to the first good token that the client got.";
        self.family(name, "histogram", help);
        for totals in all {
            self.histogram(name, &totals.labels(), &totals.first_token);
        }
        let name = "waypost_request_seconds";
        self.family(
            name,
            "histogram",
            "From the request to the end of the exchange.",
        );
        for totals in all {
            self.histogram(name, &totals.labels(), &totals.total);
        }
    }

    fn attempts(&mut self, all: &[AttemptTotals]) {
        let (ejected, tried): (Vec<&AttemptTotals>, Vec<_>) =
            all.iter().partition(|totals| totals.outcome == "ejected");
        let name = "waypost_attempts_total";
        self.family(name, "counter", "Calls to targets, by outcome.");
        for totals in &tried {
            self.sample(name, &totals.labels(), totals.attempts);
        }
        let sums: [Sum<AttemptTotals>; 5] = [
            (
                "waypost_prompt_tokens_total",
                "Prompt tokens of all attempts, cached ones included.",
                |totals| totals.prompt_tokens,
            ),
            (
                "waypost_prompt_cached_tokens_total",
                "Prompt tokens that came from a provider's cache.",
                |totals| totals.cached_tokens,
            ),
            (
                "waypost_answer_tokens_total",
                "Answer tokens of all attempts, reasoning included.",
                |totals| totals.answer_tokens,
            ),
            (
                "waypost_answer_reasoning_tokens_total",
                "Answer tokens that were reasoning.",
                |totals| totals.reasoning_tokens,
            ),
            (
                "waypost_cost_usd_total",
                "What all attempts cost by the catalogue's prices, in dollars.",
                |totals| totals.cost_micro_usd / 1e6,
            ),
        ];
        for (name, help, read) in sums {
            self.family(name, "counter", help);
            for totals in &tried {
                self.sample(name, &totals.labels(), read(totals));
            }
        }
        let name = "waypost_ejected_total";
        let help = "Exchanges in which a target was set back because it had been ejected.";
        self.family(name, "counter", help);
        for totals in &ejected {
            let [route, target, variant, _] = totals.labels();
            self.sample(name, &[route, target, variant], totals.attempts);
        }
    }

    fn pipeline(&mut self, figures: &Figures) {
        if let Some(newest) = figures.newest_seconds {
            let name = "waypost_newest_record_timestamp_seconds";
            self.family(name, "gauge", "When the newest stored exchange began.");
            self.sample(name, &[], newest);
        }
        if let Some(dead) = figures.dead_letters {
            let name = "waypost_dead_letters";
            let help = "Messages that could not be taken and wait for a person, up to a thousand.";
            self.family(name, "gauge", help);
            self.sample(name, &[], dead);
        }
    }

    fn isolate(&mut self, figures: &Figures) {
        let name = "waypost_build_info";
        self.family(name, "gauge", "The version that answers.");
        self.sample(name, &[("version", &figures.version)], 1.0);
        let name = "waypost_config_info";
        self.family(
            name,
            "gauge",
            "The revision of each entry that is in force here.",
        );
        for (entry, revision) in &figures.config {
            self.sample(name, &[("entry", entry), ("revision", revision)], 1.0);
        }
        let name = "waypost_config_problems";
        self.family(name, "gauge", "Problems of entries that were refused.");
        self.sample(name, &[], figures.config_problems);
        let name = "waypost_isolate_records_lost";
        self.family(
            name,
            "gauge",
            "Records that the queue took none of, in this isolate.",
        );
        self.sample(name, &[], figures.records_lost);
        let gauges: [Sum<TargetHealth>; 3] = [
            (
                "waypost_target_admitted",
                "Whether this isolate plans the target: 1, or 0 while it is ejected.",
                |health| if health.is_ejected { 0.0 } else { 1.0 },
            ),
            (
                "waypost_target_success_ratio",
                "The share of attempts that this isolate expects to succeed.",
                |health| health.p_success,
            ),
            (
                "waypost_target_first_token_seconds",
                "The time to first token that this isolate expects.",
                |health| health.ttft_seconds,
            ),
        ];
        for (name, help, read) in gauges {
            self.family(name, "gauge", help);
            for health in &figures.targets {
                self.sample(name, &[("target", &health.target)], read(health));
            }
        }
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn histogram(&mut self, name: &str, labels: &Labels<'_>, latency: &Latency) {
        let bounds = LATENCY_BOUNDS
            .iter()
            .map(|bound| bound.as_seconds().to_string());
        let bounds = bounds.chain(["+Inf".to_owned()]);
        let mut count = 0.0;
        let bucket = format!("{name}_bucket");
        for (bound, more) in bounds.zip(&latency.buckets) {
            count += more;
            let mut labels = labels.to_vec();
            labels.push(("le", &bound));
            self.sample(&bucket, &labels, count);
        }
        self.sample(&format!("{name}_sum"), labels, latency.sum_ms / 1_000.0);
        self.sample(&format!("{name}_count"), labels, count);
    }

    fn sample(&mut self, name: &str, labels: &Labels<'_>, value: f64) {
        self.text.push_str(name);
        for (place, (label, value)) in labels.iter().enumerate() {
            self.text.push(if place == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{label}=\"");
            for letter in value.chars() {
                match letter {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    _ => self.text.push(letter),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

impl RequestTotals {
    fn labels(&self) -> [(&str, &str); 3] {
        [
            ("route", &self.route),
            ("target", &self.target),
            ("variant", &self.variant),
        ]
    }
}

impl AttemptTotals {
    fn labels(&self) -> [(&str, &str); 4] {
        [
            ("route", &self.route),
            ("target", &self.target),
            ("variant", &self.variant),
            ("outcome", &self.outcome),
        ]
    }
}
