//! What a provider keeps for its clients: stored chat completions, responses, fine-tuned models.
//!
//! They are known to the provider that keeps them and to no other, so nothing is decided here and nothing fails over: the
//! key's terms name the provider, and the call goes there with its method, its query and its body as they are. It is told
//! by path alone, from a list: a path that is not on it reaches no provider, whatever it looks like.
//!
//! Paths: <https://platform.openai.com/docs/api-reference/chat/list>, `/responses/get` and `/models/delete` beside it, as
//! of 2026-11-21.
//!
//! Not here: who may (`access/`), and how the call is made (`edge/kept.rs`).

use super::call::{Call, Credential, place, url};
use crate::dialects::Dialect;
use crate::providers::Provider;

/// A longer id is none. OpenAI's have some sixty characters.
const ID_BYTES_MAX: usize = 256;

/// A call for something that a provider keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptCall<'a> {
    pub method: &'static str,
    /// Behind the base URL.
    path: &'a str,
}

impl<'a> KeptCall<'a> {
    /// The call of this method and path; none if clients find nothing of the kind there.
    #[must_use]
    pub fn at(method: &str, path: &'a str) -> Option<Self> {
        let path = path.strip_prefix("/v1")?;
        let mut parts = path.strip_prefix('/')?.split('/');
        let parts: [Option<&str>; 5] = std::array::from_fn(|_| parts.next());
        let methods: &[&'static str] = match parts {
            [Some("chat"), Some("completions"), None, ..] => &["GET"],
            [Some("chat"), Some("completions"), Some(id), None, _] if is_id(id) => {
                &["GET", "POST", "DELETE"]
            }
            [
                Some("chat"),
                Some("completions"),
                Some(id),
                Some("messages"),
                None,
            ] if is_id(id) => &["GET"],
            [Some("responses"), Some(id), None, ..] if is_id(id) => &["GET", "DELETE"],
            [Some("responses"), Some(id), Some("input_items"), None, _] if is_id(id) => &["GET"],
            [Some("responses"), Some(id), Some("cancel"), None, _] if is_id(id) => &["POST"],
            [Some("models"), Some(id), None, ..] if is_id(id) => &["DELETE"],
            _ => &[],
        };
        let method = methods.iter().find(|known| **known == method)?;
        Some(Self { method, path })
    }

    /// The call to the provider; none if it has no such paths. The first of its secrets is used: another may be of a
    /// project that keeps other things.
    #[must_use]
    pub fn to(self, provider: &Provider, query: &str, body: Vec<u8>) -> Option<Call> {
        let speaks = matches!(
            provider.dialect,
            Dialect::OpenaiChat | Dialect::OpenaiResponses
        );
        if !speaks || provider.binding.is_some() || provider.base_url.contains('{') {
            return None;
        }
        let path = if query.is_empty() {
            self.path.to_owned()
        } else {
            format!("{}?{query}", self.path)
        };
        let is_json = !body.is_empty();
        let content_type = is_json.then(|| ("content-type", "application/json".into()));
        let secret = provider.auth.secrets().first().cloned();
        let credential = place(&provider.auth).zip(secret);
        Some(Call {
            url: url(&provider.base_url, provider.dialect, "", &path),
            headers: content_type.into_iter().collect(),
            body,
            is_one_call: false,
            credential: credential.map(|(place, secret)| Credential { secret, place }),
            binding: None,
        })
    }
}

/// Nothing that could lead to another path, encoded or not.
fn is_id(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:%".contains(&byte);
    let decoded = text.to_ascii_lowercase().replace("%2e", ".");
    (1..=ID_BYTES_MAX).contains(&text.len())
        && text.bytes().all(is_plain)
        && !matches!(decoded.as_str(), "." | "..")
        && !decoded.contains("%2f")
        && !decoded.contains("%5c")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_by_method_and_path_alone() {
        let is_kept = |method: &str, path: &str| KeptCall::at(method, path).is_some();
        for (methods, path) in [
            (&["GET"][..], "/v1/chat/completions"),
            (
                &["GET", "POST", "DELETE"],
                "/v1/chat/completions/chatcmpl-1",
            ),
            (&["GET"], "/v1/chat/completions/chatcmpl-1/messages"),
            (&["GET", "DELETE"], "/v1/responses/resp_1"),
            (&["POST"], "/v1/responses/resp_1/cancel"),
            (&["GET"], "/v1/responses/resp_1/input_items"),
            (&["DELETE"], "/v1/models/ft:gpt-4o-mini:acme:x:7p4lURel"),
        ] {
            for method in ["GET", "POST", "DELETE", "PUT", "PATCH"] {
                let expected = methods.contains(&method);
                assert_eq!(is_kept(method, path), expected, "{method} {path}");
            }
        }
    }

    #[test]
    fn no_id_leads_elsewhere() {
        for id in [
            "", ".", "..", "%2e%2E", ".%2e", "a%2Fb", "a%5cb", "a?b", "a#b", "ü",
        ] {
            let path = format!("/v1/responses/{id}");
            assert_eq!(KeptCall::at("GET", &path), None, "{id}");
        }
        let long = format!("/v1/responses/{}", "a".repeat(ID_BYTES_MAX + 1));
        assert_eq!(KeptCall::at("GET", &long), None);
        assert_eq!(KeptCall::at("DELETE", "/v1/responses/a/b/c/d/e"), None);
        assert_eq!(
            KeptCall::at("GET", "/v1/chat/completions/a/messages/b"),
            None
        );
        assert_eq!(KeptCall::at("GET", "/v1/files/a"), None);
    }
}
