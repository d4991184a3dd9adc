//! What a caller demands or wishes of the targets of one request.
//!
//! It comes as the header `x-waypost-limits`, as the body's `waypost`, or as the body's `provider` in the words of
//! OpenRouter's clients (<https://openrouter.ai/docs/features/provider-routing>, read 2026-11-21). Where several
//! say the same thing, the header's word counts before `waypost`'s, and that before `provider`'s.
//!
//! A caller narrows a route and never widens it: what the route's own rules and limits forbid stays forbidden. What
//! we do not know is refused, not ignored: a limit that is not kept is worse than none.
//!
//! Not here: what a bound does to a plan (`decide/bounds.rs`).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::prefer::PreferChange;
use super::read::{Node, Object, Problems};
use super::rule::{Require, read_require};
use super::schema::providers::USD_PER_MTOK_MAX;
use super::schema::route::LIMITS;
use super::settings::{Deadlines, Limits, limits_among, read_deadlines, read_limits};
use super::{Problem, parse_tree};
use crate::units::Millis;

/// Names in one list.
const NAMES_MAX: usize = 64;
/// The longest wish for a time to first token, in seconds.
const LATENCY_SECONDS_MAX: f64 = 86_400.0;
const THROUGHPUT_MAX: f64 = 1_000_000.0;

/// For one request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Constraints {
    /// A target beyond one of these is dropped.
    #[serde(skip_serializing_if = "is_default")]
    pub hard: Bounds,
    /// A target beyond one of these is tried after all that are within.
    #[serde(skip_serializing_if = "is_default")]
    pub soft: Bounds,
    /// Targets or providers to be tried before the others, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<String>,
    /// Without it, only the targets of `order` are tried, or the first choice alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_fallbacks: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<Sort>,
    /// Exponents that replace the route's.
    #[serde(skip_serializing_if = "is_default")]
    pub prefer: PreferChange,
    #[serde(skip_serializing_if = "is_default")]
    pub deadlines: Deadlines,
}

/// What a target must be, or may take at most.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bounds {
    /// Targets or providers, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore: Option<Vec<String>>,
    #[serde(skip_serializing_if = "is_default")]
    pub require: Require,
    /// Whether every field of the request must reach the target, and every ability it needs be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_parameters: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_collection: Option<DataCollection>,
    /// Whether nothing may be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zdr: Option<bool>,
    #[serde(skip_serializing_if = "is_default")]
    pub max_price: MaxPrice,
    #[serde(skip_serializing_if = "is_default")]
    pub limits: Limits,
}

/// US dollars per million tokens, in OpenRouter's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MaxPrice {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion: Option<f64>,
}

/// Whether providers may train on what they are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataCollection {
    Allow,
    Deny,
}

/// The one signal that decides, without any spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    Price,
    Throughput,
    Latency,
}

