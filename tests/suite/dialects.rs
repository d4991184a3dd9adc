//! `tests/dialects/`: what each dialect makes of requests, answers, streams and errors.
//!
//! A fixture is `<case>[.<variant>].<kind>…` in its dialect's folder; `cases.txt` says which cases every dialect
//! must have. Beside an input lie:
//!
//! | input | what is expected of it |
//! |---|---|
//! | `.request.json`, of a client | `.outline`, `.to-<dialect>.json` for each provider, and `.again.json`, read and rewritten in its own dialect |
//! | `.answer.json`, of a provider | `.answer.chat`, and `.answer.for-<dialect>.json` for each client |
//! | `.stream.txt`, of a provider | `.stream.chat`, and `.stream.for-<dialect>.txt` for each client |
//! | `.<status>.error.json`, of a provider | `.<status>.error.chat` |

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use waypost::chat::{
    Alternative, Answer, AttemptFailure, Citation, Collector, Event, ProviderError, RequestError,
    Seal, TokenLogprob, Usage,
};
use waypost::dialects::{
    self, ClientDialect, ClientError, Dialect, Features, Framing, Outline, Quirks, Shape,
    StreamDecoder, StreamEncoder, StreamFault,
};
use waypost::units::{Millis, Tokens, UnixMillis};
use waypost::{eventstream, sse};

use super::expect::{Report, folder, inputs};
use super::messages;

pub const CREATED: UnixMillis = UnixMillis(1_741_569_952_123);

#[test]
fn every_dialect_has_every_case() {
    let mut report = Report::default();
    let cases = fs::read_to_string(folder("dialects").join("cases.txt")).unwrap();
    let cases: Vec<Vec<&str>> = cases
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_whitespace().collect())
        .collect();
    for dialect in Dialect::ALL {
        let place = place(dialect);
        let about = fs::read_to_string(place.join("about.toml")).unwrap();
        let names: Vec<String> = inputs(&place, "")
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let is_clients = ClientDialect::parse(dialect.name()).is_some();
        for (case, kind) in cases.iter().flat_map(|case| {
            let kinds = case[1..].iter();
            let kinds = kinds.filter(|kind| is_clients || **kind != "request");
            kinds.map(|kind| (case[0], *kind))
        }) {
            let is_skipped = about.contains(&format!("\n{case}.{kind} = \""));
            let is_there = names.iter().any(|name| {
                let extension = if kind == "stream" { "txt" } else { "json" };
                name.starts_with(&format!("{case}."))
                    && name.ends_with(&format!(".{kind}.{extension}"))
            });
            let what = format!("{}: {case}.{kind}", dialect.name());
            report.same(
                &what,
                "there",
                if is_there || is_skipped {
                    "there"
                } else {
                    "absent"
                },
            );
        }
        for name in names
            .iter()
            .filter(|name| *name != "about.toml" && !name.starts_with('.'))
        {
            let case = name.split('.').next().unwrap();
            let is_known = cases.iter().any(|known| known[0] == case);
            let what = format!("{} in cases.txt", place.join(name).display());
            report.same(
                &what,
                "listed",
                if is_known { "listed" } else { "unlisted" },
            );
        }
    }
}

#[test]
fn requests_are_outlined_and_encoded() {
    let mut report = Report::default();
    for client in ClientDialect::ALL {
        for (name, path) in inputs(&place(client.into()), ".request.json") {
            let body = fs::read(&path).unwrap();
            let base = path.with_file_name(&name);
            let outline = dialects::outline(client, &body);
            let told = match &outline {
                Ok(outline) => dump_outline(outline),
                Err(error) => dump_request_error(error),
            };
            report.compare(&extended(&base, "outline"), pretty(&told).as_bytes());
            // The exchange outlines first, so what fails there is never encoded.
            for provider in Dialect::ALL.into_iter().filter(|_| outline.is_ok()) {
                let shape = Shape {
                    carried: provider.carries(),
                    ..shape(outline.as_ref().is_ok_and(|outline| outline.is_streaming))
                };
                let sent = match dialects::encode_request(client, provider, &body, &shape) {
                    Ok(sent) if provider == client.into() => sent.body,
                    Ok(sent) => reindented(&sent.body),
                    Err(error) => pretty(&dump_request_error(&error)).into_bytes(),
                };
                let suffix = format!("to-{}.json", provider.name());
                report.compare(&extended(&base, &suffix), &sent);
            }
        }
    }
}

