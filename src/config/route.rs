//! A route: what a client's `model` field names.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::catalogue::{Catalogue, read_terms};
use super::condition::{Reading, Subject, Texts};
use super::read::{Node, Object, Problems};
use super::rule::{Rule, read_rules};
use super::schema::providers::USD_PER_MTOK_MAX;
use super::schema::route as described;
use super::schema::route::{
    COST_USD_MAX, DAY_MS, EXPONENT_MAX, QUALITY_MAX, QUALITY_MIN, REGIONS_MAX, TARGETS_MAX,
    TEMPERATURE_MAX, TOKENS_PER_SECOND_MAX, TOPICS_MAX, WEIGHT_MAX,
};
use super::strategy::Strategy;
use super::{Checked, Problem, Revision, parse_tree};
use crate::dialects::{ClientDialect, Dialect, Endpoint, Feature, Features, Quirks};
use crate::providers::{Ability, Provider, Terms};
use crate::units::{MicroUsd, Millis};

/// One entry, resolved against the catalogue. Every id in it exists and is unique, every number is in range.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub name: String,
    pub revision: Revision,
    /// Never empty.
    pub targets: Vec<Target>,
    pub prefer: Prefer,
    /// 0 takes the best; 1 spreads in proportion to the scores; more spreads wider.
    pub temperature: f64,
    pub sticky: Option<Sticky>,
    pub rules: Vec<Rule>,
    /// Tests of the user's text, by number; see [`Subject::Text`].
    pub texts: Texts,
    pub limits: Limits,
    /// The largest share of the targets that may serve a request that health may keep from it, from 0 to 1.
    pub ejected_share_max: f64,
    pub deadlines: Deadlines,
    pub midstream: Midstream,
    pub filtered: Filtered,
    pub embeddings: Embeddings,
    pub hedge: Option<Hedge>,
    /// For callers on a continent (ISO's two letters; `*` for the rest), regions from the nearest to the farthest.
    pub ring: BTreeMap<String, Vec<String>>,
}

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

    /// What it gets of a request of `client`: all of what is passed on as it is; of another dialect's, no word on how much
    /// to think unless it is known to think, because those that do not refuse the request.
    #[must_use]
    pub fn carries(&self, client: Option<ClientDialect>, endpoint: Endpoint) -> Features {
        if client.is_some_and(|client| self.speaks(client, endpoint)) {
            return Features::ALL;
        }
        let carried = self.provider.dialect.carries_to(&self.model);
        if self.terms.is_known_to(Ability::Reasoning) {
            return carried;
        }
        carried.without(Feature::ReasoningEffort)
    }
}

/// How well a target answers, from 0 (excluded) to 1, by topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quality {
    pub by_topic: BTreeMap<String, f64>,
    /// For every other topic; `*` in the entry.
    pub other: Option<f64>,
}

/// How much each signal counts: the exponents of the score. 0 means not at all.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Prefer {
    pub price: f64,
    /// Time to first token.
    pub ttft: f64,
    /// Seconds per answer token.
    pub speed: f64,
    pub quality: f64,
    pub reliability: f64,
    /// How much of late the target said that it was rate limited.
    pub load: f64,
    /// How far its region stands in the route's ring from where the caller is.
    pub distance: f64,
    /// How much is left of the target's rate limits, while that is less than what is needed.
    pub room: f64,
}

impl Default for Prefer {
    /// Only what is short counts: it counts for nothing where there is plenty.
    fn default() -> Self {
        Self {
            price: 0.0,
            ttft: 0.0,
            speed: 0.0,
            quality: 0.0,
            reliability: 0.0,
            load: 0.0,
            distance: 0.0,
            room: 1.0,
        }
    }
}

/// Exponents that a rule, a strategy, a route or a caller gives; the others stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct PreferChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reliability: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<f64>,
}

impl Prefer {
    #[must_use]
    pub fn changed_by(self, change: PreferChange) -> Self {
        Self {
            price: change.price.unwrap_or(self.price),
            ttft: change.ttft.unwrap_or(self.ttft),
            speed: change.speed.unwrap_or(self.speed),
            quality: change.quality.unwrap_or(self.quality),
            reliability: change.reliability.unwrap_or(self.reliability),
            load: change.load.unwrap_or(self.load),
            distance: change.distance.unwrap_or(self.distance),
            room: change.room.unwrap_or(self.room),
        }
    }
}

