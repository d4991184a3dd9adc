//! Bytes as a small program for an exchange: a route, a request, and what happens when.
//!
//! Six bytes are the setting, in bit fields; then each step is a word, a wait and the word's own bytes. Any bytes are a
//! program, and a changed byte changes little, which is what a fuzzer needs. What a provider says is taken from a list
//! of real pieces by its number, so that a step means the same whichever target the attempt went to.

use waypost::chat::AttemptFailure;
use waypost::dialects::ClientDialect;
use waypost::exchange::ProviderHead;

/// The providers `o` and `p` speak OpenAI's dialect, `a` and `b` Anthropic's.
pub const PROVIDERS: &str = r#"{"providers": {
    "o": {"dialect": "openai-chat", "base_url": "https://o.example/v1", "auth": {"bearer": "O_KEY"}},
    "p": {"dialect": "openai-responses", "base_url": "https://p.example/v1", "auth": {"bearer": ["P_KEY_1", "P_KEY_2"]}},
    "a": {"dialect": "anthropic", "base_url": "https://a.example/v1", "auth": {"header": {"name": "x-api-key", "secret": "A_KEY"}}},
    "b": {"dialect": "anthropic", "base_url": "https://b.example/v1", "auth": "none"}
}}"#;
const STEPS_MAX: usize = 256;
/// Steps that send megabytes, of one program.
const HUGE_MAX: usize = 2;

#[expect(
    clippy::struct_excessive_bools,
    reason = "independent choices, not states"
)]
#[derive(Debug)]
pub struct Program {
    pub client: ClientDialect,
    pub is_streaming: bool,
    /// The client's own, and those of its further names.
    pub routes: Vec<String>,
    pub request: String,
    pub is_budget_spent: bool,
    pub is_explained: bool,
    /// Every target's streams have been sound so far.
    pub is_sound: bool,
    /// Ticks come only where the program says so, however long ago they were due.
    pub is_late: bool,
    /// The pieces in which chunks are given a second time.
    pub cut: Option<usize>,
    pub seed: u64,
    pub steps: Vec<Step>,
}

#[derive(Debug)]
pub struct Step {
    pub wait_ms: u64,
    pub word: Word,
}

#[derive(Debug)]
pub enum Word {
    Head(Attempt, ProviderHead),
    Say(Attempt, Saying),
    End(Attempt),
    Failed(Attempt, AttemptFailure),
    Tick,
    Drained,
    Gone,
    Quiet,
}

/// Which attempt is meant.
#[derive(Clone, Copy, Debug)]
pub enum Attempt {
    Number(usize),
    Latest,
}

#[derive(Debug)]
pub enum Saying {
    /// A piece of the list.
    Piece(usize),
    /// Of such a piece, what stands before or after a place.
    Before(usize, usize),
    After(usize, usize),
    Text(String),
    Raw(Vec<u8>),
    /// As many bytes of a line without an end.
    Huge(usize),
}

impl Program {
    pub fn of(bytes: &[u8]) -> Self {
        let mut bytes = Bytes(bytes);
        let [who, what, clocks, hedge, targets, terms] = [(); 6].map(|()| bytes.next());
        let client = if what >> 4 & 3 == 3 {
            ClientDialect::OpenaiResponses
        } else {
            ClientDialect::ALL[usize::from(who & 1)]
        };
        let is_streaming = who & 2 != 0;
        let count = usize::from(what & 3).min(2) + 2;
        let settings = settings(who, clocks, hedge);
        let route = |shift: u32| {
            let targets = targets.rotate_right(shift);
            let terms = terms.rotate_right(shift);
            route(count, targets, terms, &settings)
        };
        let fallbacks = u32::from(what >> 4 & 3).min(2);
        Self {
            client,
            is_streaming,
            routes: (0..=fallbacks).map(|place| route(place * 2)).collect(),
            request: request(client, is_streaming, what >> 2 & 3, who & 4 != 0),
            is_budget_spent: who & 64 != 0,
            is_explained: hedge & 8 != 0,
            is_sound: what & 3 == 3,
            is_late: who & 128 != 0,
            cut: [None, Some(1), Some(3), Some(7)][usize::from(what >> 6)],
            seed: u64::from(hedge >> 4),
            steps: steps(&mut bytes),
        }
    }

