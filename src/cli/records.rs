//! Reads recorded exchanges one by one, however many there are, from files, folders and standard input.
//!
//! A line is a record, or a page as the admin API gives it; a page that was formatted over several lines is read as
//! well. What is compressed with gzip is recognised by its first bytes, whatever its name. What cannot be read is
//! counted, the first few named by file and line, and never the end of it.
//!
//! Not here: records of a running Worker (`admin.rs`).

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::table::printable;
use crate::journal::{Record, VERSION};

/// The longest line: a page of 200 records, each as large as a queue's message may be, and some room. Also what one
/// line of a gzip file may unpack to.
const LINE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Unreadable lines that are named.
const NAMED_MAX: usize = 5;
/// What files of records are called in a folder, with or without `.gz` behind it.
const EXTENSIONS: [&str; 3] = ["ndjson", "jsonl", "json"];
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A file, or standard input.
#[derive(Debug)]
pub(super) struct Source {
    /// None is standard input.
    path: Option<PathBuf>,
}

/// Where a record stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Place {
    pub file: String,
    pub line: u64,
}

/// Lines that are no records.
#[derive(Debug, Default, Serialize)]
pub(super) struct Unreadable {
    pub count: u64,
    /// The first of them.
    pub first: Vec<UnreadableLine>,
}

#[derive(Debug, Serialize)]
pub(super) struct UnreadableLine {
    #[serde(flatten)]
    pub place: Place,
    /// Why; nothing of what stood there.
    pub reason: String,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    records: Vec<&'a RawValue>,
}

/// The version alone, for a record that this program cannot read.
#[derive(Deserialize)]
struct Versioned {
    v: u64,
}

impl Source {
    /// What these paths name: files, all files of records below folders, and `-`. Says which of them there is not.
    pub fn all(paths: &[PathBuf]) -> Result<Vec<Self>, String> {
        let mut sources = Vec::new();
        for path in paths {
            if path.as_os_str() == "-" {
                sources.push(Self { path: None });
            } else if path.is_dir() {
                let files = files(path);
                if files.is_empty() {
                    return Err(format!(
                        "{}: expected files that end in .ndjson, .jsonl or .json, or in one of them and .gz, found none",
                        path.display()
                    ));
                }
                sources.extend(files.into_iter().map(|file| Self { path: Some(file) }));
            } else {
                // Said at once, before hours of other files.
                File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
                let path = Some(path.clone());
                sources.push(Self { path });
            }
        }
        Ok(sources)
    }

    fn name(&self) -> String {
        let path = self.path.as_ref();
        path.map_or("standard input".to_owned(), |path| {
            path.display().to_string()
        })
    }

    fn open(&self) -> io::Result<Box<dyn BufRead>> {
        let mut input: Box<dyn BufRead> = match &self.path {
            None => Box::new(io::stdin().lock()),
            Some(path) => Box::new(BufReader::new(File::open(path)?)),
        };
        if input.fill_buf()?.starts_with(&GZIP_MAGIC) {
            // Several packed files behind each other are one.
            return Ok(Box::new(BufReader::new(MultiGzDecoder::new(input))));
        }
        Ok(input)
    }
}

/// The files of records below a folder, in order.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let is_record = EXTENSIONS.iter().any(|extension| {
            Path::new(name)
                .extension()
                .is_some_and(|it| it == *extension)
        });
        if path.is_dir() {
            found.extend(files(&path));
        } else if is_record {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Calls `take` with each record and where it stood. Says what could not be read.
pub(super) fn each(sources: &[Source], mut take: impl FnMut(Record, &Place)) -> Unreadable {
    let mut unreadable = Unreadable::default();
    for source in sources {
        let mut place = Place {
            file: source.name(),
            line: 0,
        };
        if let Err(error) = each_of(source, &mut place, &mut take, &mut unreadable) {
            // The rest of this file is lost, those after it are not.
            unreadable.note(&place, error.to_string());
        }
    }
    unreadable
}

fn each_of(
    source: &Source,
    place: &mut Place,
    take: &mut impl FnMut(Record, &Place),
    unreadable: &mut Unreadable,
) -> io::Result<()> {
    let mut input = source.open()?;
    let mut line = Vec::new();
    loop {
        line.clear();
        place.line += 1;
        let bytes = (&mut input)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)?;
        if bytes == 0 {
            return Ok(());
        }
        // Only the beginning of a formatted page is no whole value at the end of its first line.
        if place.line == 1 && is_unfinished(&line) {
            (&mut input).take(LINE_BYTES_MAX).read_to_end(&mut line)?;
        }
        if let Err(reason) = read(&line, place, take) {
            unreadable.note(place, reason);
        }
    }
}

fn is_unfinished(line: &[u8]) -> bool {
    let read = serde_json::from_slice::<serde::de::IgnoredAny>(line);
    read.is_err_and(|error| error.is_eof()) && !line.trim_ascii().is_empty()
}

fn read(line: &[u8], place: &Place, take: &mut impl FnMut(Record, &Place)) -> Result<(), String> {
    if line.trim_ascii().is_empty() {
        return Ok(());
    }
    if let Ok(page) = serde_json::from_slice::<Page<'_>>(line) {
        for record in page.records {
            take(record_of(record.get().as_bytes())?, place);
        }
        return Ok(());
    }
    take(record_of(line)?, place);
    Ok(())
}

/// A record from its JSON, or what it is instead.
pub(super) fn record_of(text: &[u8]) -> Result<Record, String> {
    if let Ok(Versioned { v }) = serde_json::from_slice(text)
        && v > u64::from(VERSION)
    {
        return Err(format!(
            "a record of version {v}; this program reads those up to {VERSION}"
        ));
    }
    serde_json::from_slice(text).map_err(|error: serde_json::Error| {
        if error.is_data() {
            return format!("JSON, but no record: {}", misfit(&error));
        }
        format!("no JSON: a mistake at column {}", error.column())
    })
}

/// What is not as a record has it. The reader's own words may quote the file, which may be anybody's: the name of a field
/// that is not there is ours.
fn misfit(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let missing = said.split_once(" at line ").map(|(what, _)| what);
    match missing.filter(|what| what.starts_with("missing field ")) {
        Some(missing) => missing.to_owned(),
        None => format!("another value is expected at column {}", error.column()),
    }
}

impl Unreadable {
    fn note(&mut self, place: &Place, reason: String) {
        self.count += 1;
        if self.first.len() < NAMED_MAX {
            let place = place.clone();
            self.first.push(UnreadableLine { place, reason });
        }
    }
}

impl fmt::Display for UnreadableLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, printable(&self.reason))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}", printable(&self.file), self.line)
    }
}
