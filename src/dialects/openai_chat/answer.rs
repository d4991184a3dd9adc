//! A whole chat completion, read and written.
//!
//! Providers put reasoning into `reasoning_content` (DeepSeek, vLLM) or `reasoning` (OpenRouter, Groq), or,
//! as Mistral does, into parts of `content`. A refusal ends the answer as a filter does. Only the first choice is
//! read: a request for several goes to no other dialect. A legacy completion is the same but for `text` in place of the
//! message.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::super::fault;
use super::super::read::{self, Kind, Loose, Object, Raw};
use super::citation::{ReadAnnotation, WireAnnotation, annotation};
use super::logprob::{ReadLogprob, WireLogprob, wire_logprobs};
use super::thought::{ExtraContent, WireDetail, WireExtraContent, details, seals};
use super::usage::{ReadUsage, WireUsage};
use crate::chat::{
    Answer, AttemptFailure, Citation, FinishReason, ProviderError, TokenLogprob, ToolCall,
};
use crate::units::UnixMillis;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Completion<'a> {
    id: Loose<String>,
    model: Loose<String>,
    #[serde(borrow)]
    choices: Loose<Vec<Choice<'a>>>,
    usage: Loose<ReadUsage>,
    #[serde(borrow)]
    error: Option<Raw<'a>>,
    #[serde(borrow)]
    response: Option<Raw<'a>>,
    #[serde(borrow)]
    tool_calls: Loose<Vec<Function<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Choice<'a> {
    #[serde(borrow)]
    message: Loose<Said<'a>>,
    text: Loose<String>,
    logprobs: Loose<ReadLogprobs>,
    finish_reason: Loose<String>,
    #[serde(borrow)]
    error: Option<Raw<'a>>,
}

/// Of a choice, or of what a chunk adds to one.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadLogprobs {
    content: Loose<Vec<Loose<ReadLogprob>>>,
}

impl ReadLogprobs {
    pub fn tokens(self) -> Vec<TokenLogprob> {
        let read = self.content.0.unwrap_or_default().into_iter();
        read.filter_map(|read| read.0)
            .map(ReadLogprob::token)
            .collect()
    }
}

/// A message, or what a chunk adds to one.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Said<'a> {
    #[serde(borrow)]
    pub content: Option<Raw<'a>>,
    pub refusal: Loose<String>,
    pub reasoning_content: Loose<String>,
    pub reasoning: Loose<String>,
    #[serde(borrow)]
    pub reasoning_details: Option<Raw<'a>>,
    pub annotations: Loose<Vec<Loose<ReadAnnotation>>>,
    #[serde(borrow)]
    pub tool_calls: Loose<Vec<Call<'a>>>,
    #[serde(borrow)]
    pub function_call: Loose<Function<'a>>,
}

/// A tool call, or a piece of one.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Call<'a> {
    pub index: Loose<u32>,
    pub id: Loose<String>,
    #[serde(borrow)]
    pub function: Loose<Function<'a>>,
    #[serde(borrow)]
    pub extra_content: Loose<ExtraContent<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Function<'a> {
    pub name: Loose<String>,
    #[serde(borrow)]
    pub arguments: Option<Raw<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Part<'a> {
    #[serde(rename = "type")]
    kind: Loose<String>,
    text: Loose<String>,
    #[serde(borrow)]
    thinking: Option<Raw<'a>>,
}

impl<'a> Said<'a> {
    /// An answer, or a piece of one, in the shape of Workers AI's own: the text is `response`, calls are bare functions.
    /// Its older models answer so where they are called by the binding
    /// (<https://developers.cloudflare.com/workers-ai/features/function-calling/traditional/>).
    pub(super) fn of_workers_ai(
        response: Option<Raw<'a>>,
        calls: Option<Vec<Function<'a>>>,
    ) -> Option<Self> {
        if response.is_none() && calls.is_none() {
            return None;
        }
        let calls = calls.unwrap_or_default().into_iter();
        let call = |(index, function): (u32, Function<'a>)| Call {
            index: Loose(Some(index)),
            id: Loose(None),
            function: Loose(Some(function)),
            extra_content: Loose(None),
        };
        Some(Self {
            content: response,
            tool_calls: Loose(Some((0..).zip(calls).map(call).collect())),
            ..Self::default()
        })
    }
}

impl Said<'_> {
    /// Its reasoning and its text, in that order.
    pub(super) fn words(&mut self) -> (String, String) {
        let reasoning = self.reasoning_content.0.take();
        let mut reasoning = reasoning.or(self.reasoning.0.take()).unwrap_or_default();
        let mut text = String::new();
        if let Some(content) = self.content {
            read_content(content, &mut text, &mut reasoning);
        }
        (reasoning, text)
    }

    pub(super) fn citations(&mut self) -> impl Iterator<Item = Citation> + use<> {
        let annotations = self.annotations.0.take().unwrap_or_default().into_iter();
        annotations.filter_map(|annotation| annotation.0?.citation())
    }
}

