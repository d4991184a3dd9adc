//! The sources of an answer: pages that were found, and pieces of the request's documents.
//!
//! Where a piece stands is told in characters, pages or blocks, by the type of the document
//! (<https://platform.claude.com/docs/en/build-with-claude/citations>).

use serde::{Deserialize, Serialize};

use super::super::read::Loose;
use crate::chat::{Citation, DocumentPlace, PlaceUnit};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadCitation {
    cited_text: Loose<String>,
    document_title: Loose<String>,
    title: Loose<String>,
    url: Loose<String>,
    document_index: Loose<u32>,
    start_char_index: Loose<u32>,
    end_char_index: Loose<u32>,
    start_page_number: Loose<u32>,
    end_page_number: Loose<u32>,
    start_block_index: Loose<u32>,
    end_block_index: Loose<u32>,
}

impl ReadCitation {
    /// None where it names no source.
    pub fn citation(self, span: (u32, u32)) -> Option<Citation> {
        let place = self.place();
        let title = self.title.0.or(self.document_title.0);
        let citation = Citation {
            url: self.url.0.unwrap_or_default(),
            title: title.unwrap_or_default(),
            cited: self.cited_text.0.unwrap_or_default(),
            span: Some(span),
            place,
        };
        let words = [&citation.url, &citation.title, &citation.cited];
        let is_empty = words.iter().all(|words| words.is_empty());
        (!is_empty).then_some(citation)
    }

    fn place(&self) -> Option<DocumentPlace> {
        let chars = self.start_char_index.0.zip(self.end_char_index.0);
        let pages = self.start_page_number.0.zip(self.end_page_number.0);
        let blocks = self.start_block_index.0.zip(self.end_block_index.0);
        let known = [
            (PlaceUnit::Chars, chars),
            (PlaceUnit::Pages, pages),
            (PlaceUnit::Blocks, blocks),
        ];
        let (unit, (start, end)) = known
            .into_iter()
            .find_map(|(unit, ends)| Some((unit, ends?)))?;
        Some(DocumentPlace {
            document: self.document_index.0?,
            unit,
            start,
            end,
        })
    }
}

#[derive(Default, Serialize)]
pub(super) struct WireCitation<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    cited_text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    /// For Anthropic's own search alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted_index: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document_title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_char_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_char_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_page_number: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_page_number: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_block_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_block_index: Option<u32>,
}

/// A page is told as Anthropic's own search would. None where the source has neither a URL nor a place in a document.
pub(super) fn wire_citation(citation: &Citation) -> Option<WireCitation<'_>> {
    if !citation.url.is_empty() {
        return Some(WireCitation {
            kind: "web_search_result_location",
            cited_text: &citation.cited,
            url: Some(&citation.url),
            title: Some(&citation.title),
            encrypted_index: Some(""),
            ..WireCitation::default()
        });
    }
    let place = citation.place?;
    let title = Some(&*citation.title).filter(|title| !title.is_empty());
    let mut wire = WireCitation {
        cited_text: &citation.cited,
        document_index: Some(place.document),
        document_title: title,
        ..WireCitation::default()
    };
    let (kind, start, end) = match place.unit {
        PlaceUnit::Chars => (
            "char_location",
            &mut wire.start_char_index,
            &mut wire.end_char_index,
        ),
        PlaceUnit::Pages => (
            "page_location",
            &mut wire.start_page_number,
            &mut wire.end_page_number,
        ),
        PlaceUnit::Blocks => (
            "content_block_location",
            &mut wire.start_block_index,
            &mut wire.end_block_index,
        ),
    };
    (*start, *end) = (Some(place.start), Some(place.end));
    wire.kind = kind;
    Some(wire)
}
