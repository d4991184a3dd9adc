//! `waypost check DIR`: every problem of a config folder at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::{print, print_error};
use crate::access::KeyTerms;
use crate::config::{Catalogue, Checked, Problem, Problems, Route, sha256_hex};

/// What was found in one folder.
#[derive(Debug, Default, Serialize)]
struct Report {
    files: usize,
    problems: Vec<Finding>,
    warnings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct Finding {
    file: String,
    #[serde(flatten)]
    problem: Problem,
}

pub(super) fn run(dir: &Path, as_json: bool) -> ExitCode {
    if !dir.is_dir() {
        print_error(&format!("{} is not a folder", dir.display()));
        return ExitCode::from(2);
    }
    let report = check(dir);
    if as_json {
        print(&serde_json::to_string_pretty(&report).unwrap_or_default());
    } else {
        print_report(&report);
    }
    ExitCode::from(u8::from(!report.problems.is_empty()))
}

fn check(dir: &Path) -> Report {
    let mut report = Report::default();
    let providers = dir.join("providers.json");
    let parsed = report
        .read(dir, &providers)
        .map(|text| Catalogue::parse(&text));
    let catalogue = parsed.and_then(|parsed| report.take(dir, &providers, parsed));
    let catalogue = catalogue.unwrap_or_default();
    let folder = dir.join("routes");
    let files = json_files(&folder);
    let names: Vec<String> = files.iter().map(|file| route_name(&folder, file)).collect();
    let mut routes = Vec::new();
    for (file, name) in files.iter().zip(&names) {
        if let Some(text) = report.read(dir, file) {
            let route = report.take(dir, file, Route::parse(name, &text, &catalogue));
            routes.extend(route.map(|route| (file, route)));
        }
    }
    check_redirects(dir, &names, &routes, &mut report);
    check_keys(dir, &mut report);
    if report.files == 0 {
        let mut problems = Problems::default();
        problems.note("", "providers.json or routes/<name>.json", "neither");
        report.add(dir, dir, problems.list, false);
    }
    report
}

/// Rules that send a request on: to a route that exists, and never in a circle.
fn check_redirects(
    dir: &Path,
    names: &[String],
    routes: &[(&PathBuf, Route)],
    report: &mut Report,
) {
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    for (file, route) in routes {
        let mut problems = Problems::default();
        for (place, rule) in route.rules.iter().enumerate() {
            let Some(next) = &rule.route else {
                continue;
            };
            let path = format!("rules[{place}].route");
            if !known.contains(&next.as_str()) {
                problems.unknown_name(&path, "a route of this folder", next, &known);
            } else if reaches(next, &route.name, routes) {
                let expected = "a route that does not lead back to this one";
                problems.note(&path, expected, next.clone());
            }
        }
        report.add(dir, file, problems.list, false);
    }
}

/// Whether the rules of `from`, or of a route that they lead to, lead to `to`.
fn reaches(from: &str, to: &str, routes: &[(&PathBuf, Route)]) -> bool {
    let mut seen: Vec<&str> = Vec::new();
    let mut open = vec![from];
    while let Some(name) = open.pop() {
        if name == to {
            return true;
        }
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        let rules = routes
            .iter()
            .filter(|(_, route)| route.name == name)
            .flat_map(|(_, route)| &route.rules);
        open.extend(rules.filter_map(|rule| rule.route.as_deref()));
    }
    false
}

fn check_keys(dir: &Path, report: &mut Report) {
    let file = dir.join("keys.json");
    let Some(text) = report.read(dir, &file) else {
        return;
    };
    let mut problems = Problems::default();
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text) {
        Ok(keys) => {
            let keys = keys.iter().filter(|(key, _)| *key != "$schema");
            for (place, (key, terms)) in keys.enumerate() {
                let found = KeyTerms::parse(&sha256_hex(key.as_bytes()), &terms.to_string());
                for mut problem in found.err().unwrap_or_default() {
                    // The key itself is not repeated.
                    problem.path = format!("(key {}).{}", place + 1, problem.path);
                    problems.list.push(problem);
                }
            }
        }
        Err(error) => problems.note(
            "",
            "an object: keys, or their hashes, with their terms",
            format!(
                "a mistake at line {}, column {}",
                error.line(),
                error.column()
            ),
        ),
    }
    report.add(dir, &file, problems.list, false);
}

impl Report {
    fn read(&mut self, dir: &Path, file: &Path) -> Option<String> {
        if !file.exists() {
            return None;
        }
        self.files += 1;
        match fs::read_to_string(file) {
            Ok(text) => Some(text),
            Err(error) => {
                let mut problems = Problems::default();
                problems.note("", "a file of UTF-8 text", error.to_string());
                self.add(dir, file, problems.list, false);
                None
            }
        }
    }

    fn take<T>(
        &mut self,
        dir: &Path,
        file: &Path,
        parsed: Result<Checked<T>, Vec<Problem>>,
    ) -> Option<T> {
        match parsed {
            Ok(checked) => {
                self.add(dir, file, checked.warnings, true);
                Some(checked.value)
            }
            Err(problems) => {
                self.add(dir, file, problems, false);
                None
            }
        }
    }

    fn add(&mut self, dir: &Path, file: &Path, problems: Vec<Problem>, are_warnings: bool) {
        let name = file.strip_prefix(dir).unwrap_or(file).display().to_string();
        let findings = problems.into_iter().map(|problem| Finding {
            file: name.clone(),
            problem,
        });
        if are_warnings {
            self.warnings.extend(findings);
        } else {
            self.problems.extend(findings);
        }
    }
}

/// All JSON files below a folder, sorted.
pub(super) fn json_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        if path.is_dir() {
            files.extend(json_files(&path));
        } else if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// `routes/acme/chat.json` is the route `acme/chat`.
pub(super) fn route_name(routes: &Path, file: &Path) -> String {
    let relative = file.strip_prefix(routes).unwrap_or(file).with_extension("");
    let parts: Vec<_> = relative
        .components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    parts.join("/")
}

fn print_report(report: &Report) {
    for finding in &report.problems {
        print(&format!("{}: {}", finding.file, finding.problem));
    }
    for finding in &report.warnings {
        print(&format!("{}: warning: {}", finding.file, finding.problem));
    }
    let (problems, warnings) = (report.problems.len(), report.warnings.len());
    print(&format!(
        "{} files, {problems} problems, {warnings} warnings",
        report.files
    ));
}
