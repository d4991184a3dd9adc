//! The routes that decided, by the revisions that records name.
//!
//! Revisions are content-addressed, so it does not matter where a text is found: in a config folder, or kept by a
//! Worker. A text is used only if it hashes to the revision that is wanted.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::cli::admin::Admin;
use crate::cli::check::Reading;
use crate::config::{Catalogue, Revision, Route};
use crate::journal::ConfigRevisions;

/// Routes and catalogues that are kept parsed. A log of months meets some tens of each.
const KEPT_MAX: usize = 1_000;

/// Where revisions may be found.
#[derive(Default)]
pub(super) struct Revisions {
    /// By entry and revision.
    texts: BTreeMap<(String, Revision), String>,
    admin: Option<Admin>,
    catalogues: BTreeMap<Revision, Result<Catalogue, String>>,
    routes: BTreeMap<RouteName, Result<Route, String>>,
}

/// A route's name, its revision, and that of the providers that it is read with.
type RouteName = (String, Revision, Revision);

impl Revisions {
    pub fn new(folders: &[PathBuf], admin: Option<Admin>) -> Self {
        let mut texts = BTreeMap::new();
        for folder in folders {
            for (entry, text) in Reading::of(folder).texts {
                texts.insert((entry, Revision::of(&text)), text);
            }
        }
        Self {
            texts,
            admin,
            ..Self::default()
        }
    }

    /// Whether there is anywhere to look.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.admin.is_none()
    }

    /// The route as it was, or why it is not at hand.
    pub fn route(&mut self, name: &str, config: &ConfigRevisions) -> Result<&Route, String> {
        let key = (
            name.to_owned(),
            config.route.clone(),
            config.providers.clone(),
        );
        if !self.routes.contains_key(&key) {
            if self.routes.len() >= KEPT_MAX {
                self.routes.clear();
            }
            let route = self.read_route(name, config);
            self.routes.insert(key.clone(), route);
        }
        match self.routes.get(&key) {
            Some(Ok(route)) => Ok(route),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err(String::new()),
        }
    }

    fn read_route(&mut self, name: &str, config: &ConfigRevisions) -> Result<Route, String> {
        let entry = format!("route:{name}");
        let text = self.text(&entry, &config.route)?;
        let catalogue = self.catalogue(&config.providers)?;
        if let Some(text) = text {
            let parsed = Route::parse(name, &text, catalogue).map_err(|problems| {
                let first = problems.first().map(ToString::to_string);
                let (revision, first) = (&config.route.0, first.unwrap_or_default());
                format!("this program cannot read {entry} at {revision}: {first}")
            })?;
            return Ok(parsed.value);
        }
        // A client that names a provider's model meets a route that no entry is behind.
        let direct = name.split_once('/').and_then(|(provider, model)| {
            let provider = catalogue.provider(provider)?;
            Some(Route::direct(provider, model, catalogue))
        });
        let direct = direct.filter(|route| route.revision == config.route);
        direct.ok_or_else(|| format!("{entry} at {} is not at hand", config.route.0))
    }

    fn catalogue(&mut self, revision: &Revision) -> Result<&Catalogue, String> {
        if !self.catalogues.contains_key(revision) {
            if self.catalogues.len() >= KEPT_MAX {
                self.catalogues.clear();
            }
            let catalogue = self.read_catalogue(revision);
            self.catalogues.insert(revision.clone(), catalogue);
        }
        match self.catalogues.get(revision) {
            Some(Ok(catalogue)) => Ok(catalogue),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err(String::new()),
        }
    }

    /// No revision means no entry, only what is built in.
    fn read_catalogue(&self, revision: &Revision) -> Result<Catalogue, String> {
        if revision.0.is_empty() {
            return Ok(Catalogue::default());
        }
        let text = self
            .text("providers", revision)?
            .ok_or_else(|| format!("providers at {} is not at hand", revision.0))?;
        let parsed = Catalogue::parse(&text).map_err(|problems| {
            let first = problems.first().map(ToString::to_string);
            let first = first.unwrap_or_default();
            format!(
                "this program cannot read providers at {}: {first}",
                revision.0
            )
        })?;
        Ok(parsed.value)
    }

    fn text(&self, entry: &str, revision: &Revision) -> Result<Option<String>, String> {
        if let Some(text) = self.texts.get(&(entry.to_owned(), revision.clone())) {
            return Ok(Some(text.clone()));
        }
        let Some(admin) = &self.admin else {
            return Ok(None);
        };
        let text = admin.revision(entry, revision)?;
        Ok(text.filter(|text| Revision::of(text) == *revision))
    }
}
