//! One call to one target, as its answer arrives.
//!
//! An attempt keeps what was heard (`listen.rs` reads a stream's bytes), judges the answer (cut, empty, too large) and
//! says what it waits for. It decides nothing about other targets or the client.

use std::sync::Arc;

use crate::chat::{Answer, AttemptFailure, Event, FinishReason, ProviderError, Usage};
use crate::classify::Traits;
use crate::config::{Route, Target};
use crate::dialects::{
    Dialect, Endpoint, Feature, Prefill, Take, TextSize, parse_answer, parse_error,
};
use crate::journal::{AttemptRecord, CountedUsage};
use crate::units::{MicroUsd, Millis, UnixMillis};

use super::call::retry_after;
use super::expected::Expectation;
use super::listen::{self, Calls, Heard, Stream};
use super::{Order, ProviderHead};

/// The largest unstreamed answer. A long answer is some hundred kilobytes; inline images reach megabytes.
pub(super) const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How much of an error's body is read.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;
/// The longest content type that is passed on. A media type and its parameters are some tens.
const TYPE_BYTES_MAX: usize = 256;
/// What a stream may send before its first good token.
const PRELUDE_BYTES_MAX: usize = 1024 * 1024;

/// A failure, with the provider's own words for the caller.
pub(super) type Failed = (AttemptFailure, ProviderError);

#[derive(Debug)]
pub(super) struct Attempt {
    route: Arc<Route>,
    /// The target's place in the route.
    pub place: usize,
    pub dialect: Dialect,
    endpoint: Endpoint,
    /// Whether the client can read the provider's own bytes.
    pub is_native: bool,
    pub secret: Option<String>,
    /// Whether the target was asked for a stream, and has not answered whole instead.
    pub is_streaming: bool,
    pub passage: Passage,
    pub part: Part,
    /// The fields of the request that the target was not given.
    pub dropped: Vec<String>,
    pub sent_at: UnixMillis,
    pub headers_at: Option<UnixMillis>,
    pub first_token_at: Option<UnixMillis>,
    pub ended_at: Option<UnixMillis>,
    /// The last sign of life, or when the client last stopped holding us up.
    pub heard_at: UnixMillis,
    pub status: Option<u16>,
    pub finish: Option<FinishReason>,
    /// Absent while it runs, and where it was abandoned.
    pub result: Option<Result<(), AttemptFailure>>,
    /// Unshown pieces of a stream, until the first good token.
    pub prelude: Heard,
    /// The body of an unsuccessful answer, up to [`REFUSAL_BYTES_MAX`].
    refusal: Vec<u8>,
    reading: Reading,
    /// Since when nothing is missing but the end marker. A reason to finish is none once more has been said.
    finished_at: Option<UnixMillis>,
    has_end_marker: bool,
    answers: Answers,
    retry_after: Option<Millis>,
    error_type: Option<String>,
    usage: Option<Usage>,
    /// What the model has said, for when the provider does not count it.
    answer: TextSize,
    bytes: u64,
    pub calls: Calls,
    pub expected: Expectation,
}

/// What of the answer it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    /// It was given the beginning, which broke elsewhere.
    Rest,
}

impl Part {
    pub fn behind(prefill: Option<Prefill<'_>>) -> Self {
        prefill.map_or(Self::Whole, |_| Self::Rest)
    }
}

/// How a stream's bytes reach the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// Through us.
    Read,
    /// By themselves, once there is a good token.
    ToBeRelayed,
    /// By themselves; we look on.
    Relayed,
}

/// How many answers a stream has. Of several only the first is read, and each ends at a time of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    One,
    Several,
}

impl Answers {
    /// Several may be asked for by `n`, or by a list of prompts.
    fn to(traits: &Traits) -> Self {
        let is_of_list = traits.endpoint == Endpoint::Completions && !traits.is_portable();
        if is_of_list || traits.asks.has(Feature::SeveralChoices) {
            Self::Several
        } else {
            Self::One
        }
    }
}

