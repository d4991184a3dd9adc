//! An exchange under any inputs in any order: it never panics, says nothing after its end, and ends in one record.
//!
//! The laws are those of `src/exchange/mod.rs` and of its outputs. A program that has run out is driven to the end by
//! the ticks that the exchange asked for, so an exchange that nobody would ever wake is found too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use waypost::chat::Event;
use waypost::classify::{Caller, Traits};
use waypost::config::{Catalogue, Route};
use waypost::decide::{Seed, SeedSource};
use waypost::dialects::{ClientDialect, ClientHeaders, Delivery, Form, outline, parse_answer};
use waypost::exchange::{ATTEMPTS_MAX, Exchange, Input, Order, Output, Routing};
use waypost::health::{Health, Observation};
use waypost::journal::{ConfigRevisions, Ending, Record};
use waypost::units::{Millis, UnixMillis};

use super::pieces::{piece, text};
use super::program::{Attempt, PROVIDERS, Program, Saying, Word};
use super::streams::{Reading, read};

const START: UnixMillis = UnixMillis(1_000_000);
/// Outputs of one input: a cancel and a call for each attempt, and what is said once.
const OUTPUTS_MAX: usize = 2 * ATTEMPTS_MAX + 6;
/// Ticks without any other input until the end: each attempt has three clocks, a wait and a hedge before it.
const TICKS_MAX: usize = 6 * ATTEMPTS_MAX;
const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// What must not depend on how the network cut the bytes.
#[derive(Debug)]
struct Told {
    status: Option<u16>,
    is_relayed: bool,
    answer: Answer,
    record: Record,
}

impl PartialEq for Told {
    /// What was relayed went out as it came: of a piece with an error in it the rest as well.
    fn eq(&self, other: &Self) -> bool {
        let is_same = self.is_relayed || self.answer == other.answer;
        is_same && (self.status, &self.record) == (other.status, &other.record)
    }
}

#[derive(Debug, PartialEq)]
enum Answer {
    Stream(Reading),
    Whole(Vec<u8>),
}

/// One client request, and all that may happen to it.
pub fn exchange(bytes: &[u8]) {
    let program = Program::of(bytes);
    let whole = run(&program, None);
    if let Some(size) = program.cut.filter(|_| !program.has_huge()) {
        let cut = run(&program, Some(size));
        assert_eq!(whole, cut, "in pieces of {size}: {program:?}");
    }
}

fn run(program: &Program, cut: Option<usize>) -> Told {
    let mut health = Health::default();
    if program.is_sound {
        trust_all(program, &mut health);
    }
    while program.is_budget_spent && health.retries.take(START) {}
    let (exchange, outputs) = Exchange::begin(order(program), &mut health, START);
    let mut edge = Edge {
        exchange,
        health,
        now: START,
        wake_at: None,
        calls: BTreeMap::new(),
        running: BTreeSet::new(),
        said: BTreeMap::new(),
        relayed: None,
        status: None,
        bytes: Vec::new(),
        record: None,
    };
    edge.obey(outputs);
    for step in &program.steps {
        edge.pass(step.wait_ms, program.is_late);
        edge.play(&step.word, cut);
    }
    edge.drive_to_the_end();
    edge.told(program)
}

/// Streams in a row that were sound, more than it takes.
const SOUND_STREAMS: usize = 9;

fn trust_all(program: &Program, health: &mut Health) {
    let order = order(program);
    for routing in std::iter::once(&order.routing).chain(&order.fallbacks) {
        for target in &routing.route.targets {
            let key = target.health_key();
            health.observe(&key, &Observation::Sent, START);
            (0..SOUND_STREAMS).for_each(|_| health.note_stream(&key, true));
        }
    }
}

