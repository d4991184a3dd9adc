//! What differs between the entries of two configs, path by path.
//!
//! Items of a list that have an id or a name are matched by it, others by what they say or by their place. Another
//! order of the items that stayed is told by itself. A secret that someone pasted where its name belongs is
//! not repeated.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Number, Value};

use crate::config::Revision;

/// One entry that is not the same on both sides.
#[derive(Debug, Serialize)]
pub(super) struct EntryChange {
    pub entry: String,
    pub kind: Kind,
    /// Absent for keys: their text is written anew when it is pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_revision: Option<Revision>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_revision: Option<Revision>,
    /// Empty for one that was added or removed, and for one whose text says the same in another form.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Added,
    Removed,
    Changed,
    /// The same values, in another place of their list.
    Moved,
}

/// One path.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Change {
    pub path: String,
    pub kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
}

/// The entries that differ, by name.
pub(super) fn changes(
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) -> Vec<EntryChange> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differ = names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name));
    differ
        .map(|name| {
            let (old, new) = (old.get(name), new.get(name));
            let revision = |text: Option<&String>| {
                let text = text.filter(|_| !name.starts_with("key:"))?;
                Some(Revision::of(text))
            };
            EntryChange {
                entry: name.clone(),
                kind: kind(old, new),
                old_revision: revision(old),
                new_revision: revision(new),
                changes: compare_texts(old, new),
            }
        })
        .collect()
}

fn kind<T>(old: Option<T>, new: Option<T>) -> Kind {
    match (old, new) {
        (None, _) => Kind::Added,
        (_, None) => Kind::Removed,
        _ => Kind::Changed,
    }
}

fn compare_texts(old: Option<&String>, new: Option<&String>) -> Vec<Change> {
    let (Some(old), Some(new)) = (old, new) else {
        return Vec::new();
    };
    let mut changes = Vec::new();
    match (serde_json::from_str(old), serde_json::from_str(new)) {
        (Ok(old), Ok(new)) => compare("", &old, &new, &mut changes),
        // One of them is no JSON: there are no paths to tell.
        _ => changes.push(change("", None, None)),
    }
    changes
}

fn compare(path: &str, old: &Value, new: &Value, changes: &mut Vec<Change>) {
    match (old, new) {
        _ if old == new => {}
        (Value::Number(old), Value::Number(new)) if is_same_number(old, new) => {}
        (Value::Object(old), Value::Object(new)) => {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                let path = field(path, name);
                compare_optional(&path, old.get(name), new.get(name), changes);
            }
        }
        (Value::Array(old), Value::Array(new)) => compare_lists(path, old, new, changes),
        _ => changes.push(change(path, Some(old), Some(new))),
    }
}

/// `1` and `1.0` say the same. Two whole numbers that differ do, however large.
fn is_same_number(old: &Number, new: &Number) -> bool {
    (old.is_f64() || new.is_f64()) && old.as_f64() == new.as_f64()
}

fn compare_optional(
    path: &str,
    old: Option<&Value>,
    new: Option<&Value>,
    changes: &mut Vec<Change>,
) {
    match (old, new) {
        (Some(old), Some(new)) => compare(path, old, new, changes),
        _ => changes.push(change(path, old, new)),
    }
}

fn compare_lists(path: &str, old: &[Value], new: &[Value], changes: &mut Vec<Change>) {
    let (old_names, new_names) = (names(old, new), names(new, old));
    for (name, item) in old_names.iter().zip(old) {
        let found = new_names.iter().position(|known| known == name);
        let other = found.and_then(|place| new.get(place));
        compare_optional(&format!("{path}[{name}]"), Some(item), other, changes);
    }
    for (name, item) in new_names.iter().zip(new) {
        if !old_names.contains(name) {
            changes.push(change(&format!("{path}[{name}]"), None, Some(item)));
        }
    }
    let kept = |names: &[String], others: &[String]| -> Vec<Value> {
        let kept = names.iter().filter(|name| others.contains(name));
        kept.map(|name| Value::from(name.as_str())).collect()
    };
    let (before, after) = (kept(&old_names, &new_names), kept(&new_names, &old_names));
    if before != after {
        changes.push(Change {
            path: path.to_owned(),
            kind: Kind::Moved,
            old: Some(Value::Array(before)),
            new: Some(Value::Array(after)),
        });
    }
}

/// What each item is matched by: its id, its name, what a target without an id is called, or, for a plain value and
/// for what stands unchanged among `others`, itself. Else, and where two are called the same, its place.
fn names(items: &[Value], others: &[Value]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(items.len());
    for (place, item) in items.iter().enumerate() {
        let text = |field: &str| item.get(field).and_then(Value::as_str);
        let own = text("id").or_else(|| text("name")).map(str::to_owned);
        let own = own.or_else(|| Some(format!("{}/{}", text("provider")?, text("model")?)));
        let is_kept = !item.is_object() && !item.is_array() || others.contains(item);
        let own = own.or_else(|| is_kept.then(|| item.to_string()));
        let own = own.filter(|name| !names.contains(name));
        names.push(own.unwrap_or_else(|| place.to_string()));
    }
    names
}

fn field(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn change(path: &str, old: Option<&Value>, new: Option<&Value>) -> Change {
    let shown = |value: Option<&Value>| value.map(|value| without_secrets(path, value));
    Change {
        path: path.to_owned(),
        kind: if path.is_empty() {
            Kind::Changed
        } else {
            kind(old, new)
        },
        old: shown(old),
        new: shown(new),
    }
}

/// Under `auth` stand names of secrets, in capitals. What is none may be the secret itself.
fn without_secrets(path: &str, value: &Value) -> Value {
    let is_name = |text: &str| {
        let is_plain =
            |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        text == "none" || text.bytes().all(is_plain)
    };
    let is_auth = path.split(['.', '[', ']']).any(|part| part == "auth");
    match value {
        // The header's or parameter's own name.
        Value::String(_) if path.rsplit('.').next() == Some("name") => value.clone(),
        Value::String(text) if is_auth && !is_name(text) => Value::from("(hidden)"),
        Value::Array(items) => {
            let items = items.iter().map(|item| without_secrets(path, item));
            Value::Array(items.collect())
        }
        Value::Object(fields) => {
            let shown = |(name, value): (&String, &Value)| {
                (name.clone(), without_secrets(&field(path, name), value))
            };
            Value::Object(fields.iter().map(shown).collect())
        }
        plain => plain.clone(),
    }
}
