//! One step of a streamed answer.

use super::answer::{FinishReason, Usage};

/// What one piece of a provider's stream says.
///
/// A translator emits `Start` at most once and before all that is said, `Finish` at most once, and `End` only for the
/// wire format's own end marker. A stream that says nothing may have `Usage` or `End` without `Start`. Choices beyond
/// the first are never translated: a request for several goes only to targets that speak the client's dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The answer begins. No content yet: providers send this before they know whether they can answer.
    Start {
        id: String,
        model: String,
    },
    Text(String),
    Reasoning(String),
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
            Self::Text(piece) | Self::Reasoning(piece) => !piece.is_empty(),
            Self::CallStart { .. } => true,
            Self::CallArguments { piece, .. } => !piece.is_empty(),
            Self::Start { .. } | Self::Finish(_) | Self::Usage(_) | Self::End => false,
        }
    }
}
