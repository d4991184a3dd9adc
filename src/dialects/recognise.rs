//! Whose client wrote a body, by its fields, where neither its path nor a header says so.
//!
//! What holds the conversation tells most: `contents` is Gemini's, `input`, or what OpenAI keeps instead of it, the Responses
//! API's. `messages` is OpenAI's and Anthropic's; there a field, a tool or a block that only one of them has decides. A body
//! without any is read as chat completions: it asks for the same in both. Fields of two dialects are a mistake, not a
//! majority.
//!
//! For explanations alone. A call's dialect is its path: whoever pays for an answer shall not depend on a guess.
//!
//! Not here: whether the body is right. That is for the dialect's outline to say.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::ClientDialect;
use super::read::{self, Object, Raw};
use crate::chat::RequestError;

/// What holds a conversation, or stands for one.
const CONVERSATIONS: [(&str, ClientDialect); 5] = [
    ("contents", ClientDialect::Gemini),
    ("input", ClientDialect::OpenaiResponses),
    ("previous_response_id", ClientDialect::OpenaiResponses),
    ("conversation", ClientDialect::OpenaiResponses),
    ("prompt", ClientDialect::OpenaiResponses),
];

/// Fields beside `messages` that only one of the two dialects has.
const FIELDS: [(&str, ClientDialect); 12] = [
    ("system", ClientDialect::Anthropic),
    ("stop_sequences", ClientDialect::Anthropic),
    ("output_config", ClientDialect::Anthropic),
    ("mcp_servers", ClientDialect::Anthropic),
    ("container", ClientDialect::Anthropic),
    ("inference_geo", ClientDialect::Anthropic),
    ("context_management", ClientDialect::Anthropic),
    ("stop", ClientDialect::OpenaiChat),
    ("max_completion_tokens", ClientDialect::OpenaiChat),
    ("response_format", ClientDialect::OpenaiChat),
    ("stream_options", ClientDialect::OpenaiChat),
    ("functions", ClientDialect::OpenaiChat),
];

/// A message, as far as it tells whose it is.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    role: Option<Raw<'a>>,
    #[serde(borrow)]
    content: Option<Raw<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Raw<'a>>,
}

/// A tool, a choice of one, or a block of a message.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Thing<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Raw<'a>>,
    #[serde(borrow)]
    function: Option<Raw<'a>>,
    #[serde(borrow)]
    name: Option<Raw<'a>>,
    #[serde(borrow)]
    citations: Option<Raw<'a>>,
}

