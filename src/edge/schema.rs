//! `GET /schema/<name>.json`: the JSON Schemas of the entries, for editors.
//!
//! They are made when they are asked for, from the descriptions that the readers use, so they are always those of
//! this Worker's version. They hold nothing of the team's, so they need no key.

use web_sys::Response;

use super::respond;
use crate::config::schema;
use crate::dialects::ClientError;
use crate::exchange::ResponseHead;

/// The beginning of an unknown path that a message repeats.
const PATH_CHARS_MAX: usize = 200;

/// The schema under this path, or the ones that there are.
pub fn answer(path: &str) -> Result<Response, ClientError> {
    let file = path.strip_prefix("/schema/");
    let name = file.and_then(|file| file.strip_suffix(".json"));
    let text = name.and_then(schema::text).ok_or_else(|| unknown(path))?;
    let head = ResponseHead {
        status: 200,
        content_type: "application/schema+json".into(),
        headers: Vec::new(),
    };
    Ok(respond::whole(&head, text.as_bytes()))
}

fn unknown(path: &str) -> ClientError {
    let path: String = path.chars().take(PATH_CHARS_MAX).collect();
    let names = schema::names().into_iter();
    let known: Vec<String> = names.map(|name| format!("/schema/{name}.json")).collect();
    ClientError::new(
        404,
        "not_found",
        format!("no such schema: {path}; there are {}", known.join(", ")),
    )
}
