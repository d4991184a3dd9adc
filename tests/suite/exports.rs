//! What others are told of records: `tests/exports/`.
//!
//! `<case>.records.ndjson` are records, and `<case>.otlp.json` the traces that are sent of them. `<case>.figures.json` are
//! figures, and `<case>.prom` the text that Prometheus scrapes.

use std::fs;

use serde_json::Value;
use waypost::journal::{Figures, Record, Summary, exposition, trace_export};

use super::expect::{Report, folder, inputs};

#[test]
fn records_are_the_traces_that_their_file_says() {
    let mut report = Report::default();
    let folder = folder("exports");
    for (case, path) in inputs(&folder, ".records.ndjson") {
        let text = fs::read_to_string(path).unwrap();
        let records = text.lines().map(|line| {
            // What cannot be a record must not be told of either.
            serde_json::from_str::<Record>(line).unwrap();
            serde_json::from_str(line).unwrap()
        });
        let records: Vec<Summary> = records.collect();
        let records: Vec<&Summary> = records.iter().collect();
        let export: Value = serde_json::from_str(&trace_export(&records, "the \"edge\"")).unwrap();
        let mut export = serde_json::to_string_pretty(&export).unwrap();
        export.push('\n');
        let expected = folder.join(format!("{case}.otlp.json"));
        report.compare(&expected, export.as_bytes());
    }
}

#[test]
fn figures_are_the_text_that_their_file_says() {
    let mut report = Report::default();
    let folder = folder("exports");
    for (case, path) in inputs(&folder, ".figures.json") {
        let figures: Figures = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let expected = folder.join(format!("{case}.prom"));
        report.compare(&expected, exposition(&figures).as_bytes());
    }
}
