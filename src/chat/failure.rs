//! What can go wrong, by who must act: the caller ([`RequestError`]) or the router ([`AttemptFailure`]).
//!
//! Variants carry values, never sentences, and never a secret or a piece of a prompt. The provider's own words
//! may quote the prompt; they travel apart, in [`ProviderError`], to the caller alone, and enter no record.

use crate::units::Millis;

/// The caller's request cannot be served as it is. Becomes a 4xx in the caller's dialect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("the body is not valid JSON: {reason} at line {line}, column {column}")]
    NotJson {
        reason: String,
        line: usize,
        column: usize,
    },
    #[error("`{field}` is missing; {remedy}")]
    Missing { field: String, remedy: &'static str },
    #[error("`{field}`: expected {expected}")]
    Invalid { field: String, expected: String },
    #[error(
        "the body has {bytes} bytes or more; the limit is {limit}: shorten the prompt, or send images as URLs"
    )]
    TooLarge { bytes: u64, limit: u64 },
    #[error("`{field}` cannot be carried to a target that speaks {dialect}")]
    NotTranslatable {
        field: String,
        dialect: &'static str,
    },
    #[error("no route is named `{name}`; {known}")]
    UnknownRoute { name: String, known: String },
    #[error("the key may not use `{name}`; ask your operator to add it to the key's `routes`")]
    NotAllowed { name: String },
    #[error("no target of route `{route}` can serve this request: {reasons}")]
    NoCandidate { route: String, reasons: String },
}

impl RequestError {
    /// A few stable names, for records and for the caller's program.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "invalid_json",
            Self::Missing { .. } => "missing_field",
            Self::Invalid { .. } => "invalid_field",
            Self::TooLarge { .. } => "body_too_large",
            Self::NotTranslatable { .. } => "not_translatable",
            Self::UnknownRoute { .. } => "model_not_found",
            Self::NotAllowed { .. } => "not_allowed",
            Self::NoCandidate { .. } => "no_candidate",
        }
    }

    /// The HTTP status that fits.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::TooLarge { .. } => 413,
            Self::UnknownRoute { .. } => 404,
            Self::NotAllowed { .. } => 403,
            _ => 400,
        }
    }

    /// The field at fault, as a path in the body.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Missing { field, .. }
            | Self::Invalid { field, .. }
            | Self::NotTranslatable { field, .. } => Some(field),
            Self::UnknownRoute { .. } | Self::NotAllowed { .. } => Some("model"),
            Self::NotJson { .. } | Self::TooLarge { .. } => Some("body"),
            Self::NoCandidate { .. } => None,
        }
    }
}

/// What an attempt was waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Headers,
    FirstToken,
    NextEvent,
    End,
}

/// The provider's answer was of no use to us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttemptFailure {
    /// Refused, reset, no such host, TLS: `fetch` threw.
    #[error("could not connect, or the connection broke before an answer")]
    Unreachable,
    #[error("waited {waited} for {}", phase_words(*phase))]
    DeadlinePassed { phase: Phase, waited: Millis },
    /// It asked us to slow down.
    #[error("rate limited with status {status}")]
    RateLimited {
        status: u16,
        retry_after: Option<Millis>,
    },
    /// 5xx, Anthropic's 529 included.
    #[error("failed with status {status}")]
    ServerError {
        status: u16,
        retry_after: Option<Millis>,
    },
    /// 401 and 403: our key, not the caller's.
    #[error("refused our key with status {status}")]
    KeyRejected { status: u16 },
    /// 402: our account is empty.
    #[error("asks for payment with status 402")]
    PaymentRequired,
    /// 404: it does not have the model, or not under this URL.
    #[error("does not know the model or the path")]
    NotFound,
    /// No secret of this name is bound, so no call was made.
    #[error("the secret {name} is not set")]
    SecretMissing { name: String },
    /// An error event inside a 200.
    #[error("sent an error of type {kind} inside an answer")]
    ErrorEvent { kind: String },
    #[error("answered without any content")]
    EmptyAnswer,
    /// The answer ended, or broke, before it was finished.
    #[error("expected the end of the answer, got the end of the bytes after {bytes}")]
    CutOff { bytes: u64 },
    /// Neither the dialect's answer nor its error.
    #[error("expected {expected}, got something else")]
    Malformed { expected: &'static str },
    #[error("sent more than {limit_bytes} bytes in one piece")]
    TooLarge { limit_bytes: u64 },
    /// The caller's own fault: any target would say the same.
    #[error("refused the request with status {status}")]
    Rejected { status: u16 },
    /// Its dialect has no words for the request, so no call was made.
    #[error("its dialect cannot carry `{field}`")]
    NotTranslatable { field: String },
    /// The prompt does not fit this target.
    #[error("the prompt is too long for the model")]
    ContextTooLong,
    /// The provider's safety filter refused the request.
    #[error("filtered by the provider's safety system")]
    ContentFiltered,
}

impl AttemptFailure {
    /// A few stable names, for the record.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::DeadlinePassed { phase, .. } => match phase {
                Phase::Headers => "headers_deadline",
                Phase::FirstToken => "first_token_deadline",
                Phase::NextEvent => "idle_deadline",
                Phase::End => "total_deadline",
            },
            Self::RateLimited { .. } => "rate_limited",
            Self::ServerError { .. } => "server_error",
            Self::KeyRejected { .. } => "key_rejected",
            Self::PaymentRequired => "payment_required",
            Self::NotFound => "not_found",
            Self::SecretMissing { .. } => "secret_missing",
            Self::ErrorEvent { .. } => "error_event",
            Self::EmptyAnswer => "empty_answer",
            Self::CutOff { .. } => "cut_off",
            Self::Malformed { .. } => "malformed",
            Self::TooLarge { .. } => "too_large",
            Self::Rejected { .. } => "rejected",
            Self::NotTranslatable { .. } => "not_translatable",
            Self::ContextTooLong => "context_too_long",
            Self::ContentFiltered => "content_filtered",
        }
    }

    /// Whether it speaks against the target. The caller's own mistakes do not.
    #[must_use]
    pub fn is_targets_fault(&self) -> bool {
        !matches!(
            self,
            Self::Rejected { .. }
                | Self::NotTranslatable { .. }
                | Self::ContextTooLong
                | Self::ContentFiltered
        )
    }

    /// Whether asking another target may help. The caller's own mistake is the same everywhere; a longer
    /// context may be had elsewhere; a safety filter's decision is the provider's answer, and stands.
    #[must_use]
    pub fn may_another_help(&self) -> bool {
        !matches!(self, Self::Rejected { .. } | Self::ContentFiltered)
    }

    /// When the provider said it may be asked again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Millis> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::ServerError { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }
}

fn phase_words(phase: Phase) -> &'static str {
    match phase {
        Phase::Headers => "the headers",
        Phase::FirstToken => "the first token",
        Phase::NextEvent => "the next event",
        Phase::End => "the end of the answer",
    }
}

/// What a provider said in its error, in its own words. For the caller alone: it may quote the prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderError {
    pub message: String,
    /// The provider's type or code, if it gave one.
    pub kind: Option<String>,
    /// The field at fault, if it named one.
    pub param: Option<String>,
}
