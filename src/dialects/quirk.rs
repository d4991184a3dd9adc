//! What a provider wants otherwise than its dialect says, as named flags.
//!
//! A row of the catalogue (`providers/`) and a team's `providers` entry list them; only dialect code knows what they
//! change, and none of it asks for a provider's name. A new one is a variant here, its place in a dialect, and a
//! fixture in `tests/quirks/`.
//!
//! A quirk is no excuse for changing what is asked: what it renames or leaves out means the same to the provider.
//! Where that cannot be, as with `parallel_tool_calls: false`, the field is sent, and the provider refuses it.
//!
//! Each belongs to one dialect, and the others heed it not. Most are of `openai-chat`, with which most call themselves
//! compatible.

use std::fmt;

use super::Dialect;

/// One way in which a provider differs from its dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// The longest answer is called `max_completion_tokens`; a client's `max_tokens` is renamed.
    ///
    /// OpenAI's reasoning models refuse the older name, and all of its others know the newer one:
    /// <https://platform.openai.com/docs/api-reference/chat/create#chat-create-max_tokens>.
    MaxCompletionTokens,
    /// The longest answer is called `max_tokens` and nothing else; a client's `max_completion_tokens` is renamed.
    ///
    /// Mistral refuses the newer name with 422, others ignore it and answer without a limit:
    /// <https://github.com/editor-code-assistant/eca/issues/231>.
    MaxTokensOnly,
    /// There are no developer messages; a client's go as system messages, which they were before they had a name.
    ///
    /// <https://github.com/earendil-works/pi/issues/1048> (DeepSeek, 400),
    /// <https://github.com/earendil-works/pi/pull/1578> (`DeepInfra`, 422).
    NoDeveloperRole,
    /// `parallel_tool_calls` is refused; `true`, which is the default, is left out.
    ///
    /// <https://docs.cohere.com/docs/compatibility-api#unsupported-parameters>.
    NoParallelToolCalls,
    /// `stream_options` is refused; it is left out, and the usage of a stream is the provider's where it tells it
    /// unasked, and our estimate where not.
    ///
    /// <https://strandsagents.com/docs/user-guide/concepts/model-providers/cohere/> (Cohere),
    /// <https://github.com/continuedev/continue/issues/12936> (Databricks).
    NoStreamUsage,
    /// A message's content is one string; texts in parts become one.
    ///
    /// <https://github.com/QwenLM/qwen-code/pull/2320> (DeepSeek, 400).
    NoTextParts,
    /// Ids of calls have nine letters or digits; others, which another provider's model made in a former turn, become such.
    ///
    /// <https://github.com/mistralai/mistral-vibe/issues/1075> (Mistral, 400).
    ShortCallIds,
    /// `labels` are refused; they are not sent, and a caller of another dialect is told that its metadata was dropped.
    ///
    /// Google's AI Studio does, Vertex takes them: <https://github.com/googleapis/python-genai/issues/2296>.
    NoLabels,
    /// How much to think is told as a budget of tokens, and not as a word.
    ///
    /// Gemini 2.5: <https://ai.google.dev/gemini-api/docs/thinking>.
    ThinkingBudget,
    /// Thoughts without a signature are refused; they are left out, and named as dropped. We write them ourselves, for what
    /// another dialect's model thought.
    ///
    /// <https://github.com/langchain-ai/langchain/pull/33391> (Anthropic, 400, since October 2025).
    NoUnsignedThoughts,
}

impl Quirk {
    /// Its names in configs and in the catalogue, in alphabetical order.
    pub const NAMES: [(&'static str, Self); 10] = [
        ("max_completion_tokens", Self::MaxCompletionTokens),
        ("max_tokens_only", Self::MaxTokensOnly),
        ("no_developer_role", Self::NoDeveloperRole),
        ("no_labels", Self::NoLabels),
        ("no_parallel_tool_calls", Self::NoParallelToolCalls),
        ("no_stream_usage", Self::NoStreamUsage),
        ("no_text_parts", Self::NoTextParts),
        ("no_unsigned_thoughts", Self::NoUnsignedThoughts),
        ("short_call_ids", Self::ShortCallIds),
        ("thinking_budget", Self::ThinkingBudget),
    ];

    /// Whose providers it is about.
    #[must_use]
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::NoUnsignedThoughts => Dialect::Anthropic,
            Self::NoLabels | Self::ThinkingBudget => Dialect::Gemini,
            Self::MaxCompletionTokens
            | Self::MaxTokensOnly
            | Self::NoDeveloperRole
            | Self::NoParallelToolCalls
            | Self::NoStreamUsage
            | Self::NoTextParts
            | Self::ShortCallIds => Dialect::OpenaiChat,
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// A set of quirks.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Quirks(u16);

impl Quirks {
    pub const NONE: Self = Self(0);

    /// These quirks, and with them.
    #[must_use]
    pub const fn with(self, quirk: Quirk) -> Self {
        Self(self.0 | quirk.bit())
    }

    #[must_use]
    pub const fn has(self, quirk: Quirk) -> bool {
        self.0 & quirk.bit() != 0
    }

    /// Those that a dialect heeds.
    #[must_use]
    pub fn of(self, dialect: Dialect) -> Self {
        let heeded = Quirk::NAMES.iter().map(|(_, quirk)| *quirk);
        let heeded = heeded.filter(|quirk| self.has(*quirk) && quirk.dialect() == dialect);
        heeded.fold(Self::NONE, Self::with)
    }

    /// What the longest answer must be called, where the provider knows one name alone.
    pub(super) const fn limit_name(self) -> Option<&'static str> {
        if self.has(Quirk::MaxTokensOnly) {
            Some("max_tokens")
        } else if self.has(Quirk::MaxCompletionTokens) {
            Some("max_completion_tokens")
        } else {
            None
        }
    }
}

/// As a list of names.
impl fmt::Debug for Quirks {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let held = Quirk::NAMES.iter().filter(|(_, quirk)| self.has(*quirk));
        f.debug_list().entries(held.map(|(name, _)| name)).finish()
    }
}
