//! What an answer of Converse cites, whole and in a stream, and the seals of its thoughts.
//!
//! A citation belongs to the whole text of its block. Signatures and redacted thoughts are Anthropic's: its models alone make
//! them (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ReasoningContentBlock.html>).

use serde::Deserialize;

use super::super::read::Loose;
use crate::chat::{Citation, DocumentPlace, PlaceUnit, Seal, SealForm, Signer};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ReadCitation {
    title: Loose<String>,
    source: Loose<String>,
    source_content: Loose<Vec<Loose<ReadText>>>,
    location: Loose<ReadLocation>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadText {
    pub text: Loose<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ReadLocation {
    web: Loose<ReadWeb>,
    document_char: Loose<ReadPlace>,
    document_page: Loose<ReadPlace>,
    document_chunk: Loose<ReadPlace>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ReadPlace {
    document_index: Loose<u32>,
    start: Loose<u32>,
    end: Loose<u32>,
}

impl ReadPlace {
    fn place(self, unit: PlaceUnit) -> Option<DocumentPlace> {
        Some(DocumentPlace {
            document: self.document_index.0?,
            unit,
            start: self.start.0?,
            end: self.end.0?,
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ReadWeb {
    url: Loose<String>,
}

impl ReadCitation {
    /// None where it names no source. `span` is the piece of the answer's text, in characters.
    pub fn citation(self, span: (u32, u32)) -> Option<Citation> {
        let location = self.location.0.unwrap_or_default();
        let web = location.web.0.unwrap_or_default();
        let known = [
            (PlaceUnit::Chars, location.document_char),
            (PlaceUnit::Pages, location.document_page),
            (PlaceUnit::Blocks, location.document_chunk),
        ];
        let place = known
            .into_iter()
            .find_map(|(unit, read)| read.0?.place(unit));
        let pieces = self.source_content.0.unwrap_or_default().into_iter();
        let title = self.title.0.filter(|title| !title.is_empty());
        let citation = Citation {
            url: web.url.0.unwrap_or_default(),
            title: title.or(self.source.0).unwrap_or_default(),
            cited: pieces
                .filter_map(|piece| piece.0.and_then(|piece| piece.text.0))
                .collect(),
            span: Some(span),
            place,
        };
        let words = [&citation.url, &citation.title, &citation.cited];
        let is_empty = words.iter().all(|words| words.is_empty());
        (!is_empty).then_some(citation)
    }
}

/// How many characters, as far as they can be counted.
pub(super) fn chars(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}

/// Nothing where there are no words.
pub(super) fn seal(form: SealForm, words: Option<String>) -> Option<Seal<'static>> {
    let words = words.filter(|words| !words.is_empty())?.into();
    Some(Seal {
        by: Signer::Anthropic,
        form,
        words,
        id: None,
    })
}
