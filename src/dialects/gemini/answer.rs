//! A whole answer, read and written, and the candidate that a stream's chunks have as well.
//!
//! The first candidate is the answer. An image in it has no word of its own elsewhere: it is told as markdown with a data
//! URL, as other gateways tell it, so that a caller of another API sees it. Code that ran at Google, and what came of it,
//! is ignored: only a client of this dialect can ask for it, and it gets the provider's bytes.
//!
//! Calls may come without ids. Others demand them, and one that no other call of the conversation has: so it is made of
//! the answer's own id and the call's place.

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::super::fault;
use super::super::read::{self, Json, Raw, each_of, owned};
use super::citation::{self, Sources, WireGrounding};
use super::logprob::{WireLogprobs, logprobs, read_logprobs};
use super::usage::{WireUsage, read_usage};
use super::wire::loose;
use crate::chat::{
    Answer, AttemptFailure, FinishReason, ProviderError, Seal, SealForm, Signer, TokenLogprob,
    ToolCall, Usage,
};

/// How much of an answer's id is in its calls' ids. OpenAI takes back ids of at most 64 characters.
const ID_CHARS_MAX: usize = 40;

/// An answer, or a chunk of a streamed one.
pub(super) struct ReadChunk<'a> {
    candidates: Option<Raw<'a>>,
    usage: Option<Raw<'a>>,
    feedback: Option<Raw<'a>>,
    error: Option<Raw<'a>>,
    pub model: String,
    pub id: String,
}

/// A piece of what a candidate says.
pub(super) enum Said {
    Text(String),
    Thought(String),
    Call(ToolCall),
    /// Of the thoughts so far.
    Seal(Seal<'static>),
}

/// What a chunk, or a whole answer, says.
pub(super) struct Spoken<'a> {
    pub said: Vec<Said>,
    pub logprobs: Vec<TokenLogprob>,
    /// `citationMetadata` and `groundingMetadata`, for [`Sources`].
    pub sources: [Option<Raw<'a>>; 2],
    /// Absent while more is to come.
    pub finish: Option<FinishReason>,
}

impl<'a> ReadChunk<'a> {
    pub fn read(raw: Raw<'a>) -> Self {
        let names = [
            "candidates",
            "usageMetadata",
            "promptFeedback",
            "error",
            "modelVersion",
            "responseId",
        ];
        let [candidates, usage, feedback, error, model, id] = loose(Some(raw), names);
        Self {
            candidates,
            usage,
            feedback,
            error,
            model: owned(model).unwrap_or_default(),
            id: owned(id).unwrap_or_default(),
        }
    }

    pub fn usage(&self) -> Option<Usage> {
        read_usage(self.usage)
    }

    /// Takes what is said; `calls` is how many calls there were before.
    pub fn speak(&self, calls: usize) -> Result<Spoken<'a>, (AttemptFailure, ProviderError)> {
        if let Some(error) = self.error
            && fault::is_error(error)
        {
            return Err(fault::inside(error));
        }
        let mut first = None;
        each_of(self.candidates, &mut |raw| {
            let [index] = loose(Some(raw), ["index"]);
            if index.is_none_or(|index| index.get() == "0") {
                first.get_or_insert(raw);
            }
        });
        let names = [
            "content",
            "finishReason",
            "logprobsResult",
            "citationMetadata",
            "groundingMetadata",
        ];
        let [content, reason, logprobs, quoted, grounded] = loose(first, names);
        let mut finish = match owned(reason) {
            Some(reason) => finish(&reason)?,
            None => None,
        };
        let [block_reason] = loose(self.feedback, ["blockReason"]);
        if block_reason.is_some() {
            finish.get_or_insert(FinishReason::ContentFilter);
        }
        let mut said = Vec::new();
        let mut count = calls;
        let [parts] = loose(content, ["parts"]);
        each_of(parts, &mut |raw| {
            let [signature] = loose(Some(raw), ["thoughtSignature"]).map(owned);
            let signature = signature.filter(|words| !words.is_empty());
            let mut piece = self.piece(raw, count);
            if let Some(Said::Call(call)) = &mut piece {
                count += 1;
                call.signature = signature;
                said.extend(piece);
                return;
            }
            said.extend(piece);
            said.extend(signature.map(|words| {
                Said::Seal(Seal {
                    by: Signer::Google,
                    form: SealForm::Signature,
                    words: words.into(),
                    id: None,
                })
            }));
        });
        if finish == Some(FinishReason::Stop) && count > 0 {
            finish = Some(FinishReason::ToolCalls);
        }
        Ok(Spoken {
            said,
            logprobs: read_logprobs(logprobs),
            sources: [quoted, grounded],
            finish,
        })
    }

