//! Images, documents and sounds of a request: what each is elsewhere, and how it is read.
//!
//! Google knows them by their media type alone. A PDF, a text and a sound have names of their own in other dialects, and so
//! has a PDF that the provider fetches; any other file that is fetched is known to Google's models alone, as are videos.
//!
//! Google's JSON takes both alphabets of base64, and its SDK for Python writes the one for URLs. Others take the standard
//! one alone, so that is what is read here.

use std::borrow::Cow;
use std::fmt;

use super::super::read::{self, Raw};
use super::wire::object;
use crate::chat::{Audio, Document, DocumentSource, Image, Part, RequestError};

/// `inlineData` and `fileData`.
pub(super) struct Media<'a> {
    mime_type: Option<Raw<'a>>,
    display_name: Option<Raw<'a>>,
    pub data: Option<Raw<'a>>,
    pub file_uri: Option<Raw<'a>>,
}

/// What a media type is elsewhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaKind {
    Image,
    Pdf,
    PlainText,
    OtherDocument,
    /// In the format that OpenAI calls so.
    Audio(&'static str),
    Unknown,
}

impl MediaKind {
    pub fn of(mime_type: &str) -> Self {
        let essence = mime_type.split(';').next().unwrap_or_default();
        match essence.trim().to_ascii_lowercase().as_str() {
            "application/pdf" => Self::Pdf,
            "text/plain" => Self::PlainText,
            "audio/wav" | "audio/x-wav" | "audio/wave" => Self::Audio("wav"),
            "audio/mp3" | "audio/mpeg" => Self::Audio("mp3"),
            kind if kind.starts_with("image/") => Self::Image,
            kind if kind.starts_with("text/") || kind.starts_with("application/") => {
                Self::OtherDocument
            }
            _ => Self::Unknown,
        }
    }
}

impl<'a> Media<'a> {
    pub fn read(raw: Raw<'a>, at: fmt::Arguments) -> Result<Self, RequestError> {
        let expected = "an object with `mimeType`, and `data` or `fileUri`; no key twice";
        let names = ["mimeType", "displayName", "data", "fileUri"];
        let [mime_type, display_name, data, file_uri] = object(raw, at, expected, names)?;
        Ok(Self {
            mime_type,
            display_name,
            data,
            file_uri,
        })
    }

    /// Empty where there is none.
    pub fn mime_type(&self, at: fmt::Arguments) -> Result<Cow<'a, str>, RequestError> {
        let at = format_args!("{at}.mimeType");
        Ok(read::optional(self.mime_type, at, read::text)?.unwrap_or_default())
    }

    pub fn kind(&self, at: fmt::Arguments) -> Result<MediaKind, RequestError> {
        Ok(MediaKind::of(&self.mime_type(at)?))
    }

    /// What `inlineData` holds.
    pub fn inline(&self, at: fmt::Arguments) -> Result<Part<'a>, RequestError> {
        let media_type = self.mime_type(at)?;
        let data = read::optional(self.data, format_args!("{at}.data"), read::text)?;
        let base64 = standard(data.unwrap_or_default());
        let source = match MediaKind::of(&media_type) {
            MediaKind::Image => return Ok(Part::Image(Image::Inline { media_type, base64 })),
            MediaKind::Audio(format) => {
                let format = format.into();
                return Ok(Part::Audio(Audio { format, base64 }));
            }
            MediaKind::PlainText => {
                let expected = "base64 of a text in UTF-8";
                let text = decoded(&base64);
                let text = text.ok_or_else(|| read::invalid(format_args!("{at}.data"), expected));
                DocumentSource::Text(text?.into())
            }
            MediaKind::Pdf | MediaKind::OtherDocument | MediaKind::Unknown => {
                DocumentSource::Inline { media_type, base64 }
            }
        };
        self.document(source, at)
    }

    /// What `fileData` names.
    pub fn file(&self, at: fmt::Arguments) -> Result<Part<'a>, RequestError> {
        let uri = read::optional(self.file_uri, format_args!("{at}.fileUri"), read::text)?;
        let uri = uri.unwrap_or_default();
        if self.kind(at)? == MediaKind::Pdf {
            return self.document(DocumentSource::Url(uri), at);
        }
        Ok(Part::Image(Image::Url(uri)))
    }

    fn document(
        &self,
        source: DocumentSource<'a>,
        at: fmt::Arguments,
    ) -> Result<Part<'a>, RequestError> {
        let at = format_args!("{at}.displayName");
        let name = read::optional(self.display_name, at, read::text)?;
        Ok(Part::Document(Document {
            name: name.filter(|name| !name.is_empty()),
            source,
            is_cited: false,
        }))
    }
}

fn standard(base64: Cow<'_, str>) -> Cow<'_, str> {
    if base64.contains(['-', '_']) {
        return Cow::Owned(base64.replace('-', "+").replace('_', "/"));
    }
    base64
}

/// What a document of any kind of text says; none where it is of another type, or no UTF-8.
pub(super) fn text_of(media_type: &str, base64: &str) -> Option<String> {
    let is_text = media_type.starts_with("text/");
    is_text.then(|| decoded(base64)).flatten()
}

/// The text that is written so; none where it is no base64, or no UTF-8.
fn decoded(base64: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(base64.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for letter in base64.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            let [byte, ..] = (bits >> count).to_le_bytes();
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_in_both_alphabets() {
        let read = |text: &'static str| decoded(&standard(text.into()));
        for (text, base64) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("\u{fb}\u{3f}~~", "w7s/fn4="),
            ("\u{fb}\u{3f}~~", "w7s_fn4="),
        ] {
            assert_eq!(read(base64).as_deref(), Some(text));
        }
        assert_eq!(read("Zm 9v"), None);
        assert_eq!(read("/w=="), None);
    }
}
