//! A target of a route: one provider and model, and its terms.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::catalogue::{Catalogue, read_terms};
use super::prefer::Prefer;
use super::read::{Node, Object, Problems};
use super::schema::route as described;
use super::schema::route::{QUALITY_MAX, QUALITY_MIN, TARGETS_MAX, TOPICS_MAX, WEIGHT_MAX};
use crate::dialects::{ClientDialect, Dialect, Endpoint, Feature, Features, Quirk, Quirks};
use crate::providers::{Ability, Provider, Terms};

/// One provider and model, and its terms.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub id: Arc<str>,
    pub provider: Arc<Provider>,
    pub model: Arc<str>,
    pub weight: f64,
    pub quality: Quality,
    pub is_private: bool,
    pub region: Option<String>,
    pub terms: Terms,
}

impl Target {
    /// The name under which health is kept: routes that share a provider's model share what is known of it.
    #[must_use]
    pub fn health_key(&self) -> String {
        format!("{}/{}", self.provider.name, self.model)
    }

    /// Whether it is sent the bytes of a client of this dialect, and the client gets its. Of what is called by a binding no
    /// client does: Workers AI's older models answer there in a shape of their own.
    #[must_use]
    pub fn speaks(&self, client: ClientDialect, endpoint: Endpoint) -> bool {
        if self.provider.binding.is_some() {
            return false;
        }
        let dialect = self.provider.dialect;
        match endpoint {
            Endpoint::Chat | Endpoint::CountTokens => dialect == client.into(),
            Endpoint::Completions => {
                dialect == Dialect::OpenaiChat && self.terms.is_known_to(Ability::Completions)
            }
            _ => dialect == Dialect::OpenaiChat,
        }
    }

    /// What it wants otherwise than its dialect says: the model's quirks where they are listed, else the provider's.
    #[must_use]
    pub fn quirks(&self) -> Quirks {
        self.terms.quirks.unwrap_or(self.provider.quirks)
    }

    /// What it gets of a request of `client`: all of what is passed on as it is, but for what its quirks leave out; of
    /// another dialect's, what some models alone take only where it is known to be one of them, because the others refuse
    /// the request.
    #[must_use]
    pub fn carries(&self, client: Option<ClientDialect>, endpoint: Endpoint) -> Features {
        if client.is_some_and(|client| self.speaks(client, endpoint)) {
            let heeded = self.quirks().of(self.provider.dialect);
            return if heeded.has(Quirk::NoUnsignedThoughts) {
                Features::ALL.without(Feature::Reasoning)
            } else {
                Features::ALL
            };
        }
        let dialect = self.provider.dialect;
        let carried = dialect.carries_to(&self.model, self.quirks());
        let is_google = dialect == Dialect::Gemini;
        let some_have_tiers = is_google || dialect == Dialect::Bedrock;
        let only_some_take = [
            (true, Ability::Reasoning, Feature::ReasoningEffort),
            (is_google, Ability::Logprobs, Feature::Logprobs),
            (some_have_tiers, Ability::ServiceTiers, Feature::ServiceTier),
        ];
        let unknown = only_some_take
            .into_iter()
            .filter(|(is_so, ability, _)| *is_so && !self.terms.is_known_to(*ability));
        unknown.fold(carried, |carried, (_, _, feature)| carried.without(feature))
    }
}

/// How well a target answers, from 0 (excluded) to 1, by topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quality {
    pub by_topic: BTreeMap<String, f64>,
    /// For every other topic; `*` in the entry.
    pub other: Option<f64>,
}

/// The targets, and the ids of all that were written, so that a rule that names a broken one is not at fault.
pub(super) fn read_targets(
    fields: &Object<'_>,
    catalogue: &Catalogue,
    problems: &mut Problems,
) -> (Vec<Target>, Vec<String>) {
    let expected = "a list of at least one target";
    let items = fields
        .required("targets", expected, problems)
        .and_then(|node| {
            let items = node.array(TARGETS_MAX, problems)?;
            if items.is_empty() {
                problems.note(&node.path, expected, "an empty list");
            }
            Some(items)
        })
        .unwrap_or_default();
    let mut targets = Vec::with_capacity(items.len());
    let mut ids: Vec<String> = Vec::with_capacity(items.len());
    for item in &items {
        let target = read_target(item, catalogue, problems);
        let written = || item.value.get("id")?.as_str().map(str::to_owned);
        if let Some(id) = target
            .as_ref()
            .map(|target| target.id.to_string())
            .or_else(written)
        {
            if ids.contains(&id) {
                let expected = "an id that no other target of this route has";
                problems.note(&format!("{}.id", item.path), expected, id.clone());
            }
            ids.push(id);
        }
        targets.extend(target);
    }
    (targets, ids)
}

