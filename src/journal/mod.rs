//! The record: what the queue receives about one exchange.
//!
//! It holds all that the decision was made from (traits, candidates with their health, seed, revisions), all that
//! was done (attempts with their phases and failures), and how it ended for the client. No prompt, no answer, no
//! secret, no provider's words: those may quote the prompt.
//!
//! Fields are only ever added; a change of meaning raises [`VERSION`]. Times inside a record are milliseconds
//! since its `at`.
//!
//! What is made of records is here too, as far as it is pure: the line (`line`), what an index keeps (`summary`), what is
//! counted (`rollup`), and the words in which others are told (`otlp`, `prometheus`).
//!
//! Not here: how records travel and where they are kept (`edge/journal.rs`, `edge/pipeline/`).

mod explanation;
mod line;
mod otlp;
mod prometheus;
mod rollup;
mod summary;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::chat::{FinishReason, Usage};
use crate::classify::Traits;
use crate::config::{Prefer, Revision};
use crate::decide::{Candidate, Plan, Seed};
use crate::health::{Admission, View};
use crate::units::{MicroUsd, Millis, UnixMillis};

pub use explanation::{Explained, Explanation};
pub use line::LINE_BYTES_LEAST;
pub use otlp::trace_export;
pub use prometheus::{
    AttemptTotals, ENDINGS, Figures, Latency, RequestTotals, TargetHealth, exposition,
};
pub use rollup::{LATENCY_BOUNDS, NO_ROUTE, OTHER, Row};
pub use summary::Summary;

pub const VERSION: u32 = 1;

/// One exchange.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub v: u32,
    pub id: String,
    pub at: UnixMillis,
    pub route: String,
    /// The routes whose rules sent the request on, in order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub via: Vec<String>,
    /// Absent where the request never met a route.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub config: Option<ConfigRevisions>,
    pub traits: Traits,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub decision: Option<Decision>,
    /// What the names before this one in the client's `models` came to, in order; none of their targets answered.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub fell_back_from: Vec<Explanation<Candidate>>,
    pub attempts: Vec<AttemptRecord>,
    pub outcome: Outcome,
    /// What was left out so that the record fits a message, in the order in which it went (`line.rs`).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub trimmed: Vec<String>,
}

/// Which configuration decided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfigRevisions {
    pub route: Revision,
    pub providers: Revision,
    /// Problems of entries that were refused, so that an older revision served.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub problems: u32,
}

/// Why these targets, in this order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision<C = Candidate> {
    pub seed: Seed,
    /// A name for all that was known of the targets' health: the same name is the same knowledge. Absent in records of
    /// before it was kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub health: Option<String>,
    /// The rules that fired, by name.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub rules: Vec<String>,
    /// What weighed the signals. Absent in records of before it was kept, as is the temperature.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prefer: Option<Prefer>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub temperature: Option<f64>,
    pub candidates: Vec<C>,
    /// Targets in the order in which they would be tried, by id.
    pub plan: Vec<Arc<str>>,
    /// The probability with which the first of the plan came first.
    pub propensity: f64,
    /// Whether candidates were left out, or told in less words, to fit a limit.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_trimmed: bool,
}

impl Decision {
    #[must_use]
    pub fn of(plan: &Plan, seed: Seed) -> Self {
        let candidate = |place: &usize| plan.candidates.get(*place);
        let first_come = plan.order.iter().filter_map(candidate);
        Self {
            seed,
            health: Some(health_revision(&plan.candidates)),
            rules: plan.rules.clone(),
            prefer: Some(plan.settings.prefer),
            temperature: Some(plan.settings.temperature),
            candidates: plan.candidates.clone(),
            plan: first_come
                .map(|candidate| candidate.target.clone())
                .collect(),
            propensity: plan.propensity(),
            is_trimmed: false,
        }
    }
}

impl<C> Decision<C> {
    /// The same decision, its candidates told in other words.
    #[must_use]
    pub fn map<D>(self, tell: impl FnMut(C) -> D) -> Decision<D> {
        Decision {
            seed: self.seed,
            health: self.health,
            rules: self.rules,
            prefer: self.prefer,
            temperature: self.temperature,
            candidates: self.candidates.into_iter().map(tell).collect(),
            plan: self.plan,
            propensity: self.propensity,
            is_trimmed: self.is_trimmed,
        }
    }
}

