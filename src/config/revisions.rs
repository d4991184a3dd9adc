//! How revisions of entries and the history of their changes are named and kept.
//!
//! | KV key | value |
//! |---|---|
//! | `revision:<entry>@<revision>` | the entry's text, byte for byte |
//! | `history:<entry>@<place>` | a [`Change`] as JSON, in the metadata as well, so that one listing tells all |
//!
//! Both are written before the entry itself, so an entry never names a revision that is not kept; a write that failed
//! half-way leaves a line too many in the history and nothing else. KV lists keys in ascending order, so `<place>` counts
//! down: the newest change comes first.
//!
//! `scripts/store/` writes the same keys; `tests/edge/admin_config.test.mjs` holds both to it.

use serde::{Deserialize, Serialize};

use super::{Revision, sha256_hex};
use crate::units::UnixMillis;

/// The longest name of an entry. KV allows keys of 512 bytes, and a history key has 24 more.
const ENTRY_NAME_BYTES_MAX: usize = 480;
/// Counting down from here leaves room for 30,000 years of milliseconds.
const PLACE_MAX: u64 = 999_999_999_999_999;
const PLACE_DIGITS: usize = 15;
/// Metadata in KV has at most 1,024 bytes, and a character may take two when it is escaped.
pub const NOTE_BYTES_MAX: usize = 256;
pub const BY_BYTES_MAX: usize = 64;

/// An entry that may be changed, by its KV key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryName {
    Providers,
    Flags,
    /// A route, by its name.
    Route(String),
    /// A key's terms, by the SHA-256 of the key in lower-case hexadecimal digits.
    Key(String),
}

impl EntryName {
    /// None where there can be no entry of this name.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let is_plain = !key.chars().any(char::is_control) && key.len() <= ENTRY_NAME_BYTES_MAX;
        match key.split_once(':') {
            _ if !is_plain => None,
            None if key == "providers" => Some(Self::Providers),
            None if key == "flags" => Some(Self::Flags),
            Some(("route", name)) if !name.is_empty() => Some(Self::Route(name.to_owned())),
            Some(("key", hash)) if is_sha256(hash) => Some(Self::Key(hash.to_owned())),
            _ => None,
        }
    }

    /// Its KV key.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Providers => "providers".to_owned(),
            Self::Flags => "flags".to_owned(),
            Self::Route(name) => format!("route:{name}"),
            Self::Key(hash) => format!("key:{hash}"),
        }
    }

    #[must_use]
    pub fn revision_key(&self, revision: &Revision) -> String {
        format!("revision:{}@{}", self.key(), revision.0)
    }

    #[must_use]
    pub fn history_key(&self, at: UnixMillis) -> String {
        let place = PLACE_MAX.saturating_sub(at.0);
        format!("{}{place:015}", self.history_prefix())
    }

    /// What the keys of its history begin with.
    #[must_use]
    pub fn history_prefix(&self) -> String {
        format!("history:{}@", self.key())
    }

    /// Whether a key that begins so belongs to this entry: the route `chat@2` shares the prefix of `chat`.
    #[must_use]
    pub fn is_history_key(&self, key: &str) -> bool {
        let place = key.strip_prefix(&self.history_prefix());
        place.is_some_and(|place| {
            place.len() == PLACE_DIGITS && place.bytes().all(|byte| byte.is_ascii_digit())
        })
    }
}

fn is_sha256(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == sha256_hex(b"").len() && text.bytes().all(is_digit)
}

/// One line of an entry's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What became live; absent where the entry was deleted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub revision: Option<Revision>,
    /// What was live before; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub was: Option<Revision>,
    pub at: UnixMillis,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
    pub action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Push,
    Rollback,
    Delete,
    /// It was put into KV past the history, and noted by the change after it.
    Found,
}

/// The revision before the live one, by a history with the newest change first. Where the history does not know the live
/// one, which somebody put past it, that is the newest that it knows.
#[must_use]
pub fn before<'a>(history: &'a [Change], live: Option<&Revision>) -> Option<&'a Revision> {
    let became_live = |change: &&Change| change.revision.as_ref() == live;
    match history.iter().find(became_live) {
        Some(change) => change.was.as_ref(),
        None => history.iter().find_map(|change| change.revision.as_ref()),
    }
}

/// What a caller demands of the live revision before it changes it: HTTP's `If-Match` and `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing was said.
    None,
    /// There must be an entry, of any revision.
    Exists,
    /// There must be none.
    Absent,
    /// It must be one of these.
    Is(Vec<Revision>),
}

/// Why a change must not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// There is an entry, and nothing was demanded of it.
    Required,
    /// What was demanded is not so.
    Failed,
}

