//! One step of a streamed answer.

use super::answer::{Citation, FinishReason, TokenLogprob, Usage};
use super::reasoning::Seal;

/// What one piece of a provider's stream says.
///
/// A translator emits `Start` at most once and before all that is said, `Finish` at most once, and `End` only for the
/// wire format's own end marker. A stream that says nothing may have `Usage` or `End` without `Start`. Choices beyond
/// the first are never translated: a request for several goes only to targets that speak the client's dialect.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The answer begins. No content yet: providers send this before they know whether they can answer.
    Start {
        id: String,
        model: String,
    },
    Text(String),
    Reasoning(String),
    /// What ends a piece of reasoning, which began with the last seal; it comes back in the next turn.
    Seal(Seal<'static>),
    /// Why it will not answer.
    Refusal(String),
    /// A source of the text so far.
    Citation(Citation),
    /// Of the tokens of the text that came with it.
    Logprobs(Vec<TokenLogprob>),
    /// A tool call begins. `index` counts the calls of this answer from 0.
    CallStart {
        index: u32,
        id: String,
        name: String,
    },
    /// More of the JSON text of the arguments.
    CallArguments {
        index: u32,
        piece: String,
    },
    /// The provider's seal on a call.
    CallSignature {
        index: u32,
        signature: String,
    },
    Finish(FinishReason),
    /// Totals so far; the last one counts.
    Usage(Usage),
    /// The wire format's end marker: `[DONE]`, `message_stop`.
    End,
}

impl Event {
    /// A good token: real content. A role marker, a ping or an empty piece is none.
    #[must_use]
    pub fn is_good_token(&self) -> bool {
        match self {
            Self::Text(piece) | Self::Reasoning(piece) | Self::Refusal(piece) => !piece.is_empty(),
            Self::CallStart { .. } => true,
            Self::CallArguments { piece, .. } => !piece.is_empty(),
            Self::Start { .. }
            | Self::Seal(_)
            | Self::Citation(_)
            | Self::Logprobs(_)
            | Self::CallSignature { .. }
            | Self::Finish(_)
            | Self::Usage(_)
            | Self::End => false,
        }
    }
}
