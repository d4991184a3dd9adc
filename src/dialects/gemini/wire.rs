//! The parts of a request as they are read, by the outline and by the whole reader: every field that either knows, in both
//! spellings, and none of its contents. Beside them the way in which an answer's objects are read.

use std::borrow::Cow;
use std::fmt;

use super::super::read::{self, Kind, Raw};
use crate::chat::RequestError;

/// The fields of an object that are called so, in either spelling. One that is null is absent.
///
/// Not a derived `Deserialize` for each object: they are many, and each would be some kilobytes of wasm.
pub(super) fn object<'a, const N: usize>(
    raw: Raw<'a>,
    at: fmt::Arguments,
    expected: &str,
    names: [&str; N],
) -> Result<[Option<Raw<'a>>; N], RequestError> {
    let mut found = [None; N];
    if !read::pick(raw, &names, is_spelling, &mut found) {
        return Err(read::invalid(at, expected));
    }
    Ok(found)
}

/// The same of what a provider says: whatever does not fit is absent.
pub(super) fn loose<'a, const N: usize>(
    raw: Option<Raw<'a>>,
    names: [&str; N],
) -> [Option<Raw<'a>>; N] {
    let mut found = [None; N];
    if let Some(raw) = raw {
        read::pick(raw, &names, is_spelling, &mut found);
    }
    found
}

/// Whether `key` is `camel`, or that in snake case.
pub(super) fn is_spelling(key: &str, camel: &str) -> bool {
    let mut is_after_line = false;
    let spelt = key.chars().filter_map(|c| {
        let c = if std::mem::replace(&mut is_after_line, c == '_') {
            c.to_ascii_uppercase()
        } else {
            c
        };
        (c != '_').then_some(c)
    });
    key == camel || (key.contains('_') && spelt.eq(camel.chars()))
}

/// One turn, or the instructions.
pub(super) struct Content<'a> {
    role: Option<Raw<'a>>,
    pub parts: Option<Raw<'a>>,
}

/// A piece of a turn. One of these says what it is; the rest belongs to it.
pub(super) struct Part<'a> {
    pub text: Option<Raw<'a>>,
    /// The text is what the model thought.
    thought: Option<Raw<'a>>,
    /// Google's seal on the part.
    pub thought_signature: Option<Raw<'a>>,
    pub inline_data: Option<Raw<'a>>,
    pub file_data: Option<Raw<'a>>,
    pub function_call: Option<Raw<'a>>,
    pub function_response: Option<Raw<'a>>,
}

/// `functionCall` and `functionResponse`.
pub(super) struct Function<'a> {
    pub id: Option<Raw<'a>>,
    pub name: Option<Raw<'a>>,
    pub args: Option<Raw<'a>>,
    pub response: Option<Raw<'a>>,
    /// Images and the like that a function returned.
    pub parts: Option<Raw<'a>>,
}

pub(super) struct Declaration<'a> {
    pub name: Option<Raw<'a>>,
    pub description: Option<Raw<'a>>,
    /// In a subset of `OpenAPI`'s schemas.
    pub parameters: Option<Raw<'a>>,
    /// In JSON Schema.
    pub parameters_json_schema: Option<Raw<'a>>,
}

/// `toolConfig`.
pub(super) struct ToolConfig<'a> {
    pub mode: Option<Raw<'a>>,
    pub allowed: Option<Raw<'a>>,
    /// Of tools that run at Google.
    pub retrieval: Option<Raw<'a>>,
}

/// Who speaks in a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Also functions, which old clients give a role of their own.
    User,
    Model,
}

impl<'a> Content<'a> {
    pub fn read(raw: Raw<'a>, at: fmt::Arguments) -> Result<Self, RequestError> {
        let expected = "an object with `role` and `parts`, no key twice";
        let [role, parts] = object(raw, at, expected, ["role", "parts"])?;
        Ok(Self { role, parts })
    }

    pub fn role(&self, at: fmt::Arguments) -> Result<Role, RequestError> {
        let at = format_args!("{at}.role");
        let role = read::optional(self.role, at, read::text)?;
        match role.as_deref() {
            None | Some("" | "user" | "function") => Ok(Role::User),
            Some("model") => Ok(Role::Model),
            Some(_) => Err(read::invalid(
                at,
                "user or model; instructions go into `systemInstruction`",
            )),
        }
    }
}