fn order(program: &Program) -> Order {
    let catalogue = Catalogue::parse(PROVIDERS).expect("valid providers").value;
    let body = program.request.clone().into_bytes();
    let outline = outline(program.client, &body).expect("a valid request");
    let mut caller = Caller {
        dialect: Some(program.client),
        key: "test".to_owned(),
        ..Caller::default()
    };
    caller.constrain(&outline, None).expect("no limits");
    let routing = |(place, route): (usize, &String)| Routing {
        traits: Traits::of(&outline, "r", caller.clone()),
        route: Arc::new(
            Route::parse(&format!("r{place}"), route, &catalogue)
                .unwrap_or_else(|problems| panic!("{route}: {problems:?}"))
                .value,
        ),
        via: Vec::new(),
        config: ConfigRevisions::default(),
        seed: Seed {
            value: program.seed,
            source: SeedSource::Random,
        },
    };
    let mut routings = program.routes.iter().enumerate().map(routing);
    Order {
        id: "wp-1".to_owned(),
        form: Form::Json,
        client: program.client,
        headers: ClientHeaders::default(),
        delivery: Delivery::default(),
        prefix: outline.prefix.clone(),
        routing: routings.next().expect("a first route"),
        fallbacks: routings.collect(),
        is_explained: program.is_explained,
        body,
    }
}

/// Plays the edge, and holds the exchange to its promises.
struct Edge {
    exchange: Exchange,
    health: Health,
    now: UnixMillis,
    wake_at: Option<UnixMillis>,
    /// The name of the provider that each attempt was sent to.
    calls: BTreeMap<usize, String>,
    /// Attempts that may still say something.
    running: BTreeSet<usize>,
    /// What each attempt has said.
    said: BTreeMap<usize, Vec<u8>>,
    /// Whose bytes go to the client by themselves.
    relayed: Option<usize>,
    status: Option<u16>,
    bytes: Vec<u8>,
    record: Option<Record>,
}

impl Edge {
    fn pass(&mut self, wait_ms: u64, is_late: bool) {
        let until = self.now + Millis(wait_ms);
        let mut ticks = 0;
        while let Some(at) = self
            .wake_at
            .filter(|at| *at <= until && !is_late && self.record.is_none())
        {
            ticks += 1;
            assert!(ticks <= TICKS_MAX, "woken for ever: {:?}", self.exchange);
            self.tick(at);
        }
        self.now = until;
    }

    fn tick(&mut self, at: UnixMillis) {
        self.now = self.now.max(at);
        self.wake_at = None;
        self.give(Input::Tick);
    }

    fn play(&mut self, word: &Word, cut: Option<usize>) {
        match word {
            Word::Head(attempt, head) => self.give(Input::Head {
                attempt: self.number(*attempt),
                head: head.clone(),
            }),
            Word::Say(attempt, saying) => {
                let attempt = self.number(*attempt);
                let bytes = self.bytes_of(attempt, saying);
                let size = cut.unwrap_or(bytes.len()).max(1);
                for bytes in bytes.chunks(size) {
                    let bytes = bytes.to_vec();
                    self.give(Input::Chunk { attempt, bytes });
                }
            }
            Word::End(attempt) => self.give(Input::End {
                attempt: self.number(*attempt),
            }),
            Word::Failed(attempt, failure) => self.give(Input::Failed {
                attempt: self.number(*attempt),
                failure: failure.clone(),
            }),
            Word::Tick => self.give(Input::Tick),
            Word::Drained => self.give(Input::Drained),
            Word::Gone => self.give(Input::ClientGone),
            Word::Quiet => {}
        }
    }

    fn number(&self, attempt: Attempt) -> usize {
        match attempt {
            Attempt::Number(number) => number,
            Attempt::Latest => self.calls.keys().last().copied().unwrap_or_default(),
        }
    }

    fn bytes_of(&self, attempt: usize, saying: &Saying) -> Vec<u8> {
        let dialect = match self.calls.get(&attempt).map(String::as_str) {
            Some("a" | "b") => ClientDialect::Anthropic,
            Some("p") => ClientDialect::OpenaiResponses,
            _ => ClientDialect::OpenaiChat,
        };
        let halves = |number: usize, place: usize| {
            let mut before = piece(dialect, number);
            let after = before.split_off(before.len().min(place));
            (before, after)
        };
        match saying {
            Saying::Piece(number) => piece(dialect, *number),
            Saying::Before(number, place) => halves(*number, *place).0,
            Saying::After(number, place) => halves(*number, *place).1,
            Saying::Text(words) => text(dialect, words),
            Saying::Raw(bytes) => bytes.clone(),
            Saying::Huge(size) => vec![b'x'; (size + 1) * 32 * 1024],
        }
    }

