//! Descriptions as JSON Schema, draft 2020-12.
//!
//! Each object is a definition of its own that the others refer to: conditions contain conditions, and editors show
//! a definition's title. Grammar: <https://json-schema.org/draft/2020-12/json-schema-validation>.
//!
//! A text's limit in bytes becomes one in characters, which a longer character can pass; the reader counts bytes.

use serde_json::Value;

use super::{Description, Field, Key, List, Map, Needs, Presence, Shape};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// A schema, or properties with a schema each.
type Keywords = serde_json::Map<String, Value>;

/// The schema of an entry whose root is this object.
pub(super) fn schema(root: &'static Description) -> Value {
    let mut definitions = Definitions::default();
    let mut schema = definitions.object(root);
    set(&mut schema, "$schema", DIALECT);
    if !definitions.found.is_empty() {
        set(&mut schema, "$defs", definitions.found);
    }
    Value::Object(schema)
}

/// The definitions that were met so far, by name.
#[derive(Default)]
struct Definitions {
    found: Keywords,
}

impl Definitions {
    fn object(&mut self, description: &'static Description) -> Keywords {
        let mut properties = Keywords::new();
        for field in description.fields {
            let schema = self.field(field);
            set(&mut properties, field.name, schema);
        }
        let mut schema = of_type("object");
        set(&mut schema, "title", description.name);
        set(&mut schema, "description", description.doc);
        set(&mut schema, "properties", properties);
        match &description.others {
            Some(shape) => set(&mut schema, "additionalProperties", self.shape(shape)),
            None => set(&mut schema, "additionalProperties", false),
        }
        let required = names_of(description, Presence::Required);
        if !required.is_empty() {
            set(&mut schema, "required", required);
        }
        match description.needs {
            Needs::Nothing => {}
            Needs::AtLeastOne => set(&mut schema, "minProperties", 1),
            Needs::ExactlyOne => {
                set(&mut schema, "minProperties", 1);
                set(&mut schema, "maxProperties", 1);
            }
            Needs::OneOf(names) => {
                let has = |name: &&'static str| Value::Object(only("required", vec![*name]));
                let any: Vec<Value> = names.iter().map(has).collect();
                set(&mut schema, "anyOf", any);
            }
        }
        schema
    }

    fn field(&mut self, field: &'static Field) -> Keywords {
        let mut schema = self.shape(&field.shape);
        set(&mut schema, "description", field.doc);
        schema
    }

    fn shape(&mut self, shape: &'static Shape) -> Keywords {
        match shape {
            Shape::Any => Keywords::new(),
            Shape::Text => text_of(1, None),
            Shape::ShortText { bytes_max } => text_of(1, Some(*bytes_max)),
            Shape::Pattern(pattern) => matching(pattern),
            Shape::Flag => of_type("boolean"),
            Shape::AnyNumber => of_type("number"),
            Shape::Number { low, high } => number("minimum", *low, *high),
            Shape::Above { low, high } => number("exclusiveMinimum", *low, *high),
            Shape::Whole { low, high } => {
                let mut schema = of_type("integer");
                set(&mut schema, "minimum", *low);
                set(&mut schema, "maximum", *high);
                schema
            }
            Shape::Choice(names) => one_of(names()),
            Shape::ChoiceInAnyCase(names) => {
                let names = names();
                let pattern = in_any_case(&names);
                any_of(vec![one_of(names), matching(&pattern)])
            }
            Shape::Const(text) => only("const", *text),
            Shape::List(list) => self.list(*list),
            Shape::OneOrMany(list) => any_of(vec![self.shape(list.item), self.list(*list)]),
            Shape::Object(description) => self.defined(description.name, |definitions| {
                definitions.object(description)
            }),
            Shape::Map(map) => self.map(map),
            Shape::AnyOf(shapes) => any_of(shapes.iter().map(|shape| self.shape(shape)).collect()),
            Shape::Named(name, shape) => self.defined(name, |definitions| definitions.shape(shape)),
        }
    }

    fn list(&mut self, list: List) -> Keywords {
        let mut schema = of_type("array");
        set(&mut schema, "items", self.shape(list.item));
        set(&mut schema, "maxItems", list.items_max);
        if list.items_min > 0 {
            set(&mut schema, "minItems", list.items_min);
        }
        schema
    }

