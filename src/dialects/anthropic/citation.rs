//! The sources of an answer: pages that were found, and pieces of the request's documents.
//!
//! Where a piece stands is told in characters, pages or blocks, by the type of the document
//! (<https://platform.claude.com/docs/en/build-with-claude/citations>).

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::super::read::{Raw, fields, natural, owned};
use crate::chat::{Citation, DocumentPlace, PlaceUnit};

/// How a piece of a document is called, and its ends.
type Called = (PlaceUnit, &'static str, &'static str, &'static str);
const CHARS: Called = (
    PlaceUnit::Chars,
    "char_location",
    "start_char_index",
    "end_char_index",
);
const PLACES: [Called; 3] = [
    CHARS,
    (
        PlaceUnit::Pages,
        "page_location",
        "start_page_number",
        "end_page_number",
    ),
    (
        PlaceUnit::Blocks,
        "content_block_location",
        "start_block_index",
        "end_block_index",
    ),
];

#[derive(Debug)]
pub(super) struct ReadCitation(Citation);

impl<'de> Deserialize<'de> for ReadCitation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Raw::deserialize(deserializer).map(Self::read)
    }
}

impl ReadCitation {
    fn read(raw: Raw) -> Self {
        let names = [
            "cited_text",
            "document_title",
            "title",
            "url",
            "document_index",
        ];
        let [cited, document_title, title, url, document] = fields(Some(raw), names);
        let place = PLACES.iter().find_map(|(unit, _, start, end)| {
            let [start, end] = fields(Some(raw), [start, end]);
            Some(DocumentPlace {
                document: natural(document)?,
                unit: *unit,
                start: natural(start)?,
                end: natural(end)?,
            })
        });
        Self(Citation {
            url: owned(url).unwrap_or_default(),
            title: owned(title.or(document_title)).unwrap_or_default(),
            cited: owned(cited).unwrap_or_default(),
            span: None,
            place,
        })
    }

    /// None where it names no source.
    pub fn citation(self, span: (u32, u32)) -> Option<Citation> {
        self.0.of(span)
    }
}

/// A source that this dialect can tell: a page, as Anthropic's own search would, or a piece of a document.
pub(super) struct WireCitation<'a>(&'a Citation);

/// None where the source has neither a URL nor a place in a document.
pub(super) fn wire_citation(citation: &Citation) -> Option<WireCitation<'_>> {
    let is_known = !citation.url.is_empty() || citation.place.is_some();
    is_known.then_some(WireCitation(citation))
}

impl Serialize for WireCitation<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(citation) = self;
        let mut texts = vec![("cited_text", citation.cited.as_str())];
        let mut numbers = Vec::new();
        let place = citation.place.filter(|_| citation.url.is_empty());
        if let Some(place) = place {
            let called = PLACES.iter().find(|(unit, ..)| *unit == place.unit);
            let (_, kind, start, end) = called.unwrap_or(&CHARS);
            texts.insert(0, ("type", kind));
            texts.extend([("document_title", citation.title.as_str())]);
            numbers = vec![
                ("document_index", place.document),
                (start, place.start),
                (end, place.end),
            ];
        } else {
            texts.insert(0, ("type", "web_search_result_location"));
            texts.extend([("url", citation.url.as_str()), ("title", &citation.title)]);
            // For Anthropic's own search alone.
            texts.push(("encrypted_index", ""));
        }
        let mut map = serializer.serialize_map(None)?;
        for (name, text) in &texts {
            map.serialize_entry(name, text)?;
        }
        for (name, number) in &numbers {
            map.serialize_entry(name, number)?;
        }
        map.end()
    }
}
