//! A form of several parts (`multipart/form-data`), as clients upload images and sounds.
//!
//! One pass finds where each part's value lies; nothing is copied but the names. Grammar:
//! <https://www.rfc-editor.org/rfc/rfc7578> and <https://www.rfc-editor.org/rfc/rfc2046#section-5.1>.
//!
//! Stricter than the grammar where parsers disagree: the provider is sent the same bytes, and must not find another model
//! in them than we did. So line ends are CRLF, a line that begins like a delimiter is one, a name is said once and as
//! plain text, and `model` comes once.
//!
//! Not a crate: those at hand are asynchronous and bring a header parser and character sets along, for the one value
//! that we read.

use std::ops::Range;

use super::super::read;
use crate::chat::RequestError;

/// RFC 2046's limit.
const BOUNDARY_BYTES_MAX: usize = 70;
/// OpenAI's longest form has 16 images and a dozen fields.
const PARTS_MAX: usize = 256;
/// Headers of one part: a name, a file's name, a type.
const HEAD_BYTES_MAX: usize = 8 * 1024;
const BODY: &str = "body";

/// What divides the parts of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary(String);

impl Boundary {
    /// Reads the value of `content-type`. None where it is no form's.
    ///
    /// # Errors
    /// A form whose parts cannot be found.
    pub fn of(content_type: &str) -> Option<Result<Self, RequestError>> {
        let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
        let is_form = kind.trim().eq_ignore_ascii_case("multipart/form-data");
        is_form.then(|| {
            let boundary = parameter(parameters, "boundary").ok().flatten();
            let boundary = boundary.filter(|it| is_boundary(it));
            boundary.map(Self).ok_or_else(|| {
                let expected = "`multipart/form-data` with a `boundary` of 1 to 70 characters";
                read::invalid(format_args!("content-type"), expected)
            })
        })
    }

    /// The value of `content-type` that names it.
    pub(super) fn content_type(&self) -> String {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"'+_-.".contains(&byte);
        let Self(boundary) = self;
        if boundary.bytes().all(is_token) {
            return format!("multipart/form-data; boundary={boundary}");
        }
        format!("multipart/form-data; boundary=\"{boundary}\"")
    }
}

fn is_boundary(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    (1..=BOUNDARY_BYTES_MAX).contains(&text.len())
        && !text.ends_with(' ')
        && text.bytes().all(is_allowed)
}

/// One field of a form.
#[derive(Debug)]
pub(super) struct Part {
    pub name: String,
    pub value: Range<usize>,
}

/// All parts, in order.
pub(super) fn parts(body: &[u8], boundary: &Boundary) -> Result<Vec<Part>, RequestError> {
    let delimiter = format!("\r\n--{}", boundary.0);
    let delimiter = delimiter.as_bytes();
    let opening = delimiter.get(2..).unwrap_or_default();
    if !body.starts_with(opening) {
        return Err(broken("a form that begins with its boundary"));
    }
    let mut parts = Vec::new();
    let mut at = opening.len();
    loop {
        let rest = body.get(at..).unwrap_or_default();
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        let padding = rest.iter().take_while(|byte| b" \t".contains(byte)).count();
        let is_line = rest
            .get(padding..)
            .is_some_and(|rest| rest.starts_with(b"\r\n"));
        if !is_line {
            return Err(broken("a line end behind each boundary"));
        }
        if parts.len() >= PARTS_MAX {
            return Err(broken("a form of at most 256 parts"));
        }
        // The line end may also be the first of the two that end a part's headers.
        let head_start = at + padding;
        let head_length = find(body.get(head_start..).unwrap_or_default(), b"\r\n\r\n")
            .filter(|length| *length <= HEAD_BYTES_MAX)
            .ok_or_else(|| broken("headers before each part's value"))?;
        let head = body.get(head_start..head_start + head_length);
        let start = head_start + head_length + 4;
        let length = find(body.get(start..).unwrap_or_default(), delimiter)
            .ok_or_else(|| broken("a boundary behind each part"))?;
        parts.push(Part {
            name: name_of(head.unwrap_or_default())?,
            value: start..start + length,
        });
        at = start + length + delimiter.len();
    }
}

/// The body with this model in it: instead of the client's, or as a part before all others.
pub(super) fn with_model(
    body: &[u8],
    boundary: &Boundary,
    model: &str,
) -> Result<Vec<u8>, RequestError> {
    let parts = parts(body, boundary)?;
    let at = parts.iter().find(|part| part.name == "model");
    // A line end in it would begin a header, or a part.
    if model.contains(['\r', '\n']) {
        return Err(read::invalid(format_args!("model"), "a name of one line"));
    }
    let (span, with) = match at {
        Some(part) => (part.value.clone(), model.to_owned()),
        None => (
            0..0,
            format!(
                "--{}\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n",
                boundary.0
            ),
        ),
    };
    let before = body.get(..span.start).unwrap_or_default();
    let after = body.get(span.end..).unwrap_or_default();
    Ok([before, with.as_bytes(), after].concat())
}

fn broken(expected: &str) -> RequestError {
    read::invalid(format_args!("{BODY}"), expected)
}

/// The name that a part's headers give it.
fn name_of(head: &[u8]) -> Result<String, RequestError> {
    let refused = || broken("one `content-disposition: form-data; name=\"…\"` for each part");
    let head = std::str::from_utf8(head).map_err(|_| refused())?;
    let mut dispositions = head.split("\r\n").filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_it = name.trim().eq_ignore_ascii_case("content-disposition");
        is_it.then_some(value)
    });
    let (Some(disposition), None) = (dispositions.next(), dispositions.next()) else {
        return Err(refused());
    };
    let (kind, parameters) = disposition.split_once(';').ok_or_else(refused)?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return Err(refused());
    }
    let name = parameter(parameters, "name").map_err(|()| refused())?;
    name.ok_or_else(refused)
}

