//! Reads recorded exchanges one by one, however many there are.
//!
//! A line is a record, or a page as the admin API gives it; a page that was formatted over several lines is read as
//! well. What cannot be read is counted, the first few named, and never the end of it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::journal::{Record, VERSION};

/// The longest line: a page of 200 records, each as large as a queue's message may be, and some room.
const LINE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Unreadable lines that are named.
const NAMED_MAX: usize = 5;

/// Lines that are no records.
#[derive(Debug, Default, Serialize)]
pub(super) struct Unreadable {
    pub count: u64,
    /// The first of them.
    pub first: Vec<UnreadableLine>,
}

#[derive(Debug, Serialize)]
pub(super) struct UnreadableLine {
    pub line: u64,
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

/// Calls `take` with each record; `-` is standard input. Says what could not be read.
pub(super) fn each(file: &Path, mut take: impl FnMut(Record)) -> Result<Unreadable, String> {
    let told = |error: io::Error| format!("{}: {error}", file.display());
    let mut input: Box<dyn BufRead> = if file.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(file).map_err(told)?))
    };
    let mut unreadable = Unreadable::default();
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        let bytes = (&mut input)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line);
        if bytes.map_err(told)? == 0 {
            return Ok(unreadable);
        }
        number += 1;
        // Only the beginning of a formatted page is no whole value at the end of its first line.
        if number == 1 && is_unfinished(&line) {
            (&mut input)
                .take(LINE_BYTES_MAX)
                .read_to_end(&mut line)
                .map_err(told)?;
        }
        if let Err(reason) = read(&line, &mut take) {
            unreadable.note(number, reason);
        }
    }
}

fn is_unfinished(line: &[u8]) -> bool {
    let read = serde_json::from_slice::<serde::de::IgnoredAny>(line);
    read.is_err_and(|error| error.is_eof()) && !line.trim_ascii().is_empty()
}

fn read(line: &[u8], take: &mut impl FnMut(Record)) -> Result<(), String> {
    if line.trim_ascii().is_empty() {
        return Ok(());
    }
    if let Ok(page) = serde_json::from_slice::<Page<'_>>(line) {
        for record in page.records {
            take(record_of(record.get().as_bytes())?);
        }
        return Ok(());
    }
    take(record_of(line)?);
    Ok(())
}

fn record_of(text: &[u8]) -> Result<Record, String> {
    if let Ok(Versioned { v }) = serde_json::from_slice(text)
        && v > u64::from(VERSION)
    {
        return Err(format!(
            "a record of version {v}; this program reads those up to {VERSION}"
        ));
    }
    serde_json::from_slice(text).map_err(|error: serde_json::Error| {
        if error.is_data() {
            return "JSON, but no record".to_owned();
        }
        format!("no JSON: a mistake at column {}", error.column())
    })
}

impl Unreadable {
    fn note(&mut self, line: u64, reason: String) {
        self.count += 1;
        if self.first.len() < NAMED_MAX {
            self.first.push(UnreadableLine { line, reason });
        }
    }
}