    fn piece(&self, raw: Raw, place: usize) -> Option<Said> {
        let names = ["text", "thought", "functionCall", "inlineData"];
        let [words, thought, call, blob] = loose(Some(raw), names);
        if let Some(call) = call {
            return Some(Said::Call(self.call(call, place)));
        }
        if blob.is_some() {
            let [mime_type, data] = loose(blob, ["mimeType", "data"]).map(owned);
            return Some(Said::Text(format!(
                "![](data:{};base64,{})",
                mime_type?, data?
            )));
        }
        let words = owned(words).filter(|words| !words.is_empty())?;
        Some(if thought.is_some_and(|thought| thought.get() == "true") {
            Said::Thought(words)
        } else {
            Said::Text(words)
        })
    }

    fn call(&self, raw: Raw, place: usize) -> ToolCall {
        let [id, name, args] = loose(Some(raw), ["id", "name", "args"]);
        let name = owned(name).unwrap_or_default();
        let arguments = args.map_or("{}", |args| args.get()).to_owned();
        let given = owned(id).filter(|id| !id.is_empty());
        let id = given.unwrap_or_else(|| {
            let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            let answer = self.id.chars().filter(is_plain).take(ID_CHARS_MAX);
            let answer: String = answer.collect();
            if answer.is_empty() {
                let hash = xxh3_64(format!("{name}{arguments}").as_bytes());
                format!("call_{hash:016x}_{place}")
            } else {
                format!("call_{answer}_{place}")
            }
        });
        ToolCall {
            id,
            name,
            arguments,
            signature: None,
        }
    }
}

/// Why an answer ended; `None` where it says that it did not. One that broke is a failure: half an answer, or none, that
/// is called finished would be taken for a whole one. A reason that we do not know may be a good one.
fn finish(reason: &str) -> Result<Option<FinishReason>, (AttemptFailure, ProviderError)> {
    Ok(Some(match reason {
        "" | "FINISH_REASON_UNSPECIFIED" => return Ok(None),
        "MAX_TOKENS" | "CONTINUATION" => FinishReason::Length,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR"
        | "ESCALATION" => FinishReason::ContentFilter,
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE"
        | "MALFORMED_RESPONSE"
        | "PUP_LIMITED_DISABLED"
        | "IMAGE_OTHER"
        | "NO_IMAGE"
        | "OTHER" => {
            let kind = reason.to_owned();
            let failure = AttemptFailure::ErrorEvent { kind };
            return Err((failure, ProviderError::default()));
        }
        _ => FinishReason::Stop,
    }))
}

const EXPECTED: AttemptFailure = AttemptFailure::Malformed {
    expected: "candidates of an answer",
};

