//! The sources of an answer and the probabilities of its tokens, whole and in a stream.
//!
//! A citation names the documents that a piece of the text stands on; it does not say which of their words. So it is of each
//! of them as a whole. What is cited of tools' results is left out: a request cannot ask for it, and models do it unasked.
//!
//! Probabilities are told for pieces of text, each with those of its tokens, which have no texts of their own. A piece
//! counts as one token, as likely as all of its tokens together. Other tokens in its place are not told.

use serde::{Deserialize, Deserializer};

use super::super::read::{Raw, each_of, fields, natural, owned};
use crate::chat::{Alternative, Citation, DocumentPlace, PlaceUnit, TokenLogprob, char_count};

pub(super) struct ReadCitation(pub Vec<Citation>);

impl<'de> Deserialize<'de> for ReadCitation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Raw::deserialize(deserializer).map(Self::read)
    }
}

impl ReadCitation {
    fn read(raw: Raw) -> Self {
        let names = ["start", "end", "sources", "type"];
        let [start, end, sources, kind] = fields(Some(raw), names);
        let span = natural(start).zip(natural(end));
        let is_of_text = kind.is_none_or(|kind| kind.get() == "\"TEXT_CONTENT\"");
        let mut citations = Vec::new();
        each_of(sources.filter(|_| is_of_text), &mut |raw| {
            let it = citation(raw, span);
            citations.extend(it.filter(|it| it.place.is_some() || !it.title.is_empty()));
        });
        Self(citations)
    }
}

/// Its id is the place among the request's documents, as `encode.rs` numbers them.
fn citation(raw: Raw, span: Option<(u32, u32)>) -> Option<Citation> {
    let [kind, id, document] = fields(Some(raw), ["type", "id", "document"]);
    if kind?.get() != "\"document\"" {
        return None;
    }
    let [title, text] = fields(document, ["title", "text"]);
    let cited = owned(text).unwrap_or_default();
    let end = char_count(&cited);
    let number = owned(id).and_then(|id| id.parse().ok());
    Some(Citation {
        url: String::new(),
        title: owned(title).unwrap_or_default(),
        cited,
        span,
        place: number.map(|document| DocumentPlace {
            document,
            unit: PlaceUnit::Chars,
            start: 0,
            end,
        }),
    })
}

pub(super) struct ReadLogprob(pub Option<TokenLogprob>);

impl<'de> Deserialize<'de> for ReadLogprob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Raw::deserialize(deserializer).map(Self::read)
    }
}

impl ReadLogprob {
    fn read(raw: Raw) -> Self {
        let [text, logprobs] = fields(Some(raw), ["text", "logprobs"]);
        let mut sum = None;
        each_of(logprobs, &mut |raw| {
            let one: Option<f64> = serde_json::from_str(raw.get()).ok();
            sum = Some(sum.unwrap_or_default() + one.unwrap_or_default());
        });
        Self(sum.map(|logprob| TokenLogprob {
            chosen: Alternative {
                token: owned(text).unwrap_or_default(),
                logprob,
                bytes: None,
            },
            top: Vec::new(),
        }))
    }
}
