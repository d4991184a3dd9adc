//! `waypost diff OLD NEW`: what differs between two configs, and with records, what the difference would do.
//!
//! OLD and NEW are config folders, or two files of one route. Entries are compared as JSON: targets by their ids and
//! rules by their names, so that moving one is not told as changing all. With records, each one whose route would
//! decide otherwise is decided again under both, from the traits, the health and the seed that it holds.
//!
//! A problem that stands in OLD in the same words is told apart: it is no reason to refuse this change, and in a
//! folder of several teams it may be somebody else's.

mod entries;
mod impact;
mod show;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::check::{Finding, Reading};
use super::{print, print_error};
use crate::config::{Catalogue, Problem, Route};

use entries::EntryChange;
use impact::Impact;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A config folder, or a file with one route.
    old: PathBuf,
    /// The same, as it is to become. Records of the route are found by this file's name.
    new: PathBuf,
    /// Decide these records again under OLD and NEW: NDJSON, or a page of the admin API; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    records: Option<PathBuf>,
    /// For two files: what they may name besides the built-in providers.
    #[arg(long, value_name = "FILE")]
    providers: Option<PathBuf>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// End with 1 when there is a difference.
    #[arg(long)]
    exit_code: bool,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Told {
    entries: Vec<EntryChange>,
    /// Of NEW, and not of OLD.
    problems: Vec<Finding>,
    /// Of NEW, as of OLD.
    standing_problems: Vec<Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    impact: Option<Impact>,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match tell(arguments) {
        Ok(told) => {
            let shown = if arguments.json {
                serde_json::to_string_pretty(&told).unwrap_or_default()
            } else {
                show::text(&told)
            };
            print(&shown);
            let is_different = arguments.exit_code && !told.entries.is_empty();
            ExitCode::from(u8::from(is_different || !told.problems.is_empty()))
        }
        Err(mistake) => {
            print_error(&mistake);
            ExitCode::from(2)
        }
    }
}

fn tell(arguments: &Arguments) -> Result<Told, String> {
    let (old, new) = sides(arguments)?;
    let is_standing = |finding: &Finding| old.report.problems.contains(finding);
    let problems = new.report.problems.iter().cloned();
    let (standing_problems, problems): (Vec<_>, Vec<_>) = problems.partition(is_standing);
    let entries = entries::changes(&old.texts, &new.texts);
    // What a config with a mistake would do is not known.
    let records = arguments.records.as_ref().filter(|_| problems.is_empty());
    let impact = match records {
        Some(file) => Some(impact::of(&old.routes, &new.routes, file)?),
        None => None,
    };
    Ok(Told {
        entries,
        problems,
        standing_problems,
        impact,
    })
}

/// OLD and NEW, both folders or both files.
fn sides(arguments: &Arguments) -> Result<(Reading, Reading), String> {
    let Arguments {
        old,
        new,
        providers,
        ..
    } = arguments;
    match (old.is_dir(), new.is_dir()) {
        (true, true) if providers.is_some() => {
            Err("--providers is for two files; a folder has its own providers.json".to_owned())
        }
        (true, true) => Ok((Reading::of(old), Reading::of(new))),
        (false, false) => {
            let catalogue = providers.as_deref().map(read_catalogue).transpose()?;
            let catalogue = catalogue.unwrap_or_default();
            let name = new.file_stem().unwrap_or_default().to_string_lossy();
            Ok((
                read_route(old, &name, &catalogue)?,
                read_route(new, &name, &catalogue)?,
            ))
        }
        _ => Err("expected two config folders or two files, got one of each".to_owned()),
    }
}

/// The mistakes of OLD and NEW are told; one in what they are read with stands in the way.
fn read_catalogue(file: &Path) -> Result<Catalogue, String> {
    let parsed = Catalogue::parse(&read(file)?);
    parsed.map(|checked| checked.value).map_err(|problems| {
        let line = |problem: &Problem| format!("{}: {problem}", file.display());
        problems.iter().map(line).collect::<Vec<_>>().join("\n")
    })
}

fn read_route(file: &Path, name: &str, catalogue: &Catalogue) -> Result<Reading, String> {
    let text = read(file)?;
    let mut reading = Reading::default();
    match Route::parse(name, &text, catalogue) {
        Ok(checked) => {
            reading.routes = BTreeMap::from([(name.to_owned(), checked.value)]);
        }
        Err(problems) => {
            let file = file.display().to_string();
            let finding = |problem| Finding {
                file: file.clone(),
                problem,
            };
            reading.report.problems = problems.into_iter().map(finding).collect();
        }
    }
    reading.texts.insert(format!("route:{name}"), text);
    Ok(reading)
}

fn read(file: &Path) -> Result<String, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

/// Lists that grow with the input stop here in what is printed.
fn first<T: Clone>(list: &[T], count: usize) -> Vec<T> {
    list.iter().take(count).cloned().collect()
}
