//! The files `keys.json` and `flags.json` of a config folder, and the terms of one key.

use super::{Description, Field, SCHEMA, Shape, texts};

pub const KEY_ROUTES_MAX: usize = 1_000;

pub static KEYS: Description = Description::new(
    "keys",
    "Terms by key: `sha256:` and the key's SHA-256 in hexadecimal digits, or the key itself, on one's own machine only.",
    &[SCHEMA],
)
.with_others(Shape::Object(&KEY));

/// A virtual key's terms: the entry `key:<sha-256>`.
pub static KEY: Description = Description::new(
    "key",
    "What a key may do.",
    &[
        SCHEMA,
        Field::optional(
            "name",
            "Names the key in records. Default: the first 8 digits of its hash.",
            Shape::Text,
        ),
        Field::optional(
            "team",
            "For rules and records. None by default.",
            Shape::Text,
        ),
        Field::optional(
            "routes",
            "The routes that it may use; `*` is all. Default: all.",
            texts(KEY_ROUTES_MAX),
        ),
        Field::optional(
            "direct",
            "Whether it may name a `provider/model` without a route. Default true.",
            Shape::Flag,
        ),
        Field::optional(
            "kept_at",
            "The provider whose stored completions, responses and fine-tuned models it may read, change and delete. None by default.",
            Shape::Text,
        ),
        Field::optional(
            "disabled",
            "Refuses every call. Default false.",
            Shape::Flag,
        ),
    ],
);

pub static FLAGS: Description = Description::new(
    "flags",
    "Feature flags. They are stored and not read yet, so any field may stand here.",
    &[SCHEMA],
)
.with_others(Shape::Any);
