//! Conditions, their operators and windows of time, field by field.

use super::{Description, Field, Key, List, Map, Needs, Shape};
use crate::config::window::day_names;

/// Values in one list.
pub const VALUES_MAX: usize = 1_000;
/// The longest pattern. One that a person can still read is a tenth of it.
pub const PATTERN_BYTES_MAX: usize = 512;

/// Headers that carry a secret: a rule on one would put it into records.
pub const SECRET_HEADERS: [&str; 4] = [
    "authorization",
    "x-api-key",
    "cookie",
    "proxy-authorization",
];

const TIME_OF_DAY: &str = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$";
/// The earth's clocks reach from −12:00 to +14:00.
const UTC_OFFSET: &str = "^[+-]?((0[0-9]|1[0-3]):[0-5][0-9]|14:00)$";

// Functions and statics where one would expect constants: a constant may not lead back to itself.
const fn text_test() -> Shape {
    Shape::Named("text_test", &OF_TEXT)
}

const fn number_test() -> Shape {
    Shape::Named("number_test", &OF_NUMBER)
}

const fn flag_test() -> Shape {
    Shape::Named("flag_test", &OF_FLAG)
}

pub static WHEN: Description = Description::new(
    "when",
    "What must hold of a request: all of it. A trait that is unknown matches nothing but `not` and `none`.",
    &[
        Field::optional(
            "tags",
            "The caller's tags, of `x-waypost-tags`.",
            text_test(),
        ),
        Field::optional(
            "country",
            "The caller's country, by ISO's two letters.",
            text_test(),
        ),
        Field::optional(
            "continent",
            "The caller's continent, by ISO's two letters.",
            text_test(),
        ),
        Field::optional(
            "pop",
            "Cloudflare's location that the call reached, such as `FRA`.",
            text_test(),
        ),
        Field::optional("key", "The name of the caller's key.", text_test()),
        Field::optional("team", "The team of the caller's key.", text_test()),
        Field::optional("model", "The body's `model`.", text_test()),
        Field::optional(
            "prompt_tokens",
            "Tokens of the prompt, estimated.",
            number_test(),
        ),
        Field::optional(
            "answer_tokens_max",
            "The most answer tokens that the body asks for.",
            number_test(),
        ),
        Field::optional("messages", "How many messages the body has.", number_test()),
        Field::optional("images", "Whether the body has images.", flag_test()),
        Field::optional("tools", "Whether the body has tools.", flag_test()),
        Field::optional(
            "json_schema",
            "Whether the body asks for JSON of a schema.",
            flag_test(),
        ),
        Field::optional("stream", "Whether the body asks for a stream.", flag_test()),
        Field::optional("sensitive", "What the caller's tags state.", flag_test()),
        Field::optional("topic", "What the caller's tags state.", text_test()),
        Field::optional(
            "difficulty",
            "What the caller's tags state, from 0 to 1.",
            number_test(),
        ),
        Field::optional(
            "headers",
            "Request headers by name, but those that carry a secret.",
            Shape::Map(&HEADERS),
        ),
        Field::optional(
            "metadata",
            "Texts of the body's `metadata`, by name.",
            Shape::Map(&METADATA),
        ),
        Field::optional(
            "text",
            "The user's messages, the newest first, up to 64 KiB; at most 16 such conditions in a route.",
            text_test(),
        ),
        Field::optional("time", "A window of the week.", Shape::Object(&WINDOW)),
        Field::optional("any", "At least one of these conditions.", conditions()),
        Field::optional("all", "All of these conditions.", conditions()),
        Field::optional("none", "None of these conditions.", conditions()),
    ],
);

static CONDITION: Shape = Shape::Object(&WHEN);

const fn conditions() -> Shape {
    Shape::List(List::filled(VALUES_MAX, &CONDITION))
}

static HEADERS: Map = Map {
    key: Key::NoneInAnyCase(&SECRET_HEADERS),
    value: text_test(),
    fields_max: None,
    built_in: None,
};

static METADATA: Map = Map {
    key: Key::Any,
    value: text_test(),
    fields_max: None,
    built_in: None,
};

static OF_TEXT: Shape = Shape::AnyOf(&[
    Shape::Text,
    Shape::List(List::up_to(VALUES_MAX, &Shape::Text)),
    Shape::Object(&TEXT_OPERATORS),
]);

