//! Reads a JSON tree into values and keeps every problem, each with its path.
//!
//! `serde`'s derive stops at the first mistake; a team that fixes its route at noon wants all of them at once.
//! A reader returns `None` for what it could not read and goes on; a value is only built when nothing was noted.
//!
//! An entry may hold tens of thousands of mistakes, or names as long as itself. So what is kept of them is limited
//! as well: how many problems, and how much of a name or a value each repeats.

use serde_json::{Map, Value};

use super::schema::Description;

/// One thing that is wrong, or doubtful, with an entry.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    /// Where, as a JSON path: `targets[1].provider`. Empty for the whole entry.
    pub path: String,
    pub expected: String,
    /// What stood there, shortened.
    pub got: String,
    /// The valid name nearest to what stood there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub nearest: Option<String>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = if self.path.is_empty() {
            "(entry)"
        } else {
            &self.path
        };
        write!(f, "{path}: expected {}, got {}", self.expected, self.got)?;
        match &self.nearest {
            Some(name) => write!(f, "; did you mean `{name}`?"),
            None => Ok(()),
        }
    }
}

/// Problems that are told of one entry. Nobody mends more before asking again.
pub const PROBLEMS_MAX: usize = 100;
/// The longest piece of a wrong value that a problem repeats.
const GOT_CHARS_MAX: usize = 60;
/// The longest half of a problem's sentence: a list of all targets' ids may be as long as the entry.
const WORDS_CHARS_MAX: usize = 1_000;
/// The longest piece of a field's name that stands in a path. Every item of a list repeats its path.
const PATH_NAME_CHARS_MAX: usize = 64;
/// Longer names are not searched for slips, which takes time and memory by the product of the lengths.
const SLIP_CHARS_MAX: usize = 64;

/// The problems found so far: the first [`PROBLEMS_MAX`], then one that counts the others.
#[derive(Debug, Default)]
pub struct Problems {
    pub list: Vec<Problem>,
    left_out: usize,
}

impl Problems {
    pub fn note(&mut self, path: &str, expected: impl Into<String>, got: impl Into<String>) {
        self.push(|| Problem {
            path: path.to_owned(),
            expected: shortened(&expected.into(), WORDS_CHARS_MAX),
            got: shortened(&got.into(), WORDS_CHARS_MAX),
            nearest: None,
        });
    }

    /// A name that is not among `known`.
    pub fn unknown_name(&mut self, path: &str, kind: &str, got: &str, known: &[&str]) {
        self.unknown_among(path, &format!("{kind}: {}", known.join(", ")), got, known);
    }

    /// A name that is not among `known`, which are too many to be told.
    pub fn unknown_among(&mut self, path: &str, expected: &str, got: &str, known: &[&str]) {
        self.push(|| Problem {
            path: path.to_owned(),
            expected: shortened(expected, WORDS_CHARS_MAX),
            got: quoted(got),
            nearest: nearest(got, known).map(str::to_owned),
        });
    }

    fn push(&mut self, problem: impl FnOnce() -> Problem) {
        if self.list.len() < PROBLEMS_MAX {
            self.list.push(problem());
            return;
        }
        self.left_out += 1;
        self.list.truncate(PROBLEMS_MAX);
        self.list.push(Problem {
            path: String::new(),
            expected: format!("at most {PROBLEMS_MAX} problems to be told at once"),
            got: format!("{} more", self.left_out),
            nearest: None,
        });
    }

    fn wrong_type(&mut self, node: &Node<'_>, expected: &str) {
        self.note(&node.path, expected, describe(node.value));
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    pub value: &'a Value,
    pub path: String,
}

impl<'a> Node<'a> {
    #[must_use]
    pub fn root(value: &'a Value) -> Self {
        Self {
            value,
            path: String::new(),
        }
    }

    /// The node as an object that has no field but the known ones.
    pub fn object(&self, known: &[&str], problems: &mut Problems) -> Option<Object<'a>> {
        let object = self.open_object(problems)?;
        for name in object.map.keys() {
            if !known.contains(&name.as_str()) {
                let path = object.path_of(name);
                problems.unknown_name(&path, "one of the known fields", name, known);
            }
        }
        Some(object)
    }