/// What has been seen of each dialect, by the first field that showed it.
#[derive(Default)]
struct Signs(Vec<(ClientDialect, &'static str)>);

impl Signs {
    fn note(&mut self, dialect: ClientDialect, field: &'static str) {
        if !self.0.iter().any(|(known, _)| *known == dialect) {
            self.0.push((dialect, field));
        }
    }
}

/// The dialect of a body that is to be explained: the one that the caller names, the one that its headers say, or the one
/// that its fields show.
///
/// # Errors
/// No dialect has that name, or the body has fields of two.
pub fn recognise(
    named: Option<&str>,
    said: Option<ClientDialect>,
    body: &[u8],
) -> Result<ClientDialect, RequestError> {
    match (named, said) {
        (Some(name), _) => ClientDialect::parse(name).ok_or_else(|| RequestError::Invalid {
            field: "dialect".to_owned(),
            expected: format!(
                "one of {}",
                ClientDialect::ALL.map(ClientDialect::name).join(", ")
            ),
        }),
        (None, Some(said)) => Ok(said),
        (None, None) => by_fields(body),
    }
}

fn by_fields(body: &[u8]) -> Result<ClientDialect, RequestError> {
    let mut signs = Signs::default();
    let mut has_messages = false;
    if let Ok(raw) = serde_json::from_slice::<Raw<'_>>(body) {
        // What is no object shows nothing, and its outline says why.
        let _ = read::each_field(raw, &mut |name, value| {
            if read::kind(value) == read::Kind::Null {
                return;
            }
            let named = |known: &&(&'static str, ClientDialect)| known.0 == name;
            if let Some((field, dialect)) = CONVERSATIONS.iter().find(named) {
                signs.note(*dialect, field);
            }
            has_messages |= name == "messages";
        });
        if has_messages {
            let _ = read::each_field(raw, &mut |name, value| beside(name, value, &mut signs));
        }
    }
    match signs.0.as_slice() {
        [] => Ok(ClientDialect::OpenaiChat),
        [(ClientDialect::Gemini | ClientDialect::OpenaiResponses, field)] if has_messages => {
            Err(mixed(field, "messages"))
        }
        [(dialect, _)] => Ok(*dialect),
        [(_, one), (_, other), ..] => Err(mixed(one, other)),
    }
}

fn mixed(one: &str, other: &str) -> RequestError {
    RequestError::Invalid {
        field: one.to_owned(),
        expected: format!(
            "the fields of one dialect, but `{other}` is another's; say which is meant: `?dialect=NAME` behind the path, or \
             --dialect NAME"
        ),
    }
}

/// A field of a body that has `messages`.
fn beside(name: &str, value: Raw, signs: &mut Signs) {
    let named = |known: &&(&'static str, ClientDialect)| known.0 == name;
    if read::kind(value) == read::Kind::Null {
        return;
    }
    if let Some((field, dialect)) = FIELDS.iter().find(named) {
        signs.note(*dialect, field);
    }
    match name {
        "tools" => each(value, &mut |tool: Thing| {
            if tool.name.is_some() {
                signs.note(ClientDialect::Anthropic, "tools[].name");
            }
            if tool.function.is_some() {
                signs.note(ClientDialect::OpenaiChat, "tools[].function");
            }
        }),
        "tool_choice" => {
            let choice: Result<Object<Thing>, _> = serde_json::from_str(value.get());
            let kind = choice.ok().and_then(|Object(choice)| choice.kind);
            if let Some(b"auto" | b"any" | b"none" | b"tool") = kind.map(read::inside) {
                signs.note(ClientDialect::Anthropic, "tool_choice.type");
            }
        }
        "messages" => each(value, &mut |message| message_of(&message, signs)),
        _ => {}
    }
}

fn message_of(message: &Message, signs: &mut Signs) {
    let role = message.role.map(RawValue::get);
    if matches!(role, Some("\"tool\"" | "\"developer\"")) {
        signs.note(ClientDialect::OpenaiChat, "messages[].role");
    }
    if message.tool_calls.is_some() {
        signs.note(ClientDialect::OpenaiChat, "messages[].tool_calls");
    }
    let Some(content) = message.content else {
        return;
    };
    each(content, &mut |block: Thing| {
        if block.citations.is_some() {
            signs.note(ClientDialect::Anthropic, "messages[].content[].citations");
        }
        match block.kind.map(read::inside) {
            Some(
                b"tool_use" | b"server_tool_use" | b"tool_result" | b"thinking"
                | b"redacted_thinking" | b"image" | b"document",
            ) => signs.note(ClientDialect::Anthropic, "messages[].content[].type"),
            Some(b"image_url" | b"input_audio" | b"file") => {
                signs.note(ClientDialect::OpenaiChat, "messages[].content[].type");
            }
            _ => {}
        }
    });
}

/// The objects of an array that can be read; what is none has none.
fn each<'a, T: Deserialize<'a>>(raw: Raw<'a>, visit: &mut dyn FnMut(T)) {
    if read::kind(raw) != read::Kind::Array {
        return;
    }
    // Its own dialect's outline says what is wrong with the others.
    let _ = read::each(raw, format_args!(""), &mut |_, raw| {
        if let Ok(Object(item)) = serde_json::from_str(raw.get()) {
            visit(item);
        }
        Ok(())
    });
}
