//! A chat request in our own words, borrowed from the client's bytes.
//!
//! Only what some dialect must translate has a field. What both sides write alike and we do not read is
//! passed on by splicing the client's bytes, without this type (`dialects/splice.rs`).

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::reasoning::{Effort, Reasoning};
use crate::units::Tokens;

/// One request for an answer.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    /// The conversation, oldest first, system messages in their places.
    pub messages: Vec<Message<'a>>,
    pub tools: Vec<Tool<'a>>,
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Whether the model may call several tools at once; the provider's default when absent.
    pub parallel_tool_calls: Option<bool>,
    pub format: Option<Format<'a>>,
    /// The longest answer that the client wants.
    pub answer_tokens_max: Option<Tokens>,
    /// As the client's dialect counts it; OpenAI's scale is 0 to 2.
    pub temperature: Option<f64>,
    /// 0 to 1.
    pub top_p: Option<f64>,
    /// Texts that end the answer when they appear.
    pub stop: Vec<Cow<'a, str>>,
    /// The client's own name for its end user.
    pub user: Option<Cow<'a, str>>,
    /// Only so many of the likeliest tokens are drawn from.
    pub top_k: Option<u32>,
    pub seed: Option<i64>,
    /// -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// -2 to 2.
    pub presence_penalty: Option<f64>,
    /// Whether the probability of each token is wanted, and that of how many others in its place: 0 to 20.
    pub logprobs: Option<u32>,
    pub effort: Option<Effort>,
    /// OpenAI's `low`, `medium` or `high`.
    pub verbosity: Option<Cow<'a, str>>,
    /// OpenAI's name for prompts that share a cache.
    pub cache_key: Option<Cow<'a, str>>,
    /// OpenAI's word for how fast and how dear.
    pub service_tier: Option<Cow<'a, str>>,
    /// Labels for the provider's log.
    pub metadata: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

#[derive(Clone, Debug)]
pub enum Message<'a> {
    /// Instructions; OpenAI's `system` and `developer`.
    System(Vec<Part<'a>>),
    User(Vec<Part<'a>>),
    Assistant(AssistantMessage<'a>),
    ToolResult(ToolResult<'a>),
}

#[derive(Clone, Debug, Default)]
pub struct AssistantMessage<'a> {
    pub parts: Vec<Part<'a>>,
    pub calls: Vec<RequestedCall<'a>>,
}

/// A call that the model asked for in an earlier turn.
#[derive(Clone, Debug)]
pub struct RequestedCall<'a> {
    pub id: Cow<'a, str>,
    pub name: Cow<'a, str>,
    /// A JSON text, as the model wrote it.
    pub arguments: Cow<'a, str>,
    /// Google's seal on it.
    pub signature: Option<Cow<'a, str>>,
}

/// What a tool answered.
#[derive(Clone, Debug)]
pub struct ToolResult<'a> {
    pub call_id: Cow<'a, str>,
    pub parts: Vec<Part<'a>>,
    /// The client says that the tool failed; `parts` tells how.
    pub is_error: bool,
}

#[derive(Clone, Debug)]
pub enum Part<'a> {
    Text(Cow<'a, str>),
    Image(Image<'a>),
    Document(Document<'a>),
    Audio(Audio<'a>),
    /// What the model thought in a former turn; only in its own messages.
    Reasoning(Reasoning<'a>),
    /// The provider shall cache the prompt up to here.
    CacheMarker(CacheMarker<'a>),
}

/// A wish to have the prompt cached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheMarker<'a> {
    /// For how long, in the provider's words; its default when absent.
    pub ttl: Option<Cow<'a, str>>,
}

#[derive(Clone, Debug)]
pub struct Document<'a> {
    /// Its title, or the name of its file.
    pub name: Option<Cow<'a, str>>,
    pub source: DocumentSource<'a>,
    /// Whether the answer shall cite it.
    pub is_cited: bool,
}

#[derive(Clone, Debug)]
pub enum DocumentSource<'a> {
    Inline {
        media_type: Cow<'a, str>,
        base64: Cow<'a, str>,
    },
    Text(Cow<'a, str>),
    Url(Cow<'a, str>),
}

#[derive(Clone, Debug)]
pub struct Audio<'a> {
    /// `wav`, `mp3` and so on.
    pub format: Cow<'a, str>,
    pub base64: Cow<'a, str>,
}

#[derive(Clone, Debug)]
pub enum Image<'a> {
    Url(Cow<'a, str>),
    Inline {
        media_type: Cow<'a, str>,
        base64: Cow<'a, str>,
    },
}

#[derive(Clone, Debug)]
pub struct Tool<'a> {
    pub name: Cow<'a, str>,
    pub description: Option<Cow<'a, str>>,
    /// A JSON Schema, byte for byte the client's.
    pub parameters: Option<&'a RawValue>,
    /// Whether the arguments must follow the schema exactly; the provider's default when absent.
    pub strict: Option<bool>,
    /// The provider shall cache the tools up to here.
    pub cache_marker: Option<CacheMarker<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice<'a> {
    Auto,
    Never,
    /// Some tool, whichever.
    Required,
    Named(Cow<'a, str>),
}

/// The form that the answer's text must have.
#[derive(Clone, Debug)]
pub enum Format<'a> {
    /// Any JSON object.
    JsonObject,
    JsonSchema {
        /// The client's name for it, where its dialect has one.
        name: Option<Cow<'a, str>>,
        schema: &'a RawValue,
        strict: Option<bool>,
    },
}
