//! What a key may name as `model`, as OpenAI's and Anthropic's SDKs list it.
//!
//! A listed model is a route, or one model of a provider, which is a route with one target. Beside the fields of the two
//! APIs stands what is known of it: its targets with their terms, and over all of them the span of the context and the
//! prices, and the abilities that every target is known to have, and those that some are. What is unknown is left out.
//!
//! Neither kind has a day of creation; both APIs allow the epoch for that.
//!
//! Shapes: <https://platform.openai.com/docs/api-reference/models>,
//! <https://platform.claude.com/docs/en/api/models-list>, 2026-11-21.

use serde::Serialize;

use crate::chat::RequestError;
use crate::config::{Route, Target};
use crate::dialects::ClientDialect;
use crate::providers::{Ability, Price};
use crate::units::Tokens;

/// Anthropic's own limit of a page.
pub const LISTED_MAX: usize = 1_000;
/// Anthropic's own default.
const LISTED_DEFAULT: usize = 20;

/// Which part of the list is asked for: Anthropic's parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub limit: Option<String>,
    pub after_id: Option<String>,
    pub before_id: Option<String>,
}

/// All models that a key may name, in order.
#[derive(Debug, Default)]
pub struct Listing {
    models: Vec<Model>,
}

#[derive(Debug)]
struct Model {
    id: String,
    owned_by: String,
    known: Known,
}

#[derive(Debug, Serialize)]
struct Known {
    #[serde(skip_serializing_if = "Option::is_none")]
    context_tokens: Option<Span<Tokens>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usd_per_mtok: Option<PriceSpan>,
    can: Abilities,
    targets: Vec<KnownTarget>,
}

#[derive(Debug, Serialize)]
struct Span<T> {
    min: T,
    max: T,
}

#[derive(Debug, Serialize)]
struct PriceSpan {
    #[serde(rename = "in")]
    input: Span<f64>,
    out: Span<f64>,
}

#[derive(Debug, Serialize)]
struct Abilities {
    all: Vec<&'static str>,
    some: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct KnownTarget {
    id: String,
    provider: String,
    model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    context_tokens: Option<Tokens>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usd_per_mtok: Option<KnownPrice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    can: Option<Vec<&'static str>>,
}

/// A price as an entry writes it.
#[derive(Debug, Serialize)]
struct KnownPrice {
    #[serde(rename = "in")]
    input: f64,
    in_cached: f64,
    cache_write: f64,
    in_audio: f64,
    in_image: f64,
    out: f64,
    reasoning: f64,
}

impl From<Price> for KnownPrice {
    fn from(price: Price) -> Self {
        Self {
            input: price.input,
            in_cached: price.input_cached,
            cache_write: price.cache_write,
            in_audio: price.input_audio,
            in_image: price.input_image,
            out: price.output,
            reasoning: price.reasoning,
        }
    }
}

impl Listing {
    /// Adds a route, or a model that is named directly. The order of the calls is the list's.
    pub fn add(&mut self, route: &Route, owned_by: &str) {
        self.models.push(Model {
            id: route.name.clone(),
            owned_by: owned_by.to_owned(),
            known: Known::of(&route.targets),
        });
    }

    /// One model, in the client's dialect.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn one(&self, id: &str, client: ClientDialect) -> Result<Vec<u8>, RequestError> {
        let found = self.models.iter().find(|model| model.id == id);
        let found = found.ok_or_else(|| RequestError::UnknownRoute {
            name: id.to_owned(),
            known: "GET /v1/models lists the names".to_owned(),
        })?;
        Ok(serde_json::to_vec(&found.wire(client)).unwrap_or_default())
    }

    /// The list in the client's dialect. OpenAI's is never divided into pages.
    ///
    /// # Errors
    /// A page that cannot be.
    pub fn page(&self, page: &Page, client: ClientDialect) -> Result<Vec<u8>, RequestError> {
        let list = if client == ClientDialect::Anthropic {
            self.anthropic_page(page)?
        } else {
            WireList {
                object: Some("list"),
                data: self.models.iter().map(|model| model.wire(client)).collect(),
                cursor: None,
            }
        };
        Ok(serde_json::to_vec(&list).unwrap_or_default())
    }

