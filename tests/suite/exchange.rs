//! Runs the scripted exchanges of `tests/exchange/`: what happens, and when, beside what the exchange did.
//!
//! A script gives a route (its providers `o`, `p` and `k`, of many keys, speak OpenAI's dialect, `a` and `b` Anthropic's), a request, and
//! steps; `endpoint` where it is no conversation, and `boundary` where its body is a form. The clock is the script's; a tick comes exactly when the exchange asked for it. Every script also runs
//! with its chunks cut at each byte, which must change neither what the client gets nor how it ends.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;

use waypost::chat::AttemptFailure;
use waypost::classify::{Caller, Traits};
use waypost::config::{Catalogue, Route};
use waypost::decide::{Seed, SeedSource};
use waypost::dialects::{ClientDialect, ClientHeaders, Delivery, Dialect, Endpoint, Form, outline};
use waypost::exchange::{ATTEMPTS_MAX, Exchange, Input, Order, Output, ProviderHead, Routing};
use waypost::health::{Health, Observation, View};
use waypost::journal::{ConfigRevisions, Record};
use waypost::units::UnixMillis;

use super::expect::{Report, folder, inputs};

const PROVIDERS: &str = r#"{"providers": {
    "o": {"dialect": "openai-chat", "base_url": "https://o.example/v1", "auth": {"bearer": "O_KEY"}},
    "g": {"dialect": "gemini", "base_url": "https://g.example/v1beta", "auth": {"google_service_account": "G_KEY"}},
    "p": {"dialect": "openai-chat", "base_url": "https://p.example/v1", "auth": {"bearer": ["P_KEY_1", "P_KEY_2"]}},
    "k": {"dialect": "openai-chat", "base_url": "https://k.example/v1", "auth": {"bearer": ["K_1", "K_2", "K_3", "K_4", "K_5", "K_6", "K_7", "K_8", "K_9"]}},
    "a": {"dialect": "anthropic", "base_url": "https://a.example/v1", "auth": {"header": {"name": "x-api-key", "secret": "A_KEY"}}},
    "b": {"dialect": "anthropic", "base_url": "https://b.example/v1", "auth": "none"}
}, "models": {
    "o/legacy": {"can": ["completions"]}, "o/talker": {"can": ["tools"]}
}}"#;

/// A script as it is written down.
struct Script {
    client: ClientDialect,
    endpoint: Endpoint,
    form: Form,
    delivery: Delivery,
    route: String,
    /// The routes of the client's further names.
    fallbacks: Vec<String>,
    /// The value of `x-waypost-limits`.
    limits: Option<String>,
    /// The client's, by their names.
    headers: BTreeMap<String, String>,
    /// Whether the isolate has used up what it may add to its requests.
    is_budget_spent: bool,
    /// Models whose streams have been sound so far.
    sound: Vec<String>,
    request: String,
    steps: Vec<(u64, Step)>,
}

#[derive(Clone)]
enum Step {
    Input(Input),
    /// Nothing but the passing of time.
    Quiet,
}

/// What came of a run.
#[derive(Default)]
struct Run {
    log: String,
    /// All that the client got, as one text.
    client: Vec<u8>,
    status: Option<u16>,
    record: Option<Record>,
    health: Health,
}

#[test]
fn scripted_exchanges_do_what_their_files_say() {
    let mut report = Report::default();
    for (name, path) in inputs(&folder("exchange"), ".script") {
        let script = parse(&fs::read_to_string(&path).unwrap(), &name);
        let run = run(&script, None);
        report.compare(&path.with_extension("expected"), run.log.as_bytes());
    }
}

#[test]
fn cutting_the_bytes_anywhere_changes_nothing() {
    let mut report = Report::default();
    for (name, path) in inputs(&folder("exchange"), ".script") {
        let script = parse(&fs::read_to_string(&path).unwrap(), &name);
        let whole = run(&script, None);
        for size in [1, 2, 3, 7] {
            let cut = run(&script, Some(size));
            let what = format!("{name} in pieces of {size}");
            report.same(&what, &ending(&whole), &ending(&cut));
        }
    }
}

