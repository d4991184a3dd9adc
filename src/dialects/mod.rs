//! Wire formats: what clients and providers write, translated to and from `chat`.
//!
//! A client speaks one dialect ([`ClientDialect`]) and a provider speaks one ([`Dialect`]). Where they are the same, the
//! request is spliced (`splice.rs`) and the answer is the provider's own bytes. Where they differ, everything goes through
//! `chat`, so that N formats need N translators. A translation is exact or it is refused: what a request asks for is
//! known as features (`feature.rs`) before a target is chosen. Without an essential one the answer would mean something
//! else, so a dialect that cannot carry it is not asked; the others are dropped, and named.
//!
//! A `match` per function, not a trait object: there are few dialects, all known at compile time, and the
//! compiler then names every place that a new one must fill. A new wire format is one folder here and one in
//! `tests/dialects/`.
//!
//! Not here: which target is asked (`decide/`), what is done about a failure (`exchange/`), URLs and keys
//! (`providers/`).

mod anthropic;
mod arguments_schema;
mod bedrock;
mod carried;
mod claude;
mod client_error;
mod closed_schema;
mod cohere;
mod delivery;
mod endpoint;
mod estimate;
mod fault;
mod feature;
mod fit;
mod gemini;
mod header;
mod openai_chat;
mod openai_responses;
mod outline;
mod prefix;
mod quirk;
mod read;
mod recognise;
mod room;
mod splice;
mod stream;
mod strict_schema;
mod user_text;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

pub use client_error::{
    CONTEXT_TOO_LONG, ClientError, encode_error, encode_error_event, error_status,
};
pub use delivery::{ArrayWriter, Delivery};
pub use endpoint::{Endpoint, Form, Take, encode_completion};
pub use estimate::{CLASSES, CONTEXTS, TextSize, features};
pub use feature::{Ask, Asks, Feature, Features};
pub use gemini::GeminiAddress;
pub use header::ClientHeaders;
pub use outline::{Asked, CONSTRAINT_BYTES_MAX, Ours, Outline};
pub use prefix::{Boundary, CACHED_TOKENS_MIN, Prefix};
pub use quirk::{Quirk, Quirks};
pub use recognise::recognise;
pub use room::{Allowance, ROOM_HEADERS, Room};
pub use stream::{StreamDecoder, StreamEncoder, StreamFault, encode_end};
pub use user_text::user_text;

use crate::chat::{
    Answer, AssistantMessage, AttemptFailure, Message, Part, ProviderError, Request, RequestError,
};
use crate::units::{Millis, Tokens, UnixMillis};

/// A wire format that we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// OpenAI's chat completions, and all that call themselves compatible with it.
    OpenaiChat,
    /// Anthropic's messages.
    Anthropic,
    /// OpenAI's Responses API.
    OpenaiResponses,
    /// Cohere's own chat API.
    Cohere,
    /// Amazon Bedrock's Converse.
    Bedrock,
    /// Google's `generateContent`.
    Gemini,
}

/// How a provider's stream is cut into events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `sse`.
    ServerSentEvents,
    /// `eventstream`.
    EventStream,
}

impl Dialect {
    pub const ALL: [Self; 6] = [
        Self::OpenaiChat,
        Self::Anthropic,
        Self::OpenaiResponses,
        Self::Cohere,
        Self::Bedrock,
        Self::Gemini,
    ];

    /// Its name in config and records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai-chat",
            Self::Anthropic => "anthropic",
            Self::OpenaiResponses => "openai-responses",
            Self::Cohere => "cohere",
            Self::Bedrock => "bedrock",
            Self::Gemini => "gemini",
        }
    }

    /// How its streams are cut into events.
    #[must_use]
    pub fn framing(self) -> Framing {
        match self {
            Self::Bedrock => Framing::EventStream,
            Self::OpenaiChat
            | Self::Anthropic
            | Self::OpenaiResponses
            | Self::Cohere
            | Self::Gemini => Framing::ServerSentEvents,
        }
    }

    /// All names.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        Self::ALL.iter().map(|dialect| dialect.name()).collect()
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name)
    }
}

