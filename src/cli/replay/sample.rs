//! A record as the estimators see it: who was chosen, with which probability, who would be now, and how it ended.
//!
//! A choice is a model of a provider, under which health is kept as well: a target that was only renamed is the same
//! choice, and two targets of one model are one. The figures are those of the whole exchange that began with the choice,
//! failover included: they belong to who was tried first.

use crate::cli::again::{Again, Decided};
use crate::decide::Candidate;
use crate::journal::{Ending, Record};
use crate::units::Millis;

/// What is estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    /// US dollars for a thousand requests; all attempts together.
    Cost,
    /// Milliseconds from the request to the first good token that the client got, of streamed answers.
    FirstToken,
    /// Milliseconds from the request to the end, of completed answers.
    Total,
    /// The share that was completed, of those that were completed, cut or failed.
    Success,
}

pub(super) const METRICS: [Metric; 4] = [
    Metric::Cost,
    Metric::FirstToken,
    Metric::Total,
    Metric::Success,
];

/// One exchange.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Exchanges of the same seed are one draw.
    pub seed: u64,
    /// The model that was tried first.
    pub chosen: usize,
    /// Whether the new config would try the same one first, with the same seed.
    pub would_stay: bool,
    /// Everyone with a share, in the log or now.
    pub choices: Vec<Choice>,
    /// In the order of [`METRICS`].
    pub figures: [Figure; METRICS.len()],
}

#[derive(Clone, Debug)]
pub(super) struct Choice {
    /// Its place in the route's list of models.
    pub model: usize,
    /// The probability of being tried first, as it was recorded.
    pub logged: f64,
    /// The same, with the new config.
    pub new: f64,
    /// What the decision knew that foretells each figure.
    pub forecasts: [f64; METRICS.len()],
}

/// How one exchange ended, by one measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Figure {
    /// The measure is not for such requests, whoever answers them.
    Foreign,
    /// It might have had one, and had none.
    Missing,
    Is(f64),
}

/// Why a record is no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unfit {
    /// The config has no route of that name.
    NoRoute,
    /// No target was left for it when it was recorded.
    NobodyThen,
    /// No target would be left for it.
    NobodyNow,
    /// Its candidates were left out to fit the queue.
    Trimmed,
}

impl Metric {
    pub fn name(self) -> &'static str {
        match self {
            Self::Cost => "cost_usd_per_1000",
            Self::FirstToken => "first_token_ms",
            Self::Total => "total_ms",
            Self::Success => "success",
        }
    }

    fn figure(self, record: &Record) -> Figure {
        let outcome = &record.outcome;
        let when = |is_there: bool, figure: f64| {
            if is_there {
                Figure::Is(figure)
            } else {
                Figure::Missing
            }
        };
        match self {
            // Tokens without a price: what is summed up lacks a part.
            Self::Cost => {
                let mut attempts = record.attempts.iter();
                let is_known =
                    attempts.all(|attempt| attempt.usage.is_none() || attempt.cost.is_some());
                when(is_known, usd_per_1000(outcome.cost.0))
            }
            Self::FirstToken if !record.traits.is_streaming => Figure::Foreign,
            Self::FirstToken => outcome
                .first_token_ms
                .map_or(Figure::Missing, |after| Figure::Is(as_ms(after))),
            Self::Total => when(outcome.code == Ending::Completed, as_ms(outcome.total_ms)),
            Self::Success => match outcome.code {
                Ending::Completed => Figure::Is(1.0),
                Ending::Cut | Ending::Failed => Figure::Is(0.0),
                // The caller's doing, not the target's.
                Ending::Rejected | Ending::ClientGone => Figure::Missing,
            },
        }
    }

    fn forecast(self, candidate: &Candidate) -> f64 {
        let signals = &candidate.signals;
        match self {
            Self::Cost => usd_per_1000(signals.cost.0),
            Self::FirstToken => signals.ttft_seconds * 1_000.0,
            Self::Total => {
                let answer = signals.seconds_per_token * candidate.health.answer_tokens;
                (signals.ttft_seconds + answer) * 1_000.0
            }
            Self::Success => signals.p_success,
        }
    }
}

/// A millionth of a dollar each is a thousandth of one for a thousand.
fn usd_per_1000(micro_usd: f64) -> f64 {
    micro_usd / 1_000.0
}

fn as_ms(span: Millis) -> f64 {
    span.as_seconds() * 1_000.0
}

impl Sample {
    /// The exchange, with `place` giving each candidate's model its place.
    pub fn of(
        record: &Record,
        decided: &Decided<'_>,
        again: &Again<'_>,
        mut place: impl FnMut(&Candidate) -> usize,
    ) -> Result<Self, Unfit> {
        let decision = decided.decision;
        let (_, plan) = again.outcome.as_ref().ok_or(Unfit::NoRoute)?;
        let first = decision.plan.first().ok_or(Unfit::NobodyThen)?;
        let mut known = decision.candidates.iter();
        let chosen = known.find(|candidate| candidate.target == *first);
        let chosen = place(chosen.ok_or(Unfit::Trimmed)?);
        let (_, now_first) = again.first_candidate().ok_or(Unfit::NobodyNow)?;
        let mut sample = Self {
            seed: decision.seed.value,
            chosen,
            would_stay: place(now_first) == chosen,
            choices: Vec::new(),
            figures: METRICS.map(|metric| metric.figure(record)),
        };
        for candidate in decision.candidates.iter().filter(|one| one.share > 0.0) {
            sample.choice(place(candidate), candidate).logged += candidate.share;
        }
        for candidate in plan.candidates.iter().filter(|one| one.share > 0.0) {
            sample.choice(place(candidate), candidate).new += candidate.share;
        }
        Ok(sample)
    }

    fn choice(&mut self, model: usize, candidate: &Candidate) -> &mut Choice {
        let found = self.choices.iter().position(|choice| choice.model == model);
        let place = found.unwrap_or_else(|| {
            self.choices.push(Choice {
                model,
                logged: 0.0,
                new: 0.0,
                forecasts: METRICS.map(|metric| metric.forecast(candidate)),
            });
            self.choices.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "found, or pushed, just above")]
        &mut self.choices[place]
    }
}