#[test]
fn the_first_token_of_an_answer_that_is_carried_on_is_its_first_targets() {
    for name in ["continue_same_dialect", "continue_twice"] {
        let path = folder("exchange").join(format!("{name}.script"));
        let record = run(&parse(&fs::read_to_string(path).unwrap(), name), None).record;
        let record = record.unwrap();
        let first = record.attempts.first().unwrap().first_token_ms;
        assert!(first.is_some() && record.attempts.len() > 1, "{name}");
        assert_eq!(record.outcome.first_token_ms, first, "{name}");
    }
}

/// What must not depend on how the network cut the bytes.
fn ending(run: &Run) -> String {
    let record = run
        .record
        .as_ref()
        .map(|record| serde_json::to_string_pretty(record).unwrap());
    let client = String::from_utf8_lossy(&run.client);
    format!("{:?}\n{client}\n{}", run.status, record.unwrap_or_default())
}

/// The status and body that the client of a script gets, and all that the exchange did.
pub fn answer(script: &str, name: &str) -> (u16, Vec<u8>, String) {
    let run = run(&parse(script, name), None);
    (run.status.unwrap(), run.client, run.log)
}

fn run(script: &Script, cut: Option<usize>) -> Run {
    let catalogue = Catalogue::parse(PROVIDERS).unwrap().value;
    let outline = match script.endpoint {
        Endpoint::Chat => outline(script.client, script.request.as_bytes()),
        endpoint => endpoint.outline(&script.form, script.request.as_bytes()),
    };
    let outline = outline.unwrap();
    let mut caller = Caller {
        dialect: Some(script.client),
        endpoint: script.endpoint,
        key: "test".to_owned(),
        ..Caller::default()
    };
    caller
        .constrain(&outline, script.limits.as_deref())
        .unwrap();
    let routing = |name: &str, route: &str| Routing {
        traits: Traits::of(&outline, name, caller.clone()),
        route: Arc::new(Route::parse(name, route, &catalogue).unwrap().value),
        via: Vec::new(),
        config: ConfigRevisions::default(),
        seed: Seed {
            value: 7,
            source: SeedSource::Random,
        },
    };
    let fallback = |(place, route): (usize, &String)| routing(&format!("r{}", place + 2), route);
    let order = Order {
        is_explained: false,
        id: "wp-1".to_owned(),
        form: script.form.clone(),
        client: script.client,
        headers: ClientHeaders::read(script.client, |name| script.headers.get(name).cloned()),
        delivery: script.delivery,
        body: script.request.clone().into_bytes(),
        prefix: outline.prefix.clone(),
        routing: routing("r", &script.route),
        fallbacks: script.fallbacks.iter().enumerate().map(fallback).collect(),
    };
    let mut health = Health::default();
    let mut stage = Stage::default();
    let start = UnixMillis(1_000_000);
    for key in &script.sound {
        health.observe(key, &Observation::Sent, start);
        (0..9).for_each(|_| health.note_stream(key, true));
    }
    while script.is_budget_spent && health.retries.take(start) {}
    let (mut exchange, outputs) = Exchange::begin(order, &mut health, start);
    stage.take(0, outputs);
    for (at, step) in &script.steps {
        stage.tick_until(*at, &mut exchange, &mut health);
        let Step::Input(input) = step else {
            continue;
        };
        for input in pieces(input, cut) {
            let was_over = exchange.is_over();
            let outputs = exchange.on(input, &mut health, UnixMillis(1_000_000 + at));
            assert!(
                !was_over || outputs.is_empty(),
                "an exchange spoke after its end"
            );
            stage.take(*at, outputs);
        }
    }
    assert!(
        exchange.is_over(),
        "the script ends before the exchange:\n{}",
        stage.run.log
    );
    stage.run.health = health;
    stage.run
}

