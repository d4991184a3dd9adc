//! What each object of an entry may hold, said once: for the readers, for people and for editors.
//!
//! A [`Description`] lists an object's fields with a sentence and a [`Shape`] each. A reader takes the names that it
//! knows from it (`Node::described`), so a field cannot be read without being described; the numbers that bound a
//! value are constants that reader and description share, and `tests/suite/schema.rs` holds the reader to every
//! described field and bound. [`text`] makes JSON Schema of it (`json.rs`), which the command line prints,
//! `docs/schema/` ships and the Worker serves.
//!
//! A new field is one entry here and one line in its reader; `UPDATE_EXPECT=1 cargo test` rewrites the shipped files.
//!
//! It is data and not a derive on our types: what a team writes is not shaped like what it becomes (names are
//! resolved, strategies expanded), and a description is read by people, who want sentences.
//!
//! A schema sees one entry and no other, and no two values at once, so it cannot tell an unknown provider or a
//! `from` that equals `to`; the readers do. In one thing it is stricter than they: a field that is `null`, which
//! they take for one left out, is a slip in a file that a person writes.

mod json;
pub(super) mod keys;
pub(super) mod providers;
pub(super) mod route;
pub(super) mod when;

pub use keys::{KEY, KEY_ROUTES_MAX};

/// An object of an entry.
#[derive(Debug)]
pub struct Description {
    /// Its title, and its name among a schema's definitions.
    pub name: &'static str,
    pub doc: &'static str,
    /// In the order in which problems name them.
    pub fields: &'static [Field],
    /// What fields with other names hold; none may stand there when absent.
    pub others: Option<Shape>,
    pub needs: Needs,
}

/// How many of its fields an object must have, beside those that are required one by one.
#[derive(Clone, Copy, Debug)]
pub enum Needs {
    Nothing,
    AtLeastOne,
    ExactlyOne,
    /// At least one of these.
    OneOf(&'static [&'static str]),
}

#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    /// One sentence for the person who writes the entry, with the unit and the default.
    pub doc: &'static str,
    pub presence: Presence,
    pub shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Optional,
    Required,
    /// Required, unless the object changes something that the Worker ships with.
    RequiredOfNew,
    /// Likewise, unless the field of this name is there.
    RequiredOfNewUnless(&'static str),
}