/// Whose requests stay with one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sticky {
    Session,
    User,
    Key,
    /// A request header, by its name in lower case.
    Header(String),
}

/// What a target may be expected to take at most. One that is expected to take more is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Of the whole request.
    #[serde(rename = "cost_micro_usd_max", skip_serializing_if = "Option::is_none")]
    pub cost_max: Option<MicroUsd>,
    /// Of prompt tokens, in US dollars per million. A target without a known price is above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_in_max: Option<f64>,
    /// Of answer tokens, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_out_max: Option<f64>,
    /// Until the first token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_ms_max: Option<Millis>,
    /// After the first token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_second_min: Option<f64>,
}

/// How long an attempt may take. Absent means no limit but the Worker's own defaults (`exchange::deadlines`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Deadlines {
    #[serde(rename = "headers_ms", skip_serializing_if = "Option::is_none")]
    pub headers: Option<Millis>,
    #[serde(rename = "first_token_ms", skip_serializing_if = "Option::is_none")]
    pub first_token: Option<Millis>,
    /// Between two pieces of a stream.
    #[serde(rename = "idle_ms", skip_serializing_if = "Option::is_none")]
    pub idle: Option<Millis>,
    /// For the whole exchange. Kills healthy long answers, so there is no default.
    #[serde(rename = "total_ms", skip_serializing_if = "Option::is_none")]
    pub total: Option<Millis>,
}

/// What happens to a stream that breaks after its first good token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Midstream {
    /// A typed error event, then the end.
    #[default]
    Error,
    Continue,
    Buffer,
}

/// What happens when a provider's safety filter refuses before the client has seen any of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filtered {
    /// The filter's decision is the answer.
    #[default]
    Stop,
    /// The next target is asked.
    Next,
}

/// Which targets are asked for embeddings once the first has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Embeddings {
    /// Those of the same model: another's vectors cannot be compared with what the client has stored.
    #[default]
    SameModel,
    /// All: the team knows that its models have one space, or stores nothing.
    AnyModel,
}

/// When a second target is asked beside one that has not begun to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hedge {
    /// After this time; else after what the first target's recent streams say.
    pub after: Option<Millis>,
    /// What the second is expected to cost at most.
    pub cost_max: Option<MicroUsd>,
}

impl Limits {
    /// These limits, with `over`'s where it has any.
    #[must_use]
    pub fn overridden_by(self, over: Self) -> Self {
        Self {
            cost_max: over.cost_max.or(self.cost_max),
            price_in_max: over.price_in_max.or(self.price_in_max),
            price_out_max: over.price_out_max.or(self.price_out_max),
            ttft_ms_max: over.ttft_ms_max.or(self.ttft_ms_max),
            tokens_per_second_min: over.tokens_per_second_min.or(self.tokens_per_second_min),
        }
    }
}

impl Deadlines {
    /// These deadlines, with `over`'s where it has any.
    #[must_use]
    pub fn overridden_by(self, over: Self) -> Self {
        Self {
            headers: over.headers.or(self.headers),
            first_token: over.first_token.or(self.first_token),
            idle: over.idle.or(self.idle),
            total: over.total.or(self.total),
        }
    }
}

impl Route {
    /// The request headers that this route asks about, names in lower case.
    #[must_use]
    pub fn headers(&self) -> Vec<&str> {
        let mut names = Vec::new();
        if let Some(Sticky::Header(name)) = &self.sticky {
            names.push(name.as_str());
        }
        self.each_subject(|subject| {
            if let Subject::Header(name) = subject {
                names.push(name);
            }
        });
        names
    }

    /// The names in the body's `metadata` that this route asks about.
    #[must_use]
    pub fn metadata(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.each_subject(|subject| {
            if let Subject::Metadata(name) = subject {
                names.push(name.as_str());
            }
        });
        names
    }

