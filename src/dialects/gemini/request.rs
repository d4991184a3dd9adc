//! Reads a whole Gemini request, for a provider that speaks another dialect.
//!
//! `outline.rs` notes what not every dialect can carry, `docs/dialects.md` tells who can. Read apart: images, documents
//! and sounds (`media.rs`), and `generationConfig` (`generation.rs`). `safetySettings` that turn filters off and
//! `mediaResolution` are not read, since no other dialect has a word for them.
//!
//! `systemInstruction` becomes a system message before all others. Schemas in Google's subset of `OpenAPI` have become the
//! JSON Schemas that they mean (`schema.rs`). `model` and `stream`, which the URL says, are the router's own decision.
//!
//! Calls may be without ids; results then follow the calls of the same name in their order. Other dialects demand ids, so
//! such a call gets one that says which of the conversation's calls it is, and so is the same in every turn.
//!
//! A function's response is an object here and text elsewhere. `output`, if that is a text and alone, is the text, and
//! `error` one that says that the function failed; else the object's own JSON is.
//!
//! `outline` has run before, so what it refuses is not checked again.

use std::borrow::Cow;
use std::fmt;

use super::super::openai_chat::labels;
use super::super::read::{self, Kind, Raw};
use super::generation::{read_generation, service_tier};
use super::media::Media;
use super::wire::{
    Content, Declaration, Function, Part, Role, ToolConfig, each_declaration, object,
};
use crate::chat::{
    self, AssistantMessage, Message, Reasoning, Request, RequestError, RequestedCall, Seal,
    SealForm, Signer, Tool, ToolChoice, ToolResult,
};

pub(super) struct WireRequest<'a> {
    contents: Option<Raw<'a>>,
    system_instruction: Option<Raw<'a>>,
    pub tools: Option<Raw<'a>>,
    tool_config: Option<Raw<'a>>,
    pub generation_config: Option<Raw<'a>>,
    labels: Option<Raw<'a>>,
    service_tier: Option<Raw<'a>>,
}

impl<'a> WireRequest<'a> {
    pub fn read(body: &'a [u8]) -> Result<Self, RequestError> {
        let raw: Raw =
            serde_json::from_str(read::utf8(body)?).map_err(|error| read::not_json(&error))?;
        let expected = "a JSON object, no key twice and in one spelling";
        let names = [
            "contents",
            "systemInstruction",
            "tools",
            "toolConfig",
            "generationConfig",
            "labels",
            "serviceTier",
        ];
        let [
            contents,
            system_instruction,
            tools,
            tool_config,
            generation_config,
            labels,
            service_tier,
        ] = object(raw, format_args!("body"), expected, names)?;
        Ok(Self {
            contents,
            system_instruction,
            tools,
            tool_config,
            generation_config,
            labels,
            service_tier,
        })
    }
}

pub(in super::super) fn parse_request(body: &[u8]) -> Result<Request<'_>, RequestError> {
    let wire = WireRequest::read(body)?;
    let mut request = Request::default();
    if let Some(instruction) = wire.system_instruction {
        let parts = instructions(instruction, format_args!("systemInstruction"))?;
        request.messages.push(Message::System(parts));
    }
    each_content(&wire, &mut |message| request.messages.push(message))?;
    if let Some(tools) = wire.tools {
        read::each(tools, format_args!("tools"), &mut |index, raw| {
            let at = format_args!("tools[{index}]");
            each_declaration(raw, at, &mut |raw, at| {
                request.tools.push(tool(raw, at)?);
                Ok(())
            })
            .map(drop)
        })?;
    }
    if let Some(config) = wire.tool_config {
        request.tool_choice = tool_choice(config)?;
    }
    if let Some(config) = wire.generation_config {
        read_generation(config, &mut request)?;
    }
    if let Some(raw) = wire.labels {
        request.metadata = labels(raw, format_args!("labels"))?;
    }
    request.service_tier = wire.service_tier.and_then(service_tier).map(Into::into);
    Ok(request)
}

/// Reads the messages one by one, and keeps none but those that one turn is split into.
pub(in super::super) fn each_message<'a>(
    body: &'a [u8],
    visit: &mut dyn FnMut(Message<'a>),
) -> Result<(), RequestError> {
    each_content(&WireRequest::read(body)?, visit)
}

