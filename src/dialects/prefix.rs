//! Which beginnings of a prompt a provider may have in its cache.
//!
//! Providers cache the work on a prompt's beginning, and the next request that begins alike is cheaper. A
//! conversation that grows shares with its last turn everything up to the end of one message, so each end of a
//! message is a [`Boundary`]: a hash of all that stands before it, in the order in which a model reads it (tools,
//! answer format, system, messages), and the tokens up to there. The hash is of the raw JSON, because one other byte
//! is another prompt, also to a provider; the dialect is part of it. Anthropic's `cache_control` is not: clients move
//! it from turn to turn.
//!
//! Memory does not grow with the conversation: the last [`TURNS_MAX`] boundaries are kept, and that after the
//! system prompt, which many conversations share. A hash is not a secret's keeper: whoever can guess a prompt can
//! compute it. So it stays in the isolate, and never enters a record.
//!
//! Not here: who has seen a boundary, and when (`health/warm.rs`).

use std::collections::VecDeque;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{ClientDialect, Dialect};
use crate::units::Tokens;

/// Ends of messages that are kept, the last ones. An agent adds some ten messages between two of its calls.
const TURNS_MAX: usize = 64;
/// Shorter beginnings are not cached: OpenAI's and Anthropic's minimum, as of 2026-11-21
/// (<https://platform.openai.com/docs/guides/prompt-caching>,
/// <https://platform.claude.com/docs/en/build-with-claude/prompt-caching>; some models ask for more).
pub const CACHED_TOKENS_MIN: Tokens = Tokens(1_024);

/// The beginnings of one prompt that are long enough to be cached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefix {
    /// After tools, system and what else never changes in a conversation.
    pub opening: Option<Boundary>,
    /// After each of the last messages, the longest last.
    pub turns: VecDeque<Boundary>,
    /// The client asks for its prompt to be cached: Anthropic's `cache_control`.
    pub is_marked: bool,
}

/// One beginning of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boundary {
    pub hash: u64,
    /// Estimated, as the whole prompt's.
    pub tokens: Tokens,
}

impl Prefix {
    /// All of them, the longest first.
    pub fn boundaries(&self) -> impl Iterator<Item = &Boundary> {
        self.turns.iter().rev().chain(&self.opening)
    }

    /// Whether a provider of this dialect caches the prompt. Anthropic does so only when asked, as
    /// does Bedrock, which we do not ask; the others unasked.
    #[must_use]
    pub fn is_cached_by(&self, provider: Dialect) -> bool {
        match provider {
            Dialect::OpenaiChat | Dialect::OpenaiResponses | Dialect::Cohere | Dialect::Gemini => {
                true
            }
            Dialect::Anthropic => self.is_marked,
            Dialect::Bedrock => false,
        }
    }
}

/// What is hashed apart, because the fields of a body come in any order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lane {
    Tools,
    Format,
    System,
    Messages,
}

const LANES: usize = 4;

/// A prefix while its request is read.
#[derive(Debug, Default)]
pub(super) struct Trail {
    hashes: [u64; LANES],
    lane: usize,
    /// Hash and millitokens of the messages alone.
    turns: VecDeque<(u64, u64)>,
    opening: (u64, u64),
    is_past_opening: bool,
    is_marked: bool,
    millitokens: u64,
}

impl Trail {
    /// What follows is part of `lane`.
    pub fn begin(&mut self, lane: Lane) {
        self.lane = lane as usize;
    }

    /// Takes the next piece. Where one ends counts.
    pub fn feed(&mut self, piece: &str) {
        if let Some(hash) = self.hashes.get_mut(self.lane) {
            *hash = xxh3_64_with_seed(piece.as_bytes(), *hash);
        }
    }

    /// The client asks for what it has said so far to be cached.
    pub fn mark(&mut self) {
        self.is_marked = true;
    }

    /// A message has ended.
    pub fn turn(&mut self, is_instruction: bool, millitokens: u64) {
        self.millitokens = self.millitokens.saturating_add(millitokens);
        let [.., hash] = self.hashes;
        let turn = (hash, self.millitokens);
        self.is_past_opening |= !is_instruction;
        if !self.is_past_opening {
            self.opening = turn;
        }
        if self.turns.len() == TURNS_MAX {
            self.turns.pop_front();
        }
        self.turns.push_back(turn);
    }

    /// The whole prompt has `total` millitokens.
    pub fn finish(self, dialect: ClientDialect, total: u64) -> Prefix {
        let tokens = |millitokens: u64| Tokens(millitokens.div_ceil(1_000));
        if tokens(total) < CACHED_TOKENS_MIN {
            return Prefix::default();
        }
        let [tools, format, system, _] = self.hashes;
        let head = [tools, format, system].map(u64::to_le_bytes);
        let head = xxh3_64_with_seed(head.as_flattened(), dialect as u64);
        let before = total.saturating_sub(self.millitokens);
        let boundary = |(hash, millitokens): (u64, u64)| Boundary {
            hash: xxh3_64_with_seed(&hash.to_le_bytes(), head),
            tokens: tokens(before.saturating_add(millitokens)),
        };
        let is_long = |boundary: &Boundary| boundary.tokens >= CACHED_TOKENS_MIN;
        Prefix {
            opening: Some(boundary(self.opening)).filter(is_long),
            turns: self
                .turns
                .into_iter()
                .map(boundary)
                .filter(is_long)
                .collect(),
            is_marked: self.is_marked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trail of a system prompt and two messages, of 2,000 tokens in all.
    fn trail(messages: [&str; 2]) -> Trail {
        let mut trail = Trail::default();
        trail.begin(Lane::System);
        trail.feed("system");
        trail.begin(Lane::Messages);
        for message in messages {
            trail.feed(message);
            trail.turn(false, 250_000);
        }
        trail
    }

    #[test]
    fn boundaries_hash_what_stands_before_them() {
        let one = trail(["a", "b"]).finish(ClientDialect::OpenaiChat, 2_000_000);
        let tokens: Vec<u64> = one.boundaries().map(|boundary| boundary.tokens.0).collect();
        assert_eq!(tokens, [2_000, 1_750, 1_500]);
        let other = trail(["a", "c"]).finish(ClientDialect::OpenaiChat, 2_000_000);
        let same: Vec<bool> = one
            .boundaries()
            .zip(other.boundaries())
            .map(|(one, other)| one == other)
            .collect();
        assert_eq!(same, [false, true, true]);
    }

    #[test]
    fn pieces_are_not_their_concatenation() {
        let hash = |messages| trail(messages).finish(ClientDialect::OpenaiChat, 2_000_000);
        assert_ne!(
            hash(["ab", "c"]).turns.back(),
            hash(["a", "bc"]).turns.back()
        );
    }

    #[test]
    fn each_dialect_makes_another_prompt_of_it() {
        let prefix = |dialect| trail(["a", "b"]).finish(dialect, 2_000_000);
        let (one, other) = (
            prefix(ClientDialect::OpenaiChat),
            prefix(ClientDialect::Anthropic),
        );
        assert!(
            one.boundaries()
                .zip(other.boundaries())
                .all(|(one, other)| one.hash != other.hash)
        );
    }

    #[test]
    fn what_is_too_short_to_be_cached_is_no_boundary() {
        let prefix = trail(["a", "b"]).finish(ClientDialect::OpenaiChat, 1_274_000);
        assert_eq!(
            prefix.boundaries().count(),
            2,
            "1,024 and 1,274 tokens, not 774"
        );
        assert_eq!(
            trail(["a", "b"]).finish(ClientDialect::OpenaiChat, 1_023_000),
            Prefix::default()
        );
    }
}
