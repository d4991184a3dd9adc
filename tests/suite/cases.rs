//! Documents with each field of a description in turn: good values, those at and past its bounds, those of other
//! types; what stands inside a field likewise. Which of them are good is for reader and schema to say.

use serde_json::{Value, json};
use waypost::config::schema::{Description, Field, List, Map, Needs, Shape};

use super::documents::{Choices, LETTERS, WRONG, matching, object, sample};

/// Documents with each field of a description in turn, good and bad; what stands inside a field likewise.
pub fn cases(description: &'static Description) -> Vec<Value> {
    object_cases(description, 1)
}

fn shape_cases(shape: &'static Shape, depth: usize) -> Vec<Value> {
    let mut found: Vec<Value> = WRONG
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    match shape {
        Shape::Any | Shape::Text | Shape::Flag | Shape::AnyNumber | Shape::Const(_) => {
            found.push(sample(shape));
        }
        Shape::ShortText { bytes_max } => {
            found.extend([*bytes_max, bytes_max + 1].map(|count| json!("a".repeat(count))));
        }
        Shape::Pattern(pattern) => {
            let good = matching(pattern, &mut Choices::new(&[]));
            found.extend(LETTERS.map(|letter| json!(format!("{good}{letter}"))));
            found.extend(
                [
                    "A_KEY", "x-key", "24:00", "24:01", "9:00", "+14:00", "-14:01", "12:60",
                ]
                .map(|text| json!(text)),
            );
            found.extend(URLS.map(|text| json!(text)));
            found.push(json!(good));
        }
        Shape::Number { low, high } | Shape::Above { low, high } => {
            let span = (high - low) * 1e-9;
            found.extend(
                [*low, *high, low - span, high + span, low + span].map(|number| json!(number)),
            );
        }
        Shape::Whole { low, high } => {
            found.extend([*low, *high, low - 1, high + 1].map(|number| json!(number)));
        }
        Shape::Choice(names) | Shape::ChoiceInAnyCase(names) => {
            found.extend(names().iter().map(|name| json!(name)));
            found.extend(names().iter().map(|name| json!(name.to_uppercase())));
        }
        Shape::List(list) => found.extend(list_cases(*list, depth)),
        Shape::OneOrMany(list) => {
            found.extend(shape_cases(list.item, depth));
            found.extend(list_cases(*list, depth));
        }
        // A condition inside a condition is no other than the outer one.
        Shape::Object(description) if depth == 0 && holds_itself(description) => {}
        Shape::Object(description) => found.extend(object_cases(description, depth)),
        Shape::Map(map) => found.extend(map_cases(map, depth)),
        Shape::AnyOf(shapes) => {
            found.extend(shapes.iter().flat_map(|shape| shape_cases(shape, depth)));
        }
        Shape::Named(_, _) if depth == 0 => {}
        Shape::Named(_, shape) => found.extend(shape_cases(shape, depth - 1)),
    }
    found
}

/// Base URLs at the edges of what one may be.
const URLS: [&str; 14] = [
    "https://llm.example.com/v1",
    "https://x",
    "https://",
    "https:///x",
    "https://:1",
    "https://x//",
    "http://x",
    "http://localhost",
    "http://localhost:1/v1",
    "http://localhost.example",
    "http://127.0.0.1:/",
    "http://[::1]:1/",
    "https://u@x",
    "HTTPS://x",
];

fn list_cases(list: List, depth: usize) -> Vec<Value> {
    let one = sample(list.item);
    let mut found: Vec<Value> = [
        list.items_min.saturating_sub(1),
        list.items_min,
        list.items_max,
        list.items_max + 1,
    ]
    .iter()
    .map(|count| json!(vec![&one; *count]))
    .collect();
    found.extend(
        shape_cases(list.item, depth)
            .into_iter()
            .map(|item| json!([item])),
    );
    found
}

fn map_cases(map: &'static Map, depth: usize) -> Vec<Value> {
    let value = sample(&map.value);
    let names = [
        "a",
        "",
        "a/b",
        "/",
        "openai",
        "openai/m",
        "Authorization",
        "x-API-key",
        "cookie2",
    ];
    let mut found: Vec<Value> = names.iter().map(|name| json!({ *name: value })).collect();
    let inner = shape_cases(&map.value, depth).into_iter();
    // A model's name; any other map takes it too, or says so.
    found
        .extend(inner.flat_map(|value| [json!({ "openai": value }), json!({ "openai/m": value })]));
    if let Some(fields_max) = map.fields_max {
        for count in [fields_max, fields_max + 1] {
            let many = (0..count).map(|place| (place.to_string(), value.clone()));
            found.push(Value::Object(many.collect()));
        }
    }
    found
}

fn object_cases(description: &'static Description, depth: usize) -> Vec<Value> {
    let base = object(description, &mut Choices::new(&[]), 0);
    let with = |name: &str, value: Value| {
        let mut document = base.clone();
        if matches!(description.needs, Needs::ExactlyOne) {
            document = json!({});
        }
        document[name] = value;
        document
    };
    let mut found = vec![base.clone(), json!({}), with("unknown", json!(1))];
    for field in description.fields {
        let mut without = base.clone();
        without.as_object_mut().unwrap().remove(field.name);
        found.push(without);
        let depth = if is_of_itself(field, description) {
            0
        } else {
            depth
        };
        let inner = shape_cases(&field.shape, depth).into_iter();
        found.extend(inner.map(|value| with(field.name, value)));
    }
    if let Some(others) = &description.others {
        found.extend(
            shape_cases(others, depth)
                .into_iter()
                .map(|value| with("sha256:00", value)),
        );
    }
    found
}

fn holds_itself(description: &Description) -> bool {
    description
        .fields
        .iter()
        .any(|field| is_of_itself(field, description))
}

fn is_of_itself(field: &Field, description: &Description) -> bool {
    match &field.shape {
        Shape::List(List {
            item: Shape::Object(inner),
            ..
        }) => inner.name == description.name,
        _ => false,
    }
}
