//! A whole response, read and written.
//!
//! Its output is a list of items: reasoning, messages, calls of functions. Providers show reasoning as a `summary`
//! (OpenAI) or as `content` (open models); the parts of either are paragraphs. So are messages, of which newer models say
//! several: what they are about to do (`"phase": "commentary"`), and their answer. A refusal ends the answer as a filter does.
//! Items of OpenAI's own tools are ignored: only a client of this dialect can ask for them, and it gets the provider's bytes.

use std::borrow::Cow;

use serde::Deserialize;

use super::super::fault;
use super::super::openai_chat::{ReadAnnotation, ReadLogprob};
use super::super::read::{self, Kind, Loose, Raw};
use super::usage::ReadUsage;
use super::wire::{WireItem, WirePart, WireResponse, arguments, item_id, status};
use crate::chat::{
    Answer, AttemptFailure, Citation, FinishReason, ProviderError, Seal, SealForm, Signer,
    TokenLogprob, ToolCall,
};
use crate::units::UnixMillis;

/// What stands between two parts of reasoning, and between two messages.
pub(super) const PARAGRAPH: &str = "\n\n";

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadResponse<'a> {
    pub id: Loose<String>,
    pub model: Loose<String>,
    pub status: Loose<String>,
    pub output: Loose<Vec<Loose<ReadItem>>>,
    pub usage: Loose<ReadUsage>,
    pub incomplete_details: Loose<ReadIncomplete>,
    #[serde(borrow)]
    pub error: Option<Raw<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadIncomplete {
    reason: Loose<String>,
}

/// An item of the output.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadItem {
    #[serde(rename = "type")]
    pub kind: Loose<String>,
    pub id: Loose<String>,
    pub content: Loose<Vec<Loose<ReadPart>>>,
    pub summary: Loose<Vec<Loose<ReadPart>>>,
    pub call_id: Loose<String>,
    pub name: Loose<String>,
    pub arguments: Loose<String>,
    pub encrypted_content: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadPart {
    text: Loose<String>,
    refusal: Loose<String>,
    annotations: Loose<Vec<Loose<ReadAnnotation>>>,
    logprobs: Loose<Vec<Loose<ReadLogprob>>>,
}

/// What a message says.
#[derive(Default)]
pub(super) struct Said {
    pub text: String,
    pub refusal: String,
    pub citations: Vec<Citation>,
    pub logprobs: Vec<TokenLogprob>,
}

impl ReadItem {
    pub fn said(&mut self) -> Said {
        let mut said = Said::default();
        for part in parts(&mut self.content) {
            said.text.push_str(&part.text.0.unwrap_or_default());
            said.refusal.push_str(&part.refusal.0.unwrap_or_default());
            let cited = part.annotations.0.unwrap_or_default().into_iter();
            said.citations
                .extend(cited.filter_map(|cited| cited.0?.citation()));
            said.logprobs.extend(tokens(part.logprobs));
        }
        said
    }

    /// What OpenAI wants back of a thought.
    pub fn seal(&mut self) -> Option<Seal<'static>> {
        let words = self.encrypted_content.0.take();
        let words = words.filter(|words| !words.is_empty())?.into();
        Some(Seal {
            by: Signer::Openai,
            form: SealForm::Encrypted,
            words,
            id: self.id.0.take().map(Cow::Owned),
        })
    }

    pub fn reasoning(&mut self) -> String {
        let summary = parts(&mut self.summary);
        let parts = summary.into_iter().chain(parts(&mut self.content));
        let texts = parts.filter_map(|part| part.text.0);
        texts.collect::<Vec<_>>().join(PARAGRAPH)
    }

    /// The id by which the call is answered.
    pub fn call_id(&mut self) -> String {
        let given = self.call_id.0.take().filter(|id| !id.is_empty());
        given.or_else(|| self.id.0.take()).unwrap_or_default()
    }
}

pub(super) fn tokens(read: Loose<Vec<Loose<ReadLogprob>>>) -> Vec<TokenLogprob> {
    let read = read.0.unwrap_or_default().into_iter();
    read.filter_map(|token| token.0)
        .map(ReadLogprob::token)
        .collect()
}

fn parts(of: &mut Loose<Vec<Loose<ReadPart>>>) -> Vec<ReadPart> {
    let parts = of.0.take().unwrap_or_default().into_iter();
    parts.filter_map(|part| part.0).collect()
}