#[derive(Debug)]
enum Reading {
    Head,
    Stream(Box<Stream>),
    /// Of a stream, all that there was.
    StreamEnded(Box<Stream>),
    Whole(Vec<u8>),
    /// Of no stream of tokens: a sound, a text, images one by one. Nothing of it is read.
    Bytes {
        content_type: String,
    },
    Refusal,
}

/// What an attempt waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    Head,
    FirstToken,
    More,
    /// The rest of an answer that comes whole.
    Body,
    /// The rest of an unsuccessful answer, whose status is known since then.
    Reason {
        since: UnixMillis,
    },
    /// The answer has finished; only the end marker or usage may follow.
    EndMarker {
        since: UnixMillis,
    },
}

/// What the end of the bytes meant.
#[derive(Debug)]
pub(super) enum Ended {
    /// A stream that is whole, and its last piece.
    Stream(Heard),
    /// An unstreamed answer, read and as it came.
    Whole { answer: Box<Answer>, body: Vec<u8> },
}

impl Attempt {
    /// None where the route has no target in that place, which a plan never says.
    pub fn new(
        order: &Order,
        place: usize,
        secret: Option<String>,
        is_streaming: bool,
        expected: Expectation,
        now: UnixMillis,
    ) -> Option<Self> {
        let route = &order.routing.route;
        let target = route.targets.get(place)?;
        let endpoint = order.endpoint();
        Some(Self {
            dialect: target.provider.dialect,
            is_native: target.speaks(order.client, endpoint),
            endpoint,
            route: Arc::clone(route),
            place,
            secret,
            is_streaming,
            part: Part::Whole,
            dropped: Vec::new(),
            sent_at: now,
            headers_at: None,
            first_token_at: None,
            ended_at: None,
            heard_at: now,
            status: None,
            finish: None,
            result: None,
            prelude: Heard::default(),
            refusal: Vec::new(),
            reading: Reading::Head,
            finished_at: None,
            has_end_marker: false,
            answers: Answers::to(&order.routing.traits),
            passage: Passage::Read,
            retry_after: None,
            error_type: None,
            usage: None,
            answer: TextSize::default(),
            bytes: 0,
            calls: Calls::All,
            expected,
        })
    }

    pub fn is_live(&self) -> bool {
        self.ended_at.is_none()
    }

    /// Ends it without a result: nothing it says matters any more.
    pub fn abandon(&mut self, now: UnixMillis) {
        self.ended_at = Some(now);
        self.prelude = Heard::default();
    }

    /// Whether a stream that is over was one of readable events alone, with its end marker.
    pub fn is_sound(&self) -> bool {
        self.garbled() == 0 && self.has_end_marker
    }

    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// The type of an answer that goes to the client unread.
    pub fn bytes_type(&self) -> Option<&str> {
        match &self.reading {
            Reading::Bytes { content_type } => Some(content_type),
            _ => None,
        }
    }

    pub fn has_end_marker(&self) -> bool {
        self.has_end_marker
    }

    /// How many bytes have come.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the bytes end within an event.
    pub fn ends_within_an_event(&self) -> bool {
        self.stream().is_some_and(Stream::is_within_an_event)
    }

    /// Events that could not be read, and were skipped.
    fn garbled(&self) -> u32 {
        self.stream().map_or(0, Stream::garbled)
    }

    fn stream(&self) -> Option<&Stream> {
        match &self.reading {
            Reading::Stream(stream) | Reading::StreamEnded(stream) => Some(stream),
            _ => None,
        }
    }

    pub fn waiting(&self) -> Waiting {
        match (&self.reading, self.finished_at) {
            (Reading::Head, _) => Waiting::Head,
            (Reading::Whole(_), _) => Waiting::Body,
            (Reading::Refusal, _) => Waiting::Reason {
                since: self.headers_at.unwrap_or(self.sent_at),
            },
            (Reading::Stream(_), Some(since)) => Waiting::EndMarker { since },
            (Reading::Stream(_) | Reading::Bytes { .. }, None) if self.first_token_at.is_none() => {
                Waiting::FirstToken
            }
            _ => Waiting::More,
        }
    }

