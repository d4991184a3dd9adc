//! What a client asks an API for: an answer in a conversation, or one of the other things that it does.
//!
//! A dialect says how a conversation is written. Beside it stand calls of the same API that are no conversation: counting
//! tokens, embeddings, images, sounds, moderation. An [`Endpoint`] is such a call as a value. It knows its path, how the
//! body is read and sent on, which answers it takes, and how a whole one is judged, so that the exchange treats all alike.
//!
//! Callers may rely on: a body is passed on byte for byte but for its model (and what is said to the router alone), and so
//! is an answer. Nothing is translated here, but for `completions.rs`, which makes a conversation of a prompt.
//!
//! Paths, fields and answers: <https://platform.openai.com/docs/api-reference>,
//! <https://platform.claude.com/docs/en/api/messages/count_tokens>, as of 2026-11-21.
//!
//! Not here: who can do it (`providers/`), and conversations (the dialects).

mod completions;
mod multipart;
mod outline;
mod verdict;

use serde::{Deserialize, Serialize};

use super::{ClientDialect, Outgoing, Outline, Quirk, Quirks, Shape, anthropic, splice};
use crate::chat::{Answer, AttemptFailure, ProviderError, RequestError};

pub use completions::{StreamEncoder as CompletionEncoder, encode_answer as encode_completion};
use multipart::Boundary;

/// One call of an API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// An answer in a conversation, in any dialect.
    #[default]
    Chat,
    /// Anthropic's count of a prompt's tokens.
    CountTokens,
    /// OpenAI's legacy completions: text that goes on.
    Completions,
    Embeddings,
    ImageGenerations,
    ImageEdits,
    ImageVariations,
    Speech,
    Transcriptions,
    Translations,
    Moderations,
}

/// How a body is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Form {
    #[default]
    Json,
    Multipart(Boundary),
}

/// How the bytes of a successful answer are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// As JSON, judged whole before the client gets any of it.
    Whole,
    /// As bytes that go to the client as they come.
    Bytes,
    /// Not at all; the words say what was expected.
    Nothing(&'static str),
}

impl Form {
    /// The form of a body with this `content-type`; JSON where it names no other.
    ///
    /// # Errors
    /// A form whose parts cannot be found, or that the endpoint does not take.
    pub fn of(endpoint: Endpoint, content_type: &str) -> Result<Self, RequestError> {
        let Some(boundary) = Boundary::of(content_type) else {
            return Ok(Self::Json);
        };
        if !endpoint.takes_forms() {
            let field = "content-type".to_owned();
            let expected = "`application/json`".to_owned();
            return Err(RequestError::Invalid { field, expected });
        }
        boundary.map(Self::Multipart)
    }
}

impl Endpoint {
    pub const ALL: [Self; 11] = [
        Self::Chat,
        Self::CountTokens,
        Self::Completions,
        Self::Embeddings,
        Self::ImageGenerations,
        Self::ImageEdits,
        Self::ImageVariations,
        Self::Speech,
        Self::Transcriptions,
        Self::Translations,
        Self::Moderations,
    ];

