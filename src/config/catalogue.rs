//! The built-in providers and models, with a team's `providers` entry laid over them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::auth::{read_auth, read_binding};
use super::read::{Node, Object, Problems};
use super::schema::providers as described;
use super::schema::providers::{CAN_MAX, CONTEXT_TOKENS_MAX, QUIRKS_MAX, USD_PER_MTOK_MAX};
use super::{Checked, Problem, parse_tree};
use crate::dialects::{Dialect, Quirk, Quirks};
use crate::providers::{
    Ability, Auth, AuthRow, DataPolicy, MODELS, ModelRow, PROVIDERS, Price, Provider, ProviderRow,
    Terms,
};
use crate::units::Tokens;

/// Every provider and model that a route may name.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalogue {
    providers: BTreeMap<String, Arc<Provider>>,
    /// What an entry says of models, by `provider/model`, over what is built in.
    models: BTreeMap<String, Terms>,
}

impl Default for Catalogue {
    /// What ships with the Worker.
    fn default() -> Self {
        let provider = |row: &ProviderRow| (row.name.to_owned(), Arc::new(provider_of(row)));
        let placed = PROVIDERS.iter().filter(|row| !row.base_url.is_empty());
        Self {
            providers: placed.map(provider).collect(),
            models: BTreeMap::new(),
        }
    }
}

impl Catalogue {
    /// Lays a `providers` entry over the built-in catalogue.
    ///
    /// # Errors
    /// Every problem of the entry.
    pub fn parse(text: &str) -> Result<Checked<Self>, Vec<Problem>> {
        let tree = parse_tree(text)?;
        let mut catalogue = Self::default();
        let mut problems = Problems::default();
        catalogue.lay_over(&Node::root(&tree), &mut problems);
        if problems.list.is_empty() {
            Ok(Checked {
                value: catalogue,
                warnings: Vec::new(),
            })
        } else {
            Err(problems.list)
        }
    }

    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&Arc<Provider>> {
        self.providers.get(name)
    }

    pub fn provider_names(&self) -> impl Iterator<Item = &str> {
        self.providers.keys().map(String::as_str)
    }

    /// The models of which anything is known, as `provider/model`, sorted; those of providers that are here.
    #[must_use]
    pub fn model_names(&self) -> BTreeSet<&str> {
        let built_in = MODELS.iter().map(|row| row.name);
        let names = built_in.chain(self.models.keys().map(String::as_str));
        let is_here = |name: &&str| {
            let provider = name.split_once('/').map(|(provider, _)| provider);
            provider.is_some_and(|provider| self.providers.contains_key(provider))
        };
        names.filter(is_here).collect()
    }

    /// The terms of a model; all unknown where it is not listed.
    #[must_use]
    pub fn terms(&self, provider: &str, model: &str) -> Terms {
        self.terms_of_name(&format!("{provider}/{model}"))
    }

    /// Notes the name of a provider that is not here. Only a team's own ones are told; the built-in ones are many.
    pub(super) fn note_unknown(&self, path: &str, kind: &str, name: &str, problems: &mut Problems) {
        if unplaced(name).is_some() {
            let expected = format!("{kind}, this one with a `base_url` in `providers`");
            problems.note(path, expected, format!("`{name}` without one"));
            return;
        }
        let known: Vec<_> = self.provider_names().collect();
        let own = known.iter().copied().filter(|name| row_of(name).is_none());
        let told: Vec<_> = own.chain(["a built-in one"]).collect();
        problems.unknown_among(path, &format!("{kind}: {}", told.join(", ")), name, &known);
    }

    fn terms_of_name(&self, name: &str) -> Terms {
        let built_in = || MODELS.iter().find(|row| row.name == name).map(terms_of);
        let known = self.models.get(name).cloned();
        known.or_else(built_in).unwrap_or_default()
    }

    fn lay_over(&mut self, root: &Node<'_>, problems: &mut Problems) -> Option<()> {
        let entry = root.described(&described::PROVIDERS, problems)?;
        if let Some(node) = entry.field("providers") {
            for (name, node) in node.open_object(problems)?.fields() {
                if let Some(provider) = self.read_provider(name, &node, problems) {
                    self.providers.insert(name.to_owned(), Arc::new(provider));
                }
            }
        }
        if let Some(node) = entry.field("models") {
            for (name, node) in node.open_object(problems)?.fields() {
                self.read_model(name, &node, problems);
            }
        }
        Some(())
    }

