//! Records as traces for OpenTelemetry: one span for each exchange, and one below it for each attempt.
//!
//! Ids are hashes of the record's id, so that a record that is sent twice is the same spans. Only attempts are calls of a
//! model and have `gen_ai.*` attributes: tokens on the exchange as well would be counted twice by whoever sums spans.
//!
//! The encoding is OTLP's JSON (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>): ids in hexadecimal,
//! 64-bit integers as text. The names are those of the conventions for generative AI
//! (<https://github.com/open-telemetry/semantic-conventions-genai>, `docs/gen-ai/client-inference.md`, read 2026-11-21, in
//! development). What they have no name for is `waypost.*`. No prompt, no answer: a record has none.
//!
//! The text is written and not built of values first: those were ten kilobytes of wasm.
//!
//! Not here: where they are sent (`edge/pipeline/sinks.rs`).

use std::fmt::{Display, Write as _};

use super::Summary;
use super::summary::Attempt;
use crate::config::sha256_hex;
use crate::journal::Ending;
use crate::units::{MicroUsd, Millis, Tokens, UnixMillis};

const TRACE_ID_CHARS: usize = 32;
const SPAN_ID_CHARS: usize = 16;
/// `SpanKind` and `StatusCode` of opentelemetry-proto's `trace.proto`.
const KIND_SERVER: u8 = 2;
const KIND_CLIENT: u8 = 3;
const STATUS_ERROR: u8 = 2;

/// The body of an export request, an `ExportTraceServiceRequest` as JSON.
#[must_use]
pub fn trace_export(records: &[&Summary], service: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut out = Writer::default();
    out.text
        .push_str(r#"{"resourceSpans":[{"resource":{"attributes":["#);
    out.string("service.name", service);
    out.string("service.version", version);
    let scope = format!(
        r#"]}},"scopeSpans":[{{"scope":{{"name":"waypost","version":"{version}"}},"spans":["#
    );
    out.text.push_str(&scope);
    for record in records {
        out.exchange(record);
        for (place, attempt) in record.attempts.iter().enumerate() {
            out.attempt(record, place, attempt);
        }
    }
    out.text.push_str("]}]}]}");
    out.text
}

/// A span, but for its attributes.
struct Span<'a> {
    /// The record's id, which all spans of its trace hang on.
    record: &'a str,
    /// The attempt's place; none for the exchange.
    place: Option<usize>,
    name: String,
    kind: u8,
    began: UnixMillis,
    start: Millis,
    end: Millis,
}

#[derive(Default)]
struct Writer {
    text: String,
}

impl Writer {
    fn exchange(&mut self, record: &Summary) {
        let outcome = &record.outcome;
        let caller = &record.traits;
        self.begin(&Span {
            record: &record.id,
            place: None,
            name: format!("waypost {}", record.route),
            kind: KIND_SERVER,
            began: record.at,
            start: Millis(0),
            end: outcome.total_ms,
        });
        self.string("waypost.record.id", &record.id);
        self.string("waypost.route", &record.route);
        self.maybe("waypost.target", outcome.target.as_deref());
        self.maybe("waypost.variant", record.variant.as_deref());
        self.string("waypost.outcome", outcome.code.code());
        self.integer("waypost.attempts", record.attempts.len());
        self.string("waypost.key", &caller.key);
        self.maybe("waypost.team", caller.team.as_deref());
        self.maybe("waypost.pop", caller.pop.as_deref());
        self.cost(outcome.cost);
        if let Some(first_token) = outcome.first_token_ms {
            self.double("waypost.time_to_first_token", first_token.as_seconds());
        }
        self.integer("http.response.status_code", outcome.status);
        let is_error = matches!(outcome.code, Ending::Failed | Ending::Cut);
        self.maybe("error.type", outcome.error.as_deref().filter(|_| is_error));
        self.end(is_error);
    }