impl ReadResponse<'_> {
    /// Why it failed, if it says so.
    pub fn failure(&self) -> Option<(AttemptFailure, ProviderError)> {
        if let Some(error) = self.error
            && fault::is_error(error)
        {
            return Some(fault::inside(error));
        }
        let status = self.status.0.as_deref();
        let status = status.filter(|status| matches!(*status, "failed" | "cancelled"))?;
        let kind = status.to_owned();
        Some((
            AttemptFailure::ErrorEvent { kind },
            ProviderError::default(),
        ))
    }

    /// Why it ended. Nothing that says it is incomplete is taken for whole.
    pub fn finish(&self, has_calls: bool, is_refusal: bool) -> FinishReason {
        let details = self.incomplete_details.0.as_ref();
        let reason = details.and_then(|details| details.reason.0.as_deref());
        let is_incomplete = self.status.0.as_deref() == Some("incomplete");
        match reason {
            Some("content_filter") => FinishReason::ContentFilter,
            Some(_) => FinishReason::Length,
            None if is_incomplete => FinishReason::Length,
            None if is_refusal => FinishReason::ContentFilter,
            None if has_calls => FinishReason::ToolCalls,
            None => FinishReason::Stop,
        }
    }
}

const EXPECTED: AttemptFailure = AttemptFailure::Malformed {
    expected: "a response",
};

#[inline(never)]
pub(in super::super) fn parse_answer(
    body: &[u8],
) -> Result<Answer, (AttemptFailure, ProviderError)> {
    let raw: Raw =
        serde_json::from_slice(body).map_err(|error| fault::of_json(&error, body, EXPECTED))?;
    let response = Loose::deserialize(raw).unwrap_or_default().0;
    let response = response.filter(|_| read::kind(raw) == Kind::Object);
    let Some(mut response): Option<ReadResponse> = response else {
        return Err((EXPECTED, ProviderError::default()));
    };
    if let Some(failed) = response.failure() {
        return Err(failed);
    }
    // One that is queued or in progress is no answer yet; we never ask for such.
    let status = response.status.0.as_deref();
    let has_ended = matches!(status, None | Some("completed" | "incomplete"));
    let Some(output) = response.output.0.take().filter(|_| has_ended) else {
        return Err((EXPECTED, ProviderError::default()));
    };
    let mut answer = Answer {
        id: response.id.0.take().unwrap_or_default(),
        model: response.model.0.take().unwrap_or_default(),
        usage: response.usage.0.take().and_then(ReadUsage::usage),
        ..Answer::default()
    };
    for item in output.into_iter().filter_map(|item| item.0) {
        read_item(item, &mut answer);
    }
    let is_refusal = !answer.refusal.is_empty();
    answer.finish = Some(response.finish(!answer.calls.is_empty(), is_refusal));
    Ok(answer)
}

fn read_item(mut item: ReadItem, answer: &mut Answer) {
    match item.kind.0.as_deref() {
        Some("message") => {
            let said = item.said();
            if !answer.text.is_empty() && !said.text.is_empty() {
                answer.text.push_str(PARAGRAPH);
            }
            answer.text.push_str(&said.text);
            answer.refusal.push_str(&said.refusal);
            answer.citations.extend(said.citations);
            answer.logprobs.extend(said.logprobs);
        }
        Some("reasoning") => {
            answer.reasoning.push_str(&item.reasoning());
            answer.seal_thoughts(item.seal());
        }
        Some("function_call") => answer.calls.push(ToolCall {
            id: item.call_id(),
            name: item.name.0.unwrap_or_default(),
            arguments: item.arguments.0.unwrap_or_default(),
            signature: None,
        }),
        _ => {}
    }
}

pub(in super::super) fn encode_answer(answer: &Answer, created: UnixMillis) -> Vec<u8> {
    let finish = answer.finish.unwrap_or(FinishReason::Stop);
    let mut output = Vec::new();
    let id = |kind, place| Cow::Owned(item_id(kind, &answer.id, place));
    for (text, seal) in answer.thoughts() {
        let seal = seal.filter(|seal| seal.by == Signer::Openai);
        if text.is_empty() && seal.is_none() {
            continue;
        }
        let given = seal.and_then(|seal| seal.id.as_deref()).map(Cow::Borrowed);
        output.push(WireItem::Reasoning {
            id: given.unwrap_or_else(|| id("rs", output.len())),
            summary: (!text.is_empty())
                .then_some(WirePart::SummaryText { text })
                .into_iter()
                .collect(),
            encrypted_content: seal.map(|seal| &*seal.words),
        });
    }
    let text = (!answer.text.is_empty())
        .then(|| WirePart::output(&answer.text, &answer.citations, &answer.logprobs));
    let refusal = &answer.refusal;
    let refusal = (!refusal.is_empty()).then_some(WirePart::Refusal { refusal });
    let content: Vec<WirePart> = text.into_iter().chain(refusal).collect();
    if !content.is_empty() {
        output.push(WireItem::Message {
            id: id("msg", output.len()),
            status: status(finish),
            role: "assistant",
            content,
        });
    }
    for call in &answer.calls {
        output.push(WireItem::FunctionCall {
            id: id("fc", output.len()),
            status: status(finish),
            call_id: &call.id,
            name: &call.name,
            arguments: arguments(&call.arguments),
        });
    }
    let response = WireResponse::new(&answer.id, &answer.model, created);
    let response = response.ended(output, finish, answer.usage);
    serde_json::to_vec(&response).unwrap_or_default()
}
