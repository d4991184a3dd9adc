//! A route, its targets and its rules, field by field.

use super::providers::{CAN, CONTEXT_TOKENS, USD_PER_MTOK, USD_PER_MTOK_MAX};
use super::when::WHEN;
use super::{Description, Field, List, Map, Needs, SCHEMA, Shape, texts};
use crate::config::settings::{embeddings_names, filtered_names, midstream_names, sticky_names};
use crate::config::strategy::Strategy;

/// A person reads a route; a plan of more targets than this is never walked to its end.
pub const TARGETS_MAX: usize = 256;
pub const TOPICS_MAX: usize = 256;
pub const REGIONS_MAX: usize = 64;
pub const RULES_MAX: usize = 128;
pub const IDS_MAX: usize = 1_000;
pub const WEIGHT_MAX: f64 = 1e9;
/// The logarithm of 0 is no score; to exclude a target, a rule says it better.
pub const QUALITY_MIN: f64 = 1e-6;
pub const QUALITY_MAX: f64 = 1.0;
/// Beyond this an exponent decides alone, and its products stay finite.
pub const EXPONENT_MAX: f64 = 1_000.0;
pub const TEMPERATURE_MAX: f64 = 1_000.0;
pub const DAY_MS: u64 = 86_400_000;
pub const COST_USD_MAX: f64 = 1_000_000.0;
pub const TOKENS_PER_SECOND_MAX: f64 = 1_000_000.0;

pub static ROUTE: Description = Description::new(
    "route",
    "A route: what a client's `model` field names.",
    &[
        SCHEMA,
        Field::optional("description", "For people; not read.", Shape::Any),
        Field::required(
            "targets",
            "The providers' models that may answer.",
            Shape::List(List::filled(TARGETS_MAX, &Shape::Object(&TARGET))),
        ),
        Field::optional(
            "strategy",
            "A name for common settings; a field that the route writes itself wins over it.",
            Shape::Choice(Strategy::names),
        ),
        Field::optional(
            "prefer",
            "How much each signal counts; none by default, so that weights alone decide.",
            Shape::Object(&PREFER),
        ),
        Field::optional(
            "temperature",
            "0 takes the best; 1 spreads in proportion to the scores; more spreads wider. Default 1.",
            Shape::Number {
                low: 0.0,
                high: TEMPERATURE_MAX,
            },
        ),
        Field::optional(
            "sticky",
            "Whose requests stay with one target; each request is drawn afresh by default.",
            Shape::AnyOf(&[Shape::Choice(sticky_names), Shape::Object(&STICKY_HEADER)]),
        ),
        Field::optional(
            "ring",
            "Regions from the nearest to the farthest, by the caller's continent; for `prefer.distance`.",
            Shape::Object(&RING),
        ),
        Field::optional(
            "rules",
            "What becomes of requests that meet a condition, in order; the last one wins where two set the same.",
            Shape::List(List::up_to(RULES_MAX, &Shape::Object(&RULE))),
        ),
        Field::optional(
            "limits",
            "Drops targets that are beyond a limit.",
            Shape::Object(&LIMITS),
        ),
        Field::optional(
            "ejected_share_max",
            "The largest share of the targets that may be ejected after failures; of more, the least bad stay. Default 1: as many as have failed, but none where all have.",
            Shape::Number {
                low: 0.0,
                high: 1.0,
            },
        ),
        Field::optional(
            "deadlines",
            "How long an attempt may take.",
            Shape::Object(&DEADLINES),
        ),
        Field::optional(
            "midstream",
            "What to do with a stream that breaks after its first token: an error event, another target that carries the answer on, or an answer that is held back until it is whole. Default `error`.",
            Shape::Choice(midstream_names),
        ),
        Field::optional(
            "filtered",
            "What to do when a provider's safety filter refuses: pass its refusal on, or ask the next target. Default `stop`.",
            Shape::Choice(filtered_names),
        ),
        Field::optional(
            "embeddings",
            "Which targets are asked for embeddings once the first has failed: those of the same model, or all. Default `same_model`.",
            Shape::Choice(embeddings_names),
        ),
        Field::optional(
            "hedge",
            "Whether a second target is asked beside one that is slow to begin. Default false.",
            Shape::AnyOf(&[Shape::Flag, Shape::Object(&HEDGE)]),
        ),
    ],
);