#[test]
fn a_request_written_in_its_own_dialect_loses_nothing_more_when_read_again() {
    let mut report = Report::default();
    for client in ClientDialect::ALL {
        let lost = lost(client.into());
        let mut used = BTreeSet::new();
        for (name, path) in inputs(&place(client.into()), ".request.json") {
            let body = fs::read(&path).unwrap();
            let write = |body: &[u8]| {
                let request = dialects::parse_request(client, body).ok()?;
                let sent = dialects::encode_parsed(client.into(), &request, &shape(false));
                sent.ok().map(|sent| sent.body)
            };
            let outline = dialects::outline(client, &body);
            if outline.is_ok_and(|outline| {
                outline
                    .asks
                    .beyond(Dialect::from(client).carries())
                    .is_none()
            }) && let Some(once) = write(&body)
            {
                let base = path.with_file_name(&name);
                report.compare(&extended(&base, "again.json"), &reindented(&once));
                let mut found = Vec::new();
                let spliced = dialects::encode_request(client, client.into(), &body, &shape(false));
                let mut spliced = tree(&spliced.unwrap().body);
                if client == ClientDialect::Gemini {
                    spliced = in_camel_case(spliced);
                }
                differences("", &spliced, &tree(&once), &mut found);
                for place in found {
                    let allowed = lost.iter().find(|lost| is_within(&place, &lost.0));
                    match allowed {
                        Some((allowed, _)) => drop(used.insert(allowed.clone())),
                        None => {
                            report.problem(format!("{}: {place} is lost in {name}", client.name()));
                        }
                    }
                }
                let twice = reindented(&write(&once).unwrap());
                report.same(&name, &lossy(&reindented(&once)), &lossy(&twice));
            }
        }
        for (allowed, _) in lost.iter().filter(|(allowed, _)| !used.contains(allowed)) {
            report.problem(format!("{}: {allowed} is lost nowhere", client.name()));
        }
    }
}

/// `[again]` of a dialect's about.toml: the fields that change when a request is read and written again, and why.
fn lost(dialect: Dialect) -> Vec<(String, String)> {
    entries(dialect, "[again]")
}

/// The entries of one table of a dialect's about.toml.
pub fn entries(dialect: Dialect, table: &str) -> Vec<(String, String)> {
    let about = fs::read_to_string(place(dialect).join("about.toml")).unwrap();
    let lines = about.lines().skip_while(|line| *line != table).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    let entries = lines.filter_map(|line| line.strip_prefix('"')?.split_once("\" = \""));
    let entry = |(key, why): (&str, &str)| (key.to_owned(), why.trim_end_matches('"').to_owned());
    entries.map(entry).collect()
}

pub fn tree(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap()
}

/// Gemini's fields may be in snake case, and are written in camel case.
fn in_camel_case(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let camel = |(name, value): (String, Value)| {
                let (first, rest) = name.split_once('_').unwrap_or((&name, ""));
                let rest = rest.split('_').map(|word| {
                    let (initial, rest) = word.split_at(word.len().min(1));
                    initial.to_uppercase() + rest
                });
                let name = first.to_owned() + &rest.collect::<String>();
                (name, in_camel_case(value))
            };
            Value::Object(fields.into_iter().map(camel).collect())
        }
        Value::Array(items) => items.into_iter().map(in_camel_case).collect(),
        other => other,
    }
}

