//! What a provider's error means for us.
//!
//! Providers agree on little: the error is an object under `error`, or a string there, or the body itself, or
//! the first element of an array; its code is a string, or a number that repeats the status. So one lenient
//! reader serves all dialects, and the meaning comes from the status first, then from the few names and phrases
//! below. Each phrase is a provider's own, with its fixture in `tests/dialects/`.
//!
//! The provider's words go to the caller alone, in [`ProviderError`]; they may quote the prompt. Names go into
//! records too, so they must look like names ([`name`]).

use std::time::Duration;

use serde::Deserialize;

use super::read::{self, Kind, Loose, Raw};
use crate::chat::{AttemptFailure, ProviderError};
use crate::units::Millis;

/// The most that is kept of a provider's message. It is shown to a person, in one line of a terminal.
pub(super) const MESSAGE_BYTES_MAX: usize = 2 * 1024;
/// The longest error that is read at all. A provider's is a few hundred bytes; what is larger is a web page.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// The longest name of a kind of error. OpenAI's longest today has 31 bytes.
const NAME_BYTES_MAX: usize = 64;

/// Phrases of providers that give no code for a prompt that is too long.
const TOO_LONG_PHRASES: [&str; 9] = [
    "maximum context length",               // vLLM, OpenRouter
    "prompt is too long",                   // Anthropic
    "exceed context limit",                 // Anthropic, prompt and answer together
    "exceeds the maximum number of tokens", // Gemini
    "reduce the length of the messages",    // Groq
    "max_seq_len",                          // SiliconFlow
    "context window",                       // llama.cpp, Fireworks
    "input is too long",                    // Bedrock
    "too many tokens: ",                    // Cohere
];
const TOO_LONG_NAMES: [&str; 4] = [
    "context_length_exceeded",
    "string_above_max_length",
    "request_too_large",
    "exceed_context_size_error",
];
const FILTER_NAMES: [&str; 4] = [
    "content_filter",
    "content_policy_violation",
    "moderation_blocked",
    "ResponsibleAIPolicyViolation",
];
const PAYMENT_NAMES: [&str; 3] = [
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_error",
];
const RATE_NAMES: [&str; 2] = ["rate_limit_exceeded", "rate_limit_error"];
/// The statuses of AWS's exceptions, which have none inside a stream
/// (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html>).
const AWS_STATUSES: [(&str, u16); 7] = [
    ("InternalServerException", 500),
    ("ModelStreamErrorException", 424),
    ("ModelTimeoutException", 408),
    ("ServiceUnavailableException", 503),
    ("ThrottlingException", 429),
    ("ValidationException", 400),
    ("AccessDeniedException", 403),
];
/// Some come with 400 (<https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html>).
const AWS_KEY_NAMES: [&str; 8] = [
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "UnrecognizedClientException",
];
/// With 400.
const AWS_QUOTA_NAMES: [&str; 1] = ["ServiceQuotaExceededException"];
/// With 424: the model failed, and the caller did nothing wrong.
const AWS_MODEL_NAMES: [&str; 2] = ["ModelErrorException", "ModelStreamErrorException"];
/// Anthropic's 400 for an answer that its filter stopped.
const FLAGGED_PHRASE: &str = "flagged";
const FILTER_PHRASE: &str = "blocked by content filtering policy";
/// Gemini's 400 for a call from a country that it does not serve: Cloudflare's Hong Kong is known for it. It is about our place,
/// as OpenAI's 403 is, and no fault of the request's.
const PLACE_PHRASE: &str = "location is not supported";
/// A 400 for an account that must pay first.
const PAYMENT_PHRASES: [&str; 2] = [
    "credit balance is too low", // Anthropic
    "please enable billing",     // Gemini
];