    /// The node as an object that has no field but those of its description.
    pub fn described(
        &self,
        description: &'static Description,
        problems: &mut Problems,
    ) -> Option<Object<'a>> {
        let object = self.object(&description.names(), problems)?;
        Some(Object {
            description: Some(description),
            ..object
        })
    }

    /// The node as an object with any fields.
    pub fn open_object(&self, problems: &mut Problems) -> Option<Object<'a>> {
        let Value::Object(map) = self.value else {
            problems.wrong_type(self, "an object");
            return None;
        };
        Some(Object {
            map,
            path: self.path.clone(),
            description: None,
        })
    }

    pub fn array(&self, limit: usize, problems: &mut Problems) -> Option<Vec<Node<'a>>> {
        let Value::Array(items) = self.value else {
            problems.wrong_type(self, "a list");
            return None;
        };
        if items.len() > limit {
            let got = format!("{} items", items.len());
            problems.note(&self.path, format!("at most {limit} items"), got);
            return None;
        }
        let place = |(index, value)| Node {
            value,
            path: format!("{}[{index}]", self.path),
        };
        Some(items.iter().enumerate().map(place).collect())
    }

    pub fn text(&self, problems: &mut Problems) -> Option<&'a str> {
        match self.value {
            Value::String(text) if !text.is_empty() => Some(text),
            _ => {
                problems.wrong_type(self, "a text that is not empty");
                None
            }
        }
    }

    pub fn flag(&self, problems: &mut Problems) -> Option<bool> {
        let flag = self.value.as_bool();
        if flag.is_none() {
            problems.wrong_type(self, "true or false");
        }
        flag
    }

    /// Any finite number.
    pub fn any_number(&self, problems: &mut Problems) -> Option<f64> {
        let number = self.value.as_f64().filter(|number| number.is_finite());
        if number.is_none() {
            problems.wrong_type(self, "a number");
        }
        number
    }

    /// A number from `low` to `high`, both included.
    pub fn number(&self, low: f64, high: f64, problems: &mut Problems) -> Option<f64> {
        match self.value.as_f64() {
            Some(number) if (low..=high).contains(&number) => Some(number),
            _ => {
                problems.wrong_type(self, &format!("a number from {low} to {high}"));
                None
            }
        }
    }

    pub fn whole(&self, low: u64, high: u64, problems: &mut Problems) -> Option<u64> {
        match self.value.as_u64() {
            Some(number) if (low..=high).contains(&number) => Some(number),
            _ => {
                problems.wrong_type(self, &format!("a whole number from {low} to {high}"));
                None
            }
        }
    }

    /// One text, or a list of texts.
    pub fn texts(&self, limit: usize, problems: &mut Problems) -> Option<Vec<String>> {
        if self.value.is_array() {
            let items = self.array(limit, problems)?;
            let texts: Vec<_> = items
                .iter()
                .filter_map(|item| item.text(problems).map(str::to_owned))
                .collect();
            return (texts.len() == items.len()).then_some(texts);
        }
        self.text(problems).map(|text| vec![text.to_owned()])
    }

    /// One of a few names.
    pub fn choice<T: Copy>(
        &self,
        kind: &str,
        choices: &[(&str, T)],
        problems: &mut Problems,
    ) -> Option<T> {
        let name = self.text(problems)?;
        let chosen = choices.iter().find(|(known, _)| *known == name);
        if chosen.is_none() {
            let known: Vec<_> = choices.iter().map(|(known, _)| *known).collect();
            problems.unknown_name(&self.path, kind, name, &known);
        }
        chosen.map(|(_, value)| *value)
    }
}

/// An object's fields and where it stands.
#[derive(Debug)]
pub struct Object<'a> {
    map: &'a Map<String, Value>,
    path: String,
    /// What it may hold, where that is described.
    description: Option<&'static Description>,
}

impl<'a> Object<'a> {
    #[must_use]
    pub fn path_of(&self, name: &str) -> String {
        let name = shortened(name, PATH_NAME_CHARS_MAX);
        if self.path.is_empty() {
            name
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// The field, if it is there and not null.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Node<'a>> {
        debug_assert!(
            self.description
                .is_none_or(|description| description.field(name).is_some()),
            "`{name}` is read and not described"
        );
        let value = self.map.get(name).filter(|value| !value.is_null())?;
        Some(Node {
            value,
            path: self.path_of(name),
        })
    }

    pub fn required(
        &self,
        name: &str,
        expected: &str,
        problems: &mut Problems,
    ) -> Option<Node<'a>> {
        let field = self.field(name);
        if field.is_none() {
            problems.note(&self.path_of(name), expected, "nothing");
        }
        field
    }

    pub fn fields(&self) -> impl Iterator<Item = (&'a str, Node<'a>)> + '_ {
        self.map.iter().map(|(name, value)| {
            let node = Node {
                value,
                path: self.path_of(name),
            };
            (name.as_str(), node)
        })
    }

    /// How many fields say something; one that is null is as if left out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.map.values().filter(|value| !value.is_null()).count()
    }
}

/// What a value is, for a message; a secret pasted into the wrong field is shortened.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.is_empty() => "an empty text".to_owned(),
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn quoted(text: &str) -> String {
    format!("`{}`", shortened(text, GOT_CHARS_MAX))
}

fn shortened(text: &str, chars_max: usize) -> String {
    let mut shown: String = text.chars().take(chars_max).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// The known name that takes the fewest edits to reach, if that is few enough to be a slip; else one that was
/// begun or continued.
#[must_use]
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let is_short = |name: &str| name.chars().nth(SLIP_CHARS_MAX).is_none();
    let length = name.chars().count();
    let limit = (1 + length / 3).min(length.saturating_sub(1));
    let by_edits = known
        .iter()
        .filter(|candidate| is_short(name) && is_short(candidate))
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), *candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate);
    let is_related = |candidate: &&&str| {
        length > 2 && (candidate.starts_with(name) || name.starts_with(**candidate))
    };
    by_edits.or_else(|| known.iter().find(is_related).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_says_nothing() {
        let value = serde_json::json!({ "region": null, "private": true });
        let mut problems = Problems::default();
        let fields = Node::root(&value).open_object(&mut problems).unwrap();
        assert_eq!(fields.len(), 1);
        assert!(fields.field("region").is_none());
    }
}
