//! A config folder as the Worker would read it: its catalogue, and any route by the name that a client uses.
//!
//! Reads only what is asked for, so that a mistake in another team's route is no obstacle. `check` reads all of it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::check::{json_files, route_name};
use crate::config::{Catalogue, Problem, Problems, Revision, Route};
use crate::journal::ConfigRevisions;

/// The routes that `auto` stands for, first come.
const AUTO: [&str; 2] = ["auto", "default"];

/// What stands in the way, and in which file.
#[derive(Debug, Serialize)]
pub(super) struct Obstacle {
    pub file: String,
    pub problem: String,
}

pub(super) struct Folder {
    dir: PathBuf,
    catalogue: Catalogue,
    revision: Revision,
}

impl Folder {
    pub fn open(dir: &Path) -> Result<Self, Vec<Obstacle>> {
        let file = dir.join("providers.json");
        let mut folder = Self {
            dir: dir.to_owned(),
            catalogue: Catalogue::default(),
            revision: Revision::default(),
        };
        if file.exists() {
            let text = folder.read(&file)?;
            let parsed = Catalogue::parse(&text).map_err(|found| folder.obstacles(&file, found))?;
            folder.catalogue = parsed.value;
            folder.revision = Revision::of(&text);
        }
        Ok(folder)
    }

    /// The route behind `auto`, a route's own name, or `provider/model`.
    pub fn route(&self, name: &str) -> Result<Route, Vec<Obstacle>> {
        let routes = self.dir.join("routes");
        let files = json_files(&routes);
        let file_of = |name: &&str| files.iter().find(|file| route_name(&routes, file) == *name);
        let names: &[&str] = if name == "auto" { &AUTO } else { &[name] };
        if let Some((name, file)) = names
            .iter()
            .find_map(|name| file_of(name).map(|file| (name, file)))
        {
            let text = self.read(file)?;
            let parsed = Route::parse(name, &text, &self.catalogue);
            return match parsed {
                Ok(checked) => Ok(checked.value),
                Err(found) => Err(self.obstacles(file, found)),
            };
        }
        let direct = name.split_once('/').and_then(|(provider, model)| {
            let provider = self.catalogue.provider(provider)?;
            (!model.is_empty()).then(|| Route::direct(provider, model, &self.catalogue))
        });
        direct.ok_or_else(|| {
            let known: Vec<String> = files.iter().map(|file| route_name(&routes, file)).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let mut problems = Problems::default();
            problems.unknown_name("", "the name of a route", name, &known);
            self.obstacles(&routes, problems.list)
        })
    }

    pub fn revisions(&self, route: &Route) -> ConfigRevisions {
        ConfigRevisions {
            route: route.revision.clone(),
            providers: self.revision.clone(),
            problems: 0,
        }
    }

    fn read(&self, file: &Path) -> Result<String, Vec<Obstacle>> {
        fs::read_to_string(file).map_err(|error| {
            let mut problems = Problems::default();
            problems.note("", "a file of UTF-8 text", error.to_string());
            self.obstacles(file, problems.list)
        })
    }

    fn obstacles(&self, file: &Path, found: Vec<Problem>) -> Vec<Obstacle> {
        let file = file.strip_prefix(&self.dir).unwrap_or(file);
        let obstacle = |problem: Problem| Obstacle {
            file: file.display().to_string(),
            problem: problem.to_string(),
        };
        found.into_iter().map(obstacle).collect()
    }
}