/// A wire format that clients speak with us. Providers speak each of these too, and others beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientDialect {
    OpenaiChat,
    Anthropic,
    OpenaiResponses,
    Gemini,
}

impl ClientDialect {
    pub const ALL: [Self; 4] = [
        Self::OpenaiChat,
        Self::Anthropic,
        Self::OpenaiResponses,
        Self::Gemini,
    ];

    /// Its name in records: the one that it has where a provider speaks it.
    #[must_use]
    pub fn name(self) -> &'static str {
        Dialect::from(self).name()
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name)
    }

    /// An answer's id, made of its exchange's, with the beginning that the dialect's own ids have.
    #[must_use]
    pub fn answer_id(self, endpoint: Endpoint, exchange: &str) -> String {
        match (self, endpoint) {
            (_, Endpoint::Completions) => format!("cmpl-{exchange}"),
            (Self::OpenaiChat, _) => format!("chatcmpl-{exchange}"),
            (Self::Anthropic, _) => format!("msg_{exchange}"),
            (Self::OpenaiResponses, _) => format!("resp_{exchange}"),
            (Self::Gemini, _) => exchange.to_owned(),
        }
    }
}

impl From<ClientDialect> for Dialect {
    fn from(client: ClientDialect) -> Self {
        match client {
            ClientDialect::OpenaiChat => Self::OpenaiChat,
            ClientDialect::Anthropic => Self::Anthropic,
            ClientDialect::OpenaiResponses => Self::OpenaiResponses,
            ClientDialect::Gemini => Self::Gemini,
        }
    }
}

/// What a provider is to be sent, but for its host and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// To be appended to the provider's base URL. It may have a query.
    pub path: Cow<'static, str>,
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    pub body: Vec<u8>,
    /// Whether the answer may have one call at most, which the provider cannot be told: of several, the first counts.
    pub is_one_call: bool,
}

/// What the router decides about a request that is sent.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    /// The model's name at the provider.
    pub model: &'a str,
    /// Whether the provider is asked for a stream. The client may have wished otherwise.
    pub is_streaming: bool,
    /// For dialects that demand a maximum, where the client gave none.
    pub answer_tokens_default: Tokens,
    /// The beginning of the answer, which the model is to go on with.
    pub prefill: Option<Prefill<'a>>,
    /// What the provider wants otherwise than its dialect says.
    pub quirks: Quirks,
    /// What the target can be given.
    pub carried: Features,
}

/// The beginning of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefill<'a> {
    /// Not empty, and without white space at its end.
    pub text: &'a str,
    /// How long it is: the rest may be shorter by as much.
    pub tokens: Tokens,
}

impl Prefill<'_> {
    /// What is left of the client's limit; at least one token.
    fn rest(&self, limit: Tokens) -> Tokens {
        Tokens(limit.0.saturating_sub(self.tokens.0).max(1))
    }
}

/// Reads what is needed to choose a target, and checks the body's shape as far as we rely on it.
///
/// # Errors
/// The caller's mistake, with the path of the field.
pub fn outline(client: ClientDialect, body: &[u8]) -> Result<Outline, RequestError> {
    match client {
        ClientDialect::OpenaiChat => openai_chat::outline(body),
        ClientDialect::Anthropic => anthropic::outline(body),
        ClientDialect::OpenaiResponses => openai_responses::outline(body),
        ClientDialect::Gemini => gemini::outline(body),
    }
}

/// Writes a client's request as the provider expects it.
///
/// # Errors
/// The caller's mistake, or a field that the provider's dialect cannot carry.
pub fn encode_request(
    client: ClientDialect,
    provider: Dialect,
    body: &[u8],
    shape: &Shape,
) -> Result<Outgoing, RequestError> {
    if provider == client.into() {
        return Ok(outgoing(
            provider,
            shape,
            splice::splice(client, body, shape)?,
        ));
    }
    translate(client, provider, body, shape)
}

