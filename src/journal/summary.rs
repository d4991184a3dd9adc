//! What an index, the rollups and the exports take from a record, read from its line without the rest of it.
//!
//! Reading whole records where they are only stored would bring the reader of every decision into the Worker, a
//! twentieth of its size. `tests` below hold the two readers together.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Outcome;
use crate::units::{MicroUsd, Millis, Tokens, UnixMillis};

/// One exchange in short.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Summary {
    pub id: String,
    pub at: UnixMillis,
    pub route: String,
    /// Absent where the request never met a route.
    #[serde(default)]
    config: Option<IgnoredAny>,
    /// The side of an experiment.
    #[serde(default)]
    pub variant: Option<String>,
    pub traits: Caller,
    #[serde(default)]
    decision: Option<Considered>,
    pub attempts: Vec<Attempt>,
    pub outcome: Outcome,
}

/// Who asked, from where, for what.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Caller {
    /// What was asked of the API; absent for a conversation.
    #[serde(default)]
    pub endpoint: Option<String>,
    pub key: String,
    #[serde(default)]
    pub team: Option<String>,
    #[serde(default)]
    pub pop: Option<String>,
    #[serde(default)]
    pub is_streaming: bool,
    #[serde(default)]
    pub answer_tokens_max: Option<Tokens>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Considered {
    candidates: Vec<Candidate>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Candidate {
    target: String,
    #[serde(default)]
    excluded: Option<Excluded>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Excluded {
    reason: String,
}

/// One call to one target. Times are since the exchange began.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Attempt {
    pub target: String,
    pub provider: String,
    pub model: String,
    pub sent_ms: Millis,
    #[serde(default)]
    pub first_token_ms: Option<Millis>,
    pub end_ms: Millis,
    pub outcome: String,
    #[serde(default)]
    pub status: Option<u16>,
    #[serde(default)]
    pub usage: Option<Counted>,
    #[serde(default, rename = "cost_micro_usd")]
    pub cost: Option<MicroUsd>,
}

/// Tokens, as counted or estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Counted {
    pub prompt: Tokens,
    pub cached: Tokens,
    pub cache_write: Tokens,
    pub answer: Tokens,
    pub reasoning: Tokens,
}

impl Summary {
    /// The tokens of the last attempt that has any.
    #[must_use]
    pub fn tokens(&self) -> Option<Counted> {
        self.attempts.iter().rev().find_map(|attempt| attempt.usage)
    }

    #[must_use]
    pub fn has_met_a_route(&self) -> bool {
        self.config.is_some()
    }

    /// The targets that were set back because they had been ejected.
    pub fn ejected(&self) -> impl Iterator<Item = &str> {
        let considered = self.decision.iter();
        let candidates = considered.flat_map(|decision| &decision.candidates);
        candidates
            .filter(|candidate| {
                let excluded = candidate.excluded.as_ref();
                excluded.is_some_and(|excluded| excluded.reason == "ejected")
            })
            .map(|candidate| candidate.target.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Usage;
    use crate::classify::Traits;
    use crate::config::{Catalogue, Route};
    use crate::decide::{Exclusion, Seed, SeedSource, plan};
    use crate::dialects::Endpoint;
    use crate::journal::{AttemptRecord, ConfigRevisions, CountedUsage, Decision, Record};

    fn attempt(tokens: Option<Usage>) -> AttemptRecord {
        AttemptRecord {
            route: None,
            target: "one".into(),
            provider: "openai".into(),
            model: "m".into(),
            secret: None,
            sent_ms: Millis(1),
            headers_ms: None,
            first_token_ms: Some(Millis(4)),
            end_ms: Millis(9),
            outcome: "ok".to_owned(),
            reason: None,
            status: Some(200),
            is_relayed: false,
            dropped: Vec::new(),
            garbled: 0,
            usage: tokens.map(|tokens| CountedUsage {
                tokens,
                is_estimated: false,
            }),
            cost: Some(MicroUsd(1.5)),
        }
    }

    fn record() -> Record {
        let traits = Traits {
            key: "web".to_owned(),
            team: Some("acme".to_owned()),
            endpoint: Endpoint::Embeddings,
            is_streaming: true,
            ..Traits::default()
        };
        let at = UnixMillis(7);
        let route = "chat".to_owned();
        Record::rejected("wp-1".to_owned(), at, route, traits, 400, "no_candidate")
    }

    #[test]
    fn summary_is_what_the_record_says() {
        let mut record = record();
        let tokens = Usage {
            prompt: Tokens(3),
            answer: Tokens(5),
            ..Usage::default()
        };
        record.attempts = vec![attempt(Some(tokens)), attempt(None)];
        let read: Summary = serde_json::from_str(&record.to_line(100_000)).unwrap();
        assert_eq!((read.id.as_str(), read.at), ("wp-1", UnixMillis(7)));
        assert_eq!(read.route, "chat");
        assert!(!read.has_met_a_route());
        assert_eq!(
            (read.traits.key.as_str(), read.traits.is_streaming),
            ("web", true)
        );
        assert_eq!(read.traits.team.as_deref(), Some("acme"));
        assert_eq!(read.traits.endpoint.as_deref(), Some("embeddings"));
        assert_eq!(
            (read.traits.pop.as_deref(), read.variant.as_deref()),
            (None, None)
        );
        let [first, second] = read.attempts.as_slice() else {
            panic!("{:?}", read.attempts)
        };
        assert_eq!(
            (first.target.as_str(), first.provider.as_str()),
            ("one", "openai")
        );
        assert_eq!((first.sent_ms, first.end_ms), (Millis(1), Millis(9)));
        assert_eq!(first.first_token_ms, Some(Millis(4)));
        assert_eq!((first.outcome.as_str(), first.status), ("ok", Some(200)));
        assert_eq!((first.cost, second.usage), (Some(MicroUsd(1.5)), None));
        let counted = Counted {
            prompt: Tokens(3),
            answer: Tokens(5),
            ..Counted::default()
        };
        assert_eq!(read.tokens(), Some(counted));
        assert_eq!(read.outcome, record.outcome);
    }

    #[test]
    fn summary_names_the_ejected() {
        let text = r#"{"targets":[{"provider":"openai","model":"a","id":"a"},{"provider":"openai","model":"b","id":"b"}]}"#;
        let catalogue = Catalogue::default();
        let route = Route::parse("r", text, &catalogue).unwrap().value;
        let mut decided = plan(&Traits::default(), &route, &[], 1);
        for candidate in &mut decided.candidates {
            let is_b = candidate.target.as_ref() == "b";
            candidate.excluded = is_b.then_some(Exclusion::Ejected);
        }
        let seed = Seed {
            value: 1,
            source: SeedSource::Random,
        };
        let mut record = record();
        record.decision = Some(Decision::of(&decided, seed));
        record.config = Some(ConfigRevisions::default());
        let read: Summary = serde_json::from_str(&record.to_line(100_000)).unwrap();
        assert_eq!(read.ejected().collect::<Vec<_>>(), ["b"]);
        assert!(read.has_met_a_route());
    }
}