    /// The endpoint, other than a conversation's, that clients find under this path.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/v1")?;
        let mut others = Self::ALL.into_iter();
        others.find(|endpoint| *endpoint != Self::Chat && endpoint.path() == rest)
    }

    /// Behind a provider's base URL, and behind `/v1` of ours. Empty for a conversation, whose path is its dialect's.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "",
            Self::CountTokens => "/messages/count_tokens",
            Self::Completions => "/completions",
            Self::Embeddings => "/embeddings",
            Self::ImageGenerations => "/images/generations",
            Self::ImageEdits => "/images/edits",
            Self::ImageVariations => "/images/variations",
            Self::Speech => "/audio/speech",
            Self::Transcriptions => "/audio/transcriptions",
            Self::Translations => "/audio/translations",
            Self::Moderations => "/moderations",
        }
    }

    /// The paths of all but conversations, for one who asked for another.
    #[must_use]
    pub fn paths() -> String {
        let others = Self::ALL.into_iter().filter(|endpoint| !endpoint.is_chat());
        let paths: Vec<String> = others.map(|it| format!("/v1{}", it.path())).collect();
        paths.join(", ")
    }

    /// Its name in records and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::CountTokens => "count_tokens",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::ImageGenerations => "image_generations",
            Self::ImageEdits => "image_edits",
            Self::ImageVariations => "image_variations",
            Self::Speech => "speech",
            Self::Transcriptions => "transcriptions",
            Self::Translations => "translations",
            Self::Moderations => "moderations",
        }
    }

    #[must_use]
    pub fn is_chat(&self) -> bool {
        *self == Self::Chat
    }

    /// Whether the answer is a model's text, token by token, so that it may be translated, hedged and carried on.
    #[must_use]
    pub fn is_conversation(self) -> bool {
        matches!(self, Self::Chat | Self::Completions)
    }

    fn takes_forms(self) -> bool {
        matches!(
            self,
            Self::ImageEdits | Self::ImageVariations | Self::Transcriptions | Self::Translations
        )
    }

    /// The dialect of its clients, where the endpoint says it.
    #[must_use]
    pub fn dialect(self) -> ClientDialect {
        match self {
            Self::CountTokens => ClientDialect::Anthropic,
            _ => ClientDialect::OpenaiChat,
        }
    }

    /// Whether what comes of a call tells how its target does. A count is free, answered by other machines, and unknown to
    /// many that speak Anthropic's dialect.
    #[must_use]
    pub fn teaches_health(self) -> bool {
        self != Self::CountTokens
    }

    /// Whether tokens that the provider did not count are estimated from the text. Of images and sounds nothing is known
    /// that would be worth writing down.
    #[must_use]
    pub fn has_estimated_usage(self) -> bool {
        self.is_conversation() || self == Self::Embeddings
    }

    /// The routes that a body without `model` asks for, the first that there is; empty where it must name one.
    #[must_use]
    pub fn unnamed(self) -> &'static [&'static str] {
        match self {
            Self::Moderations => &["moderation", "auto", "default"],
            Self::ImageGenerations | Self::ImageEdits | Self::ImageVariations => {
                &["images", "auto", "default"]
            }
            _ => &[],
        }
    }

    /// Whether an answer may come as bytes that nobody but the client reads.
    #[must_use]
    pub fn may_be_bytes(self) -> bool {
        self.takes("text/event-stream") == Take::Bytes
    }

    /// What becomes of a successful answer of this content type, in lower case.
    #[must_use]
    pub fn takes(self, content_type: &str) -> Take {
        let is_json = content_type.contains("json");
        let is_stream = content_type.contains("text/event-stream");
        match self {
            _ if is_json => Take::Whole,
            _ if content_type.contains("html") => Take::Nothing("an answer, not a web page"),
            Self::Speech | Self::Transcriptions | Self::Translations => Take::Bytes,
            Self::ImageGenerations | Self::ImageEdits | Self::ImageVariations if is_stream => {
                Take::Bytes
            }
            _ if content_type.is_empty() => Take::Whole,
            _ => Take::Nothing("a JSON body"),
        }
    }

    /// Whether a whole answer may be too long to be kept, and is then passed on unjudged. Images are megabytes each.
    #[must_use]
    pub fn may_be_long(self) -> bool {
        matches!(
            self,
            Self::ImageGenerations | Self::ImageEdits | Self::ImageVariations
        )
    }

    /// Reads what is needed to choose a target, as [`super::outline`] does for a conversation.
    ///
    /// # Errors
    /// The caller's mistake, with the path of the field.
    #[inline(never)]
    pub fn outline(self, form: &Form, body: &[u8]) -> Result<Outline, RequestError> {
        match (self, form) {
            (Self::CountTokens, _) => anthropic::outline_of_count(body),
            (Self::Completions, _) => completions::outline(body),
            (_, Form::Json) => outline::of_json(self, body),
            (_, Form::Multipart(boundary)) => outline::of_form(self, body, boundary),
        }
    }

    /// The client's body, for this model at a provider that has the endpoint.
    ///
    /// # Errors
    /// The caller's mistake.
    pub fn pass_on(
        self,
        form: &Form,
        body: &[u8],
        shape: &Shape,
    ) -> Result<Outgoing, RequestError> {
        let mut headers = Vec::new();
        let (content_type, body) = match (self, form) {
            (Self::Completions, _) if shape.prefill.is_some() => {
                return Err(RequestError::NotTranslatable {
                    field: "prompt".to_owned(),
                    dialect: self.name(),
                });
            }
            (Self::Completions, _) => {
                // The other quirks are of chat completions.
                let is_mute = shape.quirks.has(Quirk::NoStreamUsage);
                let mute = Quirks::NONE.with(Quirk::NoStreamUsage);
                let quirks = if is_mute { mute } else { Quirks::NONE };
                let shape = Shape { quirks, ..*shape };
                (
                    "application/json".into(),
                    splice::splice(ClientDialect::OpenaiChat, body, &shape)?,
                )
            }
            (_, Form::Json) => (
                "application/json".into(),
                splice::splice_model(body, shape.model)?,
            ),
            (_, Form::Multipart(boundary)) => (
                boundary.content_type().into(),
                multipart::with_model(body, boundary, shape.model)?,
            ),
        };
        headers.push(("content-type", content_type));
        if self == Self::CountTokens {
            headers.push(("anthropic-version", anthropic::VERSION.into()));
        }
        Ok(Outgoing {
            path: self.path().into(),
            headers,
            body,
            is_one_call: false,
        })
    }

    /// The same request as a chat completion, for targets that only speak that or another dialect.
    ///
    /// # Errors
    /// The caller's mistake, or what no conversation can say.
    pub fn as_chat(body: &[u8]) -> Result<Vec<u8>, RequestError> {
        completions::as_chat(body)
    }

    /// Judges a whole answer that came with a status of success. Only its usage and whether it is one are read.
    ///
    /// # Errors
    /// It is an error all the same, or no use: empty, cut, or not what was asked for.
    pub fn parse_answer(self, body: &[u8]) -> Result<Answer, (AttemptFailure, ProviderError)> {
        verdict::judge(self, body)
    }
}