fn each_content<'a>(
    wire: &WireRequest<'a>,
    visit: &mut dyn FnMut(Message<'a>),
) -> Result<(), RequestError> {
    let Some(contents) = wire.contents else {
        return Ok(());
    };
    let mut calls = Calls::default();
    let mut split = Vec::new();
    read::each(contents, format_args!("contents"), &mut |index, raw| {
        let at = format_args!("contents[{index}]");
        let content = Content::read(raw, at)?;
        match content.role(at)? {
            Role::Model => split.push(Message::Assistant(model(&content, at, &mut calls)?)),
            Role::User => user(&content, at, &mut calls, &mut split)?,
        }
        split.drain(..).for_each(&mut *visit);
        Ok(())
    })
}

/// The calls of a conversation that wait for their results, by name and id, and how many there were.
#[derive(Default)]
struct Calls<'a> {
    open: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    count: usize,
}

impl<'a> Calls<'a> {
    /// The call's id.
    fn begin(&mut self, id: Option<Cow<'a, str>>, name: &Cow<'a, str>) -> Cow<'a, str> {
        self.count += 1;
        let id = id.unwrap_or_else(|| Cow::Owned(format!("call_{}", self.count)));
        self.open.push((name.clone(), id.clone()));
        id
    }

    /// The id of the call that a result is of.
    fn end(&mut self, id: Option<Cow<'a, str>>, name: &str) -> Option<Cow<'a, str>> {
        let place = self.open.iter().position(|(called, known)| match &id {
            Some(id) => known == id,
            None => called == name,
        });
        let known = place.map(|place| self.open.remove(place).1);
        id.or(known)
    }
}

fn each_part<'a>(
    content: &Content<'a>,
    at: fmt::Arguments,
    visit: &mut dyn FnMut(Part<'a>, fmt::Arguments) -> Result<(), RequestError>,
) -> Result<(), RequestError> {
    let Some(parts) = content.parts else {
        return Ok(());
    };
    let at = format_args!("{at}.parts");
    read::each(parts, at, &mut |index, raw| {
        let at = format_args!("{at}[{index}]");
        visit(Part::read(raw, at)?, at)
    })
}

fn instructions<'a>(raw: Raw<'a>, at: fmt::Arguments) -> Result<Vec<chat::Part<'a>>, RequestError> {
    let content = Content::read(raw, at)?;
    let mut parts = Vec::new();
    each_part(&content, at, &mut |read, at| {
        parts.extend(part(&read, at)?);
        Ok(())
    })?;
    Ok(parts)
}

fn model<'a>(
    content: &Content<'a>,
    at: fmt::Arguments,
    calls: &mut Calls<'a>,
) -> Result<AssistantMessage<'a>, RequestError> {
    let mut message = AssistantMessage::default();
    each_part(content, at, &mut |read, at| {
        let Some(raw) = read.function_call else {
            message.parts.extend(part(&read, at)?);
            message.parts.extend(sealed(&read, at)?);
            return Ok(());
        };
        let signature = read.signature(at)?;
        let at = format_args!("{at}.functionCall");
        let call = Function::read(raw, at)?;
        let name = call.name(at)?;
        message.calls.push(RequestedCall {
            id: calls.begin(id(&call, at)?, &name),
            name,
            arguments: call.args.map_or("{}", |args| args.get()).into(),
            signature,
        });
        Ok(())
    })?;
    Ok(message)
}

/// One turn of the user's may hold several functions' results, then its words.
fn user<'a>(
    content: &Content<'a>,
    at: fmt::Arguments,
    calls: &mut Calls<'a>,
    messages: &mut Vec<Message<'a>>,
) -> Result<(), RequestError> {
    let mut words = Vec::new();
    let mut has_results = false;
    each_part(content, at, &mut |read, at| {
        let Some(raw) = read.function_response else {
            words.extend(part(&read, at)?);
            return Ok(());
        };
        has_results = true;
        if !words.is_empty() {
            messages.push(Message::User(std::mem::take(&mut words)));
        }
        let at = format_args!("{at}.functionResponse");
        let response = Function::read(raw, at)?;
        let Some(call_id) = calls.end(id(&response, at)?, &response.name(at)?) else {
            let expected = "a response to a call of an earlier turn, by `id` or by `name`";
            return Err(read::invalid(at, expected));
        };
        let (text, is_error) = result(response.response);
        messages.push(Message::ToolResult(ToolResult {
            call_id,
            parts: vec![chat::Part::Text(text)],
            is_error,
        }));
        Ok(())
    })?;
    if !words.is_empty() || !has_results {
        messages.push(Message::User(words));
    }
    Ok(())
}