    /// Whether a chunk is so large that it matters how it is cut.
    pub fn has_huge(&self) -> bool {
        let is_huge = |step: &Step| matches!(step.word, Word::Say(_, Saying::Huge(_)));
        self.steps.iter().any(is_huge)
    }
}

/// Bytes to take; zeros when they run out.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn place(&mut self) -> usize {
        usize::from(self.next())
    }

    /// As many bytes as the next one says.
    fn some(&mut self) -> &'a [u8] {
        let count = self.place().min(self.0.len());
        let (some, rest) = self.0.split_at(count);
        self.0 = rest;
        some
    }
}

/// A route's fields beside its targets.
fn settings(who: u8, clocks: u8, hedge: u8) -> String {
    let midstream = ["error", "continue", "buffer", "error"][usize::from(who >> 3 & 3)];
    let names = ["headers_ms", "first_token_ms", "idle_ms", "total_ms"];
    let deadlines: Vec<String> = names
        .iter()
        .enumerate()
        .filter_map(|(place, name)| {
            let wait = [0, 1, 300, 4_000][usize::from(clocks >> (2 * place) & 3)];
            (wait > 0).then(|| format!("\"{name}\":{wait}"))
        })
        .collect();
    let hedging = if who & 32 == 0 {
        String::new()
    } else {
        let after = [
            "",
            "\"after_ms\":1",
            "\"after_ms\":400",
            "\"after_ms\":5000",
        ];
        let cost = if hedge & 4 == 0 {
            ""
        } else {
            "\"cost_usd_max\":0.001"
        };
        let fields = [after[usize::from(hedge & 3)], cost];
        let fields: Vec<&str> = fields.into_iter().filter(|it| !it.is_empty()).collect();
        match fields.as_slice() {
            [] => ",\"hedge\":true".to_owned(),
            _ => format!(",\"hedge\":{{{}}}", fields.join(",")),
        }
    };
    let deadlines = deadlines.join(",");
    format!(
        "\"temperature\":0,\"midstream\":\"{midstream}\",\"deadlines\":{{{deadlines}}}{hedging}"
    )
}

fn route(count: usize, targets: u8, terms: u8, settings: &str) -> String {
    let target = |place: usize| {
        let provider = ["o", "a", "p", "b"][usize::from(targets >> (2 * place) & 3)];
        let can = match terms >> (2 * place) & 3 {
            // The first always may, so that a route can say `continue`.
            _ if place == 0 => "\"can\":[\"prefill\",\"tools\",\"json_schema\"],",
            0 => "",
            1 => "\"can\":[\"prefill\"],",
            2 => "\"can\":[],",
            _ => "\"can\":[\"prefill\",\"tools\"],\"usd_per_mtok\":{\"in\":1,\"out\":4000},",
        };
        let weight = 10 - place;
        format!(
            "{{\"id\":\"t{place}\",\"provider\":\"{provider}\",{can}\"model\":\"m{place}\",\"weight\":{weight}}}"
        )
    };
    let targets: Vec<String> = (0..count).map(target).collect();
    format!("{{\"targets\":[{}],{settings}}}", targets.join(","))
}