    /// Takes the status and headers.
    pub fn head(&mut self, head: &ProviderHead, now: UnixMillis) -> Result<(), Failed> {
        self.heard_at = now;
        self.headers_at = Some(now);
        self.status = Some(head.status);
        self.retry_after = retry_after(head, now);
        self.error_type.clone_from(&head.error_type);
        if !(200..300).contains(&head.status) {
            self.reading = Reading::Refusal;
            return Ok(());
        }
        let kind = head.content_type.to_ascii_lowercase();
        if !self.endpoint.is_conversation() {
            return self.head_of_bytes(&head.content_type, &kind);
        }
        let is_stream = kind.contains(listen::content_type(self.dialect));
        let is_json = kind.contains("json");
        if self.is_streaming && (is_stream || kind.is_empty()) {
            self.reading = Reading::Stream(Box::new(Stream::new(self.dialect, self.calls)));
        } else if is_json || (kind.is_empty() && !self.is_streaming) {
            // Where a stream was asked for, this is an error in a 200, or a provider that does not stream.
            self.reading = Reading::Whole(Vec::new());
        } else {
            let expected = if self.is_streaming {
                "an event stream"
            } else {
                "a JSON body"
            };
            return Err((
                AttemptFailure::Malformed { expected },
                ProviderError::default(),
            ));
        }
        Ok(())
    }

    /// The same of what is no conversation.
    #[inline(never)]
    fn head_of_bytes(&mut self, content_type: &str, kind: &str) -> Result<(), Failed> {
        match self.endpoint.takes(kind) {
            Take::Whole => {
                self.passage = Passage::Read;
                self.reading = Reading::Whole(Vec::new());
            }
            Take::Bytes => {
                let content_type = sendable_type(content_type);
                self.reading = Reading::Bytes { content_type };
            }
            Take::Nothing(expected) => return Err(plain(AttemptFailure::Malformed { expected })),
        }
        Ok(())
    }

    /// Takes the next bytes. What was heard before a failure is returned with it.
    pub fn chunk(&mut self, bytes: &[u8], now: UnixMillis) -> (Heard, Result<(), Failed>) {
        self.heard_at = now;
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let mut heard = Heard::default();
        let result = match &mut self.reading {
            Reading::Stream(_) => self.stream_bytes(bytes, &mut heard),
            Reading::Whole(body) if body.len() + bytes.len() > ANSWER_BYTES_MAX => {
                if self.endpoint.may_be_long() {
                    heard.raw = [body, bytes].concat();
                    let content_type = "application/json".to_owned();
                    self.reading = Reading::Bytes { content_type };
                    self.first_token_at.get_or_insert(now);
                    Ok(())
                } else {
                    Err(too_large(ANSWER_BYTES_MAX))
                }
            }
            Reading::Bytes { .. } => {
                heard.raw.extend_from_slice(bytes);
                if !bytes.is_empty() {
                    self.first_token_at.get_or_insert(now);
                }
                Ok(())
            }
            Reading::Whole(body) => {
                body.extend_from_slice(bytes);
                Ok(())
            }
            Reading::Refusal => {
                let room = REFUSAL_BYTES_MAX.saturating_sub(self.refusal.len());
                self.refusal.extend(bytes.iter().take(room));
                // The reason, if there is one, stands at the start.
                if bytes.len() > room {
                    Err(self.refused())
                } else {
                    Ok(())
                }
            }
            Reading::Head | Reading::StreamEnded(_) => Ok(()),
        };
        self.note(&heard, now);
        (heard, result)
    }

    /// Takes the end of the bytes. `takes_whole` says that the client wants no stream: then an answer that came whole
    /// will do, whatever was asked for.
    pub fn end(&mut self, takes_whole: bool, now: UnixMillis) -> Result<Ended, Failed> {
        match std::mem::replace(&mut self.reading, Reading::Head) {
            Reading::Head => Err(plain(AttemptFailure::Unreachable)),
            Reading::Refusal => {
                self.reading = Reading::Refusal;
                Err(self.refused())
            }
            Reading::Whole(body) => self.end_whole(body, takes_whole, now),
            bytes @ Reading::Bytes { .. } => {
                self.reading = bytes;
                if self.first_token_at.is_none() {
                    return Err(plain(AttemptFailure::EmptyAnswer));
                }
                Ok(Ended::Stream(Heard::default()))
            }
            Reading::Stream(mut stream) => {
                let mut heard = Heard::default();
                let read = stream.finish(self.first_token_at.is_none(), &mut heard);
                self.reading = Reading::StreamEnded(stream);
                self.note(&heard, now);
                read?;
                self.judge_stream().map_err(plain)?;
                Ok(Ended::Stream(heard))
            }
            ended @ Reading::StreamEnded(_) => {
                self.reading = ended;
                Err(plain(AttemptFailure::Unreachable))
            }
        }
    }

