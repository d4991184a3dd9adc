//! What an answer of Converse cites, whole and in a stream, and the seals of its thoughts.
//!
//! A citation belongs to the whole text of its block. Signatures and redacted thoughts are Anthropic's: its models alone make
//! them (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ReasoningContentBlock.html>).

use serde::{Deserialize, Deserializer};

use super::super::read::{Loose, Raw, each_of, fields, natural, owned};
use crate::chat::{Citation, DocumentPlace, PlaceUnit, Seal, SealForm, Signer};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadText {
    pub text: Loose<String>,
}

#[derive(Debug)]
pub(super) struct ReadCitation(Citation);

impl<'de> Deserialize<'de> for ReadCitation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Raw::deserialize(deserializer).map(Self::read)
    }
}

impl ReadCitation {
    fn read(raw: Raw) -> Self {
        let names = ["title", "source", "sourceContent", "location"];
        let [title, source, pieces, location] = fields(Some(raw), names);
        let names = ["web", "documentChar", "documentPage", "documentChunk"];
        let [web, chars, pages, chunks] = fields(location, names);
        let [url] = fields(web, ["url"]);
        let known = [
            (PlaceUnit::Chars, chars),
            (PlaceUnit::Pages, pages),
            (PlaceUnit::Blocks, chunks),
        ];
        let mut cited = String::new();
        each_of(pieces, &mut |piece| {
            let [text] = fields(Some(piece), ["text"]);
            cited.push_str(&owned(text).unwrap_or_default());
        });
        let title = owned(title).filter(|title| !title.is_empty());
        Self(Citation {
            url: owned(url).unwrap_or_default(),
            title: title.or_else(|| owned(source)).unwrap_or_default(),
            cited,
            span: None,
            place: known.into_iter().find_map(|(unit, raw)| place(unit, raw)),
        })
    }

    /// None where it names no source. `span` is the piece of the answer's text, in characters.
    pub fn citation(self, span: (u32, u32)) -> Option<Citation> {
        let Self(citation) = self;
        let words = [&citation.url, &citation.title, &citation.cited];
        let is_empty = words.iter().all(|words| words.is_empty());
        (!is_empty).then_some(Citation {
            span: Some(span),
            ..citation
        })
    }
}

fn place(unit: PlaceUnit, raw: Option<Raw>) -> Option<DocumentPlace> {
    let [document, start, end] = fields(raw, ["documentIndex", "start", "end"]);
    Some(DocumentPlace {
        document: natural(document)?,
        unit,
        start: natural(start)?,
        end: natural(end)?,
    })
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