    fn give(&mut self, input: Input) {
        let was_over = self.record.is_some();
        let about = match &input {
            Input::Head { attempt, .. } | Input::Chunk { attempt, .. } => Some((*attempt, false)),
            Input::End { attempt } | Input::Failed { attempt, .. } => Some((*attempt, true)),
            Input::Tick | Input::Drained | Input::ClientGone => None,
        };
        let is_dead = about.is_some_and(|(attempt, _)| !self.running.contains(&attempt));
        if let Some((attempt, true)) = about {
            self.running.remove(&attempt);
        }
        if let Input::Chunk { attempt, bytes } = &input
            && self.running.contains(attempt)
        {
            self.said.entry(*attempt).or_default().extend(bytes);
            if self.relayed == Some(*attempt) {
                self.bytes.extend(bytes);
            }
        }
        let is_tick = input == Input::Tick;
        let outputs = self.exchange.on(input, &mut self.health, self.now);
        assert!(!was_over || outputs.is_empty(), "it spoke after its end");
        if is_dead {
            let is_wake = |output: &Output| matches!(output, Output::WakeAt(_));
            assert!(outputs.iter().all(is_wake), "{about:?} did {outputs:?}");
        }
        // A tick uses up what was asked for.
        if is_tick {
            self.wake_at = None;
        }
        self.obey(outputs);
    }

    fn obey(&mut self, outputs: Vec<Output>) {
        assert!(outputs.len() <= OUTPUTS_MAX, "{outputs:?}");
        for output in outputs {
            assert!(self.record.is_none(), "{output:?} came after the end");
            match output {
                Output::Send { attempt, call, .. } => {
                    let next = self.calls.keys().last().map_or(0, |last| last + 1);
                    assert!((next..ATTEMPTS_MAX).contains(&attempt), "{attempt} is sent");
                    let host = call.url.strip_prefix("https://").unwrap_or_default();
                    let provider = host.split('.').next().unwrap_or_default();
                    self.calls.insert(attempt, provider.to_owned());
                    self.running.insert(attempt);
                    let body = serde_json::from_slice::<Value>(&call.body);
                    assert!(body.is_ok(), "a body that is no JSON");
                }
                Output::Cancel { attempt } => {
                    assert!(
                        self.calls.contains_key(&attempt),
                        "{attempt} was never sent"
                    );
                    self.running.remove(&attempt);
                }
                Output::WakeAt(at) => self.wake_at = Some(at),
                Output::Respond(head) => {
                    assert!(self.status.is_none(), "the client got two heads");
                    self.status = Some(head.status);
                }
                Output::Relay { attempt, .. } => {
                    assert!(self.status.is_some(), "a relay came before its head");
                    assert!(self.bytes.is_empty() && self.relayed.is_none(), "too late");
                    self.relayed = Some(attempt);
                    self.bytes = self.said.get(&attempt).cloned().unwrap_or_default();
                }
                Output::Emit(bytes) => {
                    assert!(self.status.is_some(), "bytes came before their head");
                    let is_behind = self.relayed.is_none_or(|it| !self.running.contains(&it));
                    assert!(is_behind, "bytes came among the relayed ones");
                    assert!(!bytes.is_empty(), "nothing was emitted");
                    self.bytes.extend(bytes);
                }
                Output::Finish(record) => {
                    let running = &self.running;
                    assert!(running.is_empty(), "{running:?} run on after the end");
                    self.record = Some(*record);
                }
            }
        }
        let is_over = self.record.is_some();
        assert_eq!(self.exchange.is_over(), is_over);
        assert!(is_over || self.wake_at.is_some(), "nobody will wake it");
        self.check_health();
    }

    fn check_health(&self) {
        for target in self.health.targets() {
            let view = self.health.view(target, self.now);
            assert!(view.p_success > 0.0 && view.p_success < 1.0, "{view:?}");
            let figures = [
                view.ttft_seconds,
                view.seconds_per_token,
                view.answer_tokens,
                view.rate_limited,
                view.prompt_factor,
                view.cache_hits,
                view.ttft_p95_seconds.unwrap_or_default(),
            ];
            let is_sound = |figure: &f64| figure.is_finite() && *figure >= 0.0;
            assert!(figures.iter().all(is_sound), "{view:?}");
        }
    }

