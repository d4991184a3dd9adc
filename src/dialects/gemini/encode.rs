//! Writes a request to Gemini, for a client that speaks another dialect.
//!
//! - Instructions move to the top and are joined in their order, also those from the middle of the conversation: there is
//!   one place for them.
//! - Turns of one role that follow each other become one, so that all results of a turn's calls lie in one turn, as Google
//!   demands. A text without characters is left out: it is refused.
//! - A call's result names the function, which other dialects know by the call's id alone. So a result whose call is not
//!   in the conversation is refused here. The text is its `output`, or its `error` where the function failed.
//! - Schemas are JSON Schemas, so they go where Google takes these, byte for byte, and not into its subset of `OpenAPI`,
//!   which has no `additionalProperties`, no lists of types and no references
//!   (<https://ai.google.dev/gemini-api/docs/structured-output>).
//! - Gemini 3 refuses a turn of calls without the signature of the thoughts before them, and names the value for calls
//!   that it has not made; a signature that came with a call goes back on it (<https://ai.google.dev/gemini-api/docs/thought-signatures>). Its forerunners ask for none.
//! - That one call at most be made cannot be said, so such a request is refused here, and another target is asked.
//!
//! The client's name for its end user is not carried: there is no field for it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::super::read::{Json, Raw};
use super::super::{Dialect, Shape, written};
use crate::chat::{
    self, AssistantMessage, Format, Image, Message, Reasoning, Request, RequestError, Seal,
    SealForm, Signer, Tool, ToolChoice, ToolResult,
};
use crate::units::Tokens;

/// What stands for the signature of a call that Gemini has not made.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";
/// The beginnings of names of models that know nothing of signatures.
const UNSIGNED: [&str; 3] = ["gemini-1", "gemini-2", "gemma"];
/// What an image's URL may end in, and what it is then. Vertex demands the type.
const IMAGE_TYPES: [(&str, &str); 6] = [
    (".png", "image/png"),
    (".jpg", "image/jpeg"),
    (".jpeg", "image/jpeg"),
    (".webp", "image/webp"),
    (".gif", "image/gif"),
    (".heic", "image/heic"),
];

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
    #[serde(skip_serializing_if = "Generation::is_empty")]
    generation_config: Generation<'a>,
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
#[serde(untagged)]
enum Part<'a> {
    Text {
        text: &'a str,
    },
    #[serde(rename_all = "camelCase")]
    Sealed {
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        thought: Option<bool>,
        thought_signature: &'a str,
    },
    #[serde(rename_all = "camelCase")]
    Inline {
        inline_data: Inline<'a>,
    },
    #[serde(rename_all = "camelCase")]
    File {
        file_data: File<'a>,
    },
    #[serde(rename_all = "camelCase")]
    Call {
        function_call: Call<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        thought_signature: Option<&'a str>,
    },
    #[serde(rename_all = "camelCase")]
    Response {
        function_response: Outcome<'a>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Inline<'a> {
    mime_type: &'a str,
    data: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<&'static str>,
    file_uri: &'a str,
}

#[derive(Serialize)]
struct Call<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    name: &'a str,
    args: Json<'a>,
}

#[derive(Serialize)]
struct Outcome<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    name: &'a str,
    response: Returned<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Part<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Returned<'a> {
    Output(Cow<'a, str>),
    Error(Cow<'a, str>),
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

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Generation<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<Tokens>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'a [Cow<'a, str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<Raw<'a>>,
}

impl Generation<'_> {
    fn is_empty(&self) -> bool {
        let numbers = [self.temperature, self.top_p];
        self.max_output_tokens.is_none()
            && numbers.iter().all(Option::is_none)
            && self.stop_sequences.is_empty()
            && self.response_mime_type.is_none()
    }
}