fn request(client: ClientDialect, is_streaming: bool, kind: u8, wants_usage: bool) -> String {
    let mut fields = vec!["\"model\":\"r\"".to_owned()];
    if is_streaming {
        fields.push("\"stream\":true".to_owned());
    }
    match client {
        ClientDialect::Anthropic => fields.push("\"max_tokens\":100".to_owned()),
        ClientDialect::OpenaiChat if is_streaming && wants_usage => {
            fields.push("\"stream_options\":{\"include_usage\":true}".to_owned());
        }
        ClientDialect::OpenaiChat | ClientDialect::OpenaiResponses | ClientDialect::Gemini => {}
    }
    let mut messages = "{\"role\":\"user\",\"content\":\"Hello there\"}".to_owned();
    match (kind, client) {
        (1, ClientDialect::OpenaiChat) => fields.push(
            "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\"}}}]".to_owned(),
        ),
        (1, ClientDialect::Anthropic) => fields.push(
            "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}]".to_owned(),
        ),
        (1, ClientDialect::OpenaiResponses) => fields.push(
            "\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":{\"type\":\"object\"}}]".to_owned(),
        ),
        (1, ClientDialect::Gemini) => {
            fields.push("\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\"}]}]".to_owned());
        }
        // The other dialects have no words for these.
        (2, ClientDialect::OpenaiChat) => fields.push("\"n\":2".to_owned()),
        (2, ClientDialect::Anthropic) => fields.push("\"top_k\":5".to_owned()),
        (2, ClientDialect::OpenaiResponses | ClientDialect::Gemini) => fields.push("\"store\":true".to_owned()),
        (3, _) => messages.push_str(",{\"role\":\"assistant\",\"content\":\"So\"}"),
        _ => {}
    }
    let conversation = match client {
        ClientDialect::OpenaiResponses => "input",
        ClientDialect::Gemini => "contents",
        ClientDialect::OpenaiChat | ClientDialect::Anthropic => "messages",
    };
    if client == ClientDialect::Gemini {
        messages = messages
            .replace("assistant", "model")
            .replace("\"content\":", "\"parts\":[{\"text\":")
            .replace("\"}", "\"}]}");
    }
    fields.push(format!("\"{conversation}\":[{messages}]"));
    format!("{{{}}}", fields.join(","))
}

fn steps(bytes: &mut Bytes) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut huge = 0;
    while !bytes.0.is_empty() && steps.len() < STEPS_MAX {
        let word = bytes.next();
        let wait = u64::from(bytes.next());
        let wait_ms = if wait < 128 { wait } else { (wait - 127) * 250 };
        let attempt = match word >> 4 & 7 {
            7 => Attempt::Latest,
            6 => Attempt::Number(usize::MAX),
            number => Attempt::Number(usize::from(number)),
        };
        let word = match word & 15 {
            0..=3 => Word::Say(attempt, Saying::Piece(bytes.place())),
            4 | 5 => Word::Head(attempt, head(bytes.next())),
            6 => Word::End(attempt),
            7 => Word::Failed(attempt, failure(bytes.next())),
            8 => Word::Tick,
            9 => Word::Drained,
            10 if bytes.next() == 0 => Word::Gone,
            10 => Word::Quiet,
            11 => Word::Say(attempt, Saying::Raw(bytes.some().to_vec())),
            12 => {
                let text = String::from_utf8_lossy(bytes.some()).into_owned();
                Word::Say(attempt, Saying::Text(text))
            }
            13 => Word::Say(attempt, Saying::Before(bytes.place(), bytes.place())),
            14 => Word::Say(attempt, Saying::After(bytes.place(), bytes.place())),
            _ if huge == HUGE_MAX => Word::Quiet,
            _ => {
                huge += 1;
                Word::Say(attempt, Saying::Huge(bytes.place()))
            }
        };
        steps.push(Step { wait_ms, word });
    }
    steps
}

fn failure(kind: u8) -> AttemptFailure {
    match kind {
        1 => AttemptFailure::SecretMissing {
            name: "O_KEY".to_owned(),
        },
        _ => AttemptFailure::Unreachable,
    }
}

fn head(kind: u8) -> ProviderHead {
    let statuses = [
        200, 200, 200, 200, 429, 500, 503, 529, 400, 401, 402, 403, 404, 413, 302, 204,
    ];
    let kinds = ["text/event-stream", "application/json", "", "text/html"];
    let waits = [None, Some("1"), Some("30"), Some("-1")];
    let status = statuses[usize::from(kind & 15)];
    let wait = waits[usize::from(kind >> 6)].map(str::to_owned);
    let is_fine = status == 200;
    // A stream most of the time: the first of the four 200s whatever else is said.
    let place = if kind.trailing_zeros() >= 4 {
        0
    } else {
        usize::from(kind >> 4 & 3)
    };
    ProviderHead {
        status,
        content_type: kinds[place].to_owned(),
        retry_after: wait.clone().filter(|_| !is_fine),
        retry_after_ms: wait.filter(|_| status == 503),
        error_type: None,
        room: Vec::new(),
    }
}
