//! The record as one line, and what goes when it is too long for a message.
//!
//! A route of hundreds of targets does not fit a queue's message. Then parts of the record go, one after the other, until
//! it fits; `trimmed` names them. What replays a decision goes first, who answered and what it cost never goes. A record
//! is therefore never dropped for its length.

use super::{Decision, Record};

/// A record that has lost all that it can is shorter than this, whatever it was.
pub const LINE_BYTES_LEAST: usize = 96 * 1024;
/// What is left of a list that says in which order things were tried.
const ORDER_ITEMS_MAX: usize = 16;
/// What is left of each name, in characters; one of them takes six bytes at the most.
const NAME_CHARS_MAX: usize = 64;

/// A part of a record by its name, and how it goes.
type Cut = (&'static str, fn(&mut Record));

/// What goes, in order.
const CUTS: [Cut; 7] = [
    ("excluded_candidates", |record| {
        record.each_decision(|decision| {
            let candidates = &mut decision.candidates;
            candidates.retain(|candidate| candidate.excluded.is_none());
        });
    }),
    ("candidates", |record| {
        record.each_decision(|decision| decision.candidates.clear());
    }),
    ("fell_back_from", |record| record.fell_back_from.clear()),
    ("callers_words", |record| {
        let traits = &mut record.traits;
        traits.headers.clear();
        traits.metadata.clear();
        traits.tags.clear();
        traits.text_matches.clear();
        traits.constraints = None;
    }),
    ("plan", |record| {
        record.via.truncate(ORDER_ITEMS_MAX);
        record.each_decision(|decision| {
            decision.plan.truncate(ORDER_ITEMS_MAX);
            decision.rules.truncate(ORDER_ITEMS_MAX);
        });
    }),
    ("reasons", |record| {
        for attempt in &mut record.attempts {
            attempt.reason = None;
            attempt.dropped.clear();
        }
        record.attempts.truncate(ORDER_ITEMS_MAX);
    }),
    ("names", Record::cut_names),
];

impl Record {
    /// The record as one line of JSON, at most `limit` bytes long where `limit` is [`LINE_BYTES_LEAST`] or more.
    #[must_use]
    pub fn to_line(&self, limit: usize) -> String {
        let line = self.line();
        if line.len() <= limit {
            return line;
        }
        let mut trimmed = self.clone();
        trimmed.each_decision(|decision| decision.is_trimmed = true);
        for (part, cut) in CUTS {
            cut(&mut trimmed);
            trimmed.trimmed.push(part.to_owned());
            let line = trimmed.line();
            if line.len() <= limit {
                return line;
            }
        }
        trimmed.line()
    }

    fn line(&self) -> String {
        // Fails for maps whose keys are no text, which there are none of.
        serde_json::to_string(self).unwrap_or_default()
    }

    fn each_decision(&mut self, change: impl FnMut(&mut Decision)) {
        let earlier = self.fell_back_from.iter_mut();
        let earlier = earlier.map(|earlier| &mut earlier.decision);
        self.decision.iter_mut().chain(earlier).for_each(change);
    }

    fn cut_names(&mut self) {
        let traits = &mut self.traits;
        let texts = [&mut self.route, &mut traits.model, &mut traits.key];
        let names = self.via.iter_mut().chain(texts);
        let decided = self.decision.iter_mut();
        let rules = decided.flat_map(|decision| &mut decision.rules);
        names.chain(rules).for_each(cut);
        let said = [
            &mut traits.team,
            &mut traits.unportable,
            &mut traits.dropped,
            &mut traits.topic,
            &mut self.outcome.error,
        ];
        said.into_iter().flatten().for_each(cut);
        let planned = self.decision.iter_mut();
        let planned = planned.flat_map(|decision| &mut decision.plan);
        let answered = self.outcome.target.iter_mut();
        let tried = self.attempts.iter_mut().flat_map(|attempt| {
            [
                &mut attempt.target,
                &mut attempt.provider,
                &mut attempt.model,
            ]
        });
        for name in planned.chain(answered).chain(tried) {
            let kept: String = name.chars().take(NAME_CHARS_MAX).collect();
            *name = kept.into();
        }
        for attempt in &mut self.attempts {
            attempt.route.iter_mut().for_each(cut);
            attempt.secret.iter_mut().for_each(cut);
        }
    }
}

fn cut(name: &mut String) {
    if let Some((place, _)) = name.char_indices().nth(NAME_CHARS_MAX) {
        name.truncate(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Usage;
    use crate::classify::Traits;
    use crate::config::{Catalogue, Route};
    use crate::decide::{Seed, SeedSource, plan};
    use crate::journal::{AttemptRecord, CountedUsage};
    use crate::units::{Millis, UnixMillis};

    fn record(targets: usize) -> Record {
        let target = r#"{"provider":"openai","model":"gpt-4o-mini","id":"ID"}"#;
        let targets: Vec<String> = (0..targets)
            .map(|place| target.replace("ID", &place.to_string()))
            .collect();
        let text = format!(
            "{{\"targets\":[{}],\"rules\":[{{\"avoid\":[\"1\"]}}]}}",
            targets.join(",")
        );
        let route = Route::parse("r", &text, &Catalogue::default())
            .unwrap()
            .value;
        let plan = plan(&Traits::default(), &route, &[], 1);
        let mut record = Record::rejected(
            "id".to_owned(),
            UnixMillis(1),
            "r".to_owned(),
            Traits::default(),
            200,
            "x",
        );
        let seed = Seed {
            value: u64::MAX,
            source: SeedSource::Random,
        };
        record.decision = Some(Decision {
            plan: Vec::new(),
            ..Decision::of(&plan, seed)
        });
        record
    }

    #[test]
    fn record_that_fits_is_whole_and_reads_back() {
        let record = record(2);
        let line = record.to_line(10_000);
        assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record);
    }

    #[test]
    fn record_that_does_not_fit_loses_the_excluded_first() {
        let read = |limit| -> (Vec<String>, usize) {
            let record: Record = serde_json::from_str(&record(3).to_line(limit)).unwrap();
            let decision = record.decision.unwrap();
            assert_eq!(decision.is_trimmed, !record.trimmed.is_empty());
            (record.trimmed, decision.candidates.len())
        };
        let whole = record(3).to_line(100_000).len();
        assert_eq!(read(whole), (vec![], 3));
        let first = "excluded_candidates".to_owned();
        assert_eq!(read(whole - 1), (vec![first.clone()], 2));
        let both = vec![first, "candidates".to_owned()];
        assert_eq!(read(whole / 2), (both, 0));
    }

    /// All that grows is as long as it can be, in characters that JSON escapes.
    fn monster() -> Record {
        let long = "\u{1}".repeat(8_000);
        let mut record = record(60);
        let attempt = AttemptRecord {
            route: Some(long.clone()),
            target: long.as_str().into(),
            provider: long.as_str().into(),
            model: long.as_str().into(),
            secret: Some(long.clone()),
            sent_ms: Millis(0),
            headers_ms: Some(Millis(1)),
            first_token_ms: Some(Millis(2)),
            end_ms: Millis(9),
            outcome: "rate_limited".to_owned(),
            reason: Some(long.clone()),
            status: Some(429),
            is_relayed: true,
            garbled: 3,
            dropped: vec![long.clone(); 40],
            usage: Some(CountedUsage {
                tokens: Usage::default(),
                is_estimated: true,
            }),
            cost: None,
        };
        record.attempts = vec![attempt; 40];
        record.route.clone_from(&long);
        record.via = vec![long.clone(); 40];
        record.traits = Traits {
            model: long.clone(),
            key: long.clone(),
            team: Some(long.clone()),
            tags: vec![long.clone(); 40],
            topic: Some(long.clone()),
            ..Traits::default()
        };
        record.outcome.error = Some(long.clone());
        record.outcome.target = Some(long.as_str().into());
        if let Some(decision) = &mut record.decision {
            decision.rules = vec![long.clone(); 40];
            decision.plan = vec![long.as_str().into(); 40];
        }
        record
    }

    #[test]
    fn record_of_any_size_fits_and_says_what_it_lost() {
        let line = monster().to_line(LINE_BYTES_LEAST);
        assert!(line.len() <= LINE_BYTES_LEAST, "{}", line.len());
        let read: Record = serde_json::from_str(&line).unwrap();
        let parts: Vec<&str> = CUTS.iter().map(|(part, _)| *part).collect();
        assert_eq!(read.trimmed, parts);
        assert_eq!((read.id.as_str(), read.outcome.status), ("id", 200));
        assert_eq!(read.attempts.len(), ORDER_ITEMS_MAX);
    }
}
