//! Where a route's rules send requests on to, and whether they get anywhere.
//!
//! A problem between two routes shows only when both are at hand, so it is no part of reading one. It is read from the
//! tree and not from a [`super::Route`]: a route with a mistake elsewhere still says where it leads, and whoever puts
//! the mistake right should not find the next one after it.

use serde_json::Value;

use super::read::Problem;
use super::{Problems, parse_tree};

/// A rule's `route`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Where it stands: `rules[2].route`.
    pub path: String,
    /// The name of the other route.
    pub to: String,
}

/// The redirects of an entry. An entry that is no JSON has none, and neither has what is no text.
#[must_use]
pub fn redirects(text: &str) -> Vec<Redirect> {
    let tree = parse_tree(text).unwrap_or_default();
    let rules = tree.get("rules").and_then(Value::as_array);
    let read = |(place, rule): (usize, &Value)| {
        let to = rule.get("route")?.as_str()?;
        let path = format!("rules[{place}].route");
        let to = to.to_owned();
        Some(Redirect { path, to })
    };
    let rules = rules.map(Vec::as_slice).unwrap_or_default();
    rules.iter().enumerate().filter_map(read).collect()
}

/// What is wrong with the redirects of the route `name`: one to a route that is not among `known`, or that leads back
/// here. `of` tells the redirects of any route.
#[must_use]
pub fn check_redirects<'a>(
    name: &str,
    known: &[&str],
    of: impl Fn(&str) -> &'a [Redirect],
) -> Vec<Problem> {
    let mut problems = Problems::default();
    for Redirect { path, to } in of(name) {
        if !known.contains(&to.as_str()) {
            problems.unknown_name(path, "the name of a route", to, known);
        } else if leads(to, name, &of) {
            let expected = "a route that does not lead back to this one";
            problems.note(path, expected, to.clone());
        }
    }
    problems.list
}

/// Whether `from`, or a route that it leads to, leads to `to`.
fn leads<'a>(from: &str, to: &str, of: &impl Fn(&str) -> &'a [Redirect]) -> bool {
    let mut seen: Vec<String> = Vec::new();
    let mut open = vec![from.to_owned()];
    while let Some(name) = open.pop() {
        if name == to {
            return true;
        }
        if seen.contains(&name) {
            continue;
        }
        open.extend(of(&name).iter().map(|redirect| redirect.to.clone()));
        seen.push(name);
    }
    false
}