    fn attempt(&mut self, record: &Summary, place: usize, attempt: &Attempt) {
        let operation = operation(record.traits.endpoint.as_deref());
        let is_streaming = record.traits.is_streaming;
        let is_ok = attempt.outcome == "ok";
        let is_error = !is_ok && attempt.outcome != "abandoned";
        self.begin(&Span {
            record: &record.id,
            place: Some(place),
            name: format!("{operation} {}", attempt.model),
            kind: KIND_CLIENT,
            began: record.at,
            start: attempt.sent_ms,
            end: attempt.end_ms,
        });
        self.string("gen_ai.operation.name", operation);
        self.string("gen_ai.provider.name", &attempt.provider);
        self.string("gen_ai.request.model", &attempt.model);
        let stream = format!(r#"{{"boolValue":{is_streaming}}}"#);
        self.attribute("gen_ai.request.stream", &stream);
        if let Some(most) = record.traits.answer_tokens_max {
            self.integer("gen_ai.request.max_tokens", most.0);
        }
        if let Some(finish) = record.outcome.finish.filter(|_| is_ok) {
            let finish = serde_json::to_string(&finish).unwrap_or_default();
            let list = format!(r#"{{"arrayValue":{{"values":[{{"stringValue":{finish}}}]}}}}"#);
            self.attribute("gen_ai.response.finish_reasons", &list);
        }
        if let Some(at) = attempt.first_token_ms.filter(|_| is_streaming) {
            let wait = Millis(at.0.saturating_sub(attempt.sent_ms.0));
            self.double("gen_ai.response.time_to_first_chunk", wait.as_seconds());
        }
        if let Some(usage) = attempt.usage {
            self.integer("gen_ai.usage.input_tokens", usage.prompt.0);
            self.integer("gen_ai.usage.output_tokens", usage.answer.0);
            self.part("cache_read.input_tokens", usage.cached);
            self.part("cache_write.input_tokens", usage.cache_write);
            self.part("reasoning.output_tokens", usage.reasoning);
        }
        self.string("waypost.target", &attempt.target);
        self.string("waypost.outcome", &attempt.outcome);
        if let Some(cost) = attempt.cost {
            self.cost(cost);
        }
        if let Some(status) = attempt.status {
            self.integer("http.response.status_code", status);
        }
        let error = Some(attempt.outcome.as_str());
        self.maybe("error.type", error.filter(|_| is_error));
        self.end(is_error);
    }

    fn begin(&mut self, span: &Span<'_>) {
        self.separate();
        let trace = hash(span.record, TRACE_ID_CHARS);
        let root = hash(&format!("{}/", span.record), SPAN_ID_CHARS);
        let _ = write!(self.text, r#"{{"traceId":"{trace}","#);
        match span.place {
            None => {
                let _ = write!(self.text, r#""spanId":"{root}","#);
            }
            Some(place) => {
                let id = hash(&format!("{}/{place}", span.record), SPAN_ID_CHARS);
                let _ = write!(self.text, r#""spanId":"{id}","parentSpanId":"{root}","#);
            }
        }
        let _ = write!(
            self.text,
            r#""name":{},"kind":{},"startTimeUnixNano":"{}","endTimeUnixNano":"{}","attributes":["#,
            quoted(&span.name),
            span.kind,
            nanos(span.began, span.start),
            nanos(span.began, span.end)
        );
    }

    fn end(&mut self, is_error: bool) {
        self.text.push_str("],\"status\":{");
        if is_error {
            let _ = write!(self.text, "\"code\":{STATUS_ERROR}");
        }
        self.text.push_str("}}");
    }

    fn part(&mut self, name: &str, tokens: Tokens) {
        if !tokens.is_none() {
            self.integer(&format!("gen_ai.usage.{name}"), tokens.0);
        }
    }

    fn maybe(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.string(key, value);
        }
    }

    fn string(&mut self, key: &str, value: &str) {
        self.attribute(key, &format!(r#"{{"stringValue":{}}}"#, quoted(value)));
    }

    fn integer(&mut self, key: &str, value: impl Display) {
        self.attribute(key, &format!(r#"{{"intValue":"{value}"}}"#));
    }

    fn double(&mut self, key: &str, value: f64) {
        self.attribute(key, &format!(r#"{{"doubleValue":{value}}}"#));
    }

    fn cost(&mut self, cost: MicroUsd) {
        self.double("waypost.cost_usd", cost.0 / 1e6);
    }

    fn attribute(&mut self, key: &str, value: &str) {
        self.separate();
        let _ = write!(self.text, r#"{{"key":"{key}","value":{value}}}"#);
    }

    /// What follows in a list is preceded by a comma.
    fn separate(&mut self) {
        if !self.text.ends_with('[') {
            self.text.push(',');
        }
    }
}

/// The conventions' word for an endpoint where they have one, else our own.
fn operation(endpoint: Option<&str>) -> &str {
    match endpoint {
        None => "chat",
        Some("completions") => "text_completion",
        Some(own) => own,
    }
}

/// As a JSON string.
fn quoted(text: &str) -> String {
    // A text always is one.
    serde_json::to_string(text).unwrap_or_default()
}

/// Nanoseconds since 1970.
fn nanos(began: UnixMillis, after: Millis) -> u128 {
    (u128::from(began.0) + u128::from(after.0)) * 1_000_000
}

fn hash(name: &str, chars: usize) -> String {
    sha256_hex(name.as_bytes()).chars().take(chars).collect()
}