    fn read_provider(
        &self,
        name: &str,
        node: &Node<'_>,
        problems: &mut Problems,
    ) -> Option<Provider> {
        let fields = node.described(&described::PROVIDER, problems)?;
        let base = self.providers.get(name).cloned().or_else(|| unplaced(name));
        let base = base.as_deref();
        if name.contains('/') {
            problems.note(&node.path, "a provider's name without `/`", name);
        }
        let dialect = read_dialect(base, &fields, problems);
        let binding = match fields.field("binding") {
            Some(node) => Some(read_binding(&node, problems)?),
            None => None,
        };
        let base_url = if binding.is_some() && fields.field("base_url").is_none() {
            Some(String::new())
        } else {
            read_base_url(base, &fields, problems)
        };
        let auth = match fields.field("auth") {
            Some(node) => read_auth(&node, problems),
            None => Some(base.map_or(Auth::None, |base| base.auth.clone())),
        };
        let auth = auth.map(|auth| if binding.is_some() { Auth::None } else { auth });
        let region = match fields.field("region") {
            Some(node) => node.text(problems).map(str::to_owned),
            None => base.and_then(|base| base.region.clone()),
        };
        let is_private = match fields.field("private") {
            Some(node) => node.flag(problems)?,
            None => base.is_some_and(|base| base.is_private),
        };
        let data_policy = match fields.field("data_policy") {
            Some(node) => read_data_policy(&node, problems),
            None => base.and_then(|base| base.data_policy),
        };
        let quirks = match fields.field("quirks") {
            Some(node) => read_quirks(&node, problems),
            None => Some(base.map_or(Quirks::NONE, |base| base.quirks)),
        };
        Some(Provider {
            name: name.into(),
            dialect: dialect?,
            base_url: base_url?,
            binding,
            auth: auth?,
            region,
            is_private,
            data_policy,
            quirks: quirks?,
        })
    }

    fn read_model(&mut self, name: &str, node: &Node<'_>, problems: &mut Problems) {
        let provider = name.split_once('/').map(|(provider, _)| provider);
        match provider {
            Some(provider) if self.providers.contains_key(provider) => {}
            Some(provider) => {
                let kind = "`provider/model` with a known provider";
                self.note_unknown(&node.path, kind, provider, problems);
            }
            None => problems.note(&node.path, "a name of the form `provider/model`", name),
        }
        let Some(fields) = node.described(&described::MODEL, problems) else {
            return;
        };
        let quirks = fields
            .field("quirks")
            .and_then(|node| read_quirks(&node, problems));
        let over = Terms {
            quirks,
            ..read_terms(&fields, problems)
        };
        let terms = self.terms_of_name(name).overridden_by(&over);
        self.models.insert(name.to_owned(), terms);
    }
}

/// The three fields of terms, as a model or a target writes them.
pub(super) fn read_terms(fields: &Object<'_>, problems: &mut Problems) -> Terms {
    let context = fields
        .field("context_tokens")
        .and_then(|node| node.whole(1, CONTEXT_TOKENS_MAX, problems))
        .map(Tokens);
    let price = fields
        .field("usd_per_mtok")
        .and_then(|node| read_price(&node, problems));
    let can = fields
        .field("can")
        .and_then(|node| read_abilities(&node, problems));
    Terms {
        context,
        price,
        can,
        quirks: None,
    }
}

fn read_price(node: &Node<'_>, problems: &mut Problems) -> Option<Price> {
    let fields = node.described(&described::PRICE, problems)?;
    let mut number = |name: &str| {
        let expected = "US dollars per million tokens";
        let node = fields.required(name, expected, problems)?;
        node.number(0.0, USD_PER_MTOK_MAX, problems)
    };
    let (input, output) = (number("in"), number("out"));
    let mut tier = |name: &str, otherwise: Option<f64>| match fields.field(name) {
        Some(node) => node.number(0.0, USD_PER_MTOK_MAX, problems),
        None => otherwise,
    };
    let input_cached = tier("in_cached", input);
    let cache_write = tier("cache_write", input);
    let input_audio = tier("in_audio", input);
    let input_image = tier("in_image", input);
    let reasoning = tier("reasoning", output);
    Some(Price {
        input: input?,
        input_cached: input_cached?,
        cache_write: cache_write?,
        input_audio: input_audio?,
        input_image: input_image?,
        output: output?,
        reasoning: reasoning?,
    })
}

fn read_abilities(node: &Node<'_>, problems: &mut Problems) -> Option<Vec<Ability>> {
    let items = node.array(CAN_MAX, problems)?;
    let mut can = Vec::with_capacity(items.len());
    for item in &items {
        let name = item.text(problems)?;
        match Ability::parse(name) {
            Some(ability) => can.push(ability),
            None => problems.unknown_name(&item.path, "an ability", name, &Ability::NAMES),
        }
    }
    Some(can)
}

