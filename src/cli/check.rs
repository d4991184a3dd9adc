//! `waypost check DIR`: every problem of a config folder at once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::{print, print_error};
use crate::access::KeyTerms;
use crate::config::{
    Catalogue, Checked, EntryName, Problem, Problems, Route, check_redirects, flag_problems,
    redirects, sha256_hex,
};

/// What was found in one folder.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub files: usize,
    pub problems: Vec<Finding>,
    pub warnings: Vec<Finding>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub file: String,
    #[serde(flatten)]
    pub problem: Problem,
}

/// A folder as it was read: what could be, and what is wrong with the rest.
#[derive(Default)]
pub(super) struct Reading {
    pub report: Report,
    pub catalogue: Catalogue,
    /// The routes that are good, by name.
    pub routes: BTreeMap<String, Route>,
    /// The text of every entry, by its name in KV. Plain keys are hashed.
    pub texts: BTreeMap<String, String>,
}

pub(super) fn run(dir: &Path, as_json: bool) -> ExitCode {
    if !dir.is_dir() {
        print_error(&format!("{} is not a folder", dir.display()));
        return ExitCode::from(2);
    }
    let report = Reading::of(dir).report;
    if as_json {
        print(&serde_json::to_string_pretty(&report).unwrap_or_default());
    } else {
        print_report(&report);
    }
    ExitCode::from(u8::from(!report.problems.is_empty()))
}

impl Reading {
    /// Reads all of a folder. What cannot be read is in the report.
    pub fn of(dir: &Path) -> Self {
        let mut reading = Self::default();
        reading.read_providers(dir);
        reading.read_routes(dir);
        reading.read_keys(dir);
        let flags = dir.join("flags.json");
        if let Some(text) = reading.report.read(dir, &flags) {
            reading.report.add(dir, &flags, flag_problems(&text), false);
            reading.texts.insert("flags".to_owned(), text);
        }
        if reading.report.files == 0 {
            let mut problems = Problems::default();
            problems.note("", "providers.json or routes/<name>.json", "neither");
            reading.report.add(dir, dir, problems.list, false);
        }
        reading
    }

    fn read_providers(&mut self, dir: &Path) {
        let file = dir.join("providers.json");
        let Some(text) = self.report.read(dir, &file) else {
            return;
        };
        let parsed = Catalogue::parse(&text);
        self.catalogue = self.report.take(dir, &file, parsed).unwrap_or_default();
        self.texts.insert("providers".to_owned(), text);
    }

    fn read_routes(&mut self, dir: &Path) {
        let folder = dir.join("routes");
        let mut redirects_of = BTreeMap::new();
        let mut files = Vec::new();
        for file in json_files(&folder) {
            let name = route_name(&folder, &file);
            self.report.add(dir, &file, name_problems(&name), false);
            if let Some(text) = self.report.read(dir, &file) {
                let route = Route::parse(&name, &text, &self.catalogue);
                let route = self.report.take(dir, &file, route);
                self.routes.extend(route.map(|route| (name.clone(), route)));
                redirects_of.insert(name.clone(), redirects(&text));
                self.texts.insert(format!("route:{name}"), text);
            }
            files.push((file, name));
        }
        let known: Vec<&str> = files.iter().map(|(_, name)| name.as_str()).collect();
        let of = |name: &str| redirects_of.get(name).map_or(&[][..], Vec::as_slice);
        for (file, name) in &files {
            let problems = check_redirects(name, &known, of);
            self.report.add(dir, file, problems, false);
        }
    }

    fn read_keys(&mut self, dir: &Path) {
        let file = dir.join("keys.json");
        let Some(text) = self.report.read(dir, &file) else {
            return;
        };
        let mut problems = Problems::default();
        match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text) {
            Ok(mut keys) => {
                keys.remove("$schema");
                for (place, (key, terms)) in keys.iter().enumerate() {
                    let hash = key_hash(key);
                    let terms = terms.to_string();
                    let found = KeyTerms::parse(&hash, &terms);
                    for mut problem in found.err().unwrap_or_default() {
                        // The key itself is not repeated.
                        problem.path = format!("(key {}).{}", place + 1, problem.path);
                        problems.list.push(problem);
                    }
                    self.texts.insert(format!("key:{hash}"), terms);
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
        self.report.add(dir, &file, problems.list, false);
    }
}

/// A route that no entry can be written for could be neither pushed nor asked for.
fn name_problems(name: &str) -> Vec<Problem> {
    let mut problems = Problems::default();
    if EntryName::parse(&format!("route:{name}")).is_none() {
        let expected = "a path below `routes` without control characters, of at most 474 bytes";
        problems.note("(name)", expected, "another");
    }
    problems.list
}

/// The hash that a key of `keys.json` stands for: `sha256:<hex>`, bare hex, or the key itself.
fn key_hash(key: &str) -> String {
    let hex = key
        .get(..7)
        .filter(|start| start.eq_ignore_ascii_case("sha256:"));
    let hex = hex.map_or(key, |_| key.get(7..).unwrap_or_default());
    if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return hex.to_ascii_lowercase();
    }
    sha256_hex(key.as_bytes())
}

impl Report {
    fn read(&mut self, dir: &Path, file: &Path) -> Option<String> {
        if !file.exists() {
            return None;
        }
        self.files += 1;
        match fs::read_to_string(file) {
            Ok(text) => Some(text.trim_start_matches('\u{feff}').to_owned()),
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

/// All JSON files below a folder, sorted. What is hidden is none of the team's, and a folder that is linked to may hold the
/// link; a file may be a link.
pub(super) fn json_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let is_hidden = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b".");
    for entry in entries.filter(|entry| !is_hidden(entry)) {
        let path = entry.path();
        let is_json = path.extension() == Some("json".as_ref());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files.extend(json_files(&path));
        } else if is_json && path.is_file() {
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
