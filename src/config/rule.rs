//! Rules: when a condition holds, what becomes of the candidates and of the route's settings.

use super::condition::{Reading, When};
use super::prefer::PreferChange;
use super::read::{Node, Problems};
use super::schema::route::{EFFECTS, IDS_MAX, REQUIRE, RULE, RULES_MAX};
use super::settings::{Deadlines, Limits, read_deadlines, read_limits};

/// Applies to requests for which its condition holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub name: Option<String>,
    pub when: When,
    /// Only these targets stay, by id.
    pub only: Option<Vec<String>>,
    /// These targets go, by id.
    pub avoid: Vec<String>,
    pub require: Require,
    /// Exponents that replace the route's.
    pub prefer: PreferChange,
    pub limits: Limits,
    pub deadlines: Deadlines,
    /// The request goes to another route, by name. Its rules and targets count then, and this one's no more.
    pub route: Option<String>,
}

/// What a target must be to stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Require {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<Vec<String>>,
}

pub(super) fn read_rules(
    node: &Node<'_>,
    target_ids: &[&str],
    reading: &mut Reading<'_>,
) -> Vec<Rule> {
    let items = node.array(RULES_MAX, reading.problems).unwrap_or_default();
    let read = |item: &Node<'_>| read_rule(item, target_ids, reading);
    items.iter().filter_map(read).collect()
}

fn read_rule(node: &Node<'_>, target_ids: &[&str], reading: &mut Reading<'_>) -> Option<Rule> {
    let fields = node.described(&RULE, reading.problems)?;
    let name = fields
        .field("name")
        .and_then(|node| node.text(reading.problems).map(str::to_owned));
    let when = fields
        .field("when")
        .map_or(When::All(Vec::new()), |node| reading.when(&node));
    let problems = &mut *reading.problems;
    if !EFFECTS.iter().any(|effect| fields.field(effect).is_some()) {
        problems.note(
            &node.path,
            format!("an effect: {}", EFFECTS.join(", ")),
            "none",
        );
    }
    let mut ids = |name: &str| {
        let node = fields.field(name)?;
        Some(read_target_ids(&node, target_ids, problems))
    };
    let (only, avoid) = (ids("only"), ids("avoid"));
    Some(Rule {
        name,
        when,
        only,
        avoid: avoid.unwrap_or_default(),
        require: fields
            .field("require")
            .map(|node| read_require(&node, problems))
            .unwrap_or_default(),
        prefer: fields
            .field("prefer")
            .map(|node| PreferChange::read(&node, problems))
            .unwrap_or_default(),
        limits: fields
            .field("limits")
            .map(|node| read_limits(&node, problems))
            .unwrap_or_default(),
        deadlines: fields
            .field("deadlines")
            .map(|node| read_deadlines(&node, problems))
            .unwrap_or_default(),
        route: fields
            .field("route")
            .and_then(|node| node.text(problems).map(str::to_owned)),
    })
}

fn read_target_ids(node: &Node<'_>, known: &[&str], problems: &mut Problems) -> Vec<String> {
    let ids = node.texts(IDS_MAX, problems).unwrap_or_default();
    for id in &ids {
        if !known.contains(&id.as_str()) {
            problems.unknown_name(&node.path, "a target's id", id, known);
        }
    }
    ids
}

pub(super) fn read_require(node: &Node<'_>, problems: &mut Problems) -> Require {
    let Some(fields) = node.described(&REQUIRE, problems) else {
        return Require::default();
    };
    if fields.len() == 0 {
        problems.note(&node.path, "region, private or provider", "nothing");
    }
    let mut texts = |name: &str| {
        let node = fields.field(name)?;
        node.texts(IDS_MAX, problems)
    };
    let (region, provider) = (texts("region"), texts("provider"));
    let private = fields.field("private").and_then(|node| node.flag(problems));
    Require {
        region,
        private,
        provider,
    }
}