    fn drive_to_the_end(&mut self) {
        for _ in 0..TICKS_MAX {
            let Some(at) = self.wake_at.filter(|_| self.record.is_none()) else {
                return;
            };
            self.tick(at);
        }
        assert!(self.record.is_some(), "it never ends: {:?}", self.exchange);
    }

    fn told(self, program: &Program) -> Told {
        let record = self.record.expect("every exchange ends in a record");
        check_record(&record, &self.calls);
        let is_stream = program.is_streaming && self.status == Some(200);
        let answer = if is_stream {
            Answer::Stream(read(program.client.into(), &self.bytes))
        } else {
            Answer::Whole(self.bytes)
        };
        let told = Told {
            status: self.status,
            is_relayed: self.relayed.is_some(),
            answer,
            record,
        };
        // A client that is relayed a line of megabytes may give up before our error comes.
        if !(told.is_relayed && program.has_huge()) {
            check_told(&told, program.client, &format!("{program:?}"));
        }
        told
    }
}

fn check_record(record: &Record, calls: &BTreeMap<usize, String>) {
    for (number, attempt) in record.attempts.iter().enumerate() {
        let sent = calls.get(&number);
        let is_refused = attempt.outcome == "not_translatable";
        assert_eq!(sent.is_none(), is_refused, "{number}: {attempt:?}");
        assert!(sent.is_none_or(|provider| **provider == *attempt.provider));
        let times = [attempt.headers_ms, attempt.first_token_ms];
        let times: Vec<Millis> = times.into_iter().flatten().collect();
        assert!(times.is_sorted(), "{attempt:?}");
        let is_within = |at: &Millis| attempt.sent_ms <= *at && *at <= attempt.end_ms;
        assert!(times.iter().all(is_within), "{attempt:?}");
        assert!(attempt.end_ms <= record.outcome.total_ms, "{attempt:?}");
    }
    assert!(calls.keys().all(|number| *number < record.attempts.len()));
    let oks = record.attempts.iter().filter(|it| it.outcome == "ok");
    let is_completed = record.outcome.code == Ending::Completed;
    assert_eq!(oks.count(), usize::from(is_completed), "{record:?}");
    let line = record.to_line(RECORD_BYTES_MAX);
    let again: Record = serde_json::from_str(&line).expect("a record reads back");
    assert_eq!(&again, record);
}

fn check_told(told: &Told, client: ClientDialect, program: &str) {
    let outcome = &told.record.outcome;
    if outcome.code == Ending::ClientGone {
        assert!(outcome.status == 499 && told.status.is_none_or(|status| status == 200));
        return;
    }
    assert_eq!(told.status, Some(outcome.status));
    assert_eq!(outcome.error.is_none(), outcome.code == Ending::Completed);
    match (&told.answer, outcome.code) {
        (Answer::Stream(reading), Ending::Completed) => {
            let is_whole = reading.has_ended() && !reading.has_failed;
            assert!(is_whole, "{reading:?} of {program}");
            if told.is_relayed {
                return;
            }
            let starts = reading.events.iter();
            let starts = starts.filter(|event| matches!(event, Event::Start { .. }));
            assert_eq!(starts.count(), 1, "{reading:?} of {program}");
            let rubbish = (reading.garbled, reading.pending, reading.after_end);
            assert_eq!(rubbish, (0, 0, 0), "{reading:?} of {program}");
        }
        (Answer::Stream(reading), Ending::Cut) => {
            let is_cut = reading.has_failed && !reading.has_ended();
            assert!(is_cut && reading.pending == 0, "{reading:?} of {program}");
        }
        (Answer::Whole(body), Ending::Completed) => {
            assert_eq!(told.status, Some(200));
            let answer = parse_answer(client.into(), body);
            assert!(answer.is_ok(), "{answer:?} of {program}");
        }
        (Answer::Whole(body), Ending::Failed) => {
            let tree: Value = serde_json::from_slice(body).expect("an error is JSON");
            assert!(tree["error"]["message"].is_string(), "{tree} of {program}");
        }
        // The provider's own words, in whatever bytes.
        (Answer::Whole(body), Ending::Rejected) => assert!(!body.is_empty()),
        (answer, ending) => panic!("{ending:?} with {answer:?} of {program}"),
    }
}
