//! What an index keeps of a record, read from the record's line without the rest of it.
//!
//! Reading whole records where they are only stored would bring the reader of every decision into the Worker, a
//! twentieth of its size. `tests` below hold the two readers together.

use serde::Deserialize;

use super::Outcome;
use crate::units::{Tokens, UnixMillis};

/// One exchange in short.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Summary {
    pub id: String,
    pub at: UnixMillis,
    pub route: String,
    pub traits: Caller,
    pub attempts: Vec<Attempt>,
    pub outcome: Outcome,
}

/// Who asked, from where.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Caller {
    pub key: String,
    #[serde(default)]
    pub team: Option<String>,
    #[serde(default)]
    pub pop: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Attempt {
    #[serde(default)]
    pub usage: Option<Counted>,
}

/// Tokens, as counted or estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Counted {
    pub prompt: Tokens,
    pub answer: Tokens,
}

impl Summary {
    /// The tokens of the last attempt that has any.
    #[must_use]
    pub fn tokens(&self) -> Option<Counted> {
        self.attempts.iter().rev().find_map(|attempt| attempt.usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Usage;
    use crate::classify::Traits;
    use crate::journal::{AttemptRecord, CountedUsage, Record};
    use crate::units::Millis;

    fn attempt(tokens: Option<Usage>) -> AttemptRecord {
        AttemptRecord {
            route: None,
            target: "one".into(),
            provider: "openai".into(),
            model: "m".into(),
            secret: None,
            sent_ms: Millis(0),
            headers_ms: None,
            first_token_ms: None,
            end_ms: Millis(9),
            outcome: "ok".to_owned(),
            reason: None,
            status: None,
            is_relayed: false,
            dropped: Vec::new(),
            garbled: 0,
            usage: tokens.map(|tokens| CountedUsage {
                tokens,
                is_estimated: false,
            }),
            cost: None,
        }
    }

    #[test]
    fn summary_is_what_the_record_says() {
        let traits = Traits {
            key: "web".to_owned(),
            team: Some("acme".to_owned()),
            ..Traits::default()
        };
        let mut record = Record::rejected(
            "wp-1".to_owned(),
            UnixMillis(7),
            "chat".to_owned(),
            traits,
            400,
            "no_candidate",
        );
        let tokens = Usage {
            prompt: Tokens(3),
            answer: Tokens(5),
            ..Usage::default()
        };
        record.attempts = vec![attempt(Some(tokens)), attempt(None)];
        let line = record.to_line(100_000).unwrap();
        let read: Summary = serde_json::from_str(&line).unwrap();
        assert_eq!((read.id.as_str(), read.at), ("wp-1", UnixMillis(7)));
        assert_eq!(read.route, "chat");
        assert_eq!(read.traits.key, "web");
        assert_eq!(read.traits.team.as_deref(), Some("acme"));
        assert_eq!(read.traits.pop, None);
        assert_eq!(read.attempts.len(), 2);
        let counted = Counted {
            prompt: Tokens(3),
            answer: Tokens(5),
        };
        assert_eq!(read.tokens(), Some(counted));
        assert_eq!(read.outcome, record.outcome);
    }
}