pub static TARGET: Description = Description::new(
    "target",
    "One provider's model, with its terms.",
    &[
        Field::optional(
            "id",
            "Names the target in rules, headers and records. Default `provider/model`.",
            Shape::Text,
        ),
        Field::required(
            "provider",
            "The name of a provider, built in or of the `providers` entry.",
            Shape::Text,
        ),
        Field::required("model", "The provider's name of the model.", Shape::Text),
        Field::optional(
            "weight",
            "The share of requests, relative to the other targets'. Default 1.",
            Shape::Above {
                low: 0.0,
                high: WEIGHT_MAX,
            },
        ),
        Field::optional(
            "quality",
            "How well it answers, up to 1: one number, or numbers by topic with `*` for the rest. Default 0.5.",
            Shape::AnyOf(&[QUALITY, Shape::Map(&QUALITY_BY_TOPIC)]),
        ),
        Field::optional(
            "private",
            "The team's own hardware, or a contract under which nothing is kept. Default: the provider's.",
            Shape::Flag,
        ),
        Field::optional(
            "region",
            "Where it computes, in the team's own words. Default: the provider's.",
            Shape::Text,
        ),
        CONTEXT_TOKENS,
        USD_PER_MTOK,
        CAN,
    ],
);

const QUALITY: Shape = Shape::Number {
    low: QUALITY_MIN,
    high: QUALITY_MAX,
};

static QUALITY_BY_TOPIC: Map = Map {
    key: super::Key::Any,
    value: QUALITY,
    fields_max: Some(TOPICS_MAX),
    built_in: None,
};

const EXPONENT: Shape = Shape::Number {
    low: 0.0,
    high: EXPONENT_MAX,
};

pub static PREFER: Description = Description::new(
    "prefer",
    "The exponents of the score: 0 counts not at all, 2 counts squared.",
    &[
        Field::optional("price", "A low expected cost of the request.", EXPONENT),
        Field::optional("ttft", "A short time to the first token.", EXPONENT),
        Field::optional("speed", "Few seconds per answer token.", EXPONENT),
        Field::optional("quality", "The targets' `quality`.", EXPONENT),
        Field::optional("reliability", "A high probability of success.", EXPONENT),
        Field::optional("load", "Few rate limits of late.", EXPONENT),
        Field::optional(
            "distance",
            "A region that is near to the caller; needs `ring`.",
            EXPONENT,
        ),
        Field::optional(
            "room",
            "Rate limits that leave room for what is needed; counts only where they do not. Default 1.",
            EXPONENT,
        ),
    ],
);

pub static STICKY_HEADER: Description = Description::new(
    "sticky_header",
    "Requests with the same value of a header stay together.",
    &[Field::required(
        "header",
        "The name of the request header.",
        Shape::Text,
    )],
);

const REGIONS: Shape = texts(REGIONS_MAX);

pub static RING: Description = Description::new(
    "ring",
    "Regions from the nearest to the farthest, by the caller's continent.",
    &[
        Field::optional("AF", "For callers in Africa.", REGIONS),
        Field::optional("AN", "For callers in Antarctica.", REGIONS),
        Field::optional("AS", "For callers in Asia.", REGIONS),
        Field::optional("EU", "For callers in Europe.", REGIONS),
        Field::optional("NA", "For callers in North America.", REGIONS),
        Field::optional("OC", "For callers in Oceania.", REGIONS),
        Field::optional("SA", "For callers in South America.", REGIONS),
        Field::optional("*", "For all other callers.", REGIONS),
    ],
);

