//! What the URL of a Gemini call says: the model, and whether and how the answer is streamed.
//!
//! A model is one segment of a provider's URL, whatever is in its name: a slash in it would lead to another path, with
//! the operator's credential.

use super::super::Delivery;
use super::super::{path_segment, read};
use crate::chat::RequestError;

/// Where a client's paths begin. Google's SDKs take the second for models that are not in preview.
const ROOTS: [&str; 3] = ["/v1beta/models/", "/v1/models/", "/v1alpha/models/"];
/// What a model's name may begin with. Google's SDKs put the first before a name that has none.
const KINDS: [&str; 3] = ["models/", "tunedModels/", "endpoints/"];

/// A client's call, as its URL tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeminiAddress {
    /// A route, or `provider/model`.
    pub model: String,
    pub is_streaming: bool,
    pub delivery: Delivery,
}

impl GeminiAddress {
    /// Whether this is one of Gemini's paths, whatever is asked for there.
    #[must_use]
    pub fn is_path(path: &str) -> bool {
        rest_of(path).is_some_and(|rest| rest.contains(':'))
    }

    /// Reads `/v1beta/models/{model}:generateContent` and its like. None where nothing is answered.
    #[must_use]
    pub fn parse(path: &str, query: &str) -> Option<Self> {
        let (model, method) = rest_of(path)?.rsplit_once(':')?;
        let is_streaming = match method {
            "generateContent" => false,
            "streamGenerateContent" => true,
            _ => return None,
        };
        let is_sse = query.split('&').any(|field| field == "alt=sse");
        Some(Self {
            model: decoded(model),
            is_streaming,
            delivery: if is_streaming && !is_sse {
                Delivery::Array
            } else {
                Delivery::Events
            },
        })
    }

    /// The body with what the URL says, as `model` and `stream`.
    ///
    /// # Errors
    /// The body is no JSON object.
    pub fn write_into(&self, body: &[u8]) -> Result<Vec<u8>, RequestError> {
        let start = body.iter().position(|byte| !byte.is_ascii_whitespace());
        let begin = start.filter(|start| body.get(*start) == Some(&b'{'));
        // Behind the white space, so that a provider gets back what the client wrote when they are removed.
        let first = |begin| {
            let inside = body.get(begin + 1..)?.iter();
            let spaces = inside.take_while(|byte| byte.is_ascii_whitespace());
            body.split_at_checked(begin + 1 + spaces.count())
        };
        let Some((head, rest)) = begin.and_then(first) else {
            // Whatever else it is, serde_json says where it goes wrong.
            let text = read::utf8(body)?;
            let parsed: Result<serde::de::IgnoredAny, _> = serde_json::from_str(text);
            return Err(match parsed {
                Err(error) => read::not_json(&error),
                Ok(_) => read::invalid(format_args!("body"), "a JSON object"),
            });
        };
        let model = serde_json::to_string(&self.model).unwrap_or_default();
        let mut fields = format!("\"model\":{model},\"stream\":{}", self.is_streaming);
        if rest.first() != Some(&b'}') {
            fields.push(',');
        }
        Ok([head, fields.as_bytes(), rest].concat())
    }
}

fn rest_of(path: &str) -> Option<&str> {
    ROOTS.iter().find_map(|root| path.strip_prefix(root))
}

/// The path of a provider's URL, behind its base.
pub(in super::super) fn path(model: &str, is_streaming: bool) -> String {
    let (kind, name) = KINDS
        .iter()
        .find_map(|kind| Some((*kind, model.strip_prefix(kind)?)))
        .unwrap_or(("models/", model));
    // Without `alt=sse` a stream is one JSON array, of which nothing can be read before its end.
    let method = if is_streaming {
        "streamGenerateContent?alt=sse"
    } else {
        "generateContent"
    };
    format!("/{kind}{}:{method}", path_segment(name))
}

/// What percent signs stand for. A sign that stands for nothing stays.
fn decoded(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let digits = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let is_hex = |two: &&str| two.bytes().all(|byte| byte.is_ascii_hexdigit());
        let meant = digits
            .filter(is_hex)
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        match meant {
            Some(meant) if *byte == b'%' => {
                bytes.push(meant);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(path: &str, query: &str) -> Option<(String, bool, Delivery)> {
        let address = GeminiAddress::parse(path, query)?;
        Some((address.model, address.is_streaming, address.delivery))
    }

    #[test]
    fn the_url_names_the_model_and_the_kind_of_answer() {
        let told = |model: &str, is_streaming, delivery| {
            let told: (String, bool, Delivery) = (model.to_owned(), is_streaming, delivery);
            Some(told)
        };
        for (path, query, expected) in [
            (
                "/v1beta/models/demo:generateContent",
                "",
                told("demo", false, Delivery::Events),
            ),
            (
                "/v1/models/a%2fb%3Ac:streamGenerateContent",
                "key=x&alt=sse",
                told("a/b:c", true, Delivery::Events),
            ),
            (
                "/v1beta/models/acme/demo:free:streamGenerateContent",
                "alt=json",
                told("acme/demo:free", true, Delivery::Array),
            ),
            ("/v1beta/models/demo:countTokens", "", None),
            ("/v1beta/models/demo", "", None),
            ("/v1/models", "", None),
            ("/v2/models/demo:generateContent", "", None),
        ] {
            assert_eq!(parsed(path, query), expected, "{path}");
        }
        assert!(GeminiAddress::is_path("/v1beta/models/demo:countTokens"));
        assert!(!GeminiAddress::is_path("/v1/models/demo"));
    }

    #[test]
    fn a_model_is_one_segment_of_the_providers_path() {
        for (model, expected) in [
            ("gemini-2.5-flash", "/models/gemini-2.5-flash"),
            ("models/gemini@001", "/models/gemini%40001"),
            ("tunedModels/mine", "/tunedModels/mine"),
            ("../../v1/files", "/models/..%2F..%2Fv1%2Ffiles"),
            ("a?b#c:d%é", "/models/a%3Fb%23c%3Ad%25%C3%A9"),
        ] {
            assert_eq!(path(model, false), format!("{expected}:generateContent"));
        }
        assert_eq!(path("m", true), "/models/m:streamGenerateContent?alt=sse");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let address = GeminiAddress::parse("/v1/models/m:generateContent", "").unwrap();
        let told = |body: &[u8]| address.write_into(body).unwrap_err().to_string();
        assert_eq!(told(b"[1]"), "`body`: expected a JSON object");
        assert!(told(b"").contains("not valid JSON"), "{}", told(b""));
        assert!(told(b"\xff").contains("not UTF-8"));
        let written = address.write_into(b" { } ").unwrap();
        assert_eq!(written, br#" { "model":"m","stream":false} "#);
    }

    proptest! {
        #[test]
        fn a_models_name_comes_back(model: String) {
            let path = format!("/v1beta{}", path(&format!("models/{model}"), false));
            prop_assert_eq!(GeminiAddress::parse(&path, "").unwrap().model, model);
        }
    }
}