/// A provider's error, read as far as it can be.
#[derive(Debug, Default)]
pub(super) struct Fault {
    message: String,
    kind: Option<String>,
    code: Option<String>,
    /// Where the code is a number that could be a status.
    status: Option<u16>,
    param: Option<String>,
    /// Google's, beside a kind that many errors share.
    reason: Option<String>,
    retry_after: Option<Millis>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Envelope<'a> {
    #[serde(borrow)]
    error: Option<Raw<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields<'a> {
    #[serde(borrow)]
    message: Option<Raw<'a>>,
    /// FastAPI's word for it.
    #[serde(borrow)]
    detail: Option<Raw<'a>>,
    #[serde(rename = "type", alias = "__type")]
    kind: Loose<String>,
    #[serde(borrow)]
    code: Option<Raw<'a>>,
    param: Loose<String>,
    /// Google's word for the kind.
    status: Loose<String>,
    /// Google's, each of a type of its own.
    details: Loose<Vec<Loose<Detail>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Detail {
    reason: Loose<String>,
    #[serde(rename = "retryDelay")]
    retry_delay: Loose<String>,
}

/// Judges an answer whose status is none of success.
pub(super) fn of_status(
    status: u16,
    retry_after: Option<Millis>,
    body: &[u8],
) -> (AttemptFailure, ProviderError) {
    let fault = read_body(body);
    let failure = by_status(status, retry_after.or(fault.retry_after), &fault);
    let told = fault.told(&failure);
    (failure, told)
}

/// Judges an error that came inside a success: an event of a stream, or a whole answer.
pub(super) fn inside(error: Raw) -> (AttemptFailure, ProviderError) {
    let fault = read_fault(error);
    let failure = match (by_name(&fault), fault.status) {
        (Some(failure), _) => failure,
        (None, Some(status)) => by_status(status, fault.retry_after, &fault),
        (None, None) => AttemptFailure::ErrorEvent {
            kind: fault.name().unwrap_or_else(|| "unknown".to_owned()),
        },
    };
    let told = fault.told(&failure);
    (failure, told)
}

/// Judges an error inside a success that is a name, and perhaps words.
pub(super) fn named(kind: &str, words: Option<String>) -> (AttemptFailure, ProviderError) {
    let message = words.map(|words| bounded(words, MESSAGE_BYTES_MAX));
    let fault = Fault {
        message: message.unwrap_or_default(),
        kind: name(kind),
        ..Fault::default()
    };
    of_fault(fault)
}

/// Judges a whole answer that says nothing, where the dialect leaves its errors bare.
pub(super) fn in_answer(body: &[u8], expected: AttemptFailure) -> (AttemptFailure, ProviderError) {
    let fault = read_body(body);
    if fault.message.is_empty() {
        return (expected, ProviderError::default());
    }
    of_fault(fault)
}

fn of_fault(fault: Fault) -> (AttemptFailure, ProviderError) {
    let known = by_name(&fault).or_else(|| by_phrase(&fault));
    let failure = known.unwrap_or_else(|| AttemptFailure::ErrorEvent {
        kind: fault.name().unwrap_or_else(|| "unknown".to_owned()),
    });
    let told = fault.told(&failure);
    (failure, told)
}

/// Judges an exception inside a stream of AWS's. It means what it would mean with a status of its own.
pub(super) fn of_exception(name: &str, body: &[u8]) -> (AttemptFailure, ProviderError) {
    let first = name.get(..1).unwrap_or_default().to_ascii_uppercase();
    let name = first + name.get(1..).unwrap_or_default();
    let known = AWS_STATUSES.iter().find(|(known, _)| *known == name);
    if let Some((_, status)) = known {
        return of_aws(*status, None, Some(&name), body);
    }
    named(&name, Some(read_body(body).message))
}

/// Judges an error of Cohere's, whose 498 is "returned when a request or response contains a deny-listed token", as its
/// description of the API says (<https://docs.cohere.com/v2/reference/chat>).
pub(super) fn of_cohere(
    status: u16,
    retry_after: Option<Millis>,
    body: &[u8],
) -> (AttemptFailure, ProviderError) {
    let (failure, told) = of_status(status, retry_after, body);
    let is_filtered = status == 498;
    let failure = if is_filtered {
        AttemptFailure::ContentFiltered
    } else {
        failure
    };
    (failure, told)
}

/// Judges an error of AWS's, whose name stands in a header, or in the body as `__type`.
pub(super) fn of_aws(
    status: u16,
    retry_after: Option<Millis>,
    kind: Option<&str>,
    body: &[u8],
) -> (AttemptFailure, ProviderError) {
    let mut fault = read_body(body);
    if let Some(kind) = kind {
        fault.kind = name(bare(kind));
    }
    let failure = if fault.has_name(&AWS_KEY_NAMES) {
        AttemptFailure::KeyRejected { status }
    } else if fault.has_name(&AWS_QUOTA_NAMES) {
        AttemptFailure::RateLimited {
            status,
            retry_after,
        }
    } else if fault.has_name(&AWS_MODEL_NAMES) {
        AttemptFailure::ServerError {
            status,
            retry_after,
        }
    } else {
        by_status(status, retry_after, &fault)
    };
    let told = fault.told(&failure);
    (failure, told)
}

/// Judges the data of an error event: an envelope, the error itself, or no JSON at all.
pub(super) fn inside_event(data: &str) -> (AttemptFailure, ProviderError) {
    let Ok(raw) = serde_json::from_str::<Raw>(data.trim()) else {
        let kind = "unknown".to_owned();
        return (
            AttemptFailure::ErrorEvent { kind },
            ProviderError::default(),
        );
    };
    let envelope: Envelope = serde_json::from_str(raw.get()).unwrap_or_default();
    inside(envelope.error.unwrap_or(raw))
}

/// Judges a whole answer that is not the JSON object it should be.
pub(super) fn of_json(
    error: &serde_json::Error,
    body: &[u8],
    expected: AttemptFailure,
) -> (AttemptFailure, ProviderError) {
    let failure = if error.is_eof() {
        AttemptFailure::CutOff {
            bytes: body.len() as u64,
        }
    } else {
        expected
    };
    (failure, ProviderError::default())
}

/// Whether a field called `error` holds one: some providers always send it.
pub(super) fn is_error(error: Raw) -> bool {
    !matches!(error.get(), "null" | "false" | "\"\"" | "{}")
}

fn by_status(status: u16, retry_after: Option<Millis>, fault: &Fault) -> AttemptFailure {
    match status {
        300..=399 => AttemptFailure::Malformed {
            expected: "an answer, not a redirect",
        },
        // OpenRouter: the model requires moderation, and the input was flagged.
        // <https://openrouter.ai/docs/api/reference/errors-and-debugging>, read 2026-11-21.
        403 if fault.message.contains(FLAGGED_PHRASE) => AttemptFailure::ContentFiltered,
        401 | 403 => AttemptFailure::KeyRejected { status },
        402 => AttemptFailure::PaymentRequired,
        // 405: a path that takes no such call. 410: a model that was withdrawn.
        404 | 405 | 410 => AttemptFailure::NotFound,
        // 409: a lock that was not free, which OpenAI's and Anthropic's SDKs try again. 499: cancelled, at Cohere, and not by us.
        408 | 409 | 499 => AttemptFailure::ServerError {
            status,
            retry_after,
        },
        429 if fault.has_name(&PAYMENT_NAMES) => AttemptFailure::PaymentRequired,
        // 498: no room for requests that may wait, at Groq (<https://console.groq.com/docs/flex-processing>).
        429 | 498 => AttemptFailure::RateLimited {
            status,
            retry_after,
        },
        // Whatever it says, it is too much for this target: Groq's 413 is about its limit per minute.
        413 => AttemptFailure::ContextTooLong,
        400..=499 => by_words(status, fault),
        500..=599 => AttemptFailure::ServerError {
            status,
            retry_after,
        },
        _ => AttemptFailure::Malformed {
            expected: "a status of success or of an error",
        },
    }
}

fn by_words(status: u16, fault: &Fault) -> AttemptFailure {
    if let Some(failure) = by_name(fault) {
        return failure;
    }
    if let Some(failure) = by_phrase(fault) {
        failure
    } else if fault.has_name(&["invalid_api_key", "API_KEY_INVALID"])
        || fault.message.contains(PLACE_PHRASE)
    {
        AttemptFailure::KeyRejected { status }
    } else {
        AttemptFailure::Rejected { status }
    }
}

/// What the words mean, where there is no name for it.
fn by_phrase(fault: &Fault) -> Option<AttemptFailure> {
    let message = fault.message.to_ascii_lowercase();
    if TOO_LONG_PHRASES.iter().any(|words| message.contains(words)) {
        Some(AttemptFailure::ContextTooLong)
    } else if message.contains(FILTER_PHRASE) {
        Some(AttemptFailure::ContentFiltered)
    } else if PAYMENT_PHRASES.iter().any(|words| message.contains(words)) {
        Some(AttemptFailure::PaymentRequired)
    } else {
        None
    }
}

/// The names that mean the same whatever the status is.
fn by_name(fault: &Fault) -> Option<AttemptFailure> {
    if fault.has_name(&TOO_LONG_NAMES) {
        Some(AttemptFailure::ContextTooLong)
    } else if fault.has_name(&FILTER_NAMES) {
        Some(AttemptFailure::ContentFiltered)
    } else if fault.has_name(&PAYMENT_NAMES) {
        Some(AttemptFailure::PaymentRequired)
    } else if fault.has_name(&RATE_NAMES) {
        Some(AttemptFailure::RateLimited {
            status: 429,
            retry_after: None,
        })
    } else if fault.has_name(&["overloaded_error"]) {
        Some(AttemptFailure::ServerError {
            status: 529,
            retry_after: None,
        })
    } else {
        None
    }
}

fn read_body(body: &[u8]) -> Fault {
    if body.len() > BODY_BYTES_MAX {
        return Fault::default();
    }
    let text = String::from_utf8_lossy(body);
    let Ok(raw) = serde_json::from_str::<Raw>(&text) else {
        return Fault::default();
    };
    // Gemini's compatible endpoint wraps its error in an array.
    let first = serde_json::from_str::<Vec<Raw>>(raw.get())
        .ok()
        .and_then(|elements| elements.first().copied());
    let raw = first.unwrap_or(raw);
    let envelope: Envelope = serde_json::from_str(raw.get()).unwrap_or_default();
    read_fault(envelope.error.unwrap_or(raw))
}

fn read_fault(raw: Raw) -> Fault {
    match read::kind(raw) {
        Kind::Text => Fault {
            message: words(Some(raw)),
            ..Fault::default()
        },
        Kind::Object => {
            let fields: Fields = serde_json::from_str(raw.get()).unwrap_or_default();
            let code = fields.code.map(|code| code.get().trim_matches('"'));
            let details = fields.details.0.unwrap_or_default();
            let details = || details.iter().filter_map(|detail| detail.0.as_ref());
            let mut reasons = details().filter_map(|detail| detail.reason.0.as_deref());
            let mut waits = details().filter_map(|detail| detail.retry_delay.0.as_deref());
            let kind = fields.kind.0.or(fields.status.0);
            Fault {
                message: words(fields.message.or(fields.detail)),
                kind: kind.and_then(|kind| name(bare(&kind))),
                reason: reasons.find_map(name),
                retry_after: waits.find_map(seconds),
                code: code.filter(|code| *code != "null").and_then(name),
                status: code
                    .and_then(|code| code.parse().ok())
                    .filter(|status| (300..600).contains(status)),
                param: fields.param.0.map(|param| bounded(param, NAME_BYTES_MAX)),
            }
        }
        _ => Fault::default(),
    }
}

/// A message, wherever it is a string.
fn words(raw: Option<Raw>) -> String {
    raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok())
        .map(|message| bounded(message, MESSAGE_BYTES_MAX))
        .unwrap_or_default()
}