/// The input, its bytes in pieces of `cut`.
fn pieces(input: &Input, cut: Option<usize>) -> Vec<Input> {
    match (input, cut) {
        (Input::Chunk { attempt, bytes }, Some(size)) => bytes
            .chunks(size)
            .map(|bytes| Input::Chunk {
                attempt: *attempt,
                bytes: bytes.to_vec(),
            })
            .collect(),
        _ => vec![input.clone()],
    }
}

/// Plays the edge, and holds the exchange to its promises.
#[derive(Default)]
struct Stage {
    run: Run,
    wake_at: Option<u64>,
    attempts: usize,
}

impl Stage {
    fn tick_until(&mut self, until: u64, exchange: &mut Exchange, health: &mut Health) {
        while let Some(at) = self
            .wake_at
            .filter(|at| *at <= until && !exchange.is_over())
        {
            self.wake_at = None;
            let outputs = exchange.on(Input::Tick, health, UnixMillis(1_000_000 + at));
            self.take(at, outputs);
        }
    }

    fn take(&mut self, at: u64, outputs: Vec<Output>) {
        for output in outputs {
            assert!(self.run.record.is_none(), "something came after the end");
            let line = self.line(output);
            if let Some(line) = line {
                let _ = writeln!(self.run.log, "{at:>6} {line}");
            }
        }
        if let Some(record) = &self.run.record {
            assert_eq!(
                record.attempts.len(),
                self.attempts,
                "an attempt is missing from the record"
            );
        }
    }

    fn line(&mut self, output: Output) -> Option<String> {
        match output {
            Output::Send {
                attempt,
                call,
                may_relay,
            } => {
                assert_eq!(attempt, self.attempts, "attempts are numbered in order");
                self.attempts += 1;
                let secret = call
                    .credential
                    .map_or("no secret".to_owned(), |credential| credential.secret);
                let body = String::from_utf8(call.body).unwrap();
                let body = body.replace("\r\n", "\\r\\n");
                let way = if may_relay { ", to be relayed" } else { "" };
                let passed_on = passed_on(&call.headers);
                Some(format!(
                    "send {attempt} to {} with {secret}{way}{passed_on}: {body}",
                    call.url
                ))
            }
            Output::Cancel { attempt } => Some(format!("cancel {attempt}")),
            Output::Relay {
                attempt,
                look_within,
            } => {
                assert!(self.run.status.is_some(), "bytes came before their head");
                Some(format!("relay {attempt}, looked at within {look_within}"))
            }
            // When it will be woken shows in what it does then.
            Output::WakeAt(at) => {
                self.wake_at = Some(at.since(UnixMillis(1_000_000)).0);
                None
            }
            Output::Respond(head) => {
                assert!(self.run.status.is_none(), "the client got two heads");
                self.run.status = Some(head.status);
                let headers: Vec<_> = head
                    .headers
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                Some(format!(
                    "respond {} {} {}",
                    head.status,
                    head.content_type,
                    headers.join(" ")
                ))
            }
            Output::Emit(bytes) => {
                assert!(self.run.status.is_some(), "bytes came before their head");
                self.run.client.extend_from_slice(&bytes);
                Some(format!(
                    "emit {}",
                    String::from_utf8_lossy(&bytes).escape_debug()
                ))
            }
            Output::Finish(record) => {
                let line = summary(&record);
                self.run.record = Some(*record);
                Some(line)
            }
        }
    }
}

/// What only a client can have said, of a call's headers.
fn passed_on(headers: &[(&str, Cow<str>)]) -> String {
    let is_own = |(name, value): (&str, &str)| name == "anthropic-version" && value == "2023-06-01";
    let headers = headers.iter().map(|(name, value)| (*name, &**value));
    let passed_on = headers.filter(|it| it.0.starts_with("anthropic-") && !is_own(*it));
    let passed_on = passed_on.map(|(name, value)| format!(", {name}={value}"));
    passed_on.collect::<Vec<_>>().concat()
}