#[inline(never)]
pub(in super::super) fn encode_request(
    request: &Request,
    shape: &Shape,
) -> Result<Vec<u8>, RequestError> {
    let may_call = !request.tools.is_empty() && request.tool_choice != Some(ToolChoice::Never);
    if request.parallel_tool_calls == Some(false) && may_call {
        return Err(unspoken("parallel_tool_calls"));
    }
    let contents = turns(&request.messages, shape)?;
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
        generation_config: generation(request),
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

fn turns<'a>(messages: &'a [Message<'a>], shape: &Shape) -> Result<Vec<Turn<'a>>, RequestError> {
    let is_signed = !UNSIGNED.iter().any(|old| shape.model.starts_with(old));
    let mut names = BTreeMap::new();
    let mut turns: Vec<Turn> = Vec::with_capacity(messages.len());
    for message in messages {
        let (role, parts): (_, Vec<Part>) = match message {
            Message::System(_) => continue,
            Message::User(parts) => ("user", parts.iter().filter_map(part).collect()),
            Message::Assistant(message) => {
                let called = message.calls.iter();
                names.extend(called.map(|call| (&*call.id, &*call.name)));
                ("model", model(message, is_signed)?)
            }
            Message::ToolResult(result) => ("user", vec![response(result, &names)?]),
        };
        match turns.last_mut() {
            _ if parts.is_empty() => {}
            Some(last) if last.role == role => last.parts.extend(parts),
            _ => turns.push(Turn { role, parts }),
        }
    }
    Ok(turns)
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

fn response<'a>(
    result: &'a ToolResult<'a>,
    names: &BTreeMap<&'a str, &'a str>,
) -> Result<Part<'a>, RequestError> {
    let call_id = &*result.call_id;
    let name = names.get(call_id).ok_or_else(|| unspoken("tool_call_id"))?;
    let texts = result.parts.iter().filter_map(|part| match part {
        chat::Part::Text(text) => Some(&**text),
        _ => None,
    });
    let texts: Vec<&str> = texts.collect();
    let text = match texts.as_slice() {
        [one] => Cow::Borrowed(*one),
        several => Cow::Owned(several.join("\n")),
    };
    let images = result.parts.iter().filter_map(|part| match part {
        chat::Part::Image(image) => Some(self::image(image)),
        _ => None,
    });
    Ok(Part::Response {
        function_response: Outcome {
            id: call_id,
            name,
            response: if result.is_error {
                Returned::Error(text)
            } else {
                Returned::Output(text)
            },
            parts: images.collect(),
        },
    })
}

fn part<'a>(part: &'a chat::Part<'a>) -> Option<Part<'a>> {
    match part {
        chat::Part::Text(text) => (!text.is_empty()).then_some(Part::Text { text }),
        chat::Part::Image(image) => Some(self::image(image)),
        chat::Part::Reasoning(thought) => {
            thought.seal.as_ref().and_then(|seal| sealed(thought, seal))
        }
        chat::Part::Document(_) | chat::Part::Audio(_) | chat::Part::CacheMarker(_) => None,
    }
}

/// None for other providers' seals. What Google signed without showing a thought is an empty text.
fn sealed<'a>(thought: &'a Reasoning<'a>, seal: &'a Seal<'a>) -> Option<Part<'a>> {
    let is_ours = seal.by == Signer::Google && seal.form == SealForm::Signature;
    is_ours.then_some(Part::Sealed {
        text: &thought.text,
        thought: (!thought.text.is_empty()).then_some(true),
        thought_signature: &seal.words,
    })
}

fn image<'a>(image: &'a Image<'a>) -> Part<'a> {
    match image {
        Image::Inline { media_type, base64 } => Part::Inline {
            inline_data: Inline {
                mime_type: media_type,
                data: base64,
            },
        },
        Image::Url(url) => {
            let path = url.split(['?', '#']).next().unwrap_or_default();
            let path = path.to_ascii_lowercase();
            let known = IMAGE_TYPES.iter().find(|(end, _)| path.ends_with(end));
            Part::File {
                file_data: File {
                    mime_type: known.map(|(_, mime_type)| *mime_type),
                    file_uri: url,
                },
            }
        }
    }
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

fn generation<'a>(request: &'a Request<'a>) -> Generation<'a> {
    let schema = match &request.format {
        Some(Format::JsonSchema { schema, .. }) => Some(*schema),
        Some(Format::JsonObject) | None => None,
    };
    Generation {
        max_output_tokens: request.answer_tokens_max,
        temperature: request.temperature,
        top_p: request.top_p,
        stop_sequences: &request.stop,
        response_mime_type: request.format.as_ref().map(|_| "application/json"),
        response_json_schema: schema,
    }
}