    /// What an unsuccessful status and the body so far mean.
    pub fn refused(&self) -> Failed {
        let status = self.status.unwrap_or_default();
        let kind = self.error_type.as_deref();
        parse_error(self.dialect, status, self.retry_after, kind, &self.refusal)
    }

    /// The failure of an answer that broke after its headers.
    pub fn cut(&self) -> AttemptFailure {
        AttemptFailure::CutOff { bytes: self.bytes }
    }

    /// The body of an unsuccessful answer, if all of it was kept.
    pub fn whole_refusal(&self) -> Option<&[u8]> {
        let is_whole = !self.refusal.is_empty() && self.refusal.len() < REFUSAL_BYTES_MAX;
        is_whole.then_some(&self.refusal)
    }

    pub fn is_refusal(&self) -> bool {
        matches!(self.reading, Reading::Refusal)
    }

    /// Whether a finished stream is an answer. One that a filter or the token limit ended may be without words, and so may
    /// the end of another's.
    pub fn judge_stream(&self) -> Result<(), AttemptFailure> {
        if self.finished_at.is_none() {
            return Err(AttemptFailure::CutOff { bytes: self.bytes });
        }
        let is_cut_short = matches!(
            self.finish,
            Some(FinishReason::Length | FinishReason::ContentFilter)
        );
        if self.first_token_at.is_none() && !is_cut_short && !self.adds_nothing() {
            return Err(AttemptFailure::EmptyAnswer);
        }
        Ok(())
    }

    /// Whether it ends another's answer, which was whole as it had been shown.
    fn adds_nothing(&self) -> bool {
        self.part == Part::Rest
            && self.first_token_at.is_none()
            && self.finish == Some(FinishReason::Stop)
    }

    fn end_whole(
        &mut self,
        body: Vec<u8>,
        takes_whole: bool,
        now: UnixMillis,
    ) -> Result<Ended, Failed> {
        let mut answer = if self.endpoint.is_conversation() {
            parse_answer(self.dialect, &body)?
        } else {
            self.endpoint.parse_answer(&body)?
        };
        if self.calls == Calls::First {
            answer.calls.truncate(1);
        }
        if !takes_whole {
            let expected = "an event stream";
            return Err(plain(AttemptFailure::Malformed { expected }));
        }
        self.is_streaming = false;
        self.first_token_at = Some(now);
        self.finish = answer.finish;
        self.usage = answer.usage;
        self.answer.push(&answer.text);
        self.answer.push(&answer.reasoning);
        self.answer.push(&answer.refusal);
        for call in &answer.calls {
            self.answer.push(&call.arguments);
        }
        Ok(Ended::Whole {
            answer: Box::new(answer),
            body,
        })
    }

    fn stream_bytes(&mut self, bytes: &[u8], heard: &mut Heard) -> Result<(), Failed> {
        let is_silent = self.first_token_at.is_none();
        let Reading::Stream(stream) = &mut self.reading else {
            return Ok(());
        };
        stream.push(bytes, is_silent, heard)?;
        let is_waiting = self.first_token_at.is_none() && !heard.has_good_token();
        if is_waiting && self.prelude.raw.len() + heard.raw.len() > PRELUDE_BYTES_MAX {
            return Err(too_large(PRELUDE_BYTES_MAX));
        }
        Ok(())
    }