fn summary(record: &Record) -> String {
    let mut line = format!(
        "finish {} {}",
        record.outcome.code.code(),
        record.outcome.status
    );
    if let Some(error) = &record.outcome.error {
        let _ = write!(line, " error={error}");
    }
    for told in &record.fell_back_from {
        let _ = write!(
            line,
            "\n       fell back from {}, planned {:?}",
            told.route, told.decision.plan
        );
    }
    for attempt in &record.attempts {
        if let Some(route) = &attempt.route {
            let _ = write!(line, "\n       of {route}:");
        }
        let _ = write!(
            line,
            "\n       {} {} sent={}",
            attempt.target, attempt.outcome, attempt.sent_ms.0
        );
        for (name, at) in [
            ("headers", attempt.headers_ms),
            ("first_token", attempt.first_token_ms),
        ] {
            if let Some(at) = at {
                let _ = write!(line, " {name}={}", at.0);
            }
        }
        let _ = write!(line, " end={}", attempt.end_ms.0);
        if let Some(usage) = &attempt.usage {
            let mark = if usage.is_estimated { "~" } else { "" };
            let _ = write!(
                line,
                " tokens={mark}{}+{}",
                usage.tokens.prompt.0, usage.tokens.answer.0
            );
        }
        if !attempt.dropped.is_empty() {
            let _ = write!(line, " dropped={}", attempt.dropped.join("+"));
        }
        if attempt.garbled > 0 {
            let _ = write!(line, " garbled={}", attempt.garbled);
        }
        if let Some(reason) = &attempt.reason {
            let _ = write!(line, " ({reason})");
        }
    }
    line
}

/// Reads a script. A line is a word and what belongs to it; `#` starts a comment.
fn parse(text: &str, name: &str) -> Script {
    let mut script = Script {
        client: ClientDialect::OpenaiChat,
        endpoint: Endpoint::Chat,
        form: Form::Json,
        delivery: Delivery::Events,
        route: String::new(),
        fallbacks: Vec::new(),
        limits: None,
        headers: BTreeMap::new(),
        is_budget_spent: false,
        sound: Vec::new(),
        request: String::new(),
        steps: Vec::new(),
    };
    // The dialect of each attempt, for the short forms of its pieces.
    let mut dialects: BTreeMap<usize, Dialect> = BTreeMap::new();
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "client" => script.client = ClientDialect::parse(rest).unwrap(),
            "endpoint" => {
                let mut all = Endpoint::ALL.into_iter();
                script.endpoint = all.find(|endpoint| endpoint.name() == rest).unwrap();
                script.client = script.endpoint.dialect();
            }
            "boundary" => {
                let content_type = format!("multipart/form-data; boundary={rest}");
                script.form = Form::of(script.endpoint, &content_type).unwrap();
            }
            "delivery" if rest == "array" => script.delivery = Delivery::Array,
            "route" => script.route = rest.to_owned(),
            "fallback" => script.fallbacks.push(rest.to_owned()),
            "budget" => script.is_budget_spent = rest == "spent",
            "sound" => script.sound.push(rest.to_owned()),
            "header" => {
                let (name, value) = rest.split_once(' ').unwrap();
                script.headers.insert(name.to_owned(), value.to_owned());
            }
            "limits" => script.limits = Some(rest.to_owned()),
            "request" if script.form != Form::Json => {
                script.request = rest.replace("\\r\\n", "\r\n");
            }
            "request" => script.request = rest.to_owned(),
            "attempts" => {
                for (attempt, dialect) in rest.split(' ').enumerate() {
                    let dialect = match dialect {
                        "a" => Dialect::Anthropic,
                        "g" => Dialect::Gemini,
                        _ => Dialect::OpenaiChat,
                    };
                    dialects.insert(attempt, dialect);
                }
            }
            at => {
                let at = at.parse().unwrap_or_else(|_| panic!("{name}: {line}"));
                script.steps.push((at, step(rest, &dialects)));
            }
        }
    }
    script
}

