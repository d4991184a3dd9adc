//! Runs the committed corpus of the fuzzer through the functions that it calls, so that what it once found stays found.
//!
//! `npm run fuzz -- config` looks for more. The bodies are compiled here as they are there, from one file.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../fuzz/src/lib.rs"]
mod bodies;

#[test]
fn corpus_of_config_breaks_nothing() {
    replay("config", bodies::config);
}

#[test]
fn corpus_of_request_breaks_nothing() {
    replay("request", bodies::request);
}

#[test]
fn corpus_of_sse_breaks_nothing() {
    replay("sse", bodies::sse);
}

#[test]
fn corpus_of_streams_breaks_nothing() {
    replay("streams", bodies::streams);
}

#[test]
fn corpus_of_exchange_breaks_nothing() {
    replay("exchange", bodies::exchange);
}

fn replay(target: &str, body: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut inputs: Vec<PathBuf> = fs::read_dir(corpus.join(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "no corpus for {target}");
    for input in inputs {
        let bytes = fs::read(&input).unwrap();
        let outcome = std::panic::catch_unwind(|| body(&bytes));
        assert!(outcome.is_ok(), "{} breaks a promise", input.display());
    }
}