#[inline(never)]
pub(in super::super) fn parse_answer(
    body: &[u8],
) -> Result<Answer, (AttemptFailure, ProviderError)> {
    let raw: Raw =
        serde_json::from_slice(body).map_err(|error| fault::of_json(&error, body, EXPECTED))?;
    let chunk = ReadChunk::read(raw);
    let spoken = chunk.speak(0)?;
    if chunk.candidates.is_none() && chunk.feedback.is_none() {
        return Err((EXPECTED, ProviderError::default()));
    }
    let mut answer = Answer {
        // An answer that came whole has ended, whether it says so or not.
        finish: Some(spoken.finish.unwrap_or(FinishReason::Stop)),
        usage: chunk.usage(),
        id: chunk.id,
        model: chunk.model,
        logprobs: spoken.logprobs,
        ..Answer::default()
    };
    for said in spoken.said {
        match said {
            Said::Text(text) => answer.text.push_str(&text),
            Said::Thought(text) => answer.reasoning.push_str(&text),
            Said::Call(call) => answer.calls.push(call),
            Said::Seal(seal) => answer.seal_thoughts(Some(seal)),
        }
    }
    let [quoted, grounded] = spoken.sources;
    let mut sources = Sources::default();
    sources.hear(&answer.text);
    answer.citations = sources.read(quoted, grounded);
    Ok(answer)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireChunk<'a> {
    pub candidates: [WireCandidate<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_metadata: Option<WireUsage>,
    pub model_version: &'a str,
    pub response_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireCandidate<'a> {
    pub content: WireContent<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs_result: Option<WireLogprobs<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grounding_metadata: Option<WireGrounding<'a>>,
    pub index: u32,
}

#[derive(Serialize)]
pub(super) struct WireContent<'a> {
    pub parts: Vec<WirePart<'a>>,
    pub role: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum WirePart<'a> {
    Text {
        text: &'a str,
    },
    Thought {
        text: &'a str,
        thought: bool,
    },
    #[serde(rename_all = "camelCase")]
    Sealed {
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        thought: Option<bool>,
        thought_signature: &'a str,
    },
    #[serde(rename_all = "camelCase")]
    Call {
        function_call: WireCall<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        thought_signature: Option<&'a str>,
    },
}

#[derive(Serialize)]
pub(super) struct WireCall<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    name: &'a str,
    args: Args<'a>,
}

/// What a model wrote wrongly is wrapped: dropping it would run a function without its arguments.
#[derive(Serialize)]
#[serde(untagged)]
enum Args<'a> {
    Object(Json<'a>),
    Invalid {
        #[serde(rename = "INVALID_JSON")]
        invalid_json: &'a str,
    },
}

impl<'a> WirePart<'a> {
    pub fn thought(text: &'a str) -> Self {
        Self::Thought {
            text,
            thought: true,
        }
    }

    /// None for other providers' seals.
    pub fn sealed(text: &'a str, seal: &'a Seal) -> Option<Self> {
        let is_ours = seal.by == Signer::Google && seal.form == SealForm::Signature;
        is_ours.then_some(Self::Sealed {
            text,
            thought: (!text.is_empty()).then_some(true),
            thought_signature: &seal.words,
        })
    }

    pub fn call(call: &'a ToolCall) -> Self {
        let arguments = call.arguments.as_str();
        Self::Call {
            function_call: WireCall {
                id: &call.id,
                name: &call.name,
                args: if arguments.trim().is_empty() {
                    Args::Object(Json("{}"))
                } else if read::is_object(arguments) {
                    Args::Object(Json(arguments))
                } else {
                    Args::Invalid {
                        invalid_json: arguments,
                    }
                },
            },
            thought_signature: call.signature.as_deref(),
        }
    }
}

pub(super) fn finish_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop | FinishReason::ToolCalls => "STOP",
        FinishReason::Length => "MAX_TOKENS",
        FinishReason::ContentFilter => "SAFETY",
    }
}

pub(in super::super) fn encode_answer(answer: &Answer) -> Vec<u8> {
    let mut parts = Vec::new();
    for (text, seal) in answer.thoughts() {
        let plain = (!text.is_empty()).then(|| WirePart::thought(text));
        parts.extend(seal.and_then(|seal| WirePart::sealed(text, seal)).or(plain));
    }
    if !answer.text.is_empty() {
        parts.push(WirePart::Text { text: &answer.text });
    }
    if !answer.refusal.is_empty() {
        parts.push(WirePart::Text {
            text: &answer.refusal,
        });
    }
    parts.extend(answer.calls.iter().map(WirePart::call));
    let finish = answer.finish.unwrap_or(FinishReason::Stop);
    let chunk = WireChunk {
        candidates: [WireCandidate {
            content: WireContent {
                parts,
                role: "model",
            },
            finish_reason: Some(finish_reason(finish)),
            logprobs_result: logprobs(&answer.logprobs),
            grounding_metadata: citation::write(&answer.text, &answer.citations),
            index: 0,
        }],
        usage_metadata: answer.usage.map(WireUsage::from),
        model_version: &answer.model,
        response_id: &answer.id,
    };
    serde_json::to_vec(&chunk).unwrap_or_default()
}
