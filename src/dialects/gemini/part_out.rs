//! The parts of a turn, written.
//!
//! - A text without characters is left out: it is refused.
//! - A document of text is a text under its title, since Vertex takes none but plain text. PDFs go without their name: there
//!   is no field for it outside of Google's own tools. Documents of another type are refused.
//! - Of other providers' seals none is written.

use std::borrow::Cow;

use serde::Serialize;

use super::super::openai_chat::titled;
use super::super::read::Json;
use super::media::{MediaKind, text_of};
use crate::chat::{
    self, Document, DocumentSource, Image, Message, Reasoning, Seal, SealForm, Signer,
};

const PDF: &str = "application/pdf";
/// What a URL may end in, and what is there then. Vertex demands the type.
const FILE_TYPES: [(&str, &str); 7] = [
    (".pdf", PDF),
    (".png", "image/png"),
    (".jpg", "image/jpeg"),
    (".jpeg", "image/jpeg"),
    (".webp", "image/webp"),
    (".gif", "image/gif"),
    (".heic", "image/heic"),
];

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Part<'a> {
    Text {
        text: Cow<'a, str>,
    },
    #[serde(rename_all = "camelCase")]
    Sealed {
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        thought: Option<bool>,
        thought_signature: &'a str,
    },
    #[serde(rename_all = "camelCase")]
    Inline {
        inline_data: Inline<'a>,
    },
    #[serde(rename_all = "camelCase")]
    File {
        file_data: File<'a>,
    },
    #[serde(rename_all = "camelCase")]
    Call {
        function_call: Call<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        thought_signature: Option<&'a str>,
    },
    #[serde(rename_all = "camelCase")]
    Response {
        function_response: Outcome<'a>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Inline<'a> {
    pub mime_type: Cow<'a, str>,
    pub data: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct File<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<&'static str>,
    pub file_uri: &'a str,
}

#[derive(Serialize)]
pub(super) struct Call<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    pub id: &'a str,
    pub name: &'a str,
    pub args: Json<'a>,
}

#[derive(Serialize)]
pub(super) struct Outcome<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    pub id: &'a str,
    pub name: &'a str,
    pub response: Returned<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Returned<'a> {
    Output(Cow<'a, str>),
    Error(Cow<'a, str>),
}

/// Whether each document in it is of a type that Google takes.
pub(super) fn is_known(message: &Message) -> bool {
    let parts = match message {
        Message::System(parts) | Message::User(parts) => parts,
        Message::Assistant(message) => &message.parts,
        Message::ToolResult(result) => &result.parts,
    };
    parts.iter().all(|part| match part {
        chat::Part::Document(document) => self::document(document).is_some(),
        _ => true,
    })
}

pub(super) fn part<'a>(part: &'a chat::Part<'a>) -> Option<Part<'a>> {
    match part {
        chat::Part::Text(text) => (!text.is_empty()).then(|| Part::Text {
            text: Cow::Borrowed(text),
        }),
        chat::Part::Image(image) => Some(self::image(image)),
        chat::Part::Document(document) => self::document(document),
        chat::Part::Audio(audio) => Some(Part::Inline {
            inline_data: Inline {
                mime_type: format!("audio/{}", audio.format).into(),
                data: &audio.base64,
            },
        }),
        chat::Part::Reasoning(thought) => {
            thought.seal.as_ref().and_then(|seal| sealed(thought, seal))
        }
        chat::Part::CacheMarker(_) => None,
    }
}

/// None for other providers' seals. What Google signed without showing a thought is an empty text.
fn sealed<'a>(thought: &'a Reasoning<'a>, seal: &'a Seal<'a>) -> Option<Part<'a>> {
    let is_ours = seal.by == Signer::Google && seal.form == SealForm::Signature;
    is_ours.then_some(Part::Sealed {
        text: &thought.text,
        thought: (!thought.text.is_empty()).then_some(true),
        thought_signature: &seal.words,
    })
}

fn image<'a>(image: &'a Image<'a>) -> Part<'a> {
    match image {
        Image::Inline { media_type, base64 } => Part::Inline {
            inline_data: Inline {
                mime_type: Cow::Borrowed(media_type),
                data: base64,
            },
        },
        Image::Url(url) => file(url, known_type(url)),
    }
}

/// None where Google takes no such type. What other dialects have by URL is a PDF.
fn document<'a>(document: &'a Document<'a>) -> Option<Part<'a>> {
    let name = document.name.as_deref();
    Some(match &document.source {
        DocumentSource::Text(text) => Part::Text {
            text: titled(name, text),
        },
        DocumentSource::Inline { media_type, base64 } => {
            if MediaKind::of(media_type) == MediaKind::Pdf {
                Part::Inline {
                    inline_data: Inline {
                        mime_type: PDF.into(),
                        data: base64,
                    },
                }
            } else {
                let text = text_of(media_type, base64)?;
                let text = titled(name, &text).into_owned().into();
                Part::Text { text }
            }
        }
        DocumentSource::Url(url) => file(url, known_type(url).or(Some(PDF))),
    })
}

fn file<'a>(url: &'a str, mime_type: Option<&'static str>) -> Part<'a> {
    Part::File {
        file_data: File {
            mime_type,
            file_uri: url,
        },
    }
}

fn known_type(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.to_ascii_lowercase();
    let known = FILE_TYPES.iter().find(|(end, _)| path.ends_with(end));
    known.map(|(_, mime_type)| *mime_type)
}