impl Constraints {
    /// Reads what a request says, each source only where it is there.
    ///
    /// # Errors
    /// Every problem, its path beginning with the header's or the field's name.
    pub fn parse(
        header: Option<&str>,
        waypost: Option<&str>,
        provider: Option<&str>,
    ) -> Result<Self, Vec<Problem>> {
        let header = header.map(header_as_json);
        let sources = [
            ("x-waypost-limits", header.as_deref(), false),
            ("waypost", waypost, false),
            ("provider", provider, true),
        ];
        let mut all = Self::default();
        for (name, text, is_openrouters) in sources {
            if let Some(text) = text {
                all = Self::parse_one(name, text, is_openrouters)?.overridden_by(all);
            }
        }
        Ok(all)
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn parse_one(name: &str, text: &str, is_openrouters: bool) -> Result<Self, Vec<Problem>> {
        let tree = parse_tree(text).map_err(|mut problems| {
            for problem in &mut problems {
                name.clone_into(&mut problem.path);
            }
            problems
        })?;
        let node = Node {
            value: &tree,
            path: name.to_owned(),
        };
        let mut problems = Problems::default();
        let read = read_constraints(&node, is_openrouters, &mut problems);
        match read {
            Some(constraints) if problems.list.is_empty() => Ok(constraints),
            _ => Err(problems.list),
        }
    }

    /// These, with `over`'s where it says something.
    fn overridden_by(self, over: Self) -> Self {
        Self {
            hard: self.hard.overridden_by(over.hard),
            soft: self.soft.overridden_by(over.soft),
            order: if over.order.is_empty() {
                self.order
            } else {
                over.order
            },
            allow_fallbacks: over.allow_fallbacks.or(self.allow_fallbacks),
            sort: over.sort.or(self.sort),
            prefer: self.prefer.overridden_by(over.prefer),
            deadlines: self.deadlines.overridden_by(over.deadlines),
        }
    }
}

impl Bounds {
    fn overridden_by(self, over: Self) -> Self {
        Self {
            only: over.only.or(self.only),
            ignore: over.ignore.or(self.ignore),
            require: Require {
                region: over.require.region.or(self.require.region),
                private: over.require.private.or(self.require.private),
                provider: over.require.provider.or(self.require.provider),
            },
            require_parameters: over.require_parameters.or(self.require_parameters),
            data_collection: over.data_collection.or(self.data_collection),
            zdr: over.zdr.or(self.zdr),
            max_price: MaxPrice {
                prompt: over.max_price.prompt.or(self.max_price.prompt),
                completion: over.max_price.completion.or(self.max_price.completion),
            },
            limits: self.limits.overridden_by(over.limits),
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The fields that OpenRouter has as well. `max_price` there also bounds what is charged per request or image, which
/// no target here does.
const OPENROUTERS: [&str; 11] = [
    "order",
    "only",
    "ignore",
    "allow_fallbacks",
    "require_parameters",
    "data_collection",
    "zdr",
    "sort",
    "max_price",
    "preferred_max_latency",
    "preferred_min_throughput",
];
/// Our own.
const OURS: [&str; 5] = ["require", "prefer", "limits", "deadlines", "soft"];
/// Those that bound one target, and so may be soft.
const BOUNDS: [&str; 8] = [
    "only",
    "ignore",
    "require",
    "require_parameters",
    "data_collection",
    "zdr",
    "max_price",
    "limits",
];

fn read_constraints(
    node: &Node<'_>,
    is_openrouters: bool,
    problems: &mut Problems,
) -> Option<Constraints> {
    let limits = LIMITS.names();
    let ours = OURS.iter().chain(&limits).filter(|_| !is_openrouters);
    let known: Vec<&str> = OPENROUTERS.iter().chain(ours).copied().collect();
    let fields = node.object(&known, problems)?;
    let mut soft = match fields.field("soft") {
        Some(node) => {
            let known: Vec<&str> = BOUNDS.iter().chain(&limits).copied().collect();
            let fields = node.object(&known, problems);
            fields.map(|fields| read_bounds(&fields, problems))
        }
        None => None,
    }
    .unwrap_or_default();
    read_wishes(&fields, &mut soft.limits, problems);
    Some(Constraints {
        hard: read_bounds(&fields, problems),
        soft,
        order: read_names(&fields, "order", problems).unwrap_or_default(),
        allow_fallbacks: read_flag(&fields, "allow_fallbacks", problems),
        sort: fields
            .field("sort")
            .and_then(|node| read_sort(&node, problems)),
        prefer: fields
            .field("prefer")
            .map(|node| PreferChange::read(&node, problems))
            .unwrap_or_default(),
        deadlines: fields
            .field("deadlines")
            .map(|node| read_deadlines(&node, problems))
            .unwrap_or_default(),
    })
}

/// A reader knows only the fields that may stand there, so a field that may not is a problem noted before.
fn read_bounds(fields: &Object<'_>, problems: &mut Problems) -> Bounds {
    let limits = fields
        .field("limits")
        .map(|node| read_limits(&node, problems))
        .unwrap_or_default();
    let choices = [
        ("allow", DataCollection::Allow),
        ("deny", DataCollection::Deny),
    ];
    Bounds {
        only: read_names(fields, "only", problems),
        ignore: read_names(fields, "ignore", problems),
        require: fields
            .field("require")
            .map(|node| read_require(&node, problems))
            .unwrap_or_default(),
        require_parameters: read_flag(fields, "require_parameters", problems),
        data_collection: fields
            .field("data_collection")
            .and_then(|node| node.choice("whether providers may collect data", &choices, problems)),
        zdr: read_flag(fields, "zdr", problems),
        max_price: fields
            .field("max_price")
            .map(|node| read_max_price(&node, problems))
            .unwrap_or_default(),
        limits: limits.overridden_by(limits_among(fields, problems)),
    }
}

fn read_names(fields: &Object<'_>, name: &str, problems: &mut Problems) -> Option<Vec<String>> {
    fields.field(name)?.texts(NAMES_MAX, problems)
}

fn read_flag(fields: &Object<'_>, name: &str, problems: &mut Problems) -> Option<bool> {
    fields.field(name)?.flag(problems)
}

/// `"price"`, or as an object with `by`; its `partition` sorts across models, which a plan does anyway.
fn read_sort(node: &Node<'_>, problems: &mut Problems) -> Option<Sort> {
    let choices = [
        ("price", Sort::Price),
        ("throughput", Sort::Throughput),
        ("latency", Sort::Latency),
    ];
    if node.value.is_object() {
        let fields = node.object(&["by", "partition"], problems)?;
        let by = fields.required("by", "price, throughput or latency", problems)?;
        return by.choice("what to sort by", &choices, problems);
    }
    node.choice("what to sort by", &choices, problems)
}

/// OpenRouter's own clients write these numbers as texts as well.
fn read_max_price(node: &Node<'_>, problems: &mut Problems) -> MaxPrice {
    let known = ["prompt", "completion", "request", "image", "audio"];
    let Some(fields) = node.object(&known, problems) else {
        return MaxPrice::default();
    };
    let mut number = |name: &str| {
        let node = fields.field(name)?;
        let as_text = node.value.as_str().and_then(|text| text.parse().ok());
        let is_price = |price: &f64| (0.0..=USD_PER_MTOK_MAX).contains(price);
        as_text
            .filter(is_price)
            .or_else(|| node.number(0.0, USD_PER_MTOK_MAX, problems))
    };
    MaxPrice {
        prompt: number("prompt"),
        completion: number("completion"),
    }
}

/// OpenRouter's wishes: seconds to the first token, and tokens per second.
fn read_wishes(fields: &Object<'_>, soft: &mut Limits, problems: &mut Problems) {
    if let Some(node) = fields.field("preferred_max_latency")
        && let Some(seconds) = read_percentile(&node, LATENCY_SECONDS_MAX, problems)
    {
        soft.ttft_ms_max = Some(Millis::from_seconds(seconds));
    }
    if let Some(node) = fields.field("preferred_min_throughput") {
        soft.tokens_per_second_min = read_percentile(&node, THROUGHPUT_MAX, problems);
    }
}

/// A number, or numbers by percentile. We know a mean, so the lowest percentile that is given is the nearest.
fn read_percentile(node: &Node<'_>, high: f64, problems: &mut Problems) -> Option<f64> {
    const PERCENTILES: [&str; 4] = ["p50", "p75", "p90", "p99"];
    if !node.value.is_object() {
        return node.number(0.0, high, problems);
    }
    let fields = node.object(&PERCENTILES, problems)?;
    let mut given = PERCENTILES.iter().filter_map(|name| fields.field(name));
    given.next()?.number(0.0, high, problems)
}

/// A header may hold the object, or its fields as `cost_usd_max=0.01, zdr=true`.
fn header_as_json(header: &str) -> Cow<'_, str> {
    let text = header.trim();
    if text.is_empty() {
        return Cow::Borrowed("{}");
    }
    if text.starts_with('{') || !text.contains('=') {
        return Cow::Borrowed(text);
    }
    let pairs = text.split([',', ';']).map(str::trim);
    let field = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = value.trim();
        let scalar = serde_json::from_str(value).ok();
        let scalar = scalar.filter(|value: &Value| value.is_number() || value.is_boolean());
        (
            name.trim().to_owned(),
            scalar.unwrap_or_else(|| Value::String(value.to_owned())),
        )
    };
    let fields: Map<String, Value> = pairs.filter(|pair| !pair.is_empty()).map(field).collect();
    Cow::Owned(Value::Object(fields).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(header: &str, waypost: &str, provider: &str) -> Result<Constraints, Vec<String>> {
        let some = |text: &'static str| (!text.is_empty()).then_some(text);
        let leak = |text: &str| some(Box::leak(text.to_owned().into_boxed_str()));
        Constraints::parse(leak(header), leak(waypost), leak(provider))
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn header_is_an_object_or_pairs() {
        let object = parse(
            r#"{"cost_usd_max": 0.01, "zdr": true, "only": "quick"}"#,
            "",
            "",
        );
        let pairs = parse("cost_usd_max=0.01, zdr=true; only=quick,", "", "");
        assert_eq!(object, pairs);
        assert_eq!(object.map(|it| it.hard.zdr), Ok(Some(true)));
        assert_eq!(parse(" ", "", ""), Ok(Constraints::default()));
    }

    #[test]
    fn header_counts_before_waypost_and_that_before_provider() {
        let all = parse(
            "zdr=true",
            r#"{"zdr": false, "only": ["b"], "limits": {"ttft_ms_max": 9}}"#,
            r#"{"only": ["c"], "ignore": ["d"], "preferred_max_latency": {"p90": 3, "p50": 1.5}}"#,
        )
        .unwrap();
        assert_eq!(all.hard.zdr, Some(true));
        assert_eq!(all.hard.only, Some(vec!["b".to_owned()]));
        assert_eq!(all.hard.ignore, Some(vec!["d".to_owned()]));
        assert_eq!(all.hard.limits.ttft_ms_max, Some(Millis(9)));
        assert_eq!(all.soft.limits.ttft_ms_max, Some(Millis(1_500)));
    }

    #[test]
    fn prices_may_be_texts() {
        let all = parse(
            "",
            "",
            r#"{"max_price": {"prompt": "1.5", "completion": 2}}"#,
        )
        .unwrap();
        assert_eq!(all.hard.max_price.prompt, Some(1.5));
        assert_eq!(all.hard.max_price.completion, Some(2.0));
    }

    #[test]
    fn what_is_not_known_is_refused_with_its_path() {
        let refused = |header, waypost, provider| parse(header, waypost, provider).unwrap_err();
        assert_eq!(
            refused("cost_usd=1", "", "")[0],
            "x-waypost-limits.cost_usd: expected one of the known fields: order, only, ignore, \
             allow_fallbacks, require_parameters, data_collection, zdr, sort, max_price, \
             preferred_max_latency, preferred_min_throughput, require, prefer, limits, deadlines, soft, \
             cost_usd_max, usd_per_mtok_max, ttft_ms_max, tokens_per_second_min, got `cost_usd`; \
             did you mean `cost_usd_max`?"
        );
        assert!(refused("{", "", "")[0].starts_with("x-waypost-limits: expected valid JSON"));
        assert!(refused("cheap", "", "")[0].starts_with("x-waypost-limits: expected valid JSON"));
        assert!(refused("", r#"{"soft": {"order": []}}"#, "")[0].starts_with("waypost.soft.order"));
        let problems = refused(
            "",
            "",
            r#"{"quantizations": ["int4"], "zdr": 1, "sort": "best"}"#,
        );
        let paths: Vec<_> = problems
            .iter()
            .filter_map(|problem| problem.split(':').next())
            .collect();
        assert_eq!(
            paths,
            ["provider.quantizations", "provider.zdr", "provider.sort"]
        );
    }

    #[test]
    fn constraints_survive_a_record() {
        let all = parse(
            r#"{"cost_usd_max": 1, "soft": {"zdr": true}, "require": {"region": "eu"}, "order": ["a"]}"#,
            "",
            r#"{"sort": {"by": "latency"}, "max_price": {"prompt": 1}, "allow_fallbacks": false}"#,
        )
        .unwrap();
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<Constraints>(&text).unwrap(), all);
        assert_eq!(
            serde_json::to_string(&Constraints::default()).unwrap(),
            "{}"
        );
    }
}