fn read_content(content: Raw, text: &mut String, reasoning: &mut String) {
    if read::kind(content) == Kind::Text {
        text.push_str(&serde_json::from_str::<String>(content.get()).unwrap_or_default());
        return;
    }
    // Workers AI's JSON mode.
    if read::kind(content) == Kind::Object {
        text.push_str(content.get());
        return;
    }
    let parts: Vec<Loose<Part>> = serde_json::from_str(content.get()).unwrap_or_default();
    for part in parts.into_iter().filter_map(|part| part.0) {
        match (part.kind.0.as_deref(), part.thinking) {
            (Some("thinking"), Some(thinking)) => {
                let mut unused = String::new();
                read_content(thinking, reasoning, &mut unused);
            }
            _ => text.push_str(&part.text.0.unwrap_or_default()),
        }
    }
}

impl Function<'_> {
    /// The arguments as JSON text. Some providers send the object itself.
    pub(super) fn arguments(&self) -> String {
        match self.arguments {
            Some(raw) if read::kind(raw) == Kind::Text => {
                serde_json::from_str(raw.get()).unwrap_or_default()
            }
            Some(raw) if read::kind(raw) == Kind::Object => raw.get().to_owned(),
            _ => String::new(),
        }
    }
}

/// Reasons that say that the answer broke off: OpenRouter's and Mistral's; vLLM's where it dropped a request; DeepSeek's where
/// it has no room (<https://api-docs.deepseek.com/api/create-chat-completion>); and Z.ai's.
const FAILURES: [&str; 4] = [
    "error",
    "abort",
    "insufficient_system_resource",
    "network_error",
];

/// The failure that ended a choice, in a stream or whole. OpenRouter leaves what was said by then beside it
/// (<https://openrouter.ai/docs/api/reference/errors-and-debugging>, read 2026-11-22).
pub(super) fn failure(
    error: Option<Raw>,
    reason: Option<&str>,
) -> Option<(AttemptFailure, ProviderError)> {
    if let Some(error) = error.filter(|error| fault::is_error(error)) {
        return Some(fault::inside(error));
    }
    let reason = reason.filter(|reason| FAILURES.contains(reason))?;
    Some(fault::named(reason, None))
}

/// Why the answer ended. Some providers say `stop` although calls were made; a refusal ends like a filter. `model_length` is
/// Mistral's for a context that is full.
pub(super) fn finish(reason: &str, has_calls: bool, is_refusal: bool) -> FinishReason {
    match reason {
        "length" | "max_tokens" | "model_length" => FinishReason::Length,
        "content_filter" => FinishReason::ContentFilter,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        _ if is_refusal => FinishReason::ContentFilter,
        _ if has_calls => FinishReason::ToolCalls,
        _ => FinishReason::Stop,
    }
}

/// An id for a call whose provider gave none; the client must have one to answer it.
pub(super) fn call_id(given: Option<String>, answer_id: &str, index: usize) -> String {
    given
        .filter(|id| !id.is_empty())
        .unwrap_or_else(|| format!("call_{answer_id}_{index}"))
}

const EXPECTED: AttemptFailure = AttemptFailure::Malformed {
    expected: "a chat completion",
};

#[inline(never)]
pub(in super::super) fn parse_answer(
    body: &[u8],
) -> Result<Answer, (AttemptFailure, ProviderError)> {
    let completion: Object<Completion> =
        serde_json::from_slice(body).map_err(|error| fault::of_json(&error, body, EXPECTED))?;
    let completion = completion.0;
    if let Some(error) = completion.error
        && fault::is_error(error)
    {
        return Err(fault::inside(error));
    }
    let choices = completion.choices.0.or_else(|| {
        let said = Said::of_workers_ai(completion.response, completion.tool_calls.0)?;
        Some(vec![Choice {
            message: Loose(Some(said)),
            ..Choice::default()
        }])
    });
    let Some(choices) = choices else {
        return Err((EXPECTED, ProviderError::default()));
    };
    let mut answer = Answer {
        id: completion.id.0.unwrap_or_default(),
        model: completion.model.0.unwrap_or_default(),
        usage: completion.usage.0.and_then(ReadUsage::usage),
        ..Answer::default()
    };
    if let Some(choice) = choices.into_iter().next() {
        if let Some(failed) = failure(choice.error, choice.finish_reason.0.as_deref()) {
            return Err(failed);
        }
        read_choice(choice, &mut answer);
    }
    Ok(answer)
}

