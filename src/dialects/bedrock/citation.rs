//! What an answer of Converse cites, whole and in a stream.
//!
//! A citation belongs to the whole text of its block.

use serde::{Deserialize, Deserializer};

use super::super::read::{Loose, Raw, each_of, fields, natural, owned};
use crate::chat::{Citation, DocumentPlace, PlaceUnit};

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
        self.0.of(span)
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