fn step(text: &str, dialects: &BTreeMap<usize, Dialect>) -> Step {
    let mut words = text.splitn(3, ' ');
    let (word, attempt, rest) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or("0").parse().unwrap_or(0),
        words.next().unwrap_or_default(),
    );
    let dialect = dialects
        .get(&attempt)
        .copied()
        .unwrap_or(Dialect::OpenaiChat);
    Step::Input(match word {
        "quiet" => return Step::Quiet,
        "gone" => Input::ClientGone,
        "drained" => Input::Drained,
        "head" => Input::Head {
            attempt,
            head: head(rest),
        },
        "end" => Input::End { attempt },
        "broken" => Input::Failed {
            attempt,
            failure: AttemptFailure::Unreachable,
        },
        "chunk" => Input::Chunk {
            attempt,
            bytes: rest.replace("\\n", "\n").replace("\\r", "\r").into_bytes(),
        },
        short => Input::Chunk {
            attempt,
            bytes: short_form(short, rest, dialect),
        },
    })
}

/// `200 text/event-stream`, then `name=value` for what else matters.
fn head(text: &str) -> ProviderHead {
    let mut words = text.split(' ');
    let mut head = ProviderHead {
        status: words.next().unwrap().parse().unwrap(),
        content_type: words.next().unwrap_or_default().to_owned(),
        ..ProviderHead::default()
    };
    for (name, value) in words.filter_map(|word| word.split_once('=')) {
        match name {
            "retry-after" => head.retry_after = Some(value.to_owned()),
            "retry-after-ms" => head.retry_after_ms = Some(value.to_owned()),
            "text/event-stream;charset" => {}
            other => panic!("no such header: {other}"),
        }
    }
    head
}

/// The pieces that most streams are made of, as the attempt's provider writes them.
fn short_form(word: &str, rest: &str, dialect: Dialect) -> Vec<u8> {
    let text = serde_json::to_string(rest).unwrap();
    let openai = |delta: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":\
             [{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let anthropic = |name: &str, data: &str| format!("event: {name}\ndata: {data}\n\n");
    let gemini = |text: &str, rest: &str| {
        let end = if rest.is_empty() { "}]" } else { "}" };
        format!(
            "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":{text}}}],\"role\":\"model\"}},\"index\":0{rest}{end},\
             \"modelVersion\":\"m\",\"responseId\":\"g1\"}}\r\n\r\n"
        )
    };
    let piece = match (word, dialect) {
        ("start", Dialect::OpenaiChat) => openai("{\"role\":\"assistant\",\"content\":\"\"}", "null"),
        ("text", Dialect::OpenaiChat) => openai(&format!("{{\"content\":{text}}}"), "null"),
        ("finish", Dialect::OpenaiChat) => openai("{}", &text),
        ("usage", Dialect::OpenaiChat) => "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\
             \"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}}\n\n"
            .to_owned(),
        ("done", Dialect::OpenaiChat) => "data: [DONE]\n\n".to_owned(),
        ("start", Dialect::Anthropic) => anthropic(
            "message_start",
            "{\"type\":\"message_start\",\"message\":{\"id\":\"m1\",\"type\":\"message\",\"role\":\"assistant\",\
             \"model\":\"m\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}",
        ) + &anthropic(
            "content_block_start",
            "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}",
        ),
        ("ping", Dialect::Anthropic) => anthropic("ping", "{\"type\":\"ping\"}"),
        ("text", Dialect::Anthropic) => anthropic(
            "content_block_delta",
            &format!(
                "{{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":{text}}}}}"
            ),
        ),
        ("finish", Dialect::Anthropic) => anthropic(
            "content_block_stop",
            "{\"type\":\"content_block_stop\",\"index\":0}",
        ) + &anthropic(
            "message_delta",
            &format!(
                "{{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":{text}}},\"usage\":{{\"output_tokens\":2}}}}"
            ),
        ),
        ("text", Dialect::Gemini) => gemini(&text, ""),
        ("finish", Dialect::Gemini) => gemini(
            "\"\"",
            &format!(",\"finishReason\":{text}}}],\"usageMetadata\":{{\"promptTokenCount\":9,\"candidatesTokenCount\":2"),
        ),
        ("done", Dialect::Anthropic) => anthropic("message_stop", "{\"type\":\"message_stop\"}"),
        (word, dialect) => panic!("no short form {word} for {}", dialect.name()),
    };
    piece.into_bytes()
}

