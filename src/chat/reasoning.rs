//! What a model thinks before it answers: how much it shall, what it said of it, and what it wants back.
//!
//! Providers sign or encrypt a model's thoughts and want them back unchanged in the next turn; they refuse each other's.
//! So a seal says whose it is, and an encoder writes those of its own dialect alone. Its words mean nothing to us.

use std::borrow::Cow;

use crate::units::Tokens;

/// Thoughts of a former turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasoning<'a> {
    /// As far as they may be read.
    pub text: Cow<'a, str>,
    pub seal: Option<Seal<'a>>,
}

/// By what a provider knows its model's thoughts again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal<'a> {
    pub by: Signer,
    pub form: SealForm,
    pub words: Cow<'a, str>,
    /// The provider's name for the thoughts, where it has one.
    pub id: Option<Cow<'a, str>>,
}

impl Seal<'static> {
    /// A seal without a name; none where there are no words.
    #[must_use]
    pub fn of(by: Signer, form: SealForm, words: Option<String>) -> Option<Self> {
        let words = words.filter(|words| !words.is_empty())?.into();
        Some(Self {
            by,
            form,
            words,
            id: None,
        })
    }
}

/// Whose models can read a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    Anthropic,
    Openai,
    Google,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealForm {
    /// It vouches for the text beside it.
    Signature,
    /// It holds the thoughts themselves.
    Encrypted,
}

impl Seal<'_> {
    #[must_use]
    pub fn into_owned(self) -> Seal<'static> {
        Seal {
            by: self.by,
            form: self.form,
            words: self.words.into_owned().into(),
            id: self.id.map(|id| id.into_owned().into()),
        }
    }
}

/// How much a model shall think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    ExtraHigh,
    Max,
    /// At most so many tokens.
    Tokens(Tokens),
}

/// The budgets that Google gives for OpenAI's words (<https://ai.google.dev/gemini-api/docs/openai>, "Thinking",
/// 2026-11-21). A budget becomes the greatest word of which it is at least half.
const LOW: Tokens = Tokens(1_024);
const MEDIUM: Tokens = Tokens(8_192);
const HIGH: Tokens = Tokens(24_576);

impl Effort {
    /// OpenAI's words, and Anthropic's `max`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "none" => Self::None,
            "minimal" => Self::Minimal,
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "xhigh" => Self::ExtraHigh,
            "max" => Self::Max,
            _ => return None,
        })
    }

    /// OpenAI's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::ExtraHigh | Self::Max => "xhigh",
            Self::Tokens(Tokens(0)) => "none",
            Self::Tokens(budget) if budget < Tokens(MEDIUM.0 / 2) => "low",
            Self::Tokens(budget) if budget < Tokens(HIGH.0 / 2) => "medium",
            Self::Tokens(_) => "high",
        }
    }

    /// As a budget; none where the model shall not think.
    #[must_use]
    pub fn budget(self) -> Option<Tokens> {
        match self {
            Self::None | Self::Tokens(Tokens(0)) => None,
            Self::Minimal | Self::Low => Some(LOW),
            Self::Medium => Some(MEDIUM),
            Self::High | Self::ExtraHigh | Self::Max => Some(HIGH),
            Self::Tokens(budget) => Some(budget),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_words_budget_becomes_the_word_again() {
        for word in ["none", "low", "medium", "high"] {
            let budget = Effort::parse(word).unwrap().budget().unwrap_or_default();
            assert_eq!(Effort::Tokens(budget).word(), word);
        }
    }
}
