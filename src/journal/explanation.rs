//! Why a decision came out as it did, in one object for all who ask.
//!
//! `POST /v1/route`, the header `x-waypost-explain` and `waypost explain` give the same object. Its fields are those
//! of the record, but that each candidate also has the contribution of every signal to its score. A record does not
//! hold those: they follow from its signals and preferences.
//!
//! A header's room is limited and its text is ASCII, so [`Explanation::to_header`] says less when it must.
//!
//! Not here: the table for people (`cli/table.rs`).

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::ser::Formatter;

use super::{ConfigRevisions, Decision, Record};
use crate::classify::Traits;
use crate::config::Prefer;
use crate::decide::{Candidate, Contributions, Exclusion};

/// One decision, and all that it was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation<C = Explained> {
    pub route: String,
    /// The routes whose rules sent the request on, in order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub via: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub config: Option<ConfigRevisions>,
    pub traits: Traits,
    pub decision: Decision<C>,
    /// What the names before this one in the client's `models` came to.
    #[serde(skip_serializing_if = "Vec::is_empty", default = "Vec::new")]
    pub fell_back_from: Vec<Explanation<C>>,
    /// What would be tried for the names after this one.
    #[serde(skip_serializing_if = "Vec::is_empty", default = "Vec::new")]
    pub fallbacks: Vec<Explanation<C>>,
}

/// A candidate, and what its score is made of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explained {
    #[serde(flatten)]
    pub candidate: Candidate,
    /// Absent where the preferences are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contributions: Option<Contributions>,
}

/// A candidate where there is no room for all of it.
#[derive(Serialize)]
struct Brief {
    target: Arc<str>,
    score: f64,
    share: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    excluded: Option<Exclusion>,
}

/// What is left when there is no room for any candidate.
#[derive(Serialize)]
struct Remnant<'a> {
    decision: PlanAlone<'a>,
}

#[derive(Serialize)]
struct PlanAlone<'a> {
    plan: &'a [Arc<str>],
    propensity: f64,
    is_trimmed: bool,
}

impl Explanation<Candidate> {
    #[must_use]
    pub fn new(
        route: String,
        via: Vec<String>,
        config: Option<ConfigRevisions>,
        traits: Traits,
        decision: Decision,
    ) -> Self {
        Self {
            route,
            via,
            config,
            traits,
            decision,
            fell_back_from: Vec::new(),
            fallbacks: Vec::new(),
        }
    }

    /// Why a recorded exchange was sent where it was. None for a request that was refused before any target was
    /// considered.
    #[must_use]
    pub fn of_record(record: &Record) -> Option<Self> {
        let told = Self::new(
            record.route.clone(),
            record.via.clone(),
            record.config.clone(),
            record.traits.clone(),
            record.decision.clone()?,
        );
        Some(Self {
            fell_back_from: record.fell_back_from.clone(),
            ..told
        })
    }

    /// The same, with what each score is made of.
    #[must_use]
    pub fn explained(self) -> Explanation {
        let prefer = self.decision.prefer;
        let each = |told: Vec<Self>| told.into_iter().map(Self::explained).collect();
        Explanation {
            route: self.route,
            via: self.via,
            config: self.config,
            traits: self.traits,
            decision: self
                .decision
                .map(|candidate| Explained::new(candidate, prefer)),
            fell_back_from: each(self.fell_back_from),
            fallbacks: each(self.fallbacks),
        }
    }
}

impl Explanation {
    /// As JSON of at most `limit` bytes of printable ASCII. Where it does not fit, `decision.is_trimmed` says so:
    /// first the candidates lose all but target, score, share and exclusion, and what other names of the client's came
    /// to is left out; then nothing is left but the plan and
    /// its propensity; then the plan loses its end.
    #[must_use]
    pub fn to_header(&self, limit: usize) -> String {
        let fits = |text: &String| text.len() <= limit;
        let whole = Some(ascii_json(self)).filter(fits);
        whole
            .or_else(|| Some(ascii_json(&self.clone().brief())).filter(fits))
            .unwrap_or_else(|| self.plan_alone(limit))
    }

    fn brief(self) -> Explanation<Brief> {
        let brief = |Explained { candidate, .. }: Explained| Brief {
            target: candidate.target,
            score: candidate.score,
            share: candidate.share,
            excluded: candidate.excluded,
        };
        let mut decision = self.decision.map(brief);
        decision.is_trimmed = true;
        Explanation {
            route: self.route,
            via: self.via,
            config: self.config,
            traits: self.traits,
            decision,
            fell_back_from: Vec::new(),
            fallbacks: Vec::new(),
        }
    }

    fn plan_alone(&self, limit: usize) -> String {
        let with = |count: usize| {
            let decision = PlanAlone {
                plan: self.decision.plan.get(..count).unwrap_or_default(),
                propensity: self.decision.propensity,
                is_trimmed: true,
            };
            ascii_json(&Remnant { decision })
        };
        let counts = (0..=self.decision.plan.len()).rev();
        let mut texts = counts.map(with).filter(|text| text.len() <= limit);
        texts.next().unwrap_or_default()
    }
}

impl Explained {
    fn new(candidate: Candidate, prefer: Option<Prefer>) -> Self {
        Self {
            contributions: prefer.map(|prefer| candidate.signals.contributions(prefer)),
            candidate,
        }
    }
}

/// Compact JSON in which every character is one that a header can carry.
fn ascii_json(value: &impl Serialize) -> String {
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, Ascii);
    // Fails for maps whose keys are no text, which there are none of.
    let written = value.serialize(&mut serializer);
    written
        .ok()
        .and_then(|()| String::from_utf8(out).ok())
        .unwrap_or_default()
}

/// Escapes what `serde_json` leaves as it is: all beyond ASCII, and DEL.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for unit in fragment.encode_utf16() {
            match u8::try_from(unit) {
                Ok(byte @ 0x20..=0x7e) => writer.write_all(&[byte])?,
                _ => write!(writer, "\\u{unit:04x}")?,
            }
        }
        Ok(())
    }
}