impl<'a> Part<'a> {
    pub fn read(raw: Raw<'a>, at: fmt::Arguments) -> Result<Self, RequestError> {
        let expected =
            "an object with `text`, `inlineData`, `functionCall` or the like; no key twice";
        let names = [
            "text",
            "thought",
            "thoughtSignature",
            "inlineData",
            "fileData",
            "functionCall",
            "functionResponse",
        ];
        let [
            text,
            thought,
            thought_signature,
            inline_data,
            file_data,
            function_call,
            function_response,
        ] = object(raw, at, expected, names)?;
        Ok(Self {
            text,
            thought,
            thought_signature,
            inline_data,
            file_data,
            function_call,
            function_response,
        })
    }

    /// None where there is none, or an empty one.
    pub fn signature(&self, at: fmt::Arguments) -> Result<Option<Cow<'a, str>>, RequestError> {
        let at = format_args!("{at}.thoughtSignature");
        let signature = read::optional(self.thought_signature, at, read::text)?;
        Ok(signature.filter(|words| !words.is_empty()))
    }

    pub fn is_thought(&self) -> bool {
        self.thought.is_some_and(|thought| thought.get() == "true")
    }
}

impl<'a> Function<'a> {
    pub fn read(raw: Raw<'a>, at: fmt::Arguments) -> Result<Self, RequestError> {
        let expected = "an object with `name`, no key twice";
        let names = ["id", "name", "args", "response", "parts"];
        let [id, name, args, response, parts] = object(raw, at, expected, names)?;
        for (raw, name) in [(args, "args"), (response, "response")] {
            if raw.is_some_and(|raw| read::kind(raw) != Kind::Object) {
                return Err(read::invalid(format_args!("{at}.{name}"), "an object"));
            }
        }
        Ok(Self {
            id,
            name,
            args,
            response,
            parts,
        })
    }

    pub fn name(&self, at: fmt::Arguments) -> Result<Cow<'a, str>, RequestError> {
        let at = format_args!("{at}.name");
        match self.name {
            Some(name) => read::text(name, at),
            None => Err(read::missing(at, "it names the function")),
        }
    }
}

impl<'a> Declaration<'a> {
    pub fn read(raw: Raw<'a>, at: fmt::Arguments) -> Result<Self, RequestError> {
        let expected = "an object with `name`, no key twice";
        let names = ["name", "description", "parameters", "parametersJsonSchema"];
        let [name, description, parameters, parameters_json_schema] =
            object(raw, at, expected, names)?;
        Ok(Self {
            name,
            description,
            parameters,
            parameters_json_schema,
        })
    }
}

impl<'a> ToolConfig<'a> {
    pub fn read(raw: Raw<'a>) -> Result<Self, RequestError> {
        let expected = "an object, no key twice";
        let at = format_args!("toolConfig");
        let names = ["functionCallingConfig", "retrievalConfig"];
        let [calling, retrieval] = object(raw, at, expected, names)?;
        let at = format_args!("toolConfig.functionCallingConfig");
        let names = ["mode", "allowedFunctionNames"];
        let [mode, allowed] = match calling {
            Some(calling) => object(calling, at, expected, names)?,
            None => [None; 2],
        };
        Ok(Self {
            mode,
            allowed,
            retrieval,
        })
    }
}

/// Calls `visit` with each declaration of a function, and says whether the tool is anything else beside.
pub(super) fn each_declaration<'a>(
    tool: Raw<'a>,
    at: fmt::Arguments,
    visit: &mut dyn FnMut(Raw<'a>, fmt::Arguments) -> Result<(), RequestError>,
) -> Result<bool, RequestError> {
    let expected = "an object with `functionDeclarations`";
    let mut declarations = Vec::new();
    let mut has_others = false;
    read::each_field(tool, &mut |name, value| {
        if is_spelling(name, "functionDeclarations") {
            declarations.push(value);
        } else {
            has_others |= read::kind(value) != Kind::Null;
        }
    })
    .map_err(|_| read::invalid(at, expected))?;
    let at = format_args!("{at}.functionDeclarations");
    match declarations.as_slice() {
        [] => {}
        [one] if read::kind(one) == Kind::Null => {}
        [one] => read::each(one, at, &mut |index, raw| {
            visit(raw, format_args!("{at}[{index}]"))
        })?,
        _ => return Err(read::invalid(at, "one value, not two")),
    }
    Ok(has_others)
}