/// The value of a parameter. Said twice, or in the extended form of RFC 5987, it is an error: parsers would differ.
fn parameter(text: &str, wanted: &str) -> Result<Option<String>, ()> {
    let mut found = None;
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or(())?;
        let name = name.trim();
        let (value, after) = value_of(after.trim_start())?;
        if name
            .strip_suffix('*')
            .is_some_and(|name| name.eq_ignore_ascii_case(wanted))
        {
            return Err(());
        }
        if name.eq_ignore_ascii_case(wanted) && found.replace(value).is_some() {
            return Err(());
        }
        let after = after.trim_start();
        rest = match after.strip_prefix(';') {
            Some(after) => after.trim_start(),
            None if after.is_empty() => after,
            None => return Err(()),
        };
    }
    Ok(found)
}

/// A token or a quoted text, and what follows it.
fn value_of(text: &str) -> Result<(String, &str), ()> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        let (value, rest) = text.split_at_checked(end).ok_or(())?;
        return Ok((value.trim().to_owned(), rest));
    };
    let (value, rest) = quoted.split_once('"').ok_or(())?;
    // To mail readers the quote is escaped, to browsers it ends the value.
    if value.ends_with('\\') {
        return Err(());
    }
    Ok((value.to_owned(), rest))
}

/// Where `needle` begins. A needle begins with CR, which is rare even in a sound's bytes.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let rest = haystack.get(from..)?;
        let at = from + rest.iter().position(|byte| *byte == b'\r')?;
        if haystack.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boundary() -> Boundary {
        Boundary("b".to_owned())
    }

    fn form(parts: &[(&str, &str)]) -> Vec<u8> {
        let part = |(head, value): &(&str, &str)| format!("--b\r\n{head}\r\n\r\n{value}\r\n");
        let parts: String = parts.iter().map(part).collect();
        format!("{parts}--b--\r\n").into_bytes()
    }

    const MODEL: &str = "Content-Disposition: form-data; name=\"model\"";
    const FILE: &str = "Content-Disposition: form-data; name=\"file\"; filename=\"a;name=x.mp3\"\r\nContent-Type: audio/mpeg";

    #[test]
    fn the_model_alone_is_replaced() {
        let sound = "\r\n--c\r\r\n\0\u{fffd}--b";
        let body = form(&[
            (FILE, sound),
            (MODEL, "mine"),
            ("content-disposition:form-data;name=empty", ""),
        ]);
        let sent = with_model(&body, &boundary(), "theirs").unwrap();
        let expected = form(&[
            (FILE, sound),
            (MODEL, "theirs"),
            ("content-disposition:form-data;name=empty", ""),
        ]);
        assert_eq!(sent, expected);
        let names: Vec<String> = parts(&body, &boundary())
            .unwrap()
            .into_iter()
            .map(|part| part.name)
            .collect();
        assert_eq!(names, ["file", "model", "empty"]);
    }

    #[test]
    fn a_missing_model_comes_first() {
        let sent = with_model(&form(&[(FILE, "x")]), &boundary(), "theirs").unwrap();
        let added = "content-disposition: form-data; name=\"model\"";
        assert_eq!(sent, form(&[(added, "theirs"), (FILE, "x")]));
        assert!(with_model(&form(&[]), &boundary(), "a\r\nb").is_err());
    }

    #[test]
    fn what_parsers_read_differently_is_refused() {
        let heads = [
            "Content-Disposition: form-data",
            "Content-Disposition: form-data; name=\"a\"; name=\"model\"",
            "Content-Disposition: form-data; name*=utf-8''model; name=a",
            "Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"model\"",
            "Content-Disposition: attachment; name=\"model\"",
            "Content-Disposition: form-data; name=\"model",
            "Content-Disposition: form-data; filename=\"x\\\"; name=model",
            "Content-Type: text/plain",
        ];
        for head in heads {
            assert!(parts(&form(&[(head, "x")]), &boundary()).is_err(), "{head}");
        }
        for body in [
            "",
            "--",
            "--b",
            "--b\r\n",
            "--b\n\nx\n--b--",
            "x\r\n--b--",
            "--bx\r\n\r\n--b--",
        ] {
            assert!(parts(body.as_bytes(), &boundary()).is_err(), "{body:?}");
        }
        let many = form(&vec![(MODEL, "x"); PARTS_MAX + 1]);
        assert!(parts(&many, &boundary()).is_err());
        let long = format!("{MODEL}; filename=\"{}\"", "x".repeat(HEAD_BYTES_MAX));
        assert!(parts(&form(&[(&long, "x")]), &boundary()).is_err());
    }

    #[test]
    fn a_boundary_is_read_and_written_back() {
        let read = |text| Boundary::of(text).map(|it| it.map(|it| it.content_type()).ok());
        let token = "multipart/form-data; boundary=----formdata-undici-0417";
        assert_eq!(read(token), Some(Some(token.to_owned())));
        let quoted = "multipart/form-data; boundary=\"a b:c\"";
        assert_eq!(read(quoted), Some(Some(quoted.to_owned())));
        assert_eq!(
            read("Multipart/Form-Data; charset=utf-8; BOUNDARY=x"),
            Some(Some("multipart/form-data; boundary=x".to_owned()))
        );
        assert_eq!(read("multipart/form-data"), Some(None));
        assert_eq!(read("multipart/form-data; boundary=\"a\r\nb\""), Some(None));
        let long = format!("multipart/form-data; boundary={}", "x".repeat(71));
        assert_eq!(read(&long), Some(None));
        assert_eq!(read("application/json; boundary=x"), None);
    }
}