    fn map(&mut self, map: &'static Map) -> Keywords {
        let mut schema = of_type("object");
        match map.key {
            Key::Any => {}
            Key::Pattern(pattern) => set(&mut schema, "propertyNames", only("pattern", pattern)),
            Key::NoneInAnyCase(names) => {
                let pattern = only("pattern", in_any_case(names));
                set(&mut schema, "propertyNames", only("not", pattern));
            }
        }
        if let Some(fields_max) = map.fields_max {
            set(&mut schema, "maxProperties", fields_max);
        }
        let mut value = self.shape(&map.value);
        if let (Some(built_in), Shape::Object(description)) = (map.built_in, &map.value) {
            let mut known = Keywords::new();
            for thing in built_in() {
                let mut value = value.clone();
                for name in thing.lacks {
                    require(&mut value, description, name);
                }
                set(&mut known, thing.name, value);
            }
            set(&mut schema, "properties", known);
            for field in description.fields {
                require(&mut value, description, field.name);
            }
        }
        set(&mut schema, "additionalProperties", value);
        schema
    }

    /// A reference to a definition, which is made when it is first met.
    fn defined(&mut self, name: &str, make: impl FnOnce(&mut Self) -> Keywords) -> Keywords {
        if !self.found.contains_key(name) {
            // It stands there before it is made, because it may refer to itself.
            set(&mut self.found, name, Value::Null);
            let definition = make(self);
            set(&mut self.found, name, definition);
        }
        only("$ref", format!("#/$defs/{name}"))
    }
}

/// Sets one keyword, or one property. The `json!` macro would read better, and be twice the wasm.
fn set(schema: &mut Keywords, keyword: &str, value: impl Into<Value>) {
    schema.insert(keyword.to_owned(), value.into());
}

fn only(keyword: &str, value: impl Into<Value>) -> Keywords {
    let mut schema = Keywords::new();
    set(&mut schema, keyword, value);
    schema
}

fn of_type(name: &str) -> Keywords {
    only("type", name)
}

fn text_of(chars_min: usize, chars_max: Option<usize>) -> Keywords {
    let mut schema = of_type("string");
    set(&mut schema, "minLength", chars_min);
    if let Some(chars_max) = chars_max {
        set(&mut schema, "maxLength", chars_max);
    }
    schema
}

fn matching(pattern: &str) -> Keywords {
    let mut schema = of_type("string");
    set(&mut schema, "pattern", pattern);
    schema
}

fn number(low_keyword: &str, low: f64, high: f64) -> Keywords {
    let mut schema = of_type("number");
    set(&mut schema, low_keyword, plain(low));
    set(&mut schema, "maximum", plain(high));
    schema
}

fn one_of(names: Vec<&'static str>) -> Keywords {
    only("enum", names)
}

fn any_of(schemas: Vec<Keywords>) -> Keywords {
    let schemas: Vec<Value> = schemas.into_iter().map(Value::Object).collect();
    only("anyOf", schemas)
}

/// Demands a field of a new thing, or another in its place.
fn require(schema: &mut Keywords, description: &Description, name: &str) {
    let field = description.fields.iter().find(|field| field.name == name);
    match field.map(|field| field.presence) {
        Some(Presence::RequiredOfNew) => {
            let required = schema
                .entry("required")
                .or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(names) = required {
                names.push(name.into());
            }
        }
        Some(Presence::RequiredOfNewUnless(other)) => {
            let has = |name: &str| Value::Object(only("required", vec![name]));
            set(schema, "anyOf", vec![has(name), has(other)]);
        }
        _ => {}
    }
}

fn names_of(description: &Description, presence: Presence) -> Vec<&'static str> {
    let fields = description.fields.iter();
    let such = fields.filter(|field| field.presence == presence);
    such.map(|field| field.name).collect()
}

/// The number without a fraction where it has none: `1000`, not `1000.0`.
fn plain(number: f64) -> Value {
    let whole = number.to_string().parse::<i64>();
    whole.map_or_else(|_| Value::from(number), Value::from)
}

/// A pattern for these words in capitals or not: JSON Schema has no flag for that.
fn in_any_case(words: &[&str]) -> String {
    let letter = |letter: char| {
        if letter.is_ascii_alphabetic() {
            let (upper, lower) = (letter.to_ascii_uppercase(), letter.to_ascii_lowercase());
            format!("[{upper}{lower}]")
        } else {
            letter.to_string()
        }
    };
    let word = |word: &&str| word.chars().map(letter).collect::<String>();
    let words: Vec<String> = words.iter().map(word).collect();
    format!("^({})$", words.join("|"))
}
