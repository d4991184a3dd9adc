//! The sources of an answer and the probabilities of its tokens, whole and in a stream.
//!
//! A citation names the documents that a piece of the text stands on; it does not say which of their words. So it is of each
//! of them as a whole. What is cited of tools' results is left out: a request cannot ask for it, and models do it unasked.
//!
//! Probabilities are told for pieces of text, each with those of its tokens, which have no texts of their own. A piece
//! counts as one token, as likely as all of its tokens together. Other tokens in its place are not told.

use serde::Deserialize;

use super::super::read::Loose;
use crate::chat::{Alternative, Citation, DocumentPlace, PlaceUnit, TokenLogprob};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadCitation {
    start: Loose<u32>,
    end: Loose<u32>,
    sources: Loose<Vec<Loose<ReadSource>>>,
    /// Of what it is a piece.
    #[serde(rename = "type")]
    kind: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReadSource {
    #[serde(rename = "type")]
    kind: Loose<String>,
    /// The place among the request's documents, as `encode.rs` numbers them.
    id: Loose<String>,
    document: Loose<ReadDocument>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReadDocument {
    title: Loose<String>,
    text: Loose<String>,
}

impl ReadCitation {
    pub fn citations(self) -> Vec<Citation> {
        let span = self.start.0.zip(self.end.0);
        let is_of_text = matches!(self.kind.0.as_deref(), None | Some("TEXT_CONTENT"));
        let sources = self.sources.0.filter(|_| is_of_text).unwrap_or_default();
        let sources = sources.into_iter().filter_map(|source| source.0);
        let documents = sources.filter(|source| source.kind.0.as_deref() == Some("document"));
        let named = documents.map(|source| source.citation(span));
        let is_named = |it: &Citation| it.place.is_some() || !it.title.is_empty();
        named.filter(is_named).collect()
    }
}

impl ReadSource {
    fn citation(self, span: Option<(u32, u32)>) -> Citation {
        let document = self.document.0.unwrap_or_default();
        let id = self.id.0.unwrap_or_default();
        let cited = document.text.0.unwrap_or_default();
        let end = u32::try_from(cited.chars().count()).unwrap_or(u32::MAX);
        let place = id.parse().ok().map(|document| DocumentPlace {
            document,
            unit: PlaceUnit::Chars,
            start: 0,
            end,
        });
        Citation {
            url: String::new(),
            title: document.title.0.unwrap_or_default(),
            cited,
            span,
            place,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadLogprob {
    text: Loose<String>,
    logprobs: Loose<Vec<f64>>,
}

impl ReadLogprob {
    /// None where it tells no probability.
    pub fn token(self) -> Option<TokenLogprob> {
        let logprobs = self.logprobs.0.filter(|all| !all.is_empty())?;
        Some(TokenLogprob {
            chosen: Alternative {
                token: self.text.0.unwrap_or_default(),
                logprob: logprobs.iter().sum(),
                bytes: None,
            },
            top: Vec::new(),
        })
    }
}