    fn anthropic_page(&self, page: &Page) -> Result<WireList<'_>, RequestError> {
        let invalid = |field: &str, expected: String| RequestError::Invalid {
            field: field.to_owned(),
            expected,
        };
        let limit = page.limit.as_ref().map_or(Ok(LISTED_DEFAULT), |text| {
            let limit = text.parse().ok();
            let limit = limit.filter(|limit| (1..=LISTED_MAX).contains(limit));
            limit.ok_or_else(|| invalid("limit", format!("a whole number from 1 to {LISTED_MAX}")))
        })?;
        let place = |field: &str, id: &String| {
            let place = self.models.iter().position(|model| model.id == *id);
            place.ok_or_else(|| invalid(field, "the id of a listed model".to_owned()))
        };
        let range = match (&page.after_id, &page.before_id) {
            (Some(_), Some(_)) => {
                return Err(invalid(
                    "after_id",
                    "this or `before_id`, not both".to_owned(),
                ));
            }
            (None, Some(before)) => {
                let end = place("before_id", before)?;
                end.saturating_sub(limit)..end
            }
            (after, None) => {
                let after = after.as_ref().map(|after| place("after_id", after));
                let start = after.transpose()?.map_or(0, |place| place + 1);
                start..self.models.len().min(start + limit)
            }
        };
        let has_more = if page.before_id.is_some() {
            range.start > 0
        } else {
            range.end < self.models.len()
        };
        let models = self.models.get(range).unwrap_or_default();
        Ok(WireList {
            object: None,
            data: models
                .iter()
                .map(|model| model.wire(ClientDialect::Anthropic))
                .collect(),
            cursor: Some(Cursor {
                has_more,
                first_id: models.first().map(|model| &*model.id),
                last_id: models.last().map(|model| &*model.id),
            }),
        })
    }
}

impl Model {
    fn wire(&self, client: ClientDialect) -> WireModel<'_> {
        let named = match client {
            ClientDialect::Anthropic => Named::Anthropic {
                kind: "model",
                display_name: &self.id,
                created_at: "1970-01-01T00:00:00Z",
            },
            _ => Named::OpenAi {
                object: "model",
                created: 0,
                owned_by: &self.owned_by,
            },
        };
        WireModel {
            id: &self.id,
            named,
            known: &self.known,
        }
    }
}

impl Known {
    fn of(targets: &[Target]) -> Self {
        let contexts = targets.iter().filter_map(|target| target.terms.context);
        let prices = || targets.iter().filter_map(|target| target.terms.price);
        let usd = |of: fn(Price) -> f64| span(prices().map(of), f64::min, f64::max);
        let input = usd(|price| price.input);
        let out = usd(|price| price.output);
        let abilities = Ability::NAMES.into_iter().filter_map(Ability::parse);
        let knows = |ability: Ability| move |target: &Target| target.terms.is_known_to(ability);
        let all = abilities
            .clone()
            .filter(|it| targets.iter().all(knows(*it)));
        let some = abilities.filter(|it| targets.iter().any(knows(*it)));
        Self {
            context_tokens: span(contexts, Tokens::min, Tokens::max),
            usd_per_mtok: input.zip(out).map(|(input, out)| PriceSpan { input, out }),
            can: Abilities {
                all: all.map(Ability::name).collect(),
                some: some.map(Ability::name).collect(),
            },
            targets: targets.iter().map(KnownTarget::of).collect(),
        }
    }
}

impl KnownTarget {
    fn of(target: &Target) -> Self {
        let terms = &target.terms;
        let names = |can: &Vec<Ability>| can.iter().map(|ability| ability.name()).collect();
        Self {
            id: target.id.to_string(),
            provider: target.provider.name.to_string(),
            model: target.model.to_string(),
            context_tokens: terms.context,
            usd_per_mtok: terms.price.map(KnownPrice::from),
            can: terms.can.as_ref().map(names),
        }
    }
}

/// The least and the greatest; none of none.
fn span<T: Copy>(
    values: impl Iterator<Item = T>,
    least: fn(T, T) -> T,
    greatest: fn(T, T) -> T,
) -> Option<Span<T>> {
    let bounds = values.map(|value| (value, value));
    let bounds = bounds.reduce(|(min, max), (value, _)| (least(min, value), greatest(max, value)));
    bounds.map(|(min, max)| Span { min, max })
}

#[derive(Serialize)]
struct WireList<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'static str>,
    data: Vec<WireModel<'a>>,
    #[serde(flatten)]
    cursor: Option<Cursor<'a>>,
}

#[derive(Serialize)]
struct Cursor<'a> {
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

#[derive(Serialize)]
struct WireModel<'a> {
    id: &'a str,
    #[serde(flatten)]
    named: Named<'a>,
    #[serde(flatten)]
    known: &'a Known,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Named<'a> {
    OpenAi {
        object: &'static str,
        created: u64,
        owned_by: &'a str,
    },
    Anthropic {
        #[serde(rename = "type")]
        kind: &'static str,
        display_name: &'a str,
        created_at: &'static str,
    },
}
