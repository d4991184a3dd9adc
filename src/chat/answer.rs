//! A whole answer, its usage and why it ended.

use serde::{Deserialize, Serialize};

use crate::units::Tokens;

/// What a model answered, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The provider's own id for it.
    pub id: String,
    /// The model's name, as the provider gives it.
    pub model: String,
    pub text: String,
    /// What the model thought aloud before it answered, where the provider shows it.
    pub reasoning: String,
    pub calls: Vec<ToolCall>,
    /// Absent until the provider has said why it stopped: such an answer is not finished.
    pub finish: Option<FinishReason>,
    pub usage: Option<Usage>,
}

impl Answer {
    /// Whether it says anything at all.
    #[must_use]
    pub fn has_content(&self) -> bool {
        !self.text.is_empty() || !self.reasoning.is_empty() || !self.calls.is_empty()
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
