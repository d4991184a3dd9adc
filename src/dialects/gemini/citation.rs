//! The sources of an answer, read and written.
//!
//! Google has two forms: `citationMetadata` for what the model quotes at length, and `groundingMetadata` for what it found
//! by searching, where supports tell which piece of the text stands on which source. Both are read; what other dialects
//! tell is written as the second, which knows pages and documents (<https://ai.google.dev/api/generate-content#GroundingMetadata>).
//!
//! Google counts a text in bytes and others in characters, so the text is kept beside them, up to a limit. What lies behind
//! it, or between two bytes of a character, or does not say what Google says that it says, has no place.

use serde::Serialize;

use super::super::read::{Raw, each_of, natural, owned};
use super::wire::loose;
use crate::chat::Citation;

/// How much of an answer is kept to count in: long enough for what a model writes about sources that it searched.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Sources of one answer. A few dozen are usual.
const CITATIONS_MAX: usize = 256;
/// Of a source's words, name or address: each may come with many pieces of the answer.
const SOURCE_CHARS_MAX: usize = 2_048;

/// What has been said so far, with its sources.
#[derive(Debug, Default)]
pub(super) struct Sources {
    text: String,
    is_full: bool,
    citations: Vec<Citation>,
}

impl Sources {
    pub fn hear(&mut self, piece: &str) {
        self.is_full |= self.text.len() + piece.len() > TEXT_BYTES_MAX;
        if !self.is_full {
            self.text.push_str(piece);
        }
    }

    /// Those that a candidate names and that were not named before.
    pub fn read(&mut self, quoted: Option<Raw>, grounded: Option<Raw>) -> Vec<Citation> {
        let mut named = Vec::new();
        let [citations, sources] = loose(quoted, ["citations", "citationSources"]);
        each_of(citations.or(sources), &mut |raw| {
            let [uri, title, start, end] =
                loose(Some(raw), ["uri", "title", "startIndex", "endIndex"]);
            named.push(Citation {
                url: short(uri),
                title: short(title),
                cited: String::new(),
                span: self.span(start, end, None),
                place: None,
            });
        });
        self.grounded(grounded, &mut named);
        let before = self.citations.len();
        for citation in named {
            let is_named = !citation.url.is_empty() || !citation.title.is_empty();
            let has_room = self.citations.len() < CITATIONS_MAX;
            if is_named && has_room && !self.citations.contains(&citation) {
                self.citations.push(citation);
            }
        }
        self.citations.get(before..).unwrap_or_default().to_vec()
    }

    fn grounded(&self, raw: Option<Raw>, named: &mut Vec<Citation>) {
        let [chunks, supports] = loose(raw, ["groundingChunks", "groundingSupports"]);
        let mut known = Vec::new();
        each_of(chunks, &mut |raw| {
            if known.len() < CITATIONS_MAX {
                known.push((source(raw), false));
            }
        });
        each_of(supports, &mut |raw| {
            let [segment, indices] = loose(Some(raw), ["segment", "groundingChunkIndices"]);
            let [start, end, words] = loose(segment, ["startIndex", "endIndex", "text"]);
            let span = self.span(start, end, words);
            each_of(indices, &mut |raw| {
                let index = usize::try_from(natural(Some(raw)).unwrap_or(u32::MAX));
                let index = index.unwrap_or(usize::MAX);
                if let Some((citation, is_used)) = known.get_mut(index)
                    && named.len() < CITATIONS_MAX
                {
                    *is_used = true;
                    named.push(Citation {
                        span,
                        ..citation.clone()
                    });
                }
            });
        });
        let rest = known.into_iter().filter(|(_, is_used)| !is_used);
        named.extend(rest.map(|(citation, _)| citation));
    }