/// Runs a stream or a whole answer of `chunks` equal pieces against a route of two targets, and tells how the first
/// attempt ended and how many bytes the client got.
fn flood(is_streaming: bool, head: &str, piece: &[u8], chunks: usize) -> (String, usize) {
    flood_by("o", is_streaming, head, piece, chunks)
}

fn flood_by(
    provider: &str,
    is_streaming: bool,
    head: &str,
    piece: &[u8],
    chunks: usize,
) -> (String, usize) {
    let mut script = parse("budget spent", "flood");
    script.route = format!(
        r#"{{"targets":[{{"id":"one","provider":"{provider}","model":"m","weight":2}}],"temperature":0}}"#
    );
    script.request = format!(
        r#"{{"model":"r","stream":{is_streaming},"messages":[{{"role":"user","content":"x"}}]}}"#
    );
    flooded(script, head, piece, chunks)
}

/// The same of what is no conversation.
fn flood_of(endpoint: Endpoint, head: &str, piece: &[u8], chunks: usize) -> (String, usize) {
    let mut script = parse("budget spent", "flood");
    script.endpoint = endpoint;
    script.route = r#"{"targets":[{"id":"one","provider":"o","model":"m"}]}"#.to_owned();
    script.request = r#"{"model":"r","input":"x","prompt":"x"}"#.to_owned();
    flooded(script, head, piece, chunks)
}

fn flooded(mut script: Script, head: &str, piece: &[u8], chunks: usize) -> (String, usize) {
    let bytes = piece.to_vec();
    let chunk = Input::Chunk { attempt: 0, bytes };
    script
        .steps
        .push((1, step(&format!("head 0 {head}"), &BTreeMap::new())));
    script
        .steps
        .extend((0..chunks).map(|_| (2, Step::Input(chunk.clone()))));
    script
        .steps
        .push((3, Step::Input(Input::End { attempt: 0 })));
    let run = run(&script, None);
    let attempt = &run.record.unwrap().attempts[0];
    let outcome = format!("{} at {}", attempt.outcome, attempt.end_ms.0);
    (outcome, run.client.len())
}

#[test]
fn floods_are_bounded() {
    let megabyte = vec![b'x'; 1 << 20];
    let stream = "200 text/event-stream";
    let (outcome, _) = flood(true, stream, &megabyte, 12);
    assert_eq!(outcome, "too_large at 2", "one line without end");
    let empty = "data: {}\n\n".repeat(10_000);
    let (outcome, sent) = flood(true, stream, empty.as_bytes(), 100);
    assert_eq!(outcome, "too_large at 2", "a million empty events");
    assert!(sent < 1_000);
    let (outcome, _) = flood(
        true,
        stream,
        ": still here\n\n".repeat(10_000).as_bytes(),
        100,
    );
    assert_eq!(outcome, "cut_off at 3", "comments are not kept");
    let words = "x".repeat(1 << 20);
    let said = format!(
        r#"data: {{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{words}"}}}}"#
    );
    let said = format!("event: content_block_delta\n{said}\n\n");
    let (outcome, sent) = flood_by("a", true, stream, said.as_bytes(), 20);
    assert_eq!(outcome, "too_large at 2", "a translated stream without end");
    assert!(sent < 18 << 20);
    let (outcome, _) = flood(false, "200 application/json", &megabyte, 17);
    assert_eq!(outcome, "too_large at 2", "a body without end");
    let (outcome, sent) = flood(false, "500 text/html", &megabyte, 100);
    assert_eq!(outcome, "server_error at 2", "an error's body without end");
    assert!(sent < 1_000);
}

