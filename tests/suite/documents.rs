//! Documents made from a description at random, and slips in them. `cases.rs` has every field in turn.
//!
//! Chance comes as bytes, so that proptest can shrink them: without bytes left a document is the smallest there is.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map as Fields, Value, json};
use waypost::config::schema::{Description, Field, Key, List, Map, Needs, Presence, Shape};

/// How deep a document's conditions stand in each other, at most.
const DEPTH_MAX: usize = 3;
/// Values that are wrong in most places and right in some.
pub const WRONG: [&str; 12] = [
    "-1",
    "0",
    "0.5",
    "1.5",
    "7",
    "1000000000000",
    r#""""#,
    r#""x""#,
    "true",
    "[]",
    "{}",
    r#"[[1], {"x": 1}]"#,
];
/// Characters that decide whether a pattern matches.
pub const LETTERS: [char; 16] = [
    '/', ':', '@', '?', '\\', 'A', 'a', '0', '9', '-', '_', ' ', 'é', '+', '[', '\n',
];
/// Lengths just past the limits of lists.
const LENGTHS: [usize; 6] = [7, 8, 33, 65, 257, 1_001];

/// Choices, made by bytes; each is the first one when no byte is left.
pub struct Choices<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

impl<'a> Choices<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes: bytes.iter(),
        }
    }

    fn byte(&mut self) -> u8 {
        self.bytes.next().copied().unwrap_or(0)
    }

    /// A number below `count`.
    fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count.max(1)
    }

    fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// From 0 to 1, both included.
    fn part(&mut self) -> f64 {
        f64::from(self.byte()) / 255.0
    }
}

/// A good document of this description.
pub fn document(description: &'static Description, choices: &mut Choices<'_>) -> Value {
    object(description, choices, DEPTH_MAX)
}

/// The smallest good value.
pub fn sample(shape: &'static Shape) -> Value {
    value(shape, &mut Choices::new(&[]), 0)
}

fn value(shape: &'static Shape, choices: &mut Choices<'_>, depth: usize) -> Value {
    match shape {
        Shape::Any => json!(choices.one_of(&["any", ""])),
        Shape::Text => json!(choices.one_of(&["a", "openai", "*", "Größe", "x y"])),
        Shape::ShortText { .. } => json!(choices.one_of(&["a", "a*b?", "(?i)a|b", "("])),
        Shape::Pattern(pattern) => json!(matching(pattern, choices)),
        Shape::Flag => json!(choices.below(2) == 1),
        Shape::AnyNumber => json!(choices.one_of(&[0.0, -2.5, 1e9])),
        Shape::Number { low, high } => json!(between(*low, *high, choices)),
        // From the top down, so that the excluded end is never met.
        Shape::Above { low, high } => json!(high - (high - low) * 0.999 * choices.part()),
        Shape::Whole { low, high } => json!(low + (high - low) / 255 * u64::from(choices.byte())),
        Shape::Choice(names) => json!(choices.one_of(&names())),
        Shape::ChoiceInAnyCase(names) => {
            let name = choices.one_of(&names());
            json!(choices.one_of(&[name, &name.to_uppercase()]))
        }
        Shape::Const(text) => json!(text),
        Shape::List(list) => items(*list, choices, depth),
        Shape::OneOrMany(list) if choices.below(2) == 1 => items(*list, choices, depth),
        Shape::OneOrMany(list) => value(list.item, choices, depth),
        Shape::Object(description) => object(description, choices, depth.saturating_sub(1)),
        Shape::Map(map) => named(map, choices, depth),
        Shape::AnyOf(shapes) if depth == 0 => value(&shapes[0], choices, depth),
        Shape::AnyOf(shapes) => value(&shapes[choices.below(shapes.len())], choices, depth),
        Shape::Named(_, shape) => value(shape, choices, depth),
    }
}

fn between(low: f64, high: f64, choices: &mut Choices<'_>) -> f64 {
    (low + (high - low) * choices.part()).min(high)
}

pub fn matching(pattern: &str, choices: &mut Choices<'_>) -> String {
    let inner = pattern.trim_start_matches('^').trim_end_matches('$');
    let seed = [choices.byte(); 32];
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = proptest::string::string_regex(inner).unwrap();
    strategy.new_tree(&mut runner).unwrap().current()
}