    fn each_subject<'a>(&'a self, mut visit: impl FnMut(&'a Subject)) {
        for rule in &self.rules {
            rule.when.each_subject(&mut visit);
        }
    }

    /// Reads a route's entry.
    ///
    /// # Errors
    /// Every problem of the entry, each with its path.
    pub fn parse(
        name: &str,
        text: &str,
        catalogue: &Catalogue,
    ) -> Result<Checked<Self>, Vec<Problem>> {
        let tree = parse_tree(text)?;
        let mut problems = Problems::default();
        let mut warnings = Problems::default();
        let route = read_route(
            name,
            &Node::root(&tree),
            catalogue,
            &mut problems,
            &mut warnings,
        );
        match route {
            Some(mut route) if problems.list.is_empty() => {
                route.revision = Revision::of(text);
                Ok(Checked {
                    value: route,
                    warnings: warnings.list,
                })
            }
            _ => Err(problems.list),
        }
    }

    /// The route that a client asks for when it names a provider's model directly.
    #[must_use]
    pub fn direct(provider: &Arc<Provider>, model: &str, catalogue: &Catalogue) -> Self {
        let name = format!("{}/{model}", provider.name);
        let target = Target {
            id: name.as_str().into(),
            provider: Arc::clone(provider),
            model: model.into(),
            weight: 1.0,
            quality: Quality::default(),
            is_private: provider.is_private,
            region: provider.region.clone(),
            terms: catalogue.terms(&provider.name, model),
        };
        let revision = Revision::of(&name);
        Self {
            revision,
            ..Self::plain(&name, vec![target])
        }
    }

    /// Targets and nothing else: every other field as it is when an entry leaves it out.
    fn plain(name: &str, targets: Vec<Target>) -> Self {
        Self {
            name: name.to_owned(),
            revision: Revision::default(),
            targets,
            prefer: Prefer::default(),
            temperature: 1.0,
            sticky: None,
            rules: Vec::new(),
            texts: Texts::new(),
            limits: Limits::default(),
            ejected_share_max: 1.0,
            deadlines: Deadlines::default(),
            midstream: Midstream::default(),
            filtered: Filtered::default(),
            embeddings: Embeddings::default(),
            hedge: None,
            ring: BTreeMap::new(),
        }
    }
}

fn read_route(
    name: &str,
    root: &Node<'_>,
    catalogue: &Catalogue,
    problems: &mut Problems,
    warnings: &mut Problems,
) -> Option<Route> {
    let fields = root.described(&described::ROUTE, problems)?;
    let (targets, ids) = read_targets(&fields, catalogue, problems);
    let mut route = Route::plain(name, targets);
    if let Some(node) = fields.field("strategy")
        && let Some(strategy) = Strategy::read(&node, problems)
    {
        strategy.expand(&mut route);
    }
    read_settings(&fields, &mut route, problems);
    if let Some(node) = fields.field("rules") {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut reading = Reading::new(problems, warnings);
        route.rules = read_rules(&node, &ids, &mut reading);
        route.texts = reading.texts;
    }
    if route.prefer.distance > 0.0 && route.ring.is_empty() {
        problems.note(
            "ring",
            "regions by continent, since the route prefers by distance",
            "nothing",
        );
    }
    warn_of_unknown_prices(&route.targets, route.prefer, warnings);
    let accepts_prefill = |target: &Target| target.terms.is_known_to(Ability::Prefill);
    if route.midstream == Midstream::Continue && !route.targets.iter().any(accepts_prefill) {
        warnings.note(
            "midstream",
            "a target with `prefill` in `can`: no other may carry an answer on, so a broken one ends as with `error`",
            "none",
        );
    }
    Some(route)
}

