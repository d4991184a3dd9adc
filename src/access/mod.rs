//! Virtual keys: who may call, and what.
//!
//! A key's terms stand in the KV entry `key:<sha-256 of the key>`; the key itself is stored nowhere, and no
//! record, log or error holds it. A record names a key by [`KeyTerms::name`].
//!
//! Not here: where entries are read (`edge/entries.rs`) and which header brings the key (`edge/mod.rs`).

mod listing;

use crate::config::schema::{KEY, KEY_ROUTES_MAX};
use crate::config::{Node, Problem, Problems, parse_tree, sha256_hex};

pub use listing::{LISTED_MAX, Listing, Page};

/// A longer key is no key: it is refused before it is hashed.
pub const KEY_BYTES_MAX: usize = 512;
/// Digits of the hash that name a key without a name of its own.
const NAME_DIGITS: usize = 8;

/// What a key may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTerms {
    /// Names the key in records.
    pub name: String,
    pub team: Option<String>,
    /// The routes it may use; all when absent.
    pub routes: Option<Vec<String>>,
    /// Whether it may name a `provider/model` without a route.
    pub is_direct: bool,
    /// The provider at which it finds what was kept for it; nothing where absent.
    pub kept_at: Option<String>,
    pub is_disabled: bool,
}

impl KeyTerms {
    /// The terms of a key that may do everything, for local mode.
    #[must_use]
    pub fn unlimited(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            team: None,
            routes: None,
            is_direct: true,
            kept_at: None,
            is_disabled: false,
        }
    }

    /// Reads an entry. `hash` is the key's SHA-256 in hexadecimal digits.
    ///
    /// # Errors
    /// Every problem of the entry.
    pub fn parse(hash: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let tree = parse_tree(text)?;
        let mut problems = Problems::default();
        match read(hash, &Node::root(&tree), &mut problems) {
            Some(terms) if problems.list.is_empty() => Ok(terms),
            _ => Err(problems.list),
        }
    }

    #[must_use]
    pub fn may_use(&self, route: &str) -> bool {
        let allows = |allowed: &Vec<String>| {
            let mut allowed = allowed.iter();
            allowed.any(|allowed| allowed == "*" || allowed == route)
        };
        self.routes.as_ref().is_none_or(allows)
    }
}

/// The name of a key's entry.
#[must_use]
pub fn entry_name(key: &str) -> String {
    format!("key:{}", sha256_hex(key.as_bytes()))
}

fn read(hash: &str, root: &Node<'_>, problems: &mut Problems) -> Option<KeyTerms> {
    let fields = root.described(&KEY, problems)?;
    let name = fields.field("name").and_then(|node| node.text(problems));
    let team = fields.field("team").and_then(|node| node.text(problems));
    let routes = fields
        .field("routes")
        .map(|node| node.texts(KEY_ROUTES_MAX, problems));
    let direct = fields.field("direct").map(|node| node.flag(problems));
    let kept_at = fields.field("kept_at").and_then(|node| node.text(problems));
    let disabled = fields.field("disabled").map(|node| node.flag(problems));
    Some(KeyTerms {
        name: name.map_or_else(|| hash.chars().take(NAME_DIGITS).collect(), str::to_owned),
        team: team.map(str::to_owned),
        routes: routes.flatten(),
        is_direct: direct.flatten().unwrap_or(true),
        kept_at: kept_at.map(str::to_owned),
        is_disabled: disabled.flatten().unwrap_or(false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_held_to_its_routes() -> Result<(), Vec<Problem>> {
        let terms = KeyTerms::parse("00", r#"{"routes": ["chat"], "direct": false}"#)?;
        assert!(terms.may_use("chat"));
        assert!(!terms.may_use("other"));
        assert!(KeyTerms::parse("00", "{}")?.may_use("other"));
        Ok(())
    }

    #[test]
    fn misspelt_term_is_a_problem_and_not_ignored() {
        let problems = KeyTerms::parse("00", r#"{"route": ["chat"], "disabled": "yes"}"#)
            .err()
            .unwrap_or_default();
        let paths: Vec<_> = problems
            .iter()
            .map(|problem| problem.path.as_str())
            .collect();
        assert_eq!(paths, ["route", "disabled"]);
    }
}