/// Apart from the spliced requests, because workerd compiles a function when it is first called.
#[inline(never)]
fn translate(
    client: ClientDialect,
    provider: Dialect,
    body: &[u8],
    shape: &Shape,
) -> Result<Outgoing, RequestError> {
    if let Some(ask) = outline(client, body)?.asks.beyond(shape.carried) {
        return Err(RequestError::NotTranslatable {
            field: ask.field.clone(),
            dialect: provider.name(),
        });
    }
    let body = match client {
        ClientDialect::Gemini => gemini::with_json_schemas(body)?,
        _ => Cow::Borrowed(body),
    };
    let mut request = parse_request(client, &body)?;
    fit::fit(&mut request, provider, shape.carried);
    if let Some(prefill) = shape.prefill {
        let begun = AssistantMessage {
            parts: vec![Part::Text(prefill.text.into())],
            calls: Vec::new(),
        };
        request.messages.push(Message::Assistant(begun));
        request.answer_tokens_max = request.answer_tokens_max.map(|limit| prefill.rest(limit));
    }
    encode_parsed(provider, &request, shape)
}

/// The first labels that a provider takes. `is_taken` is asked of a key and its value.
fn labels_that<'a>(
    request: &'a Request<'a>,
    is_taken: fn(&str, &str) -> bool,
    count_max: usize,
) -> BTreeMap<&'a str, &'a str> {
    let labels = request.metadata.iter();
    let labels = labels.map(|(key, value)| (&**key, &**value));
    labels
        .filter(|(key, value)| is_taken(key, value))
        .take(count_max)
        .collect()
}

/// A request as bytes. Nothing in it can fail to be written; a bug must still not end the isolate.
fn written(wire: &impl serde::Serialize) -> Result<Vec<u8>, RequestError> {
    serde_json::to_vec(wire).map_err(|error| {
        debug_assert!(false, "a request did not encode: {error}");
        RequestError::Invalid {
            field: "body".to_owned(),
            expected: "a request that can be written".to_owned(),
        }
    })
}

/// Reads a whole request. What the header of the client's `request.rs` lists as dropped is not in it.
///
/// # Errors
/// The caller's mistake, with the path of the field.
pub fn parse_request(client: ClientDialect, body: &[u8]) -> Result<Request<'_>, RequestError> {
    match client {
        ClientDialect::OpenaiChat => openai_chat::parse_request(body),
        ClientDialect::Anthropic => anthropic::parse_request(body),
        ClientDialect::OpenaiResponses => openai_responses::parse_request(body),
        ClientDialect::Gemini => gemini::parse_request(body),
    }
}

/// The strings among the values of the body's top-level `metadata` whose names are `asked` for; every dialect has
/// it, and Gemini calls it `labels`. Nothing else of it is kept: a caller may send any number of names.
#[must_use]
pub fn metadata(body: &[u8], asked: &[&str]) -> BTreeMap<String, String> {
    #[derive(serde::Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        metadata: Option<read::Raw<'a>>,
        #[serde(borrow)]
        labels: Option<read::Raw<'a>>,
    }
    let body: Option<Body<'_>> = serde_json::from_slice(body).ok();
    let Some(metadata) = body.and_then(|body| body.metadata.or(body.labels)) else {
        return BTreeMap::new();
    };
    let mut found = BTreeMap::new();
    let outcome = read::each_field(metadata, &mut |name, value| {
        if asked.contains(&name)
            && let Ok(read::Text(value)) = serde_json::from_str(value.get())
        {
            found.insert(name.to_owned(), value.into_owned());
        }
    });
    outcome.map_or_else(|_| BTreeMap::new(), |()| found)
}