/// The plain fields; each one that is there wins over what the strategy set.
fn read_settings(fields: &Object<'_>, route: &mut Route, problems: &mut Problems) {
    if let Some(node) = fields.field("prefer") {
        route.prefer = route.prefer.changed_by(PreferChange::read(&node, problems));
    }
    if let Some(temperature) = fields
        .field("temperature")
        .and_then(|node| node.number(0.0, TEMPERATURE_MAX, problems))
    {
        route.temperature = temperature;
    }
    if let Some(node) = fields.field("sticky") {
        route.sticky = read_sticky(&node, problems);
    }
    if let Some(node) = fields.field("ring") {
        route.ring = read_ring(&node, problems);
    }
    if let Some(node) = fields.field("limits") {
        route.limits = read_limits(&node, problems);
    }
    if let Some(share) = fields
        .field("ejected_share_max")
        .and_then(|node| node.number(0.0, 1.0, problems))
    {
        route.ejected_share_max = share;
    }
    if let Some(node) = fields.field("deadlines") {
        route.deadlines = read_deadlines(&node, problems);
    }
    if let Some(node) = fields.field("hedge") {
        route.hedge = read_hedge(&node, problems);
    }
    if let Some(node) = fields.field("midstream") {
        route.midstream = read_midstream(&node, problems).unwrap_or_default();
    }
    if let Some(node) = fields.field("filtered") {
        route.filtered = read_filtered(&node, problems).unwrap_or_default();
    }
    if let Some(node) = fields.field("embeddings") {
        route.embeddings = node
            .choice("which targets follow for embeddings", &EMBEDDINGS, problems)
            .unwrap_or_default();
    }
}

fn read_ring(node: &Node<'_>, problems: &mut Problems) -> BTreeMap<String, Vec<String>> {
    let mut ring = BTreeMap::new();
    let Some(fields) = node.described(&described::RING, problems) else {
        return ring;
    };
    for (continent, node) in fields.fields() {
        if let Some(regions) = node.texts(REGIONS_MAX, problems) {
            ring.insert(continent.to_owned(), regions);
        }
    }
    ring
}

/// The targets, and the ids of all that were written, so that a rule that names a broken one is not at fault.
fn read_targets(
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

impl PreferChange {
    /// These changes, with `over`'s where it has any.
    #[must_use]
    pub fn overridden_by(self, over: Self) -> Self {
        Self {
            price: over.price.or(self.price),
            ttft: over.ttft.or(self.ttft),
            speed: over.speed.or(self.speed),
            quality: over.quality.or(self.quality),
            reliability: over.reliability.or(self.reliability),
            load: over.load.or(self.load),
            distance: over.distance.or(self.distance),
            room: over.room.or(self.room),
        }
    }

    pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Self {
        let Some(fields) = node.described(&described::PREFER, problems) else {
            return Self::default();
        };
        let mut exponent = |name: &str| {
            let node = fields.field(name)?;
            node.number(0.0, EXPONENT_MAX, problems)
        };
        Self {
            price: exponent("price"),
            ttft: exponent("ttft"),
            speed: exponent("speed"),
            quality: exponent("quality"),
            reliability: exponent("reliability"),
            load: exponent("load"),
            distance: exponent("distance"),
            room: exponent("room"),
        }
    }
}

fn read_sticky(node: &Node<'_>, problems: &mut Problems) -> Option<Sticky> {
    if node.value.is_object() {
        let fields = node.described(&described::STICKY_HEADER, problems)?;
        let header = fields.required("header", "the name of a request header", problems)?;
        let name = header.text(problems)?;
        return Some(Sticky::Header(name.to_ascii_lowercase()));
    }
    let name = node.text(problems)?;
    let chosen = STICKY.iter().find(|(known, _)| *known == name);
    if chosen.is_none() {
        let known = sticky_names();
        problems.unknown_name(&node.path, "whose requests stay together", name, &known);
    }
    chosen.map(|(_, sticky)| sticky.clone())
}

const STICKY: [(&str, Sticky); 3] = [
    ("session", Sticky::Session),
    ("user", Sticky::User),
    ("key", Sticky::Key),
];

/// Whose requests may stay together, but for those with the same value of a header.
pub(super) fn sticky_names() -> Vec<&'static str> {
    STICKY.iter().map(|(name, _)| *name).collect()
}

pub(super) fn read_limits(node: &Node<'_>, problems: &mut Problems) -> Limits {
    node.described(&described::LIMITS, problems)
        .map_or_else(Limits::default, |fields| limits_among(&fields, problems))
}