pub(super) fn read_data_policy(node: &Node<'_>, problems: &mut Problems) -> Option<DataPolicy> {
    node.choice("a data policy", &DataPolicy::NAMES, problems)
}

fn read_quirks(node: &Node<'_>, problems: &mut Problems) -> Option<Quirks> {
    let mut quirks = Some(Quirks::NONE);
    for item in &node.array(QUIRKS_MAX, problems)? {
        let quirk = item.choice("a quirk", &Quirk::NAMES, problems);
        quirks = quirks.zip(quirk).map(|(quirks, one)| quirks.with(one));
    }
    let limits = [Quirk::MaxCompletionTokens, Quirk::MaxTokensOnly];
    if quirks.is_some_and(|quirks| limits.iter().all(|limit| quirks.has(*limit))) {
        let expected = "either `max_completion_tokens` or `max_tokens_only`";
        problems.note(&node.path, expected, "both");
    }
    quirks
}

fn read_dialect(
    base: Option<&Provider>,
    fields: &Object<'_>,
    problems: &mut Problems,
) -> Option<Dialect> {
    let expected = "the wire format that this provider speaks";
    let node = match base {
        Some(base) => match fields.field("dialect") {
            Some(node) => node,
            None => return Some(base.dialect),
        },
        None => fields.required("dialect", expected, problems)?,
    };
    let names: Vec<_> = Dialect::ALL
        .iter()
        .map(|dialect| (dialect.name(), *dialect))
        .collect();
    node.choice("a dialect", &names, problems)
}

fn read_base_url(
    base: Option<&Provider>,
    fields: &Object<'_>,
    problems: &mut Problems,
) -> Option<String> {
    let expected = "an https URL, such as `https://llm.example.com/v1`";
    let known = base.filter(|base| !base.base_url.is_empty());
    let node = match known {
        Some(base) => match fields.field("base_url") {
            Some(node) => node,
            None => return Some(base.base_url.clone()),
        },
        None => fields.required("base_url", expected, problems)?,
    };
    read_url(&node, problems)
}

fn read_url(node: &Node<'_>, problems: &mut Problems) -> Option<String> {
    let url = node.text(problems)?.trim_end_matches('/');
    if is_for_secrets(url) {
        return Some(url.to_owned());
    }
    problems.note(
        &node.path,
        "an https URL (http on loopback only) without user, query or fragment",
        "another text",
    );
    None
}

/// Whether secrets may travel to this URL: it is `https`, but for a server on the same machine, and has no user, query or
/// fragment.
#[must_use]
pub fn is_for_secrets(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| {
        let rest = url.strip_prefix("http://")?;
        is_loopback(rest).then_some(rest)
    });
    let is_plain = |rest: &str| {
        let allowed =
            |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'@' | b'"' | b'\\');
        let has_host = !rest.is_empty() && !rest.starts_with(['/', ':', '?']);
        // One question mark begins the query. A host that holds the model's name would be its caller's to choose.
        let questions = rest.bytes().filter(|byte| *byte == b'?').count();
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        has_host && questions <= 1 && !host.contains('{') && rest.bytes().all(allowed)
    };
    rest.is_some_and(is_plain)
}

fn is_loopback(rest: &str) -> bool {
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// A built-in provider whose URL only a team knows.
fn unplaced(name: &str) -> Option<Arc<Provider>> {
    let row = row_of(name).filter(|row| row.base_url.is_empty())?;
    Some(Arc::new(provider_of(row)))
}

fn row_of(name: &str) -> Option<&'static ProviderRow> {
    PROVIDERS.iter().find(|row| row.name == name)
}

fn provider_of(row: &ProviderRow) -> Provider {
    let auth = match row.auth {
        AuthRow::Bearer(secret) => Auth::Bearer {
            secrets: vec![secret.to_owned()],
        },
        AuthRow::Header(name, secret) => Auth::Header {
            name: name.to_owned(),
            secrets: vec![secret.to_owned()],
        },
        AuthRow::GoogleServiceAccount(secret) => Auth::GoogleServiceAccount {
            secrets: vec![secret.to_owned()],
        },
    };
    Provider {
        name: row.name.into(),
        dialect: row.dialect,
        base_url: row.base_url.to_owned(),
        binding: None,
        auth,
        region: row.region.map(str::to_owned),
        is_private: false,
        data_policy: row.data_policy,
        quirks: row.quirks,
    }
}

fn terms_of(row: &ModelRow) -> Terms {
    Terms {
        context: Some(Tokens(u64::from(row.context))),
        price: Some(row.price),
        can: Some(row.can.to_vec()),
        quirks: None,
    }
}
