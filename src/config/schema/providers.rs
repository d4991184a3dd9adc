//! The `providers` entry, field by field.

use super::{BuiltIn, Description, Field, Key, List, Map, Needs, SCHEMA, Shape};
use crate::dialects::{Dialect, Quirk};
use crate::providers::{Ability, DataPolicy, PROVIDERS as ROWS, ProviderRow};

/// Secrets in one pool.
pub const SECRETS_MAX: usize = 32;
/// Dollars per million tokens; the dearest model today costs some hundreds.
pub const USD_PER_MTOK_MAX: f64 = 100_000.0;
pub const CONTEXT_TOKENS_MAX: u64 = 1_000_000_000;
/// Each ability once, and room for a slip.
pub const CAN_MAX: usize = Ability::NAMES.len() * 2;
/// Likewise.
pub const QUIRKS_MAX: usize = Quirk::NAMES.len() * 2;

/// The characters are those of ASCII that can be seen, without `"`, `#`, `@` and a backslash; a `?` begins the query. A host
/// or a port has no `/` and `{` either.
const BASE_URL: &str = r"^(https://[!$-.0-9;->A-\[\]-z|}~][!$-.0-:;->A-\[\]-z|}~]*(/[!$->A-\[\]-~]*)?(\?[!$->A-\[\]-~]*)?|http://((localhost|127\.0\.0\.1)(:[!$-.0-9;->A-\[\]-z|}~]*)?|\[::1\]:[!$-.0-9;->A-\[\]-z|}~]*)(/[!$->A-\[\]-~]*)?(\?[!$->A-\[\]-~]*)?)$";
const HEADER_NAME: &str = "^[A-Za-z0-9_-]+$";
const SECRET_NAME: &str = "^[A-Z_][A-Z0-9_]*$";
const SCOPE_NAME: &str = "^[a-z0-9-]+$";
const PROVIDER_NAME: &str = "^[^/]*$";
const MODEL_NAME: &str = "^[^/]*/";

pub static PROVIDERS: Description = Description::new(
    "providers",
    "Providers and models that add to the built-in catalogue, or change it.",
    &[
        SCHEMA,
        Field::optional(
            "providers",
            "Providers by name: new ones, or changes to built-in ones.",
            Shape::Map(&PROVIDERS_BY_NAME),
        ),
        Field::optional(
            "models",
            "The terms of models, by `provider/model`.",
            Shape::Map(&MODELS_BY_NAME),
        ),
    ],
);

static PROVIDERS_BY_NAME: Map = Map {
    key: Key::Pattern(PROVIDER_NAME),
    value: Shape::Object(&PROVIDER),
    fields_max: None,
    built_in: Some(built_in),
};

static MODELS_BY_NAME: Map = Map {
    key: Key::Pattern(MODEL_NAME),
    value: Shape::Object(&MODEL),
    fields_max: None,
    built_in: None,
};

pub static PROVIDER: Description = Description::new(
    "provider",
    "Whose API. Fields that a built-in provider leaves out stay as they are.",
    &[
        Field::required_of_new(
            "dialect",
            "The wire format that it speaks.",
            Shape::Choice(Dialect::names),
        ),
        Field::required_of_new(
            "base_url",
            "An https URL without user or fragment (http on loopback only). The dialect's path is put behind it, before its query if it has one; `{model}` becomes the model's name.",
            Shape::Pattern(BASE_URL),
        )
        .unless("binding"),
        Field::optional(
            "binding",
            "The name of a binding to Workers AI, which is called instead of a URL and needs no key.",
            Shape::Pattern(SECRET_NAME),
        ),
        Field::optional(
            "auth",
            "How it is shown who calls: the names of secrets, never a secret. Default `none`.",
            Shape::AnyOf(&[Shape::Const("none"), Shape::Object(&AUTH)]),
        ),
        Field::optional(
            "region",
            "Where it computes, in the team's own words, such as `eu`. Unknown by default.",
            Shape::Text,
        ),
        Field::optional(
            "private",
            "The team's own hardware, or a contract under which nothing is kept. Default false.",
            Shape::Flag,
        ),
        Field::optional(
            "data_policy",
            "What becomes of prompts and answers there; `retained` is for a time, and trained on by nobody. Unknown by default.",
            Shape::Choice(data_policy_names),
        ),
        QUIRKS,
    ],
);

const QUIRKS: Field = Field::optional(
    "quirks",
    "All in which it differs from its dialect. Default: the catalogue's, of a model its provider's, or none.",
    Shape::List(List::up_to(QUIRKS_MAX, &Shape::Choice(quirk_names))),
);

const SECRET: Shape = Shape::OneOrMany(List::filled(SECRETS_MAX, &Shape::Pattern(SECRET_NAME)));

