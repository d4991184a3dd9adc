//! `GET /v1/models` and `GET /v1/models/{id}`: what the caller's key may name.
//!
//! The routes that it may use, and, where it may name `provider/model`, the models of the catalogue whose provider has its
//! secret set here: a name that can only fail is none to offer. Ids hold slashes, and come percent-encoded or not.

use std::sync::Arc;

use web_sys::Response;
use worker::Env;

use super::entries::{Entries, Unreadable};
use super::order::AUTO;
use super::{js, respond};
use crate::access::{KeyTerms, Listing, Page};
use crate::chat::RequestError;
use crate::config::{Catalogue, Route};
use crate::dialects::{ClientDialect, ClientError};
use crate::exchange::ResponseHead;
use crate::providers::Provider;

/// Whose the routes are, in OpenAI's words.
const OWNER: &str = "waypost";

/// All models that a key may name.
pub async fn listed(terms: &KeyTerms, entries: &Entries, env: &Env) -> Result<Listing, Unreadable> {
    let names = entries.route_names().await?;
    let allowed = names.iter().filter(|name| terms.may_use(name));
    let allowed: Vec<String> = allowed.cloned().collect();
    let mut listing = Listing::default();
    for route in entries.routes(&allowed).await? {
        listing.add(&route, OWNER);
    }
    if terms.is_direct {
        let catalogue = entries.catalogue().await?.value;
        add_direct(&mut listing, &catalogue.unwrap_or_default(), env);
    }
    Ok(listing)
}

fn add_direct(listing: &mut Listing, catalogue: &Catalogue, env: &Env) {
    // Names are sorted, so that each provider is asked about once.
    let mut last: Option<(&str, Option<&Arc<Provider>>)> = None;
    for name in catalogue.model_names() {
        let Some((owner, model)) = name.split_once('/') else {
            continue;
        };
        let provider = match last {
            Some((known, provider)) if known == owner => provider,
            _ => catalogue
                .provider(owner)
                .filter(|provider| is_ready(provider, env)),
        };
        last = Some((owner, provider));
        if let Some(provider) = provider {
            listing.add(&Route::direct(provider, model, catalogue), owner);
        }
    }
}

/// Whether one of its secrets is set, if it needs any.
fn is_ready(provider: &Provider, env: &Env) -> bool {
    let secrets = provider.auth.secrets();
    let is_set = |name: &String| js::get_text(env, name).is_some_and(|secret| !secret.is_empty());
    secrets.is_empty() || secrets.iter().any(is_set)
}

/// The list, a page of it, or one model, in the client's dialect.
pub fn answer(
    path: &str,
    query: &str,
    client: ClientDialect,
    listing: &Listing,
) -> Result<Response, ClientError> {
    let told = match path.strip_prefix("/v1/models/") {
        Some(id) => one(&decoded(id), client, listing),
        None => listing.page(&page(query), client),
    };
    let body = told.map_err(|error| ClientError::from(&error))?;
    let head = ResponseHead {
        status: 200,
        content_type: "application/json".into(),
        headers: Vec::new(),
    };
    Ok(respond::whole(&head, &body))
}

/// `auto` is the route that it stands for.
fn one(id: &str, client: ClientDialect, listing: &Listing) -> Result<Vec<u8>, RequestError> {
    let names: &[&str] = if id == "auto" { &AUTO } else { &[id] };
    let mut found = names.iter().map(|name| listing.one(name, client));
    let first = found.find(Result::is_ok);
    first.unwrap_or_else(|| listing.one(id, client))
}

fn page(query: &str) -> Page {
    let value = |wanted: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let mut values = pairs.filter(|(name, _)| *name == wanted);
        values.next().map(|(_, value)| decoded(value))
    };
    Page {
        limit: value("limit"),
        after_id: value("after_id"),
        before_id: value("before_id"),
    }
}

/// What is wrongly encoded is taken as it stands.
fn decoded(text: &str) -> String {
    js_sys::decode_uri_component(text).map_or_else(|_| text.to_owned(), String::from)
}
