//! How long an attempt is waited for, by what it is doing.
//!
//! Streams have three clocks: to the headers, to the first good token, and between two pieces. An unstreamed
//! answer sends its headers when it is whole, so no such clock tells a slow model from a dead one. Therefore a
//! route that sets `headers_ms` or `first_token_ms` has its targets asked for a stream even when the client wants
//! the answer whole; otherwise an unstreamed answer has [`WHOLE_DEFAULT`].

use super::attempt::{Attempt, Waiting};
use crate::chat::Phase;
use crate::config::Deadlines;
use crate::dialects::Endpoint;
use crate::units::{Millis, UnixMillis};

/// Providers send a stream's headers at once; queues on large models hold them for some seconds.
const HEADERS_DEFAULT: Millis = Millis(30_000);
/// Reasoning models think before their first token without a sign of life.
const FIRST_TOKEN_DEFAULT: Millis = Millis(120_000);
/// Between two pieces of a stream; providers send keep-alives more often.
const IDLE_DEFAULT: Millis = Millis(60_000);
/// The time after which the official SDKs give up themselves.
const WHOLE_DEFAULT: Millis = Millis(600_000);
/// A count takes a fraction of a second, and there is an estimate to fall back on.
const COUNT_DEFAULT: Millis = Millis(5_000);
/// An error's body comes with its headers; the status alone says enough to go on.
const REASON_MAX: Millis = Millis(5_000);
/// A stream that said why it finished is whole; usage and the end marker have this long to follow.
const FINISH_GRACE: Millis = Millis(1_000);

/// The part of the idle deadline by which a sign of life of a relayed stream may be heard late, and a silence therefore
/// noticed late.
const LOOKS_PER_IDLE: u64 = 8;

/// What the wait ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The attempt has failed.
    Fail { phase: Phase, waited: Millis },
    /// The answer is whole; its end marker never came.
    Complete,
}

/// Whether these clocks need a stream.
pub(super) fn need_stream(deadlines: &Deadlines) -> bool {
    deadlines.headers.is_some() || deadlines.first_token.is_some()
}

/// How soon a relayed stream must be looked at again.
pub(super) fn look_within(deadlines: &Deadlines) -> Millis {
    Millis(deadlines.idle.unwrap_or(IDLE_DEFAULT).0 / LOOKS_PER_IDLE)
}

/// When the attempt is due next, and for what.
pub(super) fn next_due(attempt: &Attempt, deadlines: &Deadlines) -> (UnixMillis, Due) {
    let fail = |since: UnixMillis, phase, wait: Millis| {
        let waited = wait;
        (since + wait, Due::Fail { phase, waited })
    };
    let idle = deadlines.idle.unwrap_or(IDLE_DEFAULT);
    let first_token = deadlines.first_token.unwrap_or(FIRST_TOKEN_DEFAULT);
    let by_silence = fail(attempt.heard_at, Phase::NextEvent, idle);
    let by_token = fail(attempt.sent_at, Phase::FirstToken, first_token);
    match attempt.waiting() {
        // There is no stream to ask for, so the headers are waited for as the route says.
        Waiting::Head if !attempt.endpoint().is_conversation() => {
            let headers = deadlines.headers.unwrap_or(whole(attempt));
            let first_token = deadlines.first_token.unwrap_or(whole(attempt));
            sooner(
                fail(attempt.sent_at, Phase::Headers, headers),
                fail(attempt.sent_at, Phase::FirstToken, first_token),
            )
        }
        Waiting::Head if attempt.is_streaming => {
            let headers = deadlines.headers.unwrap_or(HEADERS_DEFAULT);
            sooner(fail(attempt.sent_at, Phase::Headers, headers), by_token)
        }
        Waiting::Head => fail(attempt.sent_at, Phase::Headers, WHOLE_DEFAULT),
        // Where a stream was asked for, what comes whole has its first token at its end.
        Waiting::FirstToken => sooner(by_token, by_silence),
        Waiting::Body if attempt.is_streaming => sooner(by_token, by_silence),
        Waiting::Body => {
            let whole = fail(attempt.sent_at, Phase::End, whole(attempt));
            sooner(whole, by_silence)
        }
        Waiting::Reason { since } => {
            let reason = fail(since, Phase::End, REASON_MAX);
            sooner(reason, by_silence)
        }
        Waiting::More => by_silence,
        Waiting::EndMarker { since } => (since + FINISH_GRACE, Due::Complete),
    }
}

fn whole(attempt: &Attempt) -> Millis {
    match attempt.endpoint() {
        Endpoint::CountTokens => COUNT_DEFAULT,
        _ => WHOLE_DEFAULT,
    }
}

/// The first of two, and the left one where they are due at once.
fn sooner(left: (UnixMillis, Due), right: (UnixMillis, Due)) -> (UnixMillis, Due) {
    if left.0 <= right.0 { left } else { right }
}