pub static AUTH: Description = Description::new(
    "auth",
    "Exactly one way of telling who calls.",
    &[
        Field::optional(
            "bearer",
            "Sent as `authorization: Bearer …`. The name of a secret, such as `OPENAI_API_KEY`, or a pool of names.",
            SECRET,
        ),
        Field::optional(
            "header",
            "Sent in a header of its own.",
            Shape::Object(&NAMED_SECRET),
        ),
        Field::optional(
            "query",
            "Sent as a parameter of the URL.",
            Shape::Object(&NAMED_SECRET),
        ),
        Field::optional(
            "aws_sigv4",
            "Each call is signed as AWS wants it, Signature Version 4.",
            Shape::Object(&AWS_SIGV4),
        ),
        Field::optional(
            "google_service_account",
            "Vertex AI: the name of a secret that holds a service account's JSON key, or a pool of names.",
            SECRET,
        ),
        Field::optional("none", "Not at all; any value.", Shape::Any),
    ],
)
.needing(Needs::ExactlyOne);

pub static AWS_SIGV4: Description = Description::new(
    "aws_sigv4",
    "What a call to AWS is signed with and for.",
    &[
        Field::required(
            "secret",
            "The name of a secret, or a pool of names. Its value is `ACCESS_KEY_ID:SECRET_ACCESS_KEY`, for temporary keys with `:SESSION_TOKEN` behind it.",
            SECRET,
        ),
        Field::required(
            "region",
            "The region that the URL is of, such as `eu-central-1`.",
            Shape::Pattern(SCOPE_NAME),
        ),
        Field::optional(
            "service",
            "The service's name in signatures. Default `bedrock`.",
            Shape::Pattern(SCOPE_NAME),
        ),
    ],
);

pub static NAMED_SECRET: Description = Description::new(
    "named_secret",
    "A secret, and the header or parameter that carries it.",
    &[
        Field::required(
            "name",
            "The name of the header or parameter.",
            Shape::Pattern(HEADER_NAME),
        ),
        Field::required(
            "secret",
            "The name of a secret, or a pool of names.",
            SECRET,
        ),
    ],
);

pub static MODEL: Description = Description::new(
    "model",
    "What is known of a provider's model.",
    &[CONTEXT_TOKENS, USD_PER_MTOK, CAN, QUIRKS],
);

/// A target has these three as well; quirks are no terms of a target.
pub const CONTEXT_TOKENS: Field = Field::optional(
    "context_tokens",
    "The most tokens of prompt and answer together. Default: the catalogue's, or no limit.",
    Shape::Whole {
        low: 1,
        high: CONTEXT_TOKENS_MAX,
    },
);

pub const USD_PER_MTOK: Field = Field::optional(
    "usd_per_mtok",
    "The price. Default: the catalogue's; an unknown one is ranked as 1 in and 4 out.",
    Shape::Object(&PRICE),
);

pub const CAN: Field = Field::optional(
    "can",
    "All that it can do. Default: the catalogue's, or everything.",
    Shape::List(List::up_to(CAN_MAX, &Shape::Choice(ability_names))),
);

const USD: Shape = Shape::Number {
    low: 0.0,
    high: USD_PER_MTOK_MAX,
};

pub static PRICE: Description = Description::new(
    "usd_per_mtok",
    "US dollars per million tokens.",
    &[
        Field::required("in", "Prompt tokens.", USD),
        Field::optional(
            "in_cached",
            "Prompt tokens that the provider had in its cache. Default: as `in`.",
            USD,
        ),
        Field::optional(
            "cache_write",
            "Prompt tokens that the provider put into its cache. Default: as `in`.",
            USD,
        ),
        Field::optional(
            "in_audio",
            "Prompt tokens that stand for sounds. Default: as `in`.",
            USD,
        ),
        Field::optional(
            "in_image",
            "Prompt tokens that stand for images. Default: as `in`.",
            USD,
        ),
        Field::required("out", "Answer tokens.", USD),
        Field::optional(
            "reasoning",
            "Answer tokens of reasoning. Default: as `out`.",
            USD,
        ),
    ],
);

/// What the Worker ships with. Where each account has a URL of its own, the entry must give it.
fn built_in() -> Vec<BuiltIn> {
    let built_in = |row: &'static ProviderRow| BuiltIn {
        name: row.name,
        lacks: if row.base_url.is_empty() {
            &["base_url"]
        } else {
            &[]
        },
    };
    ROWS.iter().map(built_in).collect()
}

fn quirk_names() -> Vec<&'static str> {
    Quirk::NAMES.iter().map(|(name, _)| *name).collect()
}

fn data_policy_names() -> Vec<&'static str> {
    DataPolicy::NAMES.iter().map(|(name, _)| *name).collect()
}

fn ability_names() -> Vec<&'static str> {
    Ability::NAMES.to_vec()
}