/// Content-addressed, as a config's revision is. XXH3 will do: nobody gains by two that collide.
fn health_revision(candidates: &[Candidate]) -> String {
    let mut bytes = Vec::with_capacity(VIEW_NUMBERS * 8 * candidates.len());
    for number in candidates
        .iter()
        .flat_map(|candidate| numbers(&candidate.health))
    {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(&bytes))
}

const VIEW_NUMBERS: usize = 19;

/// All that a view says, as bits: to write it as JSON for its name took an eighth of an exchange's time.
fn numbers(view: &View) -> [u64; VIEW_NUMBERS] {
    // By name, so that a new field is not forgotten.
    let View {
        p_success,
        ttft_seconds,
        ttft_p95_seconds,
        seconds_per_token,
        answer_tokens,
        rate_limited,
        prompt_factor,
        prompt_factor_min,
        reasoning,
        warm_tokens,
        cache_hits,
        cache_written,
        age,
        room,
        admission,
    } = view;
    // These bits are no number that is ever measured.
    let bits = |number: Option<f64>| number.map_or(u64::MAX, f64::to_bits);
    let (state, detail) = match admission {
        Admission::Admitted => (0, 0),
        Admission::Recovering { share } => (1, share.to_bits()),
        Admission::Ejected { until } => (2, until.0),
    };
    [
        p_success.to_bits(),
        ttft_seconds.to_bits(),
        bits(*ttft_p95_seconds),
        seconds_per_token.to_bits(),
        answer_tokens.to_bits(),
        rate_limited.to_bits(),
        prompt_factor.to_bits(),
        prompt_factor_min.to_bits(),
        reasoning.to_bits(),
        warm_tokens.0,
        cache_hits.to_bits(),
        cache_written.to_bits(),
        age.0,
        u64::from(room.is_some()),
        bits(room.and_then(|room| room.requests)),
        bits(room.and_then(|room| room.tokens)),
        bits(room.map(|room| room.attempts_per_second)),
        state,
        detail,
    ]
}

/// One call to one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// Where it is not the record's own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub route: Option<String>,
    pub target: Arc<str>,
    pub provider: Arc<str>,
    pub model: Arc<str>,
    /// The name of the secret that was used.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub secret: Option<String>,
    pub sent_ms: Millis,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub headers_ms: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_token_ms: Option<Millis>,
    pub end_ms: Millis,
    /// `ok`, `abandoned`, or the failure's code.
    pub outcome: String,
    /// The failure in words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<u16>,
    /// Whether its bytes went to the client unread, and were only looked at beside.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_relayed: bool,
    /// The fields of the request that its dialect could not carry, and that it was not given.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub dropped: Vec<String>,
    /// Unreadable events that were skipped.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub garbled: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub usage: Option<CountedUsage>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        default,
        rename = "cost_micro_usd"
    )]
    pub cost: Option<MicroUsd>,
}

/// Tokens, and whether the provider counted them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CountedUsage {
    #[serde(flatten)]
    pub tokens: Usage,
    pub is_estimated: bool,
}

/// How it ended for the client.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub code: Ending,
    /// The HTTP status that the client saw, or would have seen.
    pub status: u16,
    /// The error's code, where it ended in one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// The target that answered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub finish: Option<FinishReason>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_token_ms: Option<Millis>,
    pub total_ms: Millis,
    /// Of all attempts together.
    #[serde(rename = "cost_micro_usd")]
    pub cost: MicroUsd,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The client has the whole answer.
    Completed,
    /// The answer broke after it had begun; the client was told.
    Cut,
    /// No target answered.
    #[default]
    Failed,
    /// The request was at fault.
    Rejected,
    /// The client left.
    ClientGone,
}

impl Record {
    /// The record of a request that was refused before any target was considered.
    #[must_use]
    pub fn rejected(
        id: String,
        at: UnixMillis,
        route: String,
        traits: Traits,
        status: u16,
        code: &str,
    ) -> Self {
        Self {
            v: VERSION,
            id,
            at,
            route,
            via: Vec::new(),
            config: None,
            traits,
            decision: None,
            fell_back_from: Vec::new(),
            attempts: Vec::new(),
            outcome: Outcome {
                code: Ending::Rejected,
                status,
                error: Some(code.to_owned()),
                ..Outcome::default()
            },
            trimmed: Vec::new(),
        }
    }
}

impl Ending {
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Cut => "cut",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::ClientGone => "client_gone",
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero(count: &u32) -> bool {
    *count == 0
}