/// Writes a whole request.
///
/// # Errors
/// A field that the provider's dialect cannot carry.
pub fn encode_parsed(
    provider: Dialect,
    request: &Request,
    shape: &Shape,
) -> Result<Outgoing, RequestError> {
    let body = match provider {
        Dialect::OpenaiChat => openai_chat::encode_request(request, shape)?,
        Dialect::Anthropic => anthropic::encode_request(request, shape)?,
        Dialect::OpenaiResponses => openai_responses::encode_request(request, shape)?,
        Dialect::Cohere => cohere::encode_request(request, shape)?,
        Dialect::Bedrock => bedrock::encode_request(request, shape)?,
        Dialect::Gemini => gemini::encode_request(request, shape)?,
    };
    let is_untold = match provider {
        Dialect::OpenaiChat | Dialect::Anthropic | Dialect::OpenaiResponses => false,
        Dialect::Cohere | Dialect::Bedrock | Dialect::Gemini => true,
    };
    let is_one_call = request.parallel_tool_calls == Some(false);
    Ok(Outgoing {
        is_one_call: is_untold && is_one_call,
        ..outgoing(provider, shape, body)
    })
}

fn outgoing(provider: Dialect, shape: &Shape, body: Vec<u8>) -> Outgoing {
    let content_type = ("content-type", "application/json".into());
    let (path, headers) = match provider {
        Dialect::Bedrock => (bedrock::path(shape).into(), vec![content_type]),
        Dialect::OpenaiChat => ("/chat/completions".into(), vec![content_type]),
        Dialect::OpenaiResponses => ("/responses".into(), vec![content_type]),
        Dialect::Cohere => ("/chat".into(), vec![content_type]),
        Dialect::Anthropic => (
            "/messages".into(),
            vec![
                content_type,
                ("anthropic-version", anthropic::VERSION.into()),
            ],
        ),
        Dialect::Gemini => (
            gemini::path(shape.model, shape.is_streaming).into(),
            vec![content_type],
        ),
    };
    Outgoing {
        path,
        headers,
        body,
        is_one_call: false,
    }
}

/// A text as one segment of a path: all is encoded but what RFC 3986 calls unreserved.
#[must_use]
pub fn path_segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// Reads a whole answer that came with a status of success.
///
/// # Errors
/// It is an error all the same, or no use: empty, cut, or not this dialect.
pub fn parse_answer(
    provider: Dialect,
    body: &[u8],
) -> Result<Answer, (AttemptFailure, ProviderError)> {
    // None of them is inlined: workerd compiles a function when it is first called, and what is inlined with it.
    let answer = match provider {
        Dialect::OpenaiChat => openai_chat::parse_answer(body)?,
        Dialect::Anthropic => anthropic::parse_answer(body)?,
        Dialect::OpenaiResponses => openai_responses::parse_answer(body)?,
        Dialect::Cohere => cohere::parse_answer(body)?,
        Dialect::Bedrock => bedrock::parse_answer(body)?,
        Dialect::Gemini => gemini::parse_answer(body)?,
    };
    if answer.is_empty() {
        return Err((AttemptFailure::EmptyAnswer, ProviderError::default()));
    }
    Ok(answer)
}

/// Reads an answer whose status is none of success. The body may be any bytes. `kind` is what its header
/// `x-amzn-errortype` calls the error.
#[must_use]
pub fn parse_error(
    provider: Dialect,
    status: u16,
    retry_after: Option<Millis>,
    kind: Option<&str>,
    body: &[u8],
) -> (AttemptFailure, ProviderError) {
    match provider {
        Dialect::Bedrock => fault::of_aws(status, retry_after, kind, body),
        Dialect::Cohere => fault::of_cohere(status, retry_after, body),
        // All wrap it in `error`, or leave it bare, and their kinds do not collide.
        Dialect::OpenaiChat | Dialect::Anthropic | Dialect::OpenaiResponses | Dialect::Gemini => {
            fault::of_status(status, retry_after, body)
        }
    }
}

/// Writes a whole answer. `created` is when the exchange began.
#[must_use]
pub fn encode_answer(client: ClientDialect, answer: &Answer, created: UnixMillis) -> Vec<u8> {
    match client {
        ClientDialect::OpenaiChat => openai_chat::encode_answer(answer, created),
        ClientDialect::Anthropic => anthropic::encode_answer(answer),
        ClientDialect::OpenaiResponses => openai_responses::encode_answer(answer, created),
        ClientDialect::Gemini => gemini::encode_answer(answer),
    }
}
