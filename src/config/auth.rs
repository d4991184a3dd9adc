//! How a provider is authenticated with: the names of secrets, never a secret.
//!
//! A value that looks like the secret itself is refused, and not repeated in the problem.

use super::read::{Node, Problems};
use super::schema::providers as described;
use super::schema::providers::SECRETS_MAX;
use crate::providers::Auth;

pub(super) fn read_auth(node: &Node<'_>, problems: &mut Problems) -> Option<Auth> {
    if node.value.as_str() == Some("none") {
        return Some(Auth::None);
    }
    let fields = node.described(&described::AUTH, problems)?;
    let mut refuse = |got: String| {
        let kinds = described::AUTH.names().join(", ");
        problems.note(&node.path, format!("exactly one of {kinds}"), got);
        None
    };
    if fields.len() != 1 {
        return refuse(format!("{} fields", fields.len()));
    }
    if fields.field("none").is_some() {
        return Some(Auth::None);
    }
    if let Some(node) = fields.field("bearer") {
        let secrets = read_secrets(&node, problems)?;
        return Some(Auth::Bearer { secrets });
    }
    if let Some(node) = fields.field("header") {
        let (name, secrets) = read_named_secret(&node, problems)?;
        return Some(Auth::Header { name, secrets });
    }
    if let Some(node) = fields.field("query") {
        let (name, secrets) = read_named_secret(&node, problems)?;
        return Some(Auth::Query { name, secrets });
    }
    if let Some(node) = fields.field("aws_sigv4") {
        return read_aws_sigv4(&node, problems);
    }
    if let Some(node) = fields.field("google_service_account") {
        let secrets = read_secrets(&node, problems)?;
        return Some(Auth::GoogleServiceAccount { secrets });
    }
    // An unknown field is a problem already; a known one is left only if it is null.
    let mut names = fields.fields().map(|(name, _)| name);
    if names.any(|name| described::AUTH.field(name).is_some()) {
        return refuse("null".to_owned());
    }
    None
}

pub(super) fn read_binding(node: &Node<'_>, problems: &mut Problems) -> Option<String> {
    let name = node.text(problems)?;
    if is_secret_name(name) {
        return Some(name.to_owned());
    }
    let expected = "the name of a binding in capitals, such as `AI`";
    problems.note(&node.path, expected, "another text");
    None
}

fn read_aws_sigv4(node: &Node<'_>, problems: &mut Problems) -> Option<Auth> {
    let fields = node.described(&described::AWS_SIGV4, problems)?;
    let mut scope = |node: &Node<'_>| {
        let name = node.text(problems)?;
        let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !name.is_empty() && name.bytes().all(is_part) {
            return Some(name.to_owned());
        }
        let expected = "small letters, digits and `-`, such as `eu-central-1`";
        problems.note(&node.path, expected, "another text");
        None
    };
    let service = match fields.field("service") {
        Some(node) => scope(&node),
        None => Some("bedrock".to_owned()),
    };
    let region = fields.field("region").map(|node| scope(&node));
    if region.is_none() {
        fields.required("region", "the region that the URL is of", problems);
    }
    let secrets = fields
        .required("secret", "the name of a secret", problems)
        .and_then(|node| read_secrets(&node, problems));
    Some(Auth::AwsSigv4 {
        secrets: secrets?,
        region: region??,
        service: service?,
    })
}

fn read_named_secret(node: &Node<'_>, problems: &mut Problems) -> Option<(String, Vec<String>)> {
    let fields = node.described(&described::NAMED_SECRET, problems)?;
    let name = fields
        .required("name", "the name of the header or parameter", problems)
        .and_then(|node| {
            let name = node.text(problems)?;
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            if name.bytes().all(is_token) {
                return Some(name.to_owned());
            }
            problems.note(&node.path, "letters, digits, `-` and `_`", "another text");
            None
        });
    let secrets = fields
        .required("secret", "the name of a secret", problems)
        .and_then(|node| read_secrets(&node, problems));
    Some((name?, secrets?))
}

/// One name or a pool of names. A value that looks like the secret itself is refused, and not repeated.
fn read_secrets(node: &Node<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    let secrets = node.texts(SECRETS_MAX, problems)?;
    if !secrets.is_empty() && secrets.iter().all(|name| is_secret_name(name)) {
        return Some(secrets);
    }
    problems.note(
        &node.path,
        "the name of a secret in capitals, such as `OPENAI_API_KEY`, or a list of names",
        "another text (a secret's value never belongs in an entry)",
    );
    None
}

/// Whether it is written as the names of secrets and bindings are.
fn is_secret_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let is_start = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
    bytes.next().is_some_and(is_start) && bytes.all(|byte| is_start(byte) || byte.is_ascii_digit())
}