impl Precondition {
    /// Reads the two headers. An entity tag that a proxy has made weak (`W/"…"`) counts as it was.
    #[must_use]
    pub fn read(if_match: Option<&str>, if_none_match: Option<&str>) -> Self {
        match (if_match.map(str::trim), if_none_match.map(str::trim)) {
            (Some("*"), _) => Self::Exists,
            (Some(tags), _) => Self::Is(tags.split(',').map(revision_of_tag).collect()),
            (None, Some(_)) => Self::Absent,
            (None, None) => Self::None,
        }
    }

    /// # Errors
    /// Why a change of an entry with this live revision must not go on.
    pub fn check(&self, live: Option<&Revision>) -> Result<(), Unmet> {
        let is_met = match (self, live) {
            (Self::None, Some(_)) => return Err(Unmet::Required),
            (Self::None | Self::Absent, None) | (Self::Exists, Some(_)) => true,
            (Self::Is(revisions), Some(live)) => revisions.contains(live),
            _ => false,
        };
        if is_met { Ok(()) } else { Err(Unmet::Failed) }
    }
}

fn revision_of_tag(tag: &str) -> Revision {
    let tag = tag.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    Revision(tag.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(text: &str) -> Revision {
        Revision(text.to_owned())
    }

    fn change(revision: Option<&str>, was: Option<&str>) -> Change {
        Change {
            revision: revision.map(|text| Revision(text.to_owned())),
            was: was.map(|text| Revision(text.to_owned())),
            at: UnixMillis(1),
            by: None,
            note: None,
            action: Action::Push,
        }
    }

    #[test]
    fn names_of_entries_are_told_from_other_keys() {
        let hash = "ab".repeat(32);
        for key in [
            "providers",
            "flags",
            "route:team/a b@2",
            &format!("key:{hash}"),
        ] {
            assert_eq!(
                EntryName::parse(key).map(|name| name.key()).as_deref(),
                Some(key)
            );
        }
        let upper = format!("key:{}", hash.to_uppercase());
        let long = format!("route:{}", "x".repeat(ENTRY_NAME_BYTES_MAX));
        for key in [
            "",
            "health",
            "route:",
            "route:a\nb",
            "key:plain",
            "good:providers",
            &upper,
            &long,
        ] {
            assert_eq!(EntryName::parse(key), None, "{key}");
        }
    }

    #[test]
    fn newest_change_is_listed_first_and_belongs_to_its_entry_alone() {
        let chat = EntryName::Route("chat".to_owned());
        let older = chat.history_key(UnixMillis(1_790_000_000_000));
        let newer = chat.history_key(UnixMillis(1_790_000_000_001));
        assert_eq!(older, "history:route:chat@998209999999999");
        assert!(newer < older);
        assert!(chat.is_history_key(&older));
        let other = EntryName::Route("chat@2".to_owned());
        assert!(!chat.is_history_key(&other.history_key(UnixMillis(5))));
        assert_eq!(
            chat.history_key(UnixMillis(u64::MAX)),
            "history:route:chat@000000000000000"
        );
    }

    #[test]
    fn the_one_before_is_what_the_live_one_replaced() {
        let history = [
            change(Some("a"), Some("b")),
            change(Some("b"), Some("a")),
            change(Some("a"), None),
        ];
        assert_eq!(before(&history, Some(&revision("a"))), Some(&revision("b")));
        assert_eq!(before(&history, Some(&revision("b"))), Some(&revision("a")));
        assert_eq!(before(&history[2..], Some(&revision("a"))), None);
        // Put past the history, or deleted past it.
        assert_eq!(before(&history, Some(&revision("x"))), Some(&revision("a")));
        assert_eq!(before(&history, None), Some(&revision("a")));
        let deleted = [change(None, Some("c")), change(Some("c"), None)];
        assert_eq!(before(&deleted, None), Some(&revision("c")));
    }

    #[test]
    fn preconditions_hold_as_http_has_them() {
        let live = revision("0123456789abcdef");
        let check =
            |if_match, if_none_match, live| Precondition::read(if_match, if_none_match).check(live);
        let is = Some("\"0123456789abcdef\"");
        for tag in [
            is,
            Some("*"),
            Some("W/\"0123456789abcdef\""),
            Some("\"x\", \"0123456789abcdef\""),
        ] {
            assert_eq!(check(tag, None, Some(&live)), Ok(()), "{tag:?}");
            assert_eq!(check(tag, None, None), Err(Unmet::Failed), "{tag:?}");
        }
        assert_eq!(check(Some("\"x\""), None, Some(&live)), Err(Unmet::Failed));
        assert_eq!(check(None, None, Some(&live)), Err(Unmet::Required));
        assert_eq!(check(None, None, None), Ok(()));
        assert_eq!(check(None, Some("*"), None), Ok(()));
        assert_eq!(check(None, Some("*"), Some(&live)), Err(Unmet::Failed));
    }
}