fn read_target(node: &Node<'_>, catalogue: &Catalogue, problems: &mut Problems) -> Option<Target> {
    let fields = node.described(&described::TARGET, problems)?;
    let provider = fields
        .required("provider", "the name of a provider", problems)
        .and_then(|node| read_provider_name(&node, catalogue, problems));
    let model = fields
        .required("model", "the provider's name of a model", problems)
        .and_then(|node| node.text(problems));
    let id = fields.field("id").map(|node| node.text(problems));
    let weight = match fields.field("weight") {
        Some(node) => read_weight(&node, problems),
        None => Some(1.0),
    };
    let quality = fields
        .field("quality")
        .map(|node| read_quality(&node, problems))
        .unwrap_or_default();
    let is_private = fields.field("private").map(|node| node.flag(problems));
    let region = fields
        .field("region")
        .and_then(|node| node.text(problems).map(str::to_owned));
    let over = read_terms(&fields, problems);
    let (provider, model) = (provider?, model?);
    let id = match id {
        Some(id) => id?.into(),
        None => format!("{}/{model}", provider.name).into(),
    };
    Some(Target {
        id,
        model: model.into(),
        weight: weight?,
        quality,
        is_private: is_private.flatten().unwrap_or(provider.is_private),
        region: region.or_else(|| provider.region.clone()),
        terms: catalogue.terms(&provider.name, model).overridden_by(&over),
        provider: Arc::clone(provider),
    })
}

fn read_provider_name<'a>(
    node: &Node<'_>,
    catalogue: &'a Catalogue,
    problems: &mut Problems,
) -> Option<&'a Arc<Provider>> {
    let name = node.text(problems)?;
    let provider = catalogue.provider(name);
    if provider.is_none() {
        catalogue.note_unknown(&node.path, "a known provider", name, problems);
    }
    provider
}

/// Above 0: the logarithm of nothing is no score, and `avoid` says it better.
fn read_weight(node: &Node<'_>, problems: &mut Problems) -> Option<f64> {
    let weight = node.number(0.0, WEIGHT_MAX, problems)?;
    if weight > 0.0 {
        return Some(weight);
    }
    let expected = "a number above 0 (to take a target out, remove it or `avoid` it in a rule)";
    problems.note(&node.path, expected, "0");
    None
}

/// A number, or numbers by topic with `*` for the rest.
fn read_quality(node: &Node<'_>, problems: &mut Problems) -> Quality {
    let mut quality = Quality::default();
    let read =
        |node: &Node<'_>, problems: &mut Problems| node.number(QUALITY_MIN, QUALITY_MAX, problems);
    if node.value.is_number() {
        quality.other = read(node, problems);
        return quality;
    }
    let Some(fields) = node.open_object(problems) else {
        return quality;
    };
    if fields.len() > TOPICS_MAX {
        let got = fields.len().to_string();
        problems.note(&node.path, format!("at most {TOPICS_MAX} topics"), got);
        return quality;
    }
    for (topic, node) in fields.fields() {
        let value = read(&node, problems);
        match (topic, value) {
            ("*", value) => quality.other = value,
            (topic, Some(value)) => {
                quality.by_topic.insert(topic.to_owned(), value);
            }
            (_, None) => {}
        }
    }
    quality
}

/// A price preference ranks an unlisted model by an assumed price (`decide::signals`), which may surprise.
pub(super) fn warn_of_unknown_prices(targets: &[Target], prefer: Prefer, warnings: &mut Problems) {
    if prefer.price <= 0.0 {
        return;
    }
    for (index, target) in targets.iter().enumerate() {
        if target.terms.price.is_none() {
            warnings.note(
                &format!("targets[{index}].usd_per_mtok"),
                "a price, since the route prefers by price; a typical one is assumed",
                "nothing",
            );
        }
    }
}