/// A time as Google writes it, such as `34.5s`.
fn seconds(text: &str) -> Option<Millis> {
    let seconds = text.strip_suffix('s')?.parse().ok()?;
    let wait = Duration::try_from_secs_f64(seconds).ok()?;
    u64::try_from(wait.as_millis()).ok().map(Millis)
}

fn bounded(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}

/// A name of AWS's without the namespace before it and the URL behind it.
fn bare(kind: &str) -> &str {
    let name = kind.split(':').next().unwrap_or_default();
    name.rsplit('#').next().unwrap_or_default()
}

/// `text` if it can be a name: it goes into records, where nothing of a prompt may go.
fn name(text: &str) -> Option<String> {
    let is_name = (1..=NAME_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    is_name.then(|| text.to_owned())
}

impl Fault {
    fn has_name(&self, names: &[&str]) -> bool {
        [&self.code, &self.kind, &self.reason]
            .into_iter()
            .flatten()
            .any(|given| names.contains(&given.as_str()))
    }

    /// The most telling name: a code in words, else the type, else a code in digits.
    fn name(&self) -> Option<String> {
        let word = self.code.clone().filter(|_| self.status.is_none());
        word.or_else(|| self.kind.clone())
            .or_else(|| self.code.clone())
    }

    /// What the caller may read. About our key and account it may not: the words quote pieces of the key.
    fn told(self, failure: &AttemptFailure) -> ProviderError {
        let is_ours = matches!(
            failure,
            AttemptFailure::KeyRejected { .. } | AttemptFailure::PaymentRequired
        );
        ProviderError {
            kind: self.name(),
            message: if is_ours { String::new() } else { self.message },
            param: self.param,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_judged_by_their_status_alone() {
        let bodies: [&[u8]; 4] = [b"", b"\xff\xfe", b"{\"error\":", &vec![b'['; 10_000_000]];
        for body in bodies {
            let (failure, told) = of_status(500, None, body);
            assert_eq!(failure.code(), "server_error");
            assert_eq!(told, ProviderError::default());
        }
    }

    #[test]
    fn a_long_message_ends_at_a_character() {
        let body = format!(r#"{{"error":"a{}"}}"#, "é".repeat(MESSAGE_BYTES_MAX));
        let (_, told) = of_status(400, None, body.as_bytes());
        assert_eq!(told.message.len(), MESSAGE_BYTES_MAX - 1);
    }

    #[test]
    fn awss_header_names_the_error_before_its_body_does() {
        let code = |kind, body: &str| of_aws(400, None, kind, body.as_bytes()).0.code();
        let plain = r#"{"message":"slow down"}"#;
        let of_body = r#"{"__type":"a.b#ServiceQuotaExceededException","message":"no"}"#;
        assert_eq!(code(None, plain), "rejected");
        assert_eq!(code(None, of_body), "rate_limited");
        let header = Some("ExpiredTokenException:http://internal.amazon.com/coral/");
        assert_eq!(code(header, plain), "key_rejected");
        assert_eq!(code(header, of_body), "key_rejected");
    }

    #[test]
    fn a_piece_of_a_prompt_is_no_name() {
        for text in [
            "",
            "two words",
            "a\nb",
            "naïve",
            &"x".repeat(NAME_BYTES_MAX + 1),
        ] {
            assert_eq!(name(text), None, "{text:?}");
        }
        assert_eq!(name("rate_limit-v1.2").as_deref(), Some("rate_limit-v1.2"));
    }
}
