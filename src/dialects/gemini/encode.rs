//! Writes a request to Gemini, for a client that speaks another dialect.
//!
//! - Instructions move to the top and are joined in their order, also those from the middle of the conversation: there is
//!   one place for them.
//! - Turns of one role that follow each other become one, so that all results of a turn's calls lie in one turn, as Google
//!   demands.
//! - A call's result names the function, which other dialects know by the call's id alone. So a result whose call is not
//!   in the conversation is refused here. The text is its `output`, or its `error` where the function failed.
//! - Schemas are JSON Schemas, so they go where Google takes these, byte for byte, and not into its subset of `OpenAPI`,
//!   which has no `additionalProperties`, no lists of types and no references
//!   (<https://ai.google.dev/gemini-api/docs/structured-output>).
//! - Gemini 3 refuses a turn of calls without the signature of the thoughts before them, and names the value for calls
//!   that it has not made; a signature that came with a call goes back on it (<https://ai.google.dev/gemini-api/docs/thought-signatures>). Its forerunners ask for none.
//! - Models before Gemini 3 refuse a JSON format beside functions, so such a request is refused here
//!   (<https://github.com/googleapis/python-genai/issues/867>), and images in a function's response, which follow behind the results in a
//!   turn of their own (<https://github.com/google-gemini/gemini-cli/issues/19436>).
//! - That one call at most be made cannot be said; the answer's first alone is passed on then.
//!
//! The client's name for its end user is not carried: there is no field for it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::super::read::{Json, Raw};
use super::super::{Dialect, Shape, written};
use super::generation_out::{WireGeneration, generation, labels, service_tier};
use super::part_out::{Call, Outcome, Part, Returned, is_known, part};
use crate::chat::{AssistantMessage, Message, Request, RequestError, Tool, ToolChoice, ToolResult};

/// What stands for the signature of a call that Gemini has not made.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";
/// The beginnings of names of models before Gemini 3.
const OLDER: [&str; 3] = ["gemini-1", "gemini-2", "gemma"];
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireRequest<'a> {
    contents: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Instructions<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<[WireTools<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<WireToolConfig<'a>>,
    #[serde(skip_serializing_if = "WireGeneration::is_empty")]
    generation_config: WireGeneration<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: &'static str,
    parts: Vec<Part<'a>>,
}

#[derive(Serialize)]
struct Instructions<'a> {
    parts: Vec<Part<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireTools<'a> {
    function_declarations: Vec<Declaration<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Declaration<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<Raw<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireToolConfig<'a> {
    function_calling_config: Calling<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Calling<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_function_names: Option<[&'a str; 1]>,
}

#[inline(never)]
pub(in super::super) fn encode_request(
    request: &Request,
    shape: &Shape,
) -> Result<Vec<u8>, RequestError> {
    if !request.messages.iter().all(is_known) {
        return Err(unspoken("messages"));
    }
    let is_older = OLDER.iter().any(|old| shape.model.starts_with(old));
    if is_older && request.format.is_some() && !request.tools.is_empty() {
        return Err(unspoken("response_format"));
    }
    let contents = turns(&request.messages, is_older)?;
    if contents.is_empty() {
        return Err(RequestError::Invalid {
            field: "messages".to_owned(),
            expected: "a message of the user with some content".to_owned(),
        });
    }
    let declarations: Vec<_> = request.tools.iter().map(declaration).collect();
    let has_tools = !declarations.is_empty();
    written(&WireRequest {
        contents,
        system_instruction: instructions(&request.messages),
        tools: has_tools.then_some([WireTools {
            function_declarations: declarations,
        }]),
        // A choice without functions is refused, and means nothing anyway.
        tool_config: request
            .tool_choice
            .as_ref()
            .filter(|_| has_tools)
            .map(tool_config),
        generation_config: generation(request, shape),
        labels: labels(request),
        service_tier: service_tier(request),
    })
}

fn unspoken(field: &str) -> RequestError {
    RequestError::NotTranslatable {
        field: field.to_owned(),
        dialect: Dialect::Gemini.name(),
    }
}

