//! Tells `main.mjs` what the estimator makes of texts, one JSON string a line, and how long it takes.
//!
//! For each text a line of JSON: the estimate in tokens, and the features that the weights are fitted to. With
//! `--speed` instead, nanoseconds per KiB of the estimate, beside a mere count of bytes.
//!
//! An example to cargo, so that it is compiled with the tests and cannot fall behind the code.

use std::io::BufRead as _;
use std::time::Instant;

use waypost::dialects::{CLASSES, CONTEXTS, ClientDialect, TextSize, features, outline};

fn main() -> std::io::Result<()> {
    let argument = std::env::args().nth(1);
    let texts: Vec<String> = std::io::stdin()
        .lock()
        .lines()
        .map(|line| Ok(serde_json::from_str(&line?)?))
        .collect::<std::io::Result<_>>()?;
    let mut out = std::io::stdout().lock();
    match argument.as_deref() {
        Some("--speed") => speed(&texts, &mut out),
        _ => counts(&texts, &mut out),
    }
}

fn counts(texts: &[String], out: &mut impl std::io::Write) -> std::io::Result<()> {
    let names = serde_json::json!({ "classes": CLASSES, "contexts": CONTEXTS });
    writeln!(out, "{names}")?;
    for text in texts {
        let mut size = TextSize::default();
        size.push(text);
        let told = serde_json::json!({ "tokens": size.tokens(), "features": features(text) });
        writeln!(out, "{told}")?;
    }
    Ok(())
}

/// The best of some rounds: others use the machine too.
#[expect(clippy::cast_precision_loss, reason = "a body is not that large")]
fn speed(texts: &[String], out: &mut impl std::io::Write) -> std::io::Result<()> {
    let whole = texts.concat();
    let text: String = whole.chars().take(100_000).collect();
    let body =
        serde_json::json!({ "model": "m", "messages": [{ "role": "user", "content": text }] });
    let body = body.to_string();
    let per_kib = |nanos: f64| nanos / (body.len() as f64 / 1_024.0);
    let estimate = best(|| {
        let mut size = TextSize::default();
        size.push(&text);
        size.tokens().0
    });
    let escapes = best(|| text.bytes().filter(|byte| *byte == b'\\').count() as u64);
    let whole = best(|| {
        outline(ClientDialect::OpenaiChat, body.as_bytes()).map_or(0, |told| told.prompt_tokens().0)
    });
    writeln!(
        out,
        "estimate {:.0} ns/KiB, looking for escapes alone {:.0} ns/KiB, the whole outline {:.0} ns/KiB",
        per_kib(estimate),
        per_kib(escapes),
        per_kib(whole)
    )
}

#[expect(clippy::disallowed_methods, reason = "a measurement is about time")]
fn best(mut work: impl FnMut() -> u64) -> f64 {
    let rounds = (0..200).map(|_| {
        let start = Instant::now();
        std::hint::black_box(work());
        start.elapsed().as_secs_f64() * 1e9
    });
    rounds.fold(f64::INFINITY, f64::min)
}
