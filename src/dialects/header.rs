//! What a client says in headers of how its body is meant, for a provider that speaks the same dialect.
//!
//! Anthropic's API has two: the version of the API (`anthropic-version`), and what of it is in beta (`anthropic-beta`). Without the
//! second its fields are refused, as Claude Code's `context_management` is
//! (<https://platform.claude.com/docs/en/api/beta-headers>, <https://platform.claude.com/docs/en/api/versioning>, 2026-11-22).
//!
//! A list, not all of the client's headers: the others are about the connection, the key or the account, and those are the
//! router's. Not here: headers that are said to the router (`classify/`).

use std::borrow::Cow;

use super::ClientDialect;

/// Claude Code sends some 400 bytes of names. Names beyond are left out, and the provider refuses what they stand for.
const BETAS_BYTES_MAX: usize = 2_048;
const VERSION: &str = "anthropic-version";
const BETA: &str = "anthropic-beta";

/// The headers to pass on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHeaders(Vec<(&'static str, String)>);

impl ClientHeaders {
    /// Reads them; `value_of` looks for one by its name in small letters. What is no value of such a header is left out.
    #[must_use]
    pub fn read(client: ClientDialect, value_of: impl Fn(&str) -> Option<String>) -> Self {
        if client != ClientDialect::Anthropic {
            return Self::default();
        }
        let version = value_of(VERSION).filter(|version| is_day(version));
        let betas = value_of(BETA).map(|betas| known_names(&betas));
        let betas = betas.filter(|betas| !betas.is_empty());
        let version = version.map(|version| (VERSION, version));
        Self(
            version
                .into_iter()
                .chain(betas.map(|it| (BETA, it)))
                .collect(),
        )
    }

    /// Adds them to those of a call, in the place of any of the same name.
    pub fn write(&self, headers: &mut Vec<(&'static str, Cow<'static, str>)>) {
        for (name, value) in &self.0 {
            headers.retain(|(known, _)| known != name);
            headers.push((name, value.clone().into()));
        }
    }
}

/// Whether it is a day as the API's versions are named by.
fn is_day(text: &str) -> bool {
    let is_in_place = |(place, byte): (usize, u8)| match place {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    text.len() == 10 && text.bytes().enumerate().all(is_in_place)
}

/// The names of a list, as many as there is room for.
fn known_names(list: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let names = list.split(',').map(str::trim);
    let mut out = String::new();
    for name in names.filter(|name| !name.is_empty() && name.chars().all(is_plain)) {
        if out.len() + name.len() >= BETAS_BYTES_MAX {
            break;
        }
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(name);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(client: ClientDialect, version: &str, betas: &str) -> ClientHeaders {
        ClientHeaders::read(client, |name| {
            Some(if name == VERSION { version } else { betas }.to_owned())
        })
    }

    #[test]
    fn they_stand_for_the_calls_own() {
        let mut headers = vec![("content-type", "a".into()), (VERSION, "2023-06-01".into())];
        let said = read(ClientDialect::Anthropic, "2026-10-21", "a-1, b_2.3,, c");
        said.write(&mut headers);
        let expected = [
            ("content-type", "a"),
            (VERSION, "2026-10-21"),
            (BETA, "a-1,b_2.3,c"),
        ];
        assert_eq!(headers, expected.map(|(name, value)| (name, value.into())));
    }

    #[test]
    fn what_is_no_value_is_left_out() {
        let none = ClientHeaders::default();
        for version in ["", "2026-10-2", "2026-10-21x", "2026/10/21", "２026-10"] {
            let said = read(ClientDialect::Anthropic, version, "a b,\u{e9},\"");
            assert_eq!(said, none, "{version}");
        }
        assert_eq!(read(ClientDialect::OpenaiChat, "2026-10-21", "a"), none);
        let many = "0123456789abcdef,".repeat(1_000);
        let ClientHeaders(said) = read(ClientDialect::Anthropic, "", &many);
        let [(_, betas)] = said.as_slice() else {
            unreachable!()
        };
        assert!(betas.len() <= BETAS_BYTES_MAX && betas.ends_with("abcdef"));
    }
}