    /// Keeps the figures of what was heard.
    fn note(&mut self, heard: &Heard, now: UnixMillis) {
        for event in &heard.events {
            if event.is_good_token() {
                self.first_token_at.get_or_insert(now);
                self.finished_at = None;
            }
            match event {
                Event::Text(piece)
                | Event::Reasoning(piece)
                | Event::Refusal(piece)
                | Event::CallArguments { piece, .. } => self.answer.push(piece),
                Event::Finish(reason) => {
                    self.finish = Some(*reason);
                    if self.answers == Answers::One {
                        self.finished_at.get_or_insert(now);
                    }
                }
                Event::End => {
                    self.has_end_marker = true;
                    self.finished_at.get_or_insert(now);
                }
                Event::Usage(usage) => self.usage = Some(*usage),
                Event::Start { .. }
                | Event::CallStart { .. }
                | Event::CallSignature { .. }
                | Event::Seal(_)
                | Event::Citation(_)
                | Event::Logprobs(_) => {}
            }
        }
    }

    /// Tokens as the provider counted them, else as estimated; none before there was an answer. A count that came
    /// before the answer had finished is only where it stood then: Anthropic begins a stream with one token.
    pub fn usage(&self) -> Option<CountedUsage> {
        if let Some(tokens) = self.usage.filter(|_| self.finish.is_some()) {
            return Some(CountedUsage {
                tokens,
                is_estimated: false,
            });
        }
        if !self.adds_nothing() {
            self.first_token_at?;
        }
        if !self.endpoint.has_estimated_usage() {
            return None;
        }
        let interim = self.usage.unwrap_or(Usage {
            prompt: self.expected.prompt,
            ..Usage::default()
        });
        Some(CountedUsage {
            tokens: Usage {
                answer: interim.answer.max(self.answer.tokens()),
                ..interim
            },
            is_estimated: true,
        })
    }

    pub fn is_of(&self, route: &Arc<Route>) -> bool {
        Arc::ptr_eq(&self.route, route)
    }

    /// Whether both went to the same target.
    pub fn is_at_place_of(&self, other: &Self) -> bool {
        self.place == other.place && self.is_of(&other.route)
    }

    pub fn target(&self) -> Option<&Target> {
        self.route.targets.get(self.place)
    }

    fn cost(&self, target: &Target) -> Option<MicroUsd> {
        let usage = self.usage()?.tokens;
        target.terms.price.map(|price| price.cost(&usage))
    }

    /// `route` is the record's own.
    pub fn record(
        &self,
        route: &Route,
        began_at: UnixMillis,
        now: UnixMillis,
    ) -> Option<AttemptRecord> {
        let target = self.target()?;
        let is_of_another = self.route.name != route.name;
        let since = |at: UnixMillis| at.since(began_at);
        let failure = self
            .result
            .as_ref()
            .and_then(|result| result.as_ref().err());
        let outcome = match &self.result {
            Some(Ok(())) => "ok",
            Some(Err(failure)) => failure.code(),
            None => "abandoned",
        };
        Some(AttemptRecord {
            route: is_of_another.then(|| self.route.name.clone()),
            target: Arc::clone(&target.id),
            provider: Arc::clone(&target.provider.name),
            model: Arc::clone(&target.model),
            secret: self.secret.clone(),
            sent_ms: since(self.sent_at),
            headers_ms: self.headers_at.map(since),
            first_token_ms: self.first_token_at.map(since),
            end_ms: since(self.ended_at.unwrap_or(now)),
            outcome: outcome.to_owned(),
            reason: failure.map(ToString::to_string),
            status: self.status,
            is_relayed: self.passage == Passage::Relayed,
            dropped: self.dropped.clone(),
            garbled: self.garbled(),
            usage: self.usage(),
            cost: self.cost(target),
        })
    }
}

/// A content type that can be a header's value; a provider may write anything.
fn sendable_type(text: &str) -> String {
    let is_plain =
        text.len() <= TYPE_BYTES_MAX && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if is_plain && !text.is_empty() {
        return text.to_owned();
    }
    "application/octet-stream".to_owned()
}

fn plain(failure: AttemptFailure) -> Failed {
    (failure, ProviderError::default())
}

pub(super) fn too_large(limit: usize) -> Failed {
    let limit_bytes = u64::try_from(limit).unwrap_or(u64::MAX);
    plain(AttemptFailure::TooLarge { limit_bytes })
}
