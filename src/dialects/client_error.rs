//! An error as a client is told it, in the client's dialect.
//!
//! The SDKs choose the exception by the HTTP status, and raise inside a stream only on the dialect's own error
//! event, so that event is typed as the provider would type it. The `code` is ours.

use std::borrow::Cow;

use super::{ClientDialect, anthropic, gemini, openai_chat, openai_responses};
use crate::chat::RequestError;
use crate::units::Millis;

/// The code of an error that says: the prompt is longer than the model takes.
pub const CONTEXT_TOO_LONG: &str = "context_length_exceeded";

/// What a client is told when it gets no answer, or no more of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientError {
    pub status: u16,
    /// One of a few stable names.
    pub code: String,
    pub message: String,
    /// The field at fault.
    pub param: Option<String>,
    pub retry_after: Option<Millis>,
}

impl ClientError {
    /// An error that names no field and no time to wait.
    #[must_use]
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            param: None,
            retry_after: None,
        }
    }
}

impl From<&RequestError> for ClientError {
    fn from(error: &RequestError) -> Self {
        Self {
            status: error.status(),
            code: error.code().to_owned(),
            message: error.to_string(),
            param: error.field().map(str::to_owned),
            retry_after: None,
        }
    }
}

/// The status with which the client's own API would say it.
///
/// Anthropic's says 529 where others say 503, and its SDKs have a class for each
/// (<https://platform.claude.com/docs/en/api/errors>).
#[must_use]
pub fn error_status(client: ClientDialect, error: &ClientError) -> u16 {
    match (client, error.status) {
        (ClientDialect::Anthropic, 503) => 529,
        (_, status) => status,
    }
}

/// The body of an answer with the status of [`error_status`].
#[must_use]
pub fn encode_error(client: ClientDialect, error: &ClientError) -> Vec<u8> {
    match client {
        // OpenAI answers both of its APIs' callers alike.
        ClientDialect::OpenaiChat | ClientDialect::OpenaiResponses => {
            openai_chat::encode_error(error)
        }
        ClientDialect::Anthropic => anthropic::encode_error(error),
        ClientDialect::Gemini => gemini::encode_error(error),
    }
}

/// The last event of a stream that failed after it had begun.
#[must_use]
pub fn encode_error_event(client: ClientDialect, error: &ClientError) -> Vec<u8> {
    let mut out = Vec::new();
    let (name, data) = match client {
        ClientDialect::OpenaiChat | ClientDialect::Gemini => (None, encode_error(client, error)),
        ClientDialect::Anthropic => (Some("error"), encode_error(client, error)),
        ClientDialect::OpenaiResponses => {
            (Some("error"), openai_responses::encode_error_event(error))
        }
    };
    crate::sse::write_event(&mut out, name, &data);
    out
}

/// The message, with `words` before it if it is about a prompt that is too long and has none of `known`.
///
/// Programs tell this failure from others by the words of the API they were written for: `LangChain` does, to shorten the
/// conversation and try again. The message may be another API's.
pub(super) fn in_known_words<'a>(
    error: &'a ClientError,
    known: &[&str],
    words: &str,
) -> Cow<'a, str> {
    let is_known = known.iter().any(|known| error.message.contains(known));
    if error.code != CONTEXT_TOO_LONG || is_known {
        return Cow::Borrowed(&error.message);
    }
    Cow::Owned(format!("{words}: {}", error.message))
}
