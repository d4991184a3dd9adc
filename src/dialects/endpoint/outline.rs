//! What one pass over an endpoint's body tells; see `dialects/outline.rs`.
//!
//! Beside the model only the text is read (`input`, `prompt`), for the expected cost and for refusing what is surely too
//! long. Everything else is the provider's to judge.

use std::fmt;

use super::super::feature::Asks;
use super::super::outline::{Message, Outline, Reader, scan};
use super::super::read::{self, Kind, Raw};
use super::Endpoint;
use super::multipart::{Boundary, parts};
use crate::chat::RequestError;
use crate::units::Tokens;

pub(super) fn of_json(endpoint: Endpoint, body: &[u8]) -> Result<Outline, RequestError> {
    let mut reader = InputReader {
        outline: Outline {
            choices: 1,
            ..Outline::default()
        },
        has_input: false,
    };
    let scanned = scan(body, &mut reader)?;
    let mut outline = match endpoint.unnamed() {
        [] => reader.outline.with(scanned)?,
        _ => reader.outline.named_by(scanned),
    };
    // No target of another dialect is sent anything.
    outline.asks = Asks::default();
    let field = match endpoint {
        Endpoint::Embeddings | Endpoint::Moderations | Endpoint::Speech => "input",
        Endpoint::ImageGenerations => "prompt",
        _ => return Ok(outline),
    };
    if !reader.has_input {
        let remedy = "it holds what the model is to read";
        return Err(read::missing(format_args!("{field}"), remedy));
    }
    Ok(outline)
}

pub(super) fn of_form(
    endpoint: Endpoint,
    body: &[u8],
    boundary: &Boundary,
) -> Result<Outline, RequestError> {
    let mut outline = Outline {
        choices: 1,
        ..Outline::default()
    };
    let mut models = 0;
    for part in parts(body, boundary)? {
        let value = body.get(part.value).unwrap_or_default();
        let at = format_args!("{}", part.name);
        let text = || std::str::from_utf8(value).map_err(|_| read::invalid(at, "text in UTF-8"));
        match part.name.as_str() {
            "model" => {
                models += 1;
                text()?.clone_into(&mut outline.model);
            }
            "prompt" => outline.text.push(text()?),
            "user" => outline.user = Some(text()?.to_owned()),
            _ => {}
        }
    }
    match models {
        0 if !endpoint.unnamed().is_empty() => Ok(outline),
        0 => Err(read::missing(
            format_args!("model"),
            "it names a route, or `provider/model`",
        )),
        1 if outline.model.is_empty() => Err(read::invalid(
            format_args!("model"),
            "a name, not an empty string",
        )),
        1 => Ok(outline),
        _ => Err(read::invalid(format_args!("model"), "one value, not two")),
    }
}

struct InputReader {
    outline: Outline,
    has_input: bool,
}

impl<'a> Reader<'a> for InputReader {
    fn has_messages(&self) -> bool {
        false
    }

    fn keys(&self) -> &'static [&'static str] {
        &["model", "input", "prompt", "user"]
    }

    fn field(&mut self, key: &str, raw: Raw<'a>) -> Result<(), RequestError> {
        let at = format_args!("{key}");
        match key {
            "model" => self.outline.model = model(raw)?,
            "user" => self.outline.user = Some(read::text(raw, at)?.into_owned()),
            _ => {
                self.has_input = true;
                text_or_tokens(&mut self.outline, raw, at)?;
            }
        }
        Ok(())
    }

    fn message(&mut self, _: usize, _: &Message<'a>) -> Result<(), RequestError> {
        Ok(())
    }
}

pub(super) fn model(raw: Raw) -> Result<String, RequestError> {
    let at = format_args!("model");
    let name = read::text(raw, at)?.into_owned();
    if name.is_empty() {
        return Err(read::invalid(at, "a name, not an empty string"));
    }
    Ok(name)
}

/// A string, tokens, or a list of either; of objects (some models take images) nothing is read.
pub(super) fn text_or_tokens(
    outline: &mut Outline,
    raw: Raw,
    at: fmt::Arguments,
) -> Result<(), RequestError> {
    let mut tokens: u64 = 0;
    match read::kind(raw) {
        Kind::Text => outline.text.push_string(raw),
        Kind::Array => read::each(raw, at, &mut |_, raw| {
            match read::kind(raw) {
                Kind::Text => outline.text.push_string(raw),
                Kind::Scalar => tokens += 1,
                Kind::Array => tokens = tokens.saturating_add(elements(raw)),
                Kind::Null | Kind::Object => {}
            }
            Ok(())
        })?,
        _ => return Err(read::invalid(at, "a string or an array")),
    }
    outline.text.push_tokens(Tokens(tokens));
    Ok(())
}

/// How many numbers an array of numbers has. A list of lists of lists counts too much, and is refused by the provider.
fn elements(raw: Raw) -> u64 {
    let text = raw.get();
    let is_filled = text.bytes().any(|byte| byte.is_ascii_digit());
    let commas = text.bytes().filter(|byte| *byte == b',').count();
    commas as u64 + u64::from(is_filled)
}
