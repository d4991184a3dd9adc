//! A route: what a client's `model` field names.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::catalogue::Catalogue;
use super::condition::{Reading, Subject, Texts};
use super::prefer::{Prefer, PreferChange};
use super::read::{Node, Object, Problems};
use super::rule::{Rule, read_rules};
use super::schema::route as described;
use super::schema::route::{REGIONS_MAX, TEMPERATURE_MAX};
use super::settings::{
    Deadlines, EMBEDDINGS, Embeddings, Filtered, Hedge, Limits, Midstream, Sticky, read_deadlines,
    read_filtered, read_hedge, read_limits, read_midstream, read_sticky,
};
use super::strategy::Strategy;
use super::target::{Quality, Target, read_targets, warn_of_unknown_prices};
use super::{Checked, Problem, Revision, parse_tree};
use crate::providers::{Ability, Provider};

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
