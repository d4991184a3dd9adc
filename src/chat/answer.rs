//! A whole answer, its usage and why it ended.

use serde::{Deserialize, Serialize};

use super::reasoning::Seal;
use crate::units::Tokens;

/// What a model answered, whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The provider's own id for it.
    pub id: String,
    /// The model's name, as the provider gives it.
    pub model: String,
    pub text: String,
    /// Why it will not answer, where the provider keeps that apart from the text.
    pub refusal: String,
    /// What the model thought aloud before it answered, where the provider shows it.
    pub reasoning: String,
    /// What the provider wants back of that in the next turn, each with how much of `reasoning`, in bytes, ends with it.
    pub seals: Vec<(usize, Seal<'static>)>,
    /// Sources of the text.
    pub citations: Vec<Citation>,
    /// How likely each token of the text was, where that was asked for.
    pub logprobs: Vec<TokenLogprob>,
    pub calls: Vec<ToolCall>,
    /// Absent until the provider has said why it stopped: such an answer is not finished.
    pub finish: Option<FinishReason>,
    pub usage: Option<Usage>,
}

impl Answer {
    /// Whether it says anything at all.
    #[must_use]
    pub fn has_content(&self) -> bool {
        let texts = [&self.text, &self.refusal, &self.reasoning];
        texts.iter().any(|text| !text.is_empty()) || !self.calls.is_empty()
    }

    /// Seals the thoughts that have come since the last seal.
    pub fn seal_thoughts(&mut self, seal: Option<Seal<'static>>) {
        let end = self.reasoning.len();
        self.seals.extend(seal.map(|seal| (end, seal)));
    }

    /// Its thoughts, one piece for each seal, and what is not sealed last.
    #[must_use]
    pub fn thoughts(&self) -> Vec<(&str, Option<&Seal<'static>>)> {
        let mut start = 0;
        let mut thoughts = Vec::with_capacity(self.seals.len() + 1);
        for (end, seal) in &self.seals {
            let text = self.reasoning.get(start..*end).unwrap_or_default();
            thoughts.push((text, Some(seal)));
            start = *end;
        }
        let rest = self.reasoning.get(start..).unwrap_or_default();
        thoughts.extend((!rest.is_empty()).then_some((rest, None)));
        thoughts
    }

    /// Whether it is of no use: it says nothing, and not because it was filtered or ran out of tokens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let is_explained = matches!(
            self.finish,
            Some(FinishReason::ContentFilter | FinishReason::Length)
        );
        !self.has_content() && !is_explained
    }
}

/// A tool call that the model asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    /// A JSON text, as the model wrote it; it may be invalid.
    pub arguments: String,
    /// Google's seal on it, which it wants back with the call.
    pub signature: Option<String>,
}

/// A source of what was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Citation {
    /// Empty where the source is a document of the request.
    pub url: String,
    pub title: String,
    /// What the source says; empty where the provider does not tell.
    pub cited: String,
    /// The piece of the answer's text, in characters; absent where the provider does not tell.
    pub span: Option<(u32, u32)>,
    /// Where in a document of the request.
    pub place: Option<DocumentPlace>,
}

impl Citation {
    /// The same of this piece of the answer's text; none where it names no source.
    #[must_use]
    pub fn of(self, span: (u32, u32)) -> Option<Self> {
        let words = [&self.url, &self.title, &self.cited];
        let is_empty = words.iter().all(|words| words.is_empty());
        (!is_empty).then_some(Self {
            span: Some(span),
            ..self
        })
    }
}

/// How many characters a text has, as the ends of a citation's span count them.
#[must_use]
pub fn char_count(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}

/// A piece of a document of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentPlace {
    /// Which of all documents, from 0.
    pub document: u32,
    pub unit: PlaceUnit,
    /// Characters and blocks from 0, pages from 1.
    pub start: u32,
    /// The first that is no more in it.
    pub end: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceUnit {
    Chars,
    Pages,
    Blocks,
}

/// How likely a token was, as a natural logarithm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenLogprob {
    pub chosen: Alternative,
    /// The likeliest tokens in its place.
    pub top: Vec<Alternative>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alternative {
    pub token: String,
    /// At most 0.
    pub logprob: f64,
    /// Its UTF-8, where the provider tells it: a token may be a part of a character.
    pub bytes: Option<Vec<u8>>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It was complete, or met a stop text.
    Stop,
    /// It reached the token limit.
    Length,
    /// It waits for tool results.
    ToolCalls,
    /// The provider's safety filter, or the model's refusal, ended it.
    ContentFilter,
}

/// Tokens as the provider counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// All prompt tokens, cached ones included.
    pub prompt: Tokens,
    /// Those of `prompt` that were read from the provider's cache.
    pub cached: Tokens,
    /// Those of `prompt` that were written to it.
    #[serde(default, skip_serializing_if = "Tokens::is_none")]
    pub cache_write: Tokens,
    /// Those of `prompt` that stand for sounds.
    #[serde(default, skip_serializing_if = "Tokens::is_none")]
    pub audio: Tokens,
    /// Those of `prompt` that stand for images, where the provider tells them apart.
    #[serde(default, skip_serializing_if = "Tokens::is_none")]
    pub image: Tokens,
    /// All answer tokens, reasoning included.
    pub answer: Tokens,
    /// Those of `answer` that were reasoning.
    pub reasoning: Tokens,
}