#[test]
fn floods_of_other_endpoints_are_bounded() {
    let megabyte = vec![b'x'; 1 << 20];
    let json = "200 application/json";
    let (outcome, _) = flood_of(Endpoint::Embeddings, json, &megabyte, 17);
    assert_eq!(outcome, "too_large at 2", "a body without end");
    let (outcome, sent) = flood_of(Endpoint::ImageGenerations, json, &megabyte, 20);
    assert_eq!(
        outcome, "ok at 3",
        "images are passed on once they are too long"
    );
    assert_eq!(sent, 20 << 20);
    let (outcome, _) = flood_of(Endpoint::Speech, "200 audio/wav", &megabyte, 32);
    assert_eq!(outcome, "ok at 3", "a long sound");
    let (outcome, _) = flood_of(Endpoint::Speech, "200 audio/wav", &megabyte, 33);
    assert_eq!(outcome, "too_large at 2", "a sound without end");
}

#[test]
fn oversized_refusal_is_told_in_our_words() {
    let body = format!("{{\"error\":{{\"message\":\"{}\"}}}}", "x".repeat(100_000));
    let mut script = parse("", "refusal");
    script.route = r#"{"targets":[{"provider":"o","model":"m"}]}"#.to_owned();
    script.request = r#"{"model":"r","messages":[{"role":"user","content":"x"}]}"#.to_owned();
    let bytes = body.into_bytes();
    script.steps = vec![
        (1, step("head 0 400 application/json", &BTreeMap::new())),
        (2, Step::Input(Input::Chunk { attempt: 0, bytes })),
        (3, Step::Input(Input::End { attempt: 0 })),
    ];
    let run = run(&script, None);
    let told: serde_json::Value = serde_json::from_slice(&run.client).unwrap();
    assert_eq!(
        (run.status, told["error"]["type"].as_str()),
        (Some(400), Some("invalid_request_error"))
    );
}

#[test]
fn attempts_are_bounded() {
    let target =
        |number: usize| format!("{{\"id\":\"t{number}\",\"provider\":\"o\",\"model\":\"m\"}}");
    let targets: Vec<String> = (0..20).map(target).collect();
    let mut script = parse("", "many");
    script.route = format!("{{\"targets\":[{}]}}", targets.join(","));
    script.request = r#"{"model":"r","messages":[{"role":"user","content":"x"}]}"#.to_owned();
    script.steps = (0..ATTEMPTS_MAX)
        .map(|attempt| {
            let failure = AttemptFailure::Unreachable;
            (1, Step::Input(Input::Failed { attempt, failure }))
        })
        .collect();
    let run = run(&script, None);
    assert_eq!(run.record.unwrap().attempts.len(), ATTEMPTS_MAX);
}

/// A whole answer hides when its first token came; it must not pass for a stream's.
#[test]
fn only_streams_teach_the_time_to_first_token() {
    let read = |name: &str| {
        let path = folder("exchange").join(format!("{name}.script"));
        run(&parse(&fs::read_to_string(path).unwrap(), name), None)
    };
    let ttft =
        |run: &Run, target: &str| run.health.view(target, UnixMillis(1_000_000)).ttft_seconds;
    let unknown = View::default().ttft_seconds;
    assert!((ttft(&read("whole_waits_long"), "o/m1") - unknown).abs() < 1e-12);
    assert!(ttft(&read("stream_same_dialect"), "o/m1") < 0.5 * unknown);
    assert!(ttft(&read("whole_collected_from_stream"), "o/m1") < 0.5 * unknown);
}
