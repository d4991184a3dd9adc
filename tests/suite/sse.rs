//! `tests/sse/`: each stream beside its events, read whole, cut everywhere, and as a relay would forward it.

use std::fs;

use serde_json::json;
use waypost::sse::{Decoder, Event};

use super::expect::{Report, folder, inputs};

/// Streams up to this length are cut at every pair of places.
const PAIRS_BYTES_MAX: usize = 160;

#[test]
fn streams_give_the_expected_events_at_every_cut() {
    let mut report = Report::default();
    for (name, path) in inputs(&folder("sse"), ".txt") {
        let bytes = fs::read(&path).unwrap();
        let whole = run(&[&bytes]);
        report.compare(&path.with_extension("events"), whole.as_bytes());
        for cut in 0..=bytes.len() {
            let (left, right) = bytes.split_at(cut);
            report.same(
                &format!("{name} cut at {cut}"),
                &whole,
                &run(&[left, right]),
            );
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        report.same(&format!("{name} byte by byte"), &whole, &run(&single));
        if bytes.len() <= PAIRS_BYTES_MAX {
            for cut in 0..=bytes.len() {
                for other in cut..=bytes.len() {
                    let pieces = [&bytes[..cut], &bytes[cut..other], &bytes[other..]];
                    let what = format!("{name} cut at {cut} and {other}");
                    report.same(&what, &whole, &run(&pieces));
                }
            }
        }
    }
}

#[test]
fn what_is_not_pending_is_whole_events() {
    let mut report = Report::default();
    for (name, path) in inputs(&folder("sse"), ".txt") {
        let bytes = fs::read(&path).unwrap();
        let mut decoder = Decoder::new();
        let mut events = Vec::new();
        for end in 1..=bytes.len() {
            decoder.push(&bytes[end - 1..end], &mut events).unwrap();
            let forwarded = &bytes[..end - decoder.pending_bytes()];
            let mut client = Decoder::new();
            let mut seen = Vec::new();
            client.push(forwarded, &mut seen).unwrap();
            let what = format!(
                "{name} after {end} bytes, of which {} go on",
                forwarded.len()
            );
            report.same(&what, &dump(&events), &dump(&seen));
            report.same(&what, "0", &client.pending_bytes().to_string());
        }
    }
}

fn run(pieces: &[&[u8]]) -> String {
    let mut decoder = Decoder::new();
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece, &mut events).unwrap();
    }
    let out = dump(&events);
    let at_end = json!({ "comments": decoder.comments(), "pending": decoder.pending_bytes() });
    let mut late = Vec::new();
    decoder.finish(&mut late);
    out + &format!("{at_end}\n") + &dump(&late)
}

fn dump(events: &[Event]) -> String {
    let lines = events.iter().map(|event| {
        let event = json!({ "name": event.name, "data": event.data });
        format!("{event}\n")
    });
    lines.collect()
}
