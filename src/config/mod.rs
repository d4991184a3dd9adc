//! A team's JSON becomes a value that cannot be wrong, or every problem at once.
//!
//! An entry is parsed whole: [`Route::parse`] either gives a route in which each name is resolved and each number
//! in range, or the list of all problems with their paths. What is merely doubtful (a preference that cannot act
//! yet) comes beside the value as a warning, never instead of it.
//!
//! Entries are hostile bytes like any other: their size, depth and the length of every list are limited.
//!
//! Not here: where entries are stored and how long they are kept in memory (`edge/entries.rs`).

mod auth;
mod catalogue;
mod claims;
mod condition;
mod constraints;
mod prefer;
mod read;
mod redirects;
mod revisions;
mod route;
mod rule;
pub mod schema;
mod settings;
mod strategy;
mod target;
mod window;

use sha2::{Digest, Sha256};

pub use catalogue::{Catalogue, is_for_secrets};
pub use claims::Claims;
pub use condition::{Condition, Fact, Pattern, Scalar, Subject, TEXT_BYTES_MAX, Test, Texts, When};
pub use constraints::{Bounds, Constraints, DataCollection, MaxPrice, Sort};
pub use prefer::{Prefer, PreferChange};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use read::Object;
pub use read::{Node, PROBLEMS_MAX, Problem, Problems, nearest};
pub use redirects::{Redirect, check_redirects, redirects};
pub use revisions::{
    Action, BY_BYTES_MAX, Change, EntryName, NOTE_BYTES_MAX, Precondition, Unmet, before,
};
pub use route::Route;
pub use rule::{Require, Rule};
pub use settings::{Deadlines, Embeddings, Filtered, Hedge, Limits, Midstream, Sticky};
pub use target::{Quality, Target};
pub use window::Window;

/// The largest entry that is read. KV allows 25 MiB; a route of this size has some 2,000 targets.
pub const ENTRY_BYTES_MAX: usize = 512 * 1024;

/// What was read, and what about it is doubtful.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked<T> {
    pub value: T,
    pub warnings: Vec<Problem>,
}

/// A name for the content of an entry: the first 16 hexadecimal digits of its SHA-256.
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub String);

impl Revision {
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(sha256_hex(text.as_bytes()).chars().take(16).collect())
    }
}

/// SHA-256 in lower-case hexadecimal digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        for nibble in [byte >> 4, byte & 15] {
            hex.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    hex
}

/// The problems of the entry `flags`. Nothing reads flags yet, so all that is asked of it is that it can be read.
#[must_use]
pub fn flag_problems(text: &str) -> Vec<Problem> {
    let mut problems = Problems::default();
    match parse_tree(text) {
        Ok(tree) if tree.is_object() => {}
        Ok(_) => problems.note("", "a JSON object", "another value"),
        Err(found) => problems.list = found,
    }
    problems.list
}

/// The entry as a tree, or the one problem that hides all others.
pub(crate) fn parse_tree(text: &str) -> Result<serde_json::Value, Vec<Problem>> {
    let one = |expected: String, got: String| {
        let mut problems = Problems::default();
        problems.note("", expected, got);
        Err(problems.list)
    };
    if text.len() > ENTRY_BYTES_MAX {
        return one(
            format!("at most {ENTRY_BYTES_MAX} bytes"),
            format!("{} bytes", text.len()),
        );
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match serde_json::from_str(text) {
        Ok(tree) => Ok(tree),
        Err(error) => one(
            "valid JSON, nested at most 128 deep".to_owned(),
            format!(
                "a mistake at line {}, column {}",
                error.line(),
                error.column()
            ),
        ),
    }
}