fn items(list: List, choices: &mut Choices<'_>, depth: usize) -> Value {
    let more = if depth == 0 { 0 } else { choices.below(3) };
    let count = (list.items_min + more).min(list.items_max);
    (0..count)
        .map(|_| value(list.item, choices, depth.saturating_sub(1)))
        .collect()
}

pub fn object(description: &'static Description, choices: &mut Choices<'_>, depth: usize) -> Value {
    let mut fields = Fields::new();
    let mut left = description.fields.len();
    if matches!(description.needs, Needs::ExactlyOne) {
        let field = &description.fields[choices.below(description.fields.len())];
        return json!({ field.name: value(&field.shape, choices, depth) });
    }
    for field in description.fields {
        // Four optional fields of an object, or so: of more, nothing would be small.
        let is_wanted = depth > 0 && choices.below(left + 1) > left.saturating_sub(4).max(left / 2);
        if is_wanted || field.presence != Presence::Optional {
            fields.insert(field.name.to_owned(), value(&field.shape, choices, depth));
            left = left.saturating_sub(1);
        }
    }
    let needed: Vec<&'static Field> = match description.needs {
        Needs::OneOf(names) => names
            .iter()
            .filter_map(|name| description.field(name))
            .collect(),
        Needs::AtLeastOne if fields.is_empty() => description.fields.iter().collect(),
        _ => Vec::new(),
    };
    if !needed.is_empty() {
        let field = needed[choices.below(needed.len())];
        fields.insert(field.name.to_owned(), value(&field.shape, choices, depth));
    }
    if let Some(others) = &description.others {
        for name in ["a", "sha256:00"].iter().take(choices.below(3)) {
            fields.insert((*name).to_owned(), value(others, choices, depth));
        }
    }
    Value::Object(fields)
}

fn named(map: &'static Map, choices: &mut Choices<'_>, depth: usize) -> Value {
    let mut fields = Fields::new();
    for _ in 0..choices.below(3) {
        let known = map.built_in.map_or(Vec::new(), |things| things());
        let name = match map.key {
            _ if choices.below(4) == 3 && !known.is_empty() => {
                choices.one_of(&known).name.to_owned()
            }
            Key::Pattern(pattern) => matching(pattern, choices),
            Key::Any | Key::NoneInAnyCase(_) => {
                choices.one_of(&["x-tier", "*", "", "code"]).to_owned()
            }
        };
        fields.insert(name, value(&map.value, choices, depth));
    }
    Value::Object(fields)
}

/// The document with one slip, which may do no harm.
pub fn mutated(mut document: Value, choices: &mut Choices<'_>) -> Value {
    let mut paths = Vec::new();
    pointers(&document, String::new(), &mut paths);
    let path = &paths[choices.below(paths.len())];
    let wrong: Value = serde_json::from_str(choices.one_of(&WRONG)).unwrap();
    let place = document.pointer_mut(path).unwrap();
    match place {
        _ if choices.below(4) == 0 => *place = wrong,
        Value::Object(fields) if choices.below(2) == 0 => {
            let name = choices.one_of(&["unknown", "eq", "any", "id", "none", "bearer"]);
            fields.insert(name.to_owned(), wrong);
        }
        Value::Object(fields) => {
            let names: Vec<String> = fields.keys().cloned().collect();
            if !names.is_empty() {
                fields.remove(&names[choices.below(names.len())]);
            }
        }
        Value::Array(items) => {
            let item = items.first().cloned().unwrap_or(wrong);
            items.resize(choices.one_of(&LENGTHS), item);
        }
        Value::String(text) => {
            let mut letters: Vec<char> = text.chars().collect();
            let at = choices.below(letters.len() + 1);
            match choices.below(3) {
                0 => letters.insert(at, choices.one_of(&LETTERS)),
                1 => letters.truncate(at),
                _ => letters
                    .iter_mut()
                    .for_each(|letter| *letter = letter.to_ascii_uppercase()),
            }
            *text = letters.into_iter().collect();
        }
        _ => *place = wrong,
    }
    document
}

/// JSON pointers to every value of a document.
fn pointers(value: &Value, path: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                pointers(value, format!("{path}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (place, value) in items.iter().enumerate() {
                pointers(value, format!("{path}/{place}"), found);
            }
        }
        _ => {}
    }
    found.push(path);
}