/// What a value may be.
#[derive(Debug)]
pub enum Shape {
    /// Any JSON: nobody reads it.
    Any,
    /// A text that is not empty.
    Text,
    /// A text that is not empty and has at most so many bytes.
    ShortText {
        bytes_max: usize,
    },
    /// A text that a regular expression matches. It is written for ECMA-262 and anchored: `^(…)$`.
    Pattern(&'static str),
    Flag,
    AnyNumber,
    /// A number from `low` to `high`, both included.
    Number {
        low: f64,
        high: f64,
    },
    /// A number above `low`, up to `high`.
    Above {
        low: f64,
        high: f64,
    },
    /// A whole number from `low` to `high`, both included.
    Whole {
        low: u64,
        high: u64,
    },
    /// One of these names.
    Choice(fn() -> Vec<&'static str>),
    /// One of these names, in capitals or not.
    ChoiceInAnyCase(fn() -> Vec<&'static str>),
    /// This one text.
    Const(&'static str),
    List(List),
    /// One item, or a list of them.
    OneOrMany(List),
    Object(&'static Description),
    Map(&'static Map),
    AnyOf(&'static [Shape]),
    /// A shape with a name of its own among the definitions, so that it can stand in itself.
    Named(&'static str, &'static Shape),
}

#[derive(Clone, Copy, Debug)]
pub struct List {
    pub item: &'static Shape,
    pub items_min: usize,
    pub items_max: usize,
}

/// An object whose fields have names of the team's choice.
#[derive(Debug)]
pub struct Map {
    pub key: Key,
    pub value: Shape,
    /// As many as an entry has room for when absent.
    pub fields_max: Option<usize>,
    /// Things that the Worker ships with and an entry may change; see [`Presence::RequiredOfNew`].
    pub built_in: Option<fn() -> Vec<BuiltIn>>,
}

#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    pub name: &'static str,
    /// The fields that are required of it nevertheless.
    pub lacks: &'static [&'static str],
}

/// What a map's names may be.
#[derive(Clone, Copy, Debug)]
pub enum Key {
    Any,
    /// As [`Shape::Pattern`].
    Pattern(&'static str),
    /// Any but these, in capitals or not.
    NoneInAnyCase(&'static [&'static str]),
}

impl Description {
    /// A description whose object needs no field but the required ones, and may have no other.
    #[must_use]
    pub const fn new(name: &'static str, doc: &'static str, fields: &'static [Field]) -> Self {
        Self {
            name,
            doc,
            fields,
            others: None,
            needs: Needs::Nothing,
        }
    }

    #[must_use]
    pub const fn needing(self, needs: Needs) -> Self {
        Self { needs, ..self }
    }

    /// The same, with fields of any other name.
    #[must_use]
    pub const fn with_others(self, others: Shape) -> Self {
        Self {
            others: Some(others),
            ..self
        }
    }

    /// The names of its fields.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.fields.iter().map(|field| field.name).collect()
    }

    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl Field {
    #[must_use]
    pub const fn optional(name: &'static str, doc: &'static str, shape: Shape) -> Self {
        Self {
            name,
            doc,
            presence: Presence::Optional,
            shape,
        }
    }

    #[must_use]
    pub const fn required(name: &'static str, doc: &'static str, shape: Shape) -> Self {
        Self {
            presence: Presence::Required,
            ..Self::optional(name, doc, shape)
        }
    }

    #[must_use]
    pub const fn required_of_new(name: &'static str, doc: &'static str, shape: Shape) -> Self {
        Self {
            presence: Presence::RequiredOfNew,
            ..Self::optional(name, doc, shape)
        }
    }

    /// The same, unless `other` is there.
    #[must_use]
    pub const fn unless(self, other: &'static str) -> Self {
        Self {
            presence: Presence::RequiredOfNewUnless(other),
            ..self
        }
    }
}

impl List {
    /// A list of any length up to `items_max`.
    #[must_use]
    pub const fn up_to(items_max: usize, item: &'static Shape) -> Self {
        Self {
            item,
            items_min: 0,
            items_max,
        }
    }

    /// A list of at least one item.
    #[must_use]
    pub const fn filled(items_max: usize, item: &'static Shape) -> Self {
        Self {
            items_min: 1,
            ..Self::up_to(items_max, item)
        }
    }
}

/// One text, or a list of texts.
const fn texts(items_max: usize) -> Shape {
    Shape::OneOrMany(List::up_to(items_max, &Shape::Text))
}

/// For editors.
const SCHEMA: Field = Field::optional(
    "$schema",
    "Where the JSON Schema of this file is; for editors, not read.",
    Shape::Any,
);

/// The entries that have a schema, by the name that it is asked for.
const ENTRIES: [(&str, &Description); 4] = [
    ("route", &route::ROUTE),
    ("providers", &providers::PROVIDERS),
    ("keys", &keys::KEYS),
    ("flags", &keys::FLAGS),
];

/// The names of the schemas.
#[must_use]
pub fn names() -> Vec<&'static str> {
    ENTRIES.iter().map(|(name, _)| *name).collect()
}

/// What the schema of this name describes.
#[must_use]
pub fn description(name: &str) -> Option<&'static Description> {
    let entry = ENTRIES.iter().find(|(known, _)| *known == name);
    entry.map(|(_, description)| *description)
}

/// The JSON Schema of this name, draft 2020-12, as the text of a file.
#[must_use]
pub fn text(name: &str) -> Option<String> {
    let schema = json::schema(description(name)?);
    let text = serde_json::to_string_pretty(&schema).ok()?;
    Some(format!("{text}\n"))
}