/// The limits among an object's fields, which its reader knows from the description of limits.
pub(super) fn limits_among(fields: &Object<'_>, problems: &mut Problems) -> Limits {
    let cost_max = fields
        .field("cost_usd_max")
        .and_then(|node| node.number(0.0, COST_USD_MAX, problems))
        .map(|usd| MicroUsd(usd * 1e6));
    let (price_in_max, price_out_max) = fields
        .field("usd_per_mtok_max")
        .map(|node| read_price_max(&node, problems))
        .unwrap_or_default();
    let ttft_ms_max = fields
        .field("ttft_ms_max")
        .and_then(|node| node.whole(1, DAY_MS, problems))
        .map(Millis);
    let tokens_per_second_min = fields
        .field("tokens_per_second_min")
        .and_then(|node| node.number(0.0, TOKENS_PER_SECOND_MAX, problems));
    Limits {
        cost_max,
        price_in_max,
        price_out_max,
        ttft_ms_max,
        tokens_per_second_min,
    }
}

/// Prices of prompt and answer.
fn read_price_max(node: &Node<'_>, problems: &mut Problems) -> (Option<f64>, Option<f64>) {
    let Some(fields) = node.described(&described::PRICE_MAX, problems) else {
        return (None, None);
    };
    let [input, output] = ["in", "out"].map(|name| {
        let node = fields.field(name)?;
        node.number(0.0, USD_PER_MTOK_MAX, problems)
    });
    (input, output)
}

pub(super) fn read_deadlines(node: &Node<'_>, problems: &mut Problems) -> Deadlines {
    let Some(fields) = node.described(&described::DEADLINES, problems) else {
        return Deadlines::default();
    };
    let mut span = |name: &str| {
        let node = fields.field(name)?;
        node.whole(1, DAY_MS, problems).map(Millis)
    };
    Deadlines {
        headers: span("headers_ms"),
        first_token: span("first_token_ms"),
        idle: span("idle_ms"),
        total: span("total_ms"),
    }
}

/// `true`, or an object.
fn read_hedge(node: &Node<'_>, problems: &mut Problems) -> Option<Hedge> {
    if !node.value.is_object() {
        return node.flag(problems)?.then(Hedge::default);
    }
    let fields = node.described(&described::HEDGE, problems)?;
    let after = fields
        .field("after_ms")
        .and_then(|node| node.whole(1, DAY_MS, problems))
        .map(Millis);
    let cost_max = fields
        .field("cost_usd_max")
        .and_then(|node| node.number(0.0, COST_USD_MAX, problems))
        .map(|usd| MicroUsd(usd * 1e6));
    Some(Hedge { after, cost_max })
}

fn read_midstream(node: &Node<'_>, problems: &mut Problems) -> Option<Midstream> {
    node.choice("what to do with a broken stream", &MIDSTREAM, problems)
}

const MIDSTREAM: [(&str, Midstream); 3] = [
    ("error", Midstream::Error),
    ("continue", Midstream::Continue),
    ("buffer", Midstream::Buffer),
];

pub(super) fn midstream_names() -> Vec<&'static str> {
    MIDSTREAM.iter().map(|(name, _)| *name).collect()
}

fn read_filtered(node: &Node<'_>, problems: &mut Problems) -> Option<Filtered> {
    node.choice("what to do with a filtered answer", &FILTERED, problems)
}

const FILTERED: [(&str, Filtered); 2] = [("stop", Filtered::Stop), ("next", Filtered::Next)];

const EMBEDDINGS: [(&str, Embeddings); 2] = [
    ("same_model", Embeddings::SameModel),
    ("any_model", Embeddings::AnyModel),
];

pub(super) fn embeddings_names() -> Vec<&'static str> {
    EMBEDDINGS.iter().map(|(name, _)| *name).collect()
}

pub(super) fn filtered_names() -> Vec<&'static str> {
    FILTERED.iter().map(|(name, _)| *name).collect()
}

/// A price preference ranks an unlisted model by an assumed price (`decide::signals`), which may surprise.
fn warn_of_unknown_prices(targets: &[Target], prefer: Prefer, warnings: &mut Problems) {
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