fn instructions<'a>(messages: &'a [Message<'a>]) -> Option<Instructions<'a>> {
    let said = messages.iter().filter_map(|message| match message {
        Message::System(parts) => Some(parts),
        _ => None,
    });
    let parts: Vec<_> = said.flatten().filter_map(part).collect();
    (!parts.is_empty()).then_some(Instructions { parts })
}

fn turns<'a>(messages: &'a [Message<'a>], is_older: bool) -> Result<Vec<Turn<'a>>, RequestError> {
    // What functions returned besides text, until the results end.
    let mut shown: Vec<Part> = Vec::new();
    let mut names = BTreeMap::new();
    let mut turns: Vec<Turn> = Vec::with_capacity(messages.len());
    for message in messages {
        if !matches!(message, Message::ToolResult(_)) {
            push_shown(&mut shown, &mut turns);
        }
        let (role, parts): (_, Vec<Part>) = match message {
            Message::System(_) => continue,
            Message::User(parts) => ("user", parts.iter().filter_map(part).collect()),
            Message::Assistant(message) => {
                let called = message.calls.iter();
                names.extend(called.map(|call| (&*call.id, &*call.name)));
                ("model", model(message, !is_older)?)
            }
            Message::ToolResult(result) => {
                let mut outcome = outcome(result, &names)?;
                if is_older {
                    shown.append(&mut outcome.parts);
                }
                let part = Part::Response {
                    function_response: outcome,
                };
                ("user", vec![part])
            }
        };
        match turns.last_mut() {
            _ if parts.is_empty() => {}
            Some(last) if last.role == role => last.parts.extend(parts),
            _ => turns.push(Turn { role, parts }),
        }
    }
    push_shown(&mut shown, &mut turns);
    Ok(turns)
}

/// In a turn of its own: beside a result it would count as one.
fn push_shown<'a>(shown: &mut Vec<Part<'a>>, turns: &mut Vec<Turn<'a>>) {
    if !shown.is_empty() {
        let parts = std::mem::take(shown);
        turns.push(Turn {
            role: "user",
            parts,
        });
    }
}

fn model<'a>(
    message: &'a AssistantMessage<'a>,
    is_signed: bool,
) -> Result<Vec<Part<'a>>, RequestError> {
    let mut parts: Vec<_> = message.parts.iter().filter_map(part).collect();
    let has_seal = message.calls.iter().any(|call| call.signature.is_some());
    let is_signed = is_signed && !has_seal;
    for (place, call) in message.calls.iter().enumerate() {
        let arguments = if call.arguments.trim().is_empty() {
            "{}"
        } else {
            &call.arguments
        };
        if !super::super::read::is_object(arguments) {
            return Err(RequestError::Invalid {
                field: "messages".to_owned(),
                expected: "arguments of tool calls that are JSON objects".to_owned(),
            });
        }
        parts.push(Part::Call {
            function_call: Call {
                id: &call.id,
                name: &call.name,
                args: Json(arguments),
            },
            // One signature stands for all calls of a turn.
            thought_signature: (is_signed && place == 0)
                .then_some(NO_SIGNATURE)
                .or(call.signature.as_deref()),
        });
    }
    Ok(parts)
}

fn outcome<'a>(
    result: &'a ToolResult<'a>,
    names: &BTreeMap<&'a str, &'a str>,
) -> Result<Outcome<'a>, RequestError> {
    let call_id = &*result.call_id;
    let name = names.get(call_id).ok_or_else(|| unspoken("tool_call_id"))?;
    let mut texts = Vec::new();
    let mut files = Vec::new();
    for part in result.parts.iter().filter_map(part) {
        match part {
            Part::Text { text } => texts.push(text),
            file => files.push(file),
        }
    }
    let text = match texts.as_mut_slice() {
        [one] => std::mem::take(one),
        several => Cow::Owned(several.join("\n")),
    };
    Ok(Outcome {
        id: call_id,
        name,
        response: if result.is_error {
            Returned::Error(text)
        } else {
            Returned::Output(text)
        },
        parts: files,
    })
}

fn declaration<'a>(tool: &'a Tool<'a>) -> Declaration<'a> {
    Declaration {
        name: &tool.name,
        description: tool.description.as_deref(),
        parameters_json_schema: tool.parameters,
    }
}

fn tool_config<'a>(choice: &'a ToolChoice<'a>) -> WireToolConfig<'a> {
    let (mode, name) = match choice {
        ToolChoice::Auto => ("AUTO", None),
        ToolChoice::Never => ("NONE", None),
        ToolChoice::Required => ("ANY", None),
        ToolChoice::Named(name) => ("ANY", Some(&**name)),
    };
    WireToolConfig {
        function_calling_config: Calling {
            mode,
            allowed_function_names: name.map(|name| [name]),
        },
    }
}
