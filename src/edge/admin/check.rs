//! Whether an entry may become live: what `waypost check` asks of a folder, asked of what is live.
//!
//! A route is resolved against the live providers, and where its rules send requests there must be routes. New providers
//! must not break a live route, and a route that others lead to must not go. What was broken before is no reason to refuse.

use std::collections::BTreeMap;

use worker::Env;

use crate::access::KeyTerms;
use crate::config::{
    Catalogue, EntryName, Problem, Problems, Redirect, Route, check_redirects, flag_problems,
    redirects,
};
use crate::edge::js::Thrown;
use crate::edge::kv;

/// Keys of one bulk get.
const KEYS_PER_READ: usize = 100;

/// The problems of a text that is to become the entry. None of them means that it may.
pub async fn problems(name: &EntryName, text: &str, env: &Env) -> Result<Vec<Problem>, Thrown> {
    match name {
        EntryName::Route(name) => route_problems(name, text, env).await,
        EntryName::Providers => match Catalogue::parse(text) {
            Ok(checked) => broken_routes(&checked.value, env).await,
            Err(problems) => Ok(problems),
        },
        EntryName::Key(hash) => Ok(KeyTerms::parse(hash, text).err().unwrap_or_default()),
        EntryName::Flags => Ok(flag_problems(text)),
    }
}

/// Why the entry may not go.
pub async fn problems_of_deleting(name: &EntryName, env: &Env) -> Result<Vec<Problem>, Thrown> {
    match name {
        EntryName::Route(name) => {
            let mut problems = Problems::default();
            for (other, text) in live_routes(env).await? {
                let leads = redirects(&text).into_iter().find(|one| one.to == *name);
                if let Some(Redirect { path, .. }) = leads.filter(|_| other != *name) {
                    let path = format!("route:{other}: {path}");
                    problems.note(&path, "no rule that leads to this route", name.clone());
                }
            }
            Ok(problems.list)
        }
        EntryName::Providers => broken_routes(&Catalogue::default(), env).await,
        EntryName::Key(_) | EntryName::Flags => Ok(Vec::new()),
    }
}

async fn route_problems(name: &str, text: &str, env: &Env) -> Result<Vec<Problem>, Thrown> {
    let catalogue = live_catalogue(env).await?;
    let parsed = Route::parse(name, text, &catalogue);
    let mut problems = parsed.err().unwrap_or_default();
    let own = redirects(text);
    if own.is_empty() {
        return Ok(problems);
    }
    let others = live_routes(env).await?;
    let redirects_of = |(name, text): (&String, &String)| (name.clone(), redirects(text));
    let mut all: BTreeMap<String, Vec<Redirect>> = others.iter().map(redirects_of).collect();
    all.insert(name.to_owned(), own);
    let known: Vec<&str> = all.keys().map(String::as_str).collect();
    let of = |name: &str| all.get(name).map_or(&[][..], Vec::as_slice);
    problems.extend(check_redirects(name, &known, of));
    Ok(problems)
}

/// The problems that live routes would have with these providers, and have not with the live ones.
async fn broken_routes(catalogue: &Catalogue, env: &Env) -> Result<Vec<Problem>, Thrown> {
    let live = live_catalogue(env).await?;
    let mut problems = Vec::new();
    for (name, text) in live_routes(env).await? {
        let with = |catalogue| Route::parse(&name, &text, catalogue).err();
        let before = with(&live).unwrap_or_default();
        let after = with(catalogue).unwrap_or_default();
        let is_new = |problem: &Problem| !before.iter().any(|known| known.path == problem.path);
        problems.extend(after.into_iter().filter(is_new).map(|problem| Problem {
            path: format!("route:{name}: {}", problem.path),
            ..problem
        }));
    }
    Ok(problems)
}

/// A broken entry counts as none: the Worker then serves by the last good one, which cannot be told from here.
async fn live_catalogue(env: &Env) -> Result<Catalogue, Thrown> {
    let texts = kv::read(env, &["providers".to_owned()]).await?;
    let text = texts.into_iter().next().flatten();
    let parsed = text.and_then(|text| Catalogue::parse(&text).ok());
    Ok(parsed.map(|checked| checked.value).unwrap_or_default())
}

/// The texts of all routes, by name.
async fn live_routes(env: &Env) -> Result<BTreeMap<String, String>, Thrown> {
    let keys = kv::list(env, "route:").await?;
    let mut routes = BTreeMap::new();
    for keys in keys.chunks(KEYS_PER_READ) {
        let texts = kv::read(env, keys).await?;
        for (key, text) in keys.iter().zip(texts) {
            let name = key.strip_prefix("route:").unwrap_or(key);
            routes.extend(text.map(|text| (name.to_owned(), text)));
        }
    }
    Ok(routes)
}