static OF_NUMBER: Shape = Shape::AnyOf(&[
    Shape::AnyNumber,
    Shape::List(List::up_to(VALUES_MAX, &Shape::AnyNumber)),
    Shape::Object(&NUMBER_OPERATORS),
]);

static OF_FLAG: Shape = Shape::AnyOf(&[
    Shape::Flag,
    Shape::List(List::up_to(VALUES_MAX, &Shape::Flag)),
    Shape::Object(&FLAG_OPERATORS),
]);

static TEXT_TEST: Shape = text_test();
static NUMBER_TEST: Shape = number_test();

const fn text_tests() -> Shape {
    Shape::List(List::up_to(VALUES_MAX, &TEXT_TEST))
}

const fn number_tests() -> Shape {
    Shape::List(List::up_to(VALUES_MAX, &NUMBER_TEST))
}

const PATTERN: Shape = Shape::ShortText {
    bytes_max: PATTERN_BYTES_MAX,
};

pub static TEXT_OPERATORS: Description = Description::new(
    "text_operators",
    "Operators on a text, which must all hold.",
    &[
        Field::optional("eq", "This text, in capitals or not.", Shape::Text),
        Field::optional(
            "in",
            "One of these texts, in capitals or not.",
            Shape::List(List::up_to(VALUES_MAX, &Shape::Text)),
        ),
        Field::optional("not", "Not this.", text_test()),
        Field::optional("any", "At least one of these.", text_tests()),
        Field::optional("all", "All of these.", text_tests()),
        Field::optional("none", "None of these.", text_tests()),
        Field::optional("contains", "Has this in it, in capitals or not.", PATTERN),
        Field::optional("prefix", "Begins with this, in capitals or not.", PATTERN),
        Field::optional(
            "glob",
            "Is this, in capitals or not, where `*` is any text and `?` any one character.",
            PATTERN,
        ),
        Field::optional(
            "regex",
            "A regular expression without look-around and back-references; `(?i)` ignores case.",
            PATTERN,
        ),
    ],
)
.needing(Needs::AtLeastOne);

pub static NUMBER_OPERATORS: Description = Description::new(
    "number_operators",
    "Operators on a number, which must all hold.",
    &[
        Field::optional("eq", "This number.", Shape::AnyNumber),
        Field::optional(
            "in",
            "One of these numbers.",
            Shape::List(List::up_to(VALUES_MAX, &Shape::AnyNumber)),
        ),
        Field::optional("not", "Not this.", number_test()),
        Field::optional("any", "At least one of these.", number_tests()),
        Field::optional("all", "All of these.", number_tests()),
        Field::optional("none", "None of these.", number_tests()),
        Field::optional("gt", "Above this.", Shape::AnyNumber),
        Field::optional("lt", "Below this.", Shape::AnyNumber),
        Field::optional(
            "between",
            "From the first to the second, both included.",
            Shape::List(List {
                item: &Shape::AnyNumber,
                items_min: 2,
                items_max: 2,
            }),
        ),
    ],
)
.needing(Needs::AtLeastOne);

pub static FLAG_OPERATORS: Description = Description::new(
    "flag_operators",
    "Operators on true and false, which must all hold.",
    &[
        Field::optional("eq", "This.", Shape::Flag),
        Field::optional("not", "Not this.", flag_test()),
    ],
)
.needing(Needs::AtLeastOne);

pub static WINDOW: Description = Description::new(
    "window",
    "From one time of day to another; one over midnight belongs to the day on which it began.",
    &[
        Field::optional(
            "from",
            "The first minute that is inside, such as `09:30`. Default `00:00`.",
            Shape::Pattern(TIME_OF_DAY),
        ),
        Field::optional(
            "to",
            "The first minute that is outside. Default `24:00`.",
            Shape::Pattern(TIME_OF_DAY),
        ),
        Field::optional(
            "days",
            "The days of the week. Default: all.",
            Shape::OneOrMany(List::up_to(7, &Shape::ChoiceInAnyCase(day_names))),
        ),
        Field::optional(
            "utc_offset",
            "What the clock on the wall is ahead of UTC, such as `+01:00`. Default `+00:00`; summer time is a second rule.",
            Shape::Pattern(UTC_OFFSET),
        ),
    ],
);