pub static LIMITS: Description = Description::new(
    "limits",
    "A target that is expected to be beyond one of these is dropped.",
    &[
        Field::optional(
            "cost_usd_max",
            "The expected cost of the whole request, in US dollars.",
            Shape::Number {
                low: 0.0,
                high: COST_USD_MAX,
            },
        ),
        Field::optional(
            "usd_per_mtok_max",
            "The listed price, in US dollars per million tokens; a target without one is beyond it.",
            Shape::Object(&PRICE_MAX),
        ),
        Field::optional(
            "ttft_ms_max",
            "The expected time to the first token, in milliseconds.",
            SPAN,
        ),
        Field::optional(
            "tokens_per_second_min",
            "The expected speed after the first token.",
            Shape::Number {
                low: 0.0,
                high: TOKENS_PER_SECOND_MAX,
            },
        ),
    ],
);

pub static HEDGE: Description = Description::new(
    "hedge",
    "When a second target is asked beside one that has not begun to answer, for streams.",
    &[
        Field::optional(
            "after_ms",
            "After this time, in milliseconds. Default what 95 in 100 of the target's recent streams needed less than.",
            SPAN,
        ),
        Field::optional(
            "cost_usd_max",
            "What the second is expected to cost at most, in US dollars. Default no limit.",
            Shape::Number {
                low: 0.0,
                high: COST_USD_MAX,
            },
        ),
    ],
);

const USD: Shape = Shape::Number {
    low: 0.0,
    high: USD_PER_MTOK_MAX,
};

pub static PRICE_MAX: Description = Description::new(
    "usd_per_mtok_max",
    "US dollars per million tokens, at most.",
    &[
        Field::optional("in", "Prompt tokens.", USD),
        Field::optional("out", "Answer tokens.", USD),
    ],
);

const SPAN: Shape = Shape::Whole {
    low: 1,
    high: DAY_MS,
};

pub static DEADLINES: Description = Description::new(
    "deadlines",
    "How long an attempt may take, in milliseconds.",
    &[
        Field::optional(
            "headers_ms",
            "From sending to the response's headers. Default 30000.",
            SPAN,
        ),
        Field::optional(
            "first_token_ms",
            "From sending to the first real content. Default 120000.",
            SPAN,
        ),
        Field::optional(
            "idle_ms",
            "Silence between two pieces of a stream. Default 60000.",
            SPAN,
        ),
        Field::optional(
            "total_ms",
            "The whole exchange. None by default: it kills healthy long answers.",
            SPAN,
        ),
    ],
);

/// The fields of a rule that do something.
pub const EFFECTS: [&str; 7] = [
    "only",
    "avoid",
    "require",
    "prefer",
    "limits",
    "deadlines",
    "route",
];

pub static RULE: Description = Description::new(
    "rule",
    "When a condition holds, what becomes of the targets and of the route's settings.",
    &[
        Field::optional("name", "Names the rule in explanations.", Shape::Text),
        Field::optional(
            "when",
            "What must hold; without it the rule always applies.",
            Shape::Object(&WHEN),
        ),
        Field::optional("only", "Keeps these targets alone, by id.", texts(IDS_MAX)),
        Field::optional("avoid", "Drops these targets, by id.", texts(IDS_MAX)),
        Field::optional(
            "require",
            "Keeps the targets that are all of this.",
            Shape::Object(&REQUIRE),
        ),
        Field::optional(
            "prefer",
            "Replaces the route's values of these names.",
            Shape::Object(&PREFER),
        ),
        Field::optional(
            "limits",
            "Replaces the route's values of these names.",
            Shape::Object(&LIMITS),
        ),
        Field::optional(
            "deadlines",
            "Replaces the route's values of these names.",
            Shape::Object(&DEADLINES),
        ),
        Field::optional(
            "route",
            "Sends the request to the route of this name, whose rules and targets count from then on.",
            Shape::Text,
        ),
    ],
)
.needing(Needs::OneOf(&EFFECTS));

pub static REQUIRE: Description = Description::new(
    "require",
    "What a target must be to stay.",
    &[
        Field::optional(
            "region",
            "In this region, or in one of these.",
            texts(IDS_MAX),
        ),
        Field::optional("private", "Private, or not.", Shape::Flag),
        Field::optional(
            "provider",
            "Of this provider, or of one of these.",
            texts(IDS_MAX),
        ),
    ],
)
.needing(Needs::AtLeastOne);