pub fn is_within(place: &str, allowed: &str) -> bool {
    let rest = place.strip_prefix(allowed);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The paths of what differs, without the places in arrays. Null, or an object without fields, is as good as absent.
pub fn differences(at: &str, one: &Value, other: &Value, found: &mut Vec<String>) {
    match (one, other) {
        _ if plain(one).is_some() && plain(one) == plain(other) => {}
        (Value::Object(_), Value::Null) => differences(at, one, &json!({}), found),
        (Value::Object(one), Value::Object(other)) => {
            let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for name in names {
                let at = format!("{at}.{name}");
                let values = [one, other].map(|tree| tree.get(name).unwrap_or(&Value::Null));
                differences(at.trim_start_matches('.'), values[0], values[1], found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (one, other) in one.iter().zip(other) {
                differences(&format!("{at}[]"), one, other, found);
            }
        }
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => {}
        _ if one != other => found.push(at.to_owned()),
        _ => {}
    }
}

/// What is said where there is one text alone: a string, one part, or one message of the user's.
fn plain(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        Value::Array(parts) => match parts.as_slice() {
            [Value::Object(part)] if part.len() == 2 => {
                let is_user = part.get("role").is_some_and(|role| role == "user");
                let content = part.get("content").filter(|_| is_user);
                part.get("text").or(content).and_then(plain)
            }
            _ => None,
        },
        _ => None,
    }
}

pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn answers_are_read_and_written_for_every_client() {
    let mut report = Report::default();
    for provider in Dialect::ALL {
        for (name, path) in inputs(&place(provider), ".answer.json") {
            let base = path.with_file_name(format!("{name}.answer"));
            match dialects::parse_answer(provider, &fs::read(&path).unwrap()) {
                Ok(answer) => {
                    let told = pretty(&dump_answer(&answer));
                    report.compare(&extended(&base, "chat"), told.as_bytes());
                    for client in ClientDialect::ALL {
                        let body = dialects::encode_answer(client, &answer, CREATED);
                        let suffix = format!("for-{}.json", client.name());
                        report.compare(&extended(&base, &suffix), &reindented(&body));
                        // A client's dialect is a provider's too, so we must read what we write.
                        let again = dialects::parse_answer(client.into(), &body).unwrap();
                        same_content(&mut report, &format!("{name} {suffix}"), &answer, &again);
                    }
                }
                Err((failure, error)) => {
                    let told = pretty(&dump_failure(&failure, &error));
                    report.compare(&extended(&base, "chat"), told.as_bytes());
                }
            }
        }
    }
}

#[test]
fn errors_are_judged_by_status_and_words() {
    let mut report = Report::default();
    for provider in Dialect::ALL {
        for (name, path) in inputs(&place(provider), ".error.json") {
            let status = name.rsplit('.').next().unwrap().parse().unwrap();
            let body = fs::read(&path).unwrap();
            let wait = Some(Millis(2_000));
            let (failure, error) = dialects::parse_error(provider, status, wait, None, &body);
            let told = pretty(&dump_failure(&failure, &error));
            report.compare(&path.with_extension("chat"), told.as_bytes());
        }
    }
}

#[test]
fn streams_are_read_alike_at_every_cut() {
    let mut report = Report::default();
    for provider in Dialect::ALL {
        for (name, path) in inputs(&place(provider), ".stream.txt") {
            let bytes = stream(provider, &path);
            let told = dump_steps(&decode(provider, &[&bytes]));
            report.compare(&path.with_extension("chat"), told.as_bytes());
            let whole = split(provider, &[&bytes]);
            for cut in 0..=bytes.len() {
                let (left, right) = bytes.split_at(cut);
                // The translator sees events alone: the same events are the same answer.
                if split(provider, &[left, right]) != whole {
                    let cut_told = dump_steps(&decode(provider, &[left, right]));
                    let what = format!("{} {name} cut at {cut}", provider.name());
                    report.same(&what, &told, &cut_told);
                }
            }
        }
    }
}

#[test]
fn streams_are_written_for_every_client() {
    let mut report = Report::default();
    for provider in Dialect::ALL {
        for (name, path) in inputs(&place(provider), ".stream.txt") {
            let steps = decode(provider, &[&stream(provider, &path)]);
            let answer = collect(&steps);
            let base = path.with_file_name(format!("{name}.stream"));
            for client in ClientDialect::ALL {
                let mut out = Vec::new();
                let mut encoder = StreamEncoder::new(client, CREATED, true);
                for event in steps.iter().filter_map(|step| step.as_ref().ok()) {
                    encoder.push(event, &mut out);
                }
                let suffix = format!("for-{}.txt", client.name());
                report.compare(&extended(&base, &suffix), &out);
                // What a client folds from our stream is what the provider said.
                if steps.contains(&Ok(Event::End)) {
                    let again = collect(&decode(client.into(), &[&out]));
                    same_content(&mut report, &format!("{name} {suffix}"), &answer, &again);
                }
            }
        }
    }
}

#[test]
fn a_streamed_answer_is_the_whole_one() {
    let mut report = Report::default();
    for provider in Dialect::ALL {
        for (name, path) in inputs(&place(provider), ".answer.json") {
            let streamed = path.with_file_name(format!("{name}.stream.txt"));
            if !streamed.exists() {
                continue;
            }
            let folded = collect(&decode(provider, &[&stream(provider, &streamed)]));
            let what = format!("{} {name}", provider.name());
            if let Ok(whole) = dialects::parse_answer(provider, &fs::read(&path).unwrap()) {
                let told = [&whole, &folded].map(|answer| pretty(&dump_answer(answer)));
                // Streams may leave usage out.
                if folded.usage.is_some() {
                    report.same(&what, &told[0], &told[1]);
                } else {
                    same_content(&mut report, &what, &whole, &folded);
                }
            }
        }
    }
}

#[test]
fn errors_are_told_in_the_clients_dialect() {
    let mut report = Report::default();
    let request = ClientError::from(&RequestError::Missing {
        field: "model".to_owned(),
        remedy: "it names a route",
    });
    let statuses = [400, 401, 402, 403, 404, 413, 429, 500, 502, 503, 504, 529];
    let errors = statuses.map(|status| ClientError {
        status,
        code: "no_answer".to_owned(),
        message: format!("status {status} \"quoted\"\nsecond line"),
        param: None,
        retry_after: Some(Millis(1_000)),
    });
    // As OpenAI, Anthropic and Google say it: a caller of either dialect knows it by its own API's words.
    let too_long = [
        "Your input exceeds the context window of this model.",
        "prompt is too long: 9 tokens > 8 maximum",
        "The input token count (9) exceeds the maximum number of tokens allowed (8).",
    ]
    .map(|message| ClientError {
        status: 400,
        code: dialects::CONTEXT_TOO_LONG.to_owned(),
        message: message.to_owned(),
        param: None,
        retry_after: None,
    });
    for client in ClientDialect::ALL {
        let mut out = Vec::new();
        for error in std::iter::once(&request).chain(&errors).chain(&too_long) {
            out.extend(format!("{} ", dialects::error_status(client, error)).into_bytes());
            out.extend(dialects::encode_error(client, error));
            out.push(b'\n');
            let event = dialects::encode_error_event(client, error);
            out.extend_from_slice(&event);
            // The SDKs raise on it; so do we.
            let steps = decode(client.into(), &[&event]);
            let is_failure = matches!(steps.as_slice(), [Err(StreamFault::Failed(..))]);
            report.same(
                "an error event",
                "fails",
                if is_failure { "fails" } else { "goes on" },
            );
        }
        report.compare(&place(client.into()).join("bad.told"), &out);
    }
}

pub fn place(dialect: Dialect) -> std::path::PathBuf {
    folder("dialects").join(dialect.name())
}

fn extended(base: &Path, suffix: &str) -> std::path::PathBuf {
    base.with_file_name(format!(
        "{}.{suffix}",
        base.file_name().unwrap().to_str().unwrap()
    ))
}

pub fn shape(is_streaming: bool) -> Shape<'static> {
    Shape {
        model: "the-\"model\"",
        is_streaming,
        answer_tokens_default: Tokens(4096),
        prefill: None,
        quirks: Quirks::NONE,
        carried: Features::ALL,
    }
}

fn split(dialect: Dialect, pieces: &[&[u8]]) -> Vec<sse::Event> {
    let mut events = Vec::new();
    if dialect.framing() == Framing::EventStream {
        let mut messages = eventstream::Decoder::new();
        for piece in pieces {
            messages.push(piece, &mut events).unwrap();
        }
        return events;
    }
    let mut lines = sse::Decoder::new();
    for piece in pieces {
        lines.push(piece, &mut events).unwrap();
    }
    lines.finish(&mut events);
    events
}

/// The bytes that a provider sends. A stream of messages stands in its fixture as text, one a line.
pub fn stream(provider: Dialect, path: &Path) -> Vec<u8> {
    let fixture = fs::read(path).unwrap();
    match provider.framing() {
        Framing::ServerSentEvents => fixture,
        Framing::EventStream => messages::encode(std::str::from_utf8(&fixture).unwrap()),
    }
}

/// What a stream says, up to its end or its failure.
pub fn decode(provider: Dialect, pieces: &[&[u8]]) -> Vec<Result<Event, StreamFault>> {
    let mut decoder = StreamDecoder::new(provider);
    let mut steps = Vec::new();
    for event in split(provider, pieces) {
        let mut out = Vec::new();
        let outcome = decoder.push(&event, &mut out);
        steps.extend(out.into_iter().map(Ok));
        match outcome {
            Ok(()) => {}
            Err(StreamFault::Garbled) => steps.push(Err(StreamFault::Garbled)),
            Err(failed) => {
                steps.push(Err(failed));
                break;
            }
        }
    }
    steps
}

pub fn collect(steps: &[Result<Event, StreamFault>]) -> Answer {
    let mut collector = Collector::default();
    for event in steps.iter().filter_map(|step| step.as_ref().ok()) {
        collector.push(event.clone());
    }
    collector.finish()
}

/// Everything but ids, figures that a stream may lack, and what not every client's dialect has a word for: seals, sources
/// and probabilities are compared by their files. Anthropic's refusals are text. Calls' arguments count as the JSON they are.
fn same_content(report: &mut Report, what: &str, one: &Answer, other: &Answer) {
    let dumps = [one, other].map(|answer| {
        let mut dump = dump_answer(answer);
        dump["usage"] = Value::Null;
        dump["text"] = json!([answer.text.as_str(), &answer.refusal].concat());
        for name in ["refusal", "seals", "citations", "logprobs"] {
            dump.as_object_mut().unwrap().remove(name);
        }
        for call in dump["calls"].as_array_mut().unwrap() {
            let arguments = call["arguments"].as_str().unwrap();
            let wrapped = json!({ "INVALID_JSON": arguments });
            call["arguments"] = serde_json::from_str(arguments).unwrap_or(wrapped);
        }
        dump["finish"] = json!(answer.finish.unwrap_or(waypost::chat::FinishReason::Stop));
        pretty(&dump)
    });
    report.same(what, &dumps[0], &dumps[1]);
}

fn dump_outline(outline: &Outline) -> Value {
    let mut told = json!({
        "model": outline.model,
        "is_streaming": outline.is_streaming,
        "wants_stream_usage": outline.wants_stream_usage,
        "message_count": outline.message_count,
        "text_bytes": outline.text.bytes,
        "image_count": outline.image_count,
        "tool_count": outline.tool_count,
        "wants_json_schema": outline.wants_json_schema,
        "wants_json_object": outline.wants_json_object,
        "answer_tokens_max": outline.answer_tokens_max,
        "choices": outline.choices,
        "user": outline.user,
        "last_role_is_assistant": outline.last_role_is_assistant,
        "asks": dump_asks(outline),
    });
    let ours = [
        ("provider", json!(outline.ours.provider)),
        ("waypost", json!(outline.ours.waypost)),
    ];
    for (name, value) in ours.into_iter().filter(|(_, value)| !value.is_null()) {
        told[name] = value;
    }
    if !outline.ours.fallbacks.is_empty() {
        told["fallbacks"] = json!(outline.ours.fallbacks);
    }
    if outline.audio_tokens.0 > 0 {
        told["audio_tokens"] = json!(outline.audio_tokens);
    }
    told
}

/// Each feature with its first field.
fn dump_asks(outline: &Outline) -> Value {
    let asks = outline.asks.iter();
    let asks = asks.map(|ask| (ask.feature.name().to_owned(), json!(ask.field)));
    Value::Object(asks.collect())
}

fn dump_request_error(error: &RequestError) -> Value {
    json!({ "code": error.code(), "status": error.status(), "field": error.field(), "message": error.to_string() })
}

fn dump_failure(failure: &AttemptFailure, error: &ProviderError) -> Value {
    json!({
        "code": failure.code(),
        "message": failure.to_string(),
        "retry_after_ms": failure.retry_after(),
        "is_targets_fault": failure.is_targets_fault(),
        "told": { "message": error.message, "kind": error.kind, "param": error.param },
    })
}

fn dump_usage(usage: &Usage) -> Value {
    json!(usage)
}

pub fn dump_answer(answer: &Answer) -> Value {
    let calls = answer
        .calls
        .iter()
        .map(|call| json!({ "id": call.id, "name": call.name, "arguments": call.arguments }));
    let mut told = json!({
        "id": answer.id,
        "model": answer.model,
        "text": answer.text,
        "reasoning": answer.reasoning,
        "calls": calls.collect::<Vec<_>>(),
        "finish": answer.finish,
        "usage": answer.usage.as_ref().map(dump_usage),
    });
    let seals = answer.seals.iter();
    let seals = seals.map(|(end, seal)| json!([end, dump_seal(seal)]));
    let citations = answer.citations.iter().map(dump_citation);
    let logprobs = answer.logprobs.iter().map(dump_logprob);
    for (name, list) in [
        ("seals", seals.collect::<Vec<_>>()),
        ("citations", citations.collect()),
        ("logprobs", logprobs.collect()),
    ] {
        if !list.is_empty() {
            told[name] = json!(list);
        }
    }
    if !answer.refusal.is_empty() {
        told["refusal"] = json!(answer.refusal);
    }
    told
}

fn dump_seal(seal: &Seal) -> Value {
    json!({
        "by": format!("{:?}", seal.by),
        "form": format!("{:?}", seal.form),
        "words": seal.words,
        "id": seal.id,
    })
}

fn dump_citation(citation: &Citation) -> Value {
    let mut told = json!({
        "url": citation.url,
        "title": citation.title,
        "cited": citation.cited,
        "span": citation.span,
    });
    if let Some(place) = citation.place {
        let unit = format!("{:?}", place.unit);
        told["place"] = json!([place.document, unit, place.start, place.end]);
    }
    told
}

fn dump_logprob(token: &TokenLogprob) -> Value {
    let dump = |it: &Alternative| json!([it.token, it.logprob, it.bytes]);
    let top: Vec<Value> = token.top.iter().map(dump).collect();
    json!({ "chosen": dump(&token.chosen), "top": top })
}

fn dump_steps(steps: &[Result<Event, StreamFault>]) -> String {
    let lines = steps.iter().map(|step| {
        let line = match step {
            Ok(event) => dump_event(event),
            Err(StreamFault::Garbled) => json!({ "garbled": true }),
            Err(StreamFault::Failed(failure, error)) => {
                json!({ "failed": dump_failure(failure, error) })
            }
        };
        format!("{line}\n")
    });
    lines.collect()
}

fn dump_event(event: &Event) -> Value {
    match event {
        Event::Start { id, model } => json!({ "start": { "id": id, "model": model } }),
        Event::Text(piece) => json!({ "text": piece }),
        Event::Reasoning(piece) => json!({ "reasoning": piece }),
        Event::CallStart { index, id, name } => {
            json!({ "call": { "index": index, "id": id, "name": name } })
        }
        Event::CallArguments { index, piece } => {
            json!({ "arguments": { "index": index, "piece": piece } })
        }
        Event::Seal(seal) => json!({ "seal": dump_seal(seal) }),
        Event::Refusal(piece) => json!({ "refusal": piece }),
        Event::Citation(citation) => json!({ "citation": dump_citation(citation) }),
        Event::Logprobs(tokens) => {
            json!({ "logprobs": tokens.iter().map(dump_logprob).collect::<Vec<_>>() })
        }
        Event::CallSignature { index, signature } => {
            json!({ "signature": { "index": index, "words": signature } })
        }
        Event::Finish(reason) => json!({ "finish": reason }),
        Event::Usage(usage) => json!({ "usage": dump_usage(usage) }),
        Event::End => json!("end"),
    }
}

pub fn pretty(value: &Value) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).unwrap())
}

/// Our JSON on several lines, every value as it was written: numbers and nested JSON keep their bytes.
pub fn reindented(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut depth, mut in_text, mut is_escaped) = (0_usize, false, false);
    for byte in json {
        if in_text {
            out.push(*byte);
            in_text = is_escaped || *byte != b'"';
            is_escaped = !is_escaped && *byte == b'\\';
            continue;
        }
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b'"' => in_text = true,
            _ => {}
        }
        out.push(*byte);
        // Two levels of lines are enough to read a difference.
        if *byte == b',' && depth <= 3 {
            out.push(b'\n');
            out.extend(std::iter::repeat_n(b' ', depth * 2));
        }
    }
    out.push(b'\n');
    out
}