    /// In characters. An index that is absent is 0, as Google leaves out what is 0.
    fn span(&self, start: Option<Raw>, end: Option<Raw>, words: Option<Raw>) -> Option<(u32, u32)> {
        let bytes = |raw: Option<Raw>| usize::try_from(natural(raw).unwrap_or_default()).ok();
        let (start, end) = (bytes(start)?, bytes(end)?);
        let piece = self
            .text
            .get(start..end)
            .filter(|piece| !piece.is_empty())?;
        if owned(words).is_some_and(|words| words != piece) {
            return None;
        }
        let start = self.text.get(..start)?.chars().count();
        let end = start + piece.chars().count();
        Some((u32::try_from(start).ok()?, u32::try_from(end).ok()?))
    }

    /// Keeps a source for [`Self::write`].
    pub fn keep(&mut self, citation: &Citation) {
        if self.citations.len() < CITATIONS_MAX {
            self.citations.push(citation.clone());
        }
    }

    /// What was kept; none where nothing was.
    pub fn write(&self) -> Option<WireGrounding<'_>> {
        write(&self.text, &self.citations)
    }
}

fn source(raw: Raw) -> Citation {
    let [web, context, maps] = loose(Some(raw), ["web", "retrievedContext", "maps"]);
    let place = web.or(context).or(maps);
    let [uri, title, words] = loose(place, ["uri", "title", "text"]);
    Citation {
        url: short(uri),
        title: short(title),
        cited: short(words),
        span: None,
        place: None,
    }
}

fn short(raw: Option<Raw>) -> String {
    let whole = owned(raw).unwrap_or_default();
    match whole.char_indices().nth(SOURCE_CHARS_MAX) {
        Some((end, _)) => whole.get(..end).unwrap_or_default().to_owned(),
        None => whole,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireGrounding<'a> {
    grounding_chunks: Vec<WireSource<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    grounding_supports: Vec<WireSupport<'a>>,
}

#[derive(PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
enum WireSource<'a> {
    Web {
        uri: &'a str,
        title: &'a str,
    },
    RetrievedContext {
        title: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        text: &'a str,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireSupport<'a> {
    segment: WireSegment<'a>,
    grounding_chunk_indices: [usize; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireSegment<'a> {
    start_index: usize,
    end_index: usize,
    text: &'a str,
}

/// `answer` is the text that the citations are of.
pub(super) fn write<'a>(answer: &'a str, citations: &'a [Citation]) -> Option<WireGrounding<'a>> {
    if citations.is_empty() {
        return None;
    }
    let mut grounding = WireGrounding {
        grounding_chunks: Vec::new(),
        grounding_supports: Vec::new(),
    };
    for citation in citations.iter().take(CITATIONS_MAX) {
        let source = wire_source(citation);
        let chunks = &mut grounding.grounding_chunks;
        let index = chunks.iter().position(|known| *known == source);
        let index = index.unwrap_or_else(|| {
            chunks.push(source);
            chunks.len() - 1
        });
        let segment = citation.span.and_then(|span| segment(answer, span));
        grounding
            .grounding_supports
            .extend(segment.map(|segment| WireSupport {
                segment,
                grounding_chunk_indices: [index],
            }));
    }
    Some(grounding)
}

fn wire_source(citation: &Citation) -> WireSource<'_> {
    if citation.url.is_empty() {
        return WireSource::RetrievedContext {
            title: &citation.title,
            text: &citation.cited,
        };
    }
    WireSource::Web {
        uri: &citation.url,
        title: &citation.title,
    }
}

/// In bytes. None where the text is not long enough.
fn segment(answer: &str, (start, end): (u32, u32)) -> Option<WireSegment<'_>> {
    let byte = |place: u32| {
        let ends = answer.char_indices().map(|(at, _)| at);
        let mut ends = ends.chain(std::iter::once(answer.len()));
        ends.nth(usize::try_from(place).ok()?)
    };
    let (start_index, end_index) = (byte(start)?, byte(end)?);
    let text = answer.get(start_index..end_index)?;
    (!text.is_empty()).then_some(WireSegment {
        start_index,
        end_index,
        text,
    })
}
