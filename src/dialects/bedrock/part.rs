//! The parts of a message, written as blocks of Converse.
//!
//! - A document has a name of letters, digits, spaces, hyphens and brackets; others' names are made such, and each is given
//!   once. Plain text is sent as such, in the format `txt`.
//! - Sealed thoughts go back to Anthropic's models alone: a signature of one platform is good on all
//!   (<https://platform.claude.com/docs/en/build-with-claude/extended-thinking>, 2026-11-21). Other models refuse any.
//! - Where the cache shall end is a block of its own behind the one that is marked. It lasts as long as the model's default:
//!   few models know the longer time, and the others refuse it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Serialize;

use super::super::read::Json;
use super::super::{Feature, Features};
use crate::chat::{Document, DocumentSource, Image, Part, Reasoning, SealForm, Signer};

const NAME_CHARS_MAX: usize = 180;
const NAME: &str = "Document";

/// Each block is an object with one field, which says what it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Block<'a> {
    Text(&'a str),
    Image(WireImage<'a>),
    Document(WireDocument<'a>),
    ReasoningContent(WireThought<'a>),
    CachePoint(CachePoint),
    ToolUse(ToolUse<'a>),
    ToolResult(WireResult<'a>),
}

#[derive(Serialize)]
pub(super) struct WireImage<'a> {
    format: &'static str,
    source: Source<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Source<'a> {
    /// In base64.
    Bytes(&'a str),
    Text(&'a str),
}

#[derive(Serialize)]
pub(super) struct WireDocument<'a> {
    format: &'static str,
    name: String,
    source: Source<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    citations: Option<Switch>,
}

#[derive(Serialize)]
struct Switch {
    enabled: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum WireThought<'a> {
    ReasoningText { text: &'a str, signature: &'a str },
    RedactedContent(&'a str),
}

#[derive(Serialize)]
pub(super) struct CachePoint {
    #[serde(rename = "type")]
    kind: &'static str,
}

pub(super) const CACHE_POINT: CachePoint = CachePoint { kind: "default" };

#[derive(Serialize)]
pub(super) struct ToolUse<'a> {
    #[serde(rename = "toolUseId")]
    pub id: Cow<'a, str>,
    pub name: &'a str,
    pub input: Json<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireResult<'a> {
    pub tool_use_id: Cow<'a, str>,
    pub content: Vec<Block<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'static str>,
}

/// Whether the API has words for it in a turn of the user.
pub(super) fn is_writable(part: &Part) -> bool {
    match part {
        Part::Image(Image::Inline { media_type, .. }) => image_format(media_type).is_some(),
        Part::Document(document) => match &document.source {
            DocumentSource::Inline { media_type, .. } => document_format(media_type).is_some(),
            DocumentSource::Text(_) => true,
            DocumentSource::Url(_) => false,
        },
        Part::Image(Image::Url(_)) | Part::Audio(_) => false,
        Part::Text(_) | Part::Reasoning(_) | Part::CacheMarker(_) => true,
    }
}

fn image_format(media_type: &str) -> Option<&'static str> {
    match media_type {
        "image/png" => Some("png"),
        "image/jpeg" | "image/jpg" => Some("jpeg"),
        "image/gif" => Some("gif"),
        "image/webp" => Some("webp"),
        _ => None,
    }
}

fn document_format(media_type: &str) -> Option<&'static str> {
    Some(match media_type {
        "application/pdf" => "pdf",
        "text/csv" => "csv",
        "application/msword" => "doc",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        "application/vnd.ms-excel" => "xls",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
        "text/html" => "html",
        "text/plain" => "txt",
        "text/markdown" => "md",
        _ => return None,
    })
}

/// All but white space, thoughts that the target's model cannot read, and marks that it does not know or that mark nothing.
pub(super) fn blocks<'a>(
    parts: impl IntoIterator<Item = &'a Part<'a>>,
    carried: Features,
) -> Vec<Block<'a>> {
    let mut blocks: Vec<Block> = Vec::new();
    for part in parts {
        if let Part::CacheMarker(_) = part {
            mark(&mut blocks, carried);
        } else {
            blocks.extend(block(part, carried));
        }
    }
    blocks
}

/// Marks the last block, unless it is marked or a thought, which cannot be.
pub(super) fn mark(blocks: &mut Vec<Block>, carried: Features) {
    let is_markable = !matches!(
        blocks.last(),
        None | Some(Block::CachePoint(_) | Block::ReasoningContent(_))
    );
    if is_markable && carried.has(Feature::CacheMarkers) {
        blocks.push(Block::CachePoint(CACHE_POINT));
    }
}

fn block<'a>(part: &'a Part<'a>, carried: Features) -> Option<Block<'a>> {
    match part {
        Part::Text(text) => (!text.trim().is_empty()).then_some(Block::Text(text)),
        Part::Image(Image::Inline { media_type, base64 }) => Some(Block::Image(WireImage {
            format: image_format(media_type)?,
            source: Source::Bytes(base64),
        })),
        Part::Document(document) => wire_document(document).map(Block::Document),
        Part::Reasoning(thought) if carried.has(Feature::AnthropicReasoning) => {
            wire_thought(thought).map(Block::ReasoningContent)
        }
        Part::Image(Image::Url(_)) | Part::Audio(_) | Part::Reasoning(_) | Part::CacheMarker(_) => {
            None
        }
    }
}

fn wire_document<'a>(document: &'a Document<'a>) -> Option<WireDocument<'a>> {
    let (format, source) = match &document.source {
        DocumentSource::Inline { media_type, base64 } => {
            (document_format(media_type)?, Source::Bytes(base64))
        }
        DocumentSource::Text(text) => ("txt", Source::Text(text)),
        DocumentSource::Url(_) => return None,
    };
    Some(WireDocument {
        format,
        name: name(document.name.as_deref().unwrap_or_default()),
        source,
        citations: document.is_cited.then_some(Switch { enabled: true }),
    })
}

/// A name that the API takes. The ending of a file's is told by the format.
fn name(given: &str) -> String {
    let is_allowed = |c: &char| c.is_ascii_alphanumeric() || "-()[]".contains(*c);
    let stem = given.rsplit_once('.').map_or(given, |(stem, _)| stem);
    let allowed = stem.chars().map(|c| if is_allowed(&c) { c } else { ' ' });
    let allowed: String = allowed.take(NAME_CHARS_MAX).collect();
    let words: Vec<&str> = allowed.split_ascii_whitespace().collect();
    if words.is_empty() {
        return NAME.to_owned();
    }
    words.join(" ")
}

/// Gives the second of two like names its number among all documents: the API refuses the same name twice.
pub(super) fn number_names<'a, 'b: 'a>(blocks: impl Iterator<Item = &'a mut Block<'b>>) {
    let mut names = BTreeSet::new();
    let mut count: usize = 0;
    for block in blocks {
        let inside = match block {
            Block::Document(_) => std::slice::from_mut(block),
            Block::ToolResult(result) => result.content.as_mut_slice(),
            _ => continue,
        };
        for block in inside {
            let Block::Document(document) = block else {
                continue;
            };
            count = count.saturating_add(1);
            if !names.insert(document.name.clone()) {
                document.name = format!("{} {count}", document.name);
                names.insert(document.name.clone());
            }
        }
    }
}

fn wire_thought<'a>(thought: &'a Reasoning<'a>) -> Option<WireThought<'a>> {
    let seal = thought.seal.as_ref()?;
    match (seal.by, seal.form) {
        (Signer::Anthropic, SealForm::Signature) => Some(WireThought::ReasoningText {
            text: &thought.text,
            signature: &seal.words,
        }),
        (Signer::Anthropic, SealForm::Encrypted) => Some(WireThought::RedactedContent(&seal.words)),
        (Signer::Openai | Signer::Google, _) => None,
    }
}