fn id<'a>(
    function: &Function<'a>,
    at: fmt::Arguments,
) -> Result<Option<Cow<'a, str>>, RequestError> {
    let id = read::optional(function.id, format_args!("{at}.id"), read::text)?;
    Ok(id.filter(|id| !id.is_empty()))
}

/// What a function returned, and whether it failed.
pub(super) fn result(response: Option<Raw<'_>>) -> (Cow<'_, str>, bool) {
    let Some(response) = response else {
        return ("".into(), false);
    };
    let mut fields = Vec::new();
    // What is no object has been refused.
    let _ = read::each_field(response, &mut |name, value| {
        fields.push((name.to_owned(), value));
    });
    if let [(name, value)] = fields.as_slice()
        && let Ok(read::Text(text)) = serde_json::from_str::<read::Text>(value.get())
        && matches!(name.as_str(), "output" | "error")
    {
        return (text, name == "error");
    }
    (response.get().into(), false)
}

/// What Google signed, behind the text that it is on; a thought's own text is in it.
fn sealed<'a>(part: &Part<'a>, at: fmt::Arguments) -> Result<Option<chat::Part<'a>>, RequestError> {
    let signature = part.signature(at)?;
    let text = part.text.filter(|_| part.is_thought());
    if signature.is_none() && text.is_none() {
        return Ok(None);
    }
    let text = read::optional(text, format_args!("{at}.text"), read::text)?;
    Ok(Some(chat::Part::Reasoning(Reasoning {
        text: text.unwrap_or_default(),
        seal: signature.map(|words| Seal {
            by: Signer::Google,
            form: SealForm::Signature,
            words,
            id: None,
        }),
    })))
}

/// `None` for thoughts.
fn part<'a>(part: &Part<'a>, at: fmt::Arguments) -> Result<Option<chat::Part<'a>>, RequestError> {
    if let Some(text) = part.text {
        let text = read::text(text, format_args!("{at}.text"))?;
        return Ok((!part.is_thought()).then_some(chat::Part::Text(text)));
    }
    let part = if let Some(raw) = part.inline_data {
        let at = format_args!("{at}.inlineData");
        Media::read(raw, at)?.inline(at)?
    } else if let Some(raw) = part.file_data {
        let at = format_args!("{at}.fileData");
        Media::read(raw, at)?.file(at)?
    } else {
        return Err(read::invalid(
            at,
            "text, an image, a document or a sound here",
        ));
    };
    Ok(Some(part))
}

fn tool<'a>(raw: Raw<'a>, at: fmt::Arguments) -> Result<Tool<'a>, RequestError> {
    let wire = Declaration::read(raw, at)?;
    let Some(name) = wire.name else {
        let remedy = "it names the function";
        return Err(read::missing(format_args!("{at}.name"), remedy));
    };
    let parameters = wire.parameters_json_schema.or(wire.parameters);
    if parameters.is_some_and(|schema| read::kind(schema) != Kind::Object) {
        let at = format_args!("{at}.parameters");
        return Err(read::invalid(at, "a schema, an object"));
    }
    let description = format_args!("{at}.description");
    Ok(Tool {
        name: read::text(name, format_args!("{at}.name"))?,
        description: read::optional(wire.description, description, read::text)?,
        parameters,
        strict: None,
        cache_marker: None,
    })
}

fn tool_choice(raw: Raw<'_>) -> Result<Option<ToolChoice<'_>>, RequestError> {
    let at = format_args!("toolConfig.functionCallingConfig");
    let config = ToolConfig::read(raw)?;
    let mut allowed = None;
    if let Some(names) = config.allowed {
        let at = format_args!("{at}.allowedFunctionNames");
        read::each(names, at, &mut |index, raw| {
            allowed = Some(read::text(raw, format_args!("{at}[{index}]"))?);
            Ok(())
        })?;
    }
    let mode = read::optional(config.mode, format_args!("{at}.mode"), read::text)?;
    Ok(match (mode.as_deref(), allowed) {
        (Some("AUTO"), _) => Some(ToolChoice::Auto),
        (Some("NONE"), _) => Some(ToolChoice::Never),
        (Some("ANY"), Some(name)) => Some(ToolChoice::Named(name)),
        (Some("ANY"), None) => Some(ToolChoice::Required),
        _ => None,
    })
}
