//! Fits a request to the target that it goes to, before its dialect writes it.
//!
//! What only some models of a dialect take is left out for the others; `carried.rs` and a model's abilities say who takes it, and the
//! caller is told by name. What is 1, the default, says nothing, so it is left out unnamed.
//!
//! OpenAI, and many that call themselves compatible, refuse the wish for any JSON object unless the word itself stands in a message
//! (<https://platform.openai.com/docs/guides/structured-outputs#json-mode>). Their own clients know that; Gemini's need not say it, so
//! it is said for them.
//!
//! Not here: what a dialect as a whole has no word for. Its encoder leaves that out, or refuses the request.

use super::Dialect;
use super::feature::{Feature, Features};
use crate::chat::{AssistantMessage, Format, Message, Part, Request};

const JSON: &str = "json";
const JSON_WISH: &str = "Answer in JSON.";

pub(super) fn fit(request: &mut Request, provider: Dialect, carried: Features) {
    if !carried.has(Feature::ReasoningEffort) {
        request.effort = None;
    }
    if !carried.has(Feature::ServiceTier) {
        request.service_tier = None;
    }
    if !carried.has(Feature::Metadata) {
        request.metadata.clear();
    }
    if !carried.has(Feature::TopK) {
        request.top_k = None;
    }
    fit_sampling(request, carried);
    let wants_word = matches!(provider, Dialect::OpenaiChat | Dialect::OpenaiResponses);
    if wants_word && matches!(request.format, Some(Format::JsonObject)) {
        say_json(&mut request.messages);
    }
}

fn fit_sampling(request: &mut Request, carried: Features) {
    if !carried.has(Feature::Sampling) {
        request.temperature = None;
        request.top_p = None;
    }
    if !carried.has(Feature::TopP) && request.temperature.is_some() {
        if is_default(request.temperature) && !is_default(request.top_p) {
            request.temperature = None;
        } else {
            request.top_p = None;
        }
    }
}

fn is_default(value: Option<f64>) -> bool {
    value.is_none_or(|value| (value - 1.0).abs() < f64::EPSILON)
}

/// Adds the wish to the instructions, unless the word is there.
fn say_json(messages: &mut Vec<Message>) {
    if messages.iter().any(mentions_json) {
        return;
    }
    let wish = Part::Text(JSON_WISH.into());
    match messages.first_mut() {
        Some(Message::System(parts)) => parts.push(wish),
        _ => messages.insert(0, Message::System(vec![wish])),
    }
}

fn mentions_json(message: &Message) -> bool {
    let parts = match message {
        Message::System(parts) | Message::User(parts) => parts,
        Message::Assistant(AssistantMessage { parts, .. }) => parts,
        Message::ToolResult(result) => &result.parts,
    };
    parts.iter().any(|part| match part {
        Part::Text(text) => text
            .as_bytes()
            .windows(JSON.len())
            .any(|word| word.eq_ignore_ascii_case(JSON.as_bytes())),
        _ => false,
    })
}