fn read_choice(choice: Choice, answer: &mut Answer) {
    let mut said = choice.message.0.unwrap_or_default();
    let (reasoning, text) = said.words();
    answer.reasoning = reasoning;
    answer.text = choice.text.0.unwrap_or_default() + &text;
    answer.refusal = said.refusal.0.take().unwrap_or_default();
    answer.citations = said.citations().collect();
    answer.logprobs = choice.logprobs.0.unwrap_or_default().tokens();
    if let Some(details) = said.reasoning_details {
        read_seals(details, answer);
    }
    let legacy = said.function_call.0.map(|function| Call {
        function: Loose(Some(function)),
        ..Call::default()
    });
    let calls = said.tool_calls.0.unwrap_or_default().into_iter();
    for (index, call) in calls.chain(legacy).enumerate() {
        let function = call.function.0.unwrap_or_default();
        answer.calls.push(ToolCall {
            id: call_id(call.id.0, &answer.id, index),
            arguments: function.arguments(),
            name: function.name.0.unwrap_or_default(),
            signature: call.extra_content.0.and_then(signature),
        });
    }
    let reason = choice.finish_reason.0.unwrap_or_default();
    answer.finish = Some(finish(
        &reason,
        !answer.calls.is_empty(),
        !answer.refusal.is_empty(),
    ));
}

/// Where a seal's text is not the next piece of the reasoning, it vouches for all of it so far.
fn read_seals(details: Raw, answer: &mut Answer) {
    let mut end = 0;
    for (text, seal) in seals(details) {
        let rest = answer.reasoning.get(end..).unwrap_or_default();
        let gap = rest.len() - rest.trim_start().len();
        end = if rest.starts_with(&*text) {
            end + text.len()
        } else if rest.trim_start().starts_with(&*text) {
            end + gap + text.len()
        } else {
            answer.reasoning.len()
        };
        answer.seals.push((end, seal));
    }
}

pub(super) fn signature(extra: ExtraContent) -> Option<String> {
    extra.signature().map(Cow::into_owned)
}

#[derive(Serialize)]
struct WireCompletion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: [WireChoice<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<WireUsage>,
}

#[derive(Serialize)]
struct WireChoice<'a> {
    index: u32,
    message: WireMessage<'a>,
    logprobs: Option<WireLogprobs<'a>>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
pub(super) struct WireLogprobs<'a> {
    content: Vec<WireLogprob<'a>>,
    refusal: Option<()>,
}

pub(super) fn logprobs(tokens: &[TokenLogprob]) -> Option<WireLogprobs<'_>> {
    (!tokens.is_empty()).then(|| WireLogprobs {
        content: wire_logprobs(tokens),
        refusal: None,
    })
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    content: Option<&'a str>,
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reasoning_content: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasoning_details: Vec<WireDetail<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<WireAnnotation<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireCall<'a>>,
}

#[derive(Serialize)]
struct WireCall<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: WireFunction<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<WireExtraContent<'a>>,
}

#[derive(Serialize)]
struct WireFunction<'a> {
    name: &'a str,
    arguments: &'a str,
}

pub(in super::super) fn finish_word(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter => "content_filter",
    }
}

fn sealed(answer: &Answer) -> Vec<WireDetail<'_>> {
    let thoughts = answer.thoughts().into_iter().enumerate();
    let sealed = thoughts.filter_map(|(index, (text, seal))| Some(details(text, seal?, index)));
    sealed.flatten().collect()
}

pub(in super::super) fn encode_answer(answer: &Answer, created: UnixMillis) -> Vec<u8> {
    let calls = answer.calls.iter().map(|call| WireCall {
        id: &call.id,
        kind: "function",
        function: WireFunction {
            name: &call.name,
            arguments: &call.arguments,
        },
        extra_content: call.signature.as_deref().map(WireExtraContent::new),
    });
    let is_silent =
        answer.text.is_empty() && (!answer.calls.is_empty() || !answer.refusal.is_empty());
    let completion = WireCompletion {
        id: &answer.id,
        object: "chat.completion",
        created: created.seconds(),
        model: &answer.model,
        choices: [WireChoice {
            index: 0,
            message: WireMessage {
                role: "assistant",
                content: (!is_silent).then_some(&answer.text),
                refusal: Some(&*answer.refusal).filter(|words| !words.is_empty()),
                reasoning_content: &answer.reasoning,
                reasoning_details: sealed(answer),
                annotations: answer.citations.iter().filter_map(annotation).collect(),
                tool_calls: calls.collect(),
            },
            logprobs: logprobs(&answer.logprobs),
            finish_reason: finish_word(answer.finish.unwrap_or(FinishReason::Stop)),
        }],
        usage: answer.usage.map(WireUsage::from),
    };
    serde_json::to_vec(&completion).unwrap_or_default()
}
