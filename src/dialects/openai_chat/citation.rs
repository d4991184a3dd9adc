//! The sources of an answer: `annotations` of the type `url_citation`. Chat completions nest it, the Responses API does
//! not, and both count characters. Annotations of other types name files that OpenAI keeps, and are left out.

use serde::{Deserialize, Serialize};

use super::super::read::Loose;
use crate::chat::Citation;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct ReadAnnotation {
    url_citation: Loose<ReadUrl>,
    url: Loose<String>,
    title: Loose<String>,
    start_index: Loose<u32>,
    end_index: Loose<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReadUrl {
    url: Loose<String>,
    title: Loose<String>,
    /// OpenRouter's.
    content: Loose<String>,
    start_index: Loose<u32>,
    end_index: Loose<u32>,
}

impl ReadAnnotation {
    pub fn citation(self) -> Option<Citation> {
        let read = self.url_citation.0.unwrap_or(ReadUrl {
            url: self.url,
            title: self.title,
            content: Loose(None),
            start_index: self.start_index,
            end_index: self.end_index,
        });
        Some(Citation {
            url: read.url.0.filter(|url| !url.is_empty())?,
            title: read.title.0.unwrap_or_default(),
            cited: read.content.0.unwrap_or_default(),
            span: read.start_index.0.zip(read.end_index.0),
            place: None,
        })
    }
}

#[derive(Serialize)]
pub(in super::super) struct WireCitation<'a> {
    #[serde(skip_serializing_if = "Option::is_none", rename = "type")]
    kind: Option<&'static str>,
    url: &'a str,
    title: &'a str,
    start_index: u32,
    end_index: u32,
}

/// With its type beside the fields, as the Responses API has it.
pub(in super::super) fn flat(citation: &Citation) -> WireCitation<'_> {
    WireCitation {
        kind: Some("url_citation"),
        ..plain(citation)
    }
}

fn plain(citation: &Citation) -> WireCitation<'_> {
    let (start_index, end_index) = citation.span.unwrap_or_default();
    WireCitation {
        kind: None,
        url: &citation.url,
        title: &citation.title,
        start_index,
        end_index,
    }
}

#[derive(Serialize)]
pub(super) struct WireAnnotation<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    url_citation: WireCitation<'a>,
}

/// None where the source has no URL.
pub(super) fn annotation(citation: &Citation) -> Option<WireAnnotation<'_>> {
    (!citation.url.is_empty()).then(|| WireAnnotation {
        kind: "url_citation",
        url_citation: plain(citation),
    })
}
