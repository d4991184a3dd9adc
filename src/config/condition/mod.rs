//! Conditions on what is known of a request.
//!
//! A condition names a subject (a trait of the request) and tests it; `any`, `all` and `none` join conditions. A
//! subject that is unknown for a request matches no test but `not`: a rule that binds must not fire on a guess.
//!
//! Patterns run on an engine whose time is linear in the text, and are limited in size; the message text that they
//! see is limited as well ([`TEXT_BYTES_MAX`]). Message text never enters the traits: a route keeps its tests of it
//! apart ([`Texts`]), and a request's traits hold only whether each matched.
//!
//! Not here: how a team writes them (`reading.rs`).

mod reading;

use regex_lite::Regex;

pub(super) use reading::Reading;

use super::schema::Description;
use super::schema::when::{FLAG_OPERATORS, NUMBER_OPERATORS, TEXT_OPERATORS};
use super::window::Window;
use crate::units::UnixMillis;

/// The newest bytes of the user's messages that patterns see.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// What must hold.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    Is(Condition),
    Time(Window),
    /// Every one; none of them always holds.
    All(Vec<When>),
    Any(Vec<When>),
    Not(Box<When>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub subject: Subject,
    pub test: Test,
}

/// A trait of the request that a condition may ask about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A request header, by its name in lower case.
    Header(String),
    /// A string of the body's `metadata`.
    Metadata(String),
    /// Whether the user's text matched the route's test of this number.
    Text(usize),
    Tags,
    Country,
    Continent,
    Pop,
    Key,
    Team,
    Model,
    PromptTokens,
    AnswerTokensMax,
    Messages,
    Images,
    Tools,
    JsonSchema,
    Stream,
    Sensitive,
    Topic,
    Difficulty,
}

/// What kind of value a subject has, and so what may be compared with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Flag,
}

impl Kind {
    fn operators(self) -> &'static Description {
        match self {
            Self::Text => &TEXT_OPERATORS,
            Self::Number => &NUMBER_OPERATORS,
            Self::Flag => &FLAG_OPERATORS,
        }
    }
}

/// Every subject that is a field of its own under `when`; headers and metadata have names of their own.
const SUBJECTS: &[(&str, Subject, Kind)] = &[
    ("tags", Subject::Tags, Kind::Text),
    ("country", Subject::Country, Kind::Text),
    ("continent", Subject::Continent, Kind::Text),
    ("pop", Subject::Pop, Kind::Text),
    ("key", Subject::Key, Kind::Text),
    ("team", Subject::Team, Kind::Text),
    ("model", Subject::Model, Kind::Text),
    ("prompt_tokens", Subject::PromptTokens, Kind::Number),
    ("answer_tokens_max", Subject::AnswerTokensMax, Kind::Number),
    ("messages", Subject::Messages, Kind::Number),
    ("images", Subject::Images, Kind::Flag),
    ("tools", Subject::Tools, Kind::Flag),
    ("json_schema", Subject::JsonSchema, Kind::Flag),
    ("stream", Subject::Stream, Kind::Flag),
    ("sensitive", Subject::Sensitive, Kind::Flag),
    ("topic", Subject::Topic, Kind::Text),
    ("difficulty", Subject::Difficulty, Kind::Number),
];

/// A value to compare with.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    Text(String),
    Number(f64),
    Flag(bool),
}

/// What a request has, where a subject asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fact<'a> {
    Unknown,
    Text(&'a str),
    /// Any of them may match.
    Texts(&'a [String]),
    Number(f64),
    Flag(bool),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    In(Vec<Scalar>),
    Above(f64),
    Below(f64),
    /// Both ends included.
    Between(f64, f64),
    Matches(Pattern),
    Not(Box<Test>),
    /// Every one of them.
    All(Vec<Test>),
    Any(Vec<Test>),
}

/// A pattern, and the text that it was compiled from.
#[derive(Clone)]
pub struct Pattern {
    written: String,
    regex: Regex,
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pattern({:?})", self.written)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

/// A route's tests of message text, in the order of their numbers.
pub type Texts = Vec<Test>;

impl When {
    /// Whether it holds for a request with these facts at this time.
    pub fn holds<'a>(&self, fact: &impl Fn(&Subject) -> Fact<'a>, at: UnixMillis) -> bool {
        match self {
            Self::Is(condition) => condition.test.matches(fact(&condition.subject)),
            Self::Time(window) => window.contains(at),
            Self::All(parts) => parts.iter().all(|part| part.holds(fact, at)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(fact, at)),
            Self::Not(part) => !part.holds(fact, at),
        }
    }

    /// Calls `visit` with every subject that is asked about.
    pub fn each_subject<'a>(&'a self, visit: &mut impl FnMut(&'a Subject)) {
        match self {
            Self::Is(condition) => visit(&condition.subject),
            Self::Time(_) => {}
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.each_subject(visit);
                }
            }
            Self::Not(part) => part.each_subject(visit),
        }
    }
}

impl Test {
    #[must_use]
    pub fn matches(&self, fact: Fact<'_>) -> bool {
        match self {
            Self::In(values) => values.iter().any(|value| equals(value, fact)),
            Self::Above(limit) => matches!(fact, Fact::Number(number) if number > *limit),
            Self::Below(limit) => matches!(fact, Fact::Number(number) if number < *limit),
            Self::Between(low, high) => {
                matches!(fact, Fact::Number(number) if (*low..=*high).contains(&number))
            }
            Self::Matches(pattern) => match fact {
                Fact::Text(text) => pattern.regex.is_match(text),
                Fact::Texts(texts) => texts.iter().any(|text| pattern.regex.is_match(text)),
                _ => false,
            },
            Self::Not(test) => !test.matches(fact),
            Self::All(tests) => tests.iter().all(|test| test.matches(fact)),
            Self::Any(tests) => tests.iter().any(|test| test.matches(fact)),
        }
    }
}

/// Texts compare without regard to ASCII case: countries, headers and tags are written either way.
fn equals(value: &Scalar, fact: Fact<'_>) -> bool {
    match (value, fact) {
        (Scalar::Text(value), Fact::Text(text)) => value.eq_ignore_ascii_case(text),
        (Scalar::Text(value), Fact::Texts(texts)) => {
            texts.iter().any(|text| value.eq_ignore_ascii_case(text))
        }
        (Scalar::Number(value), Fact::Number(number)) => value.total_cmp(&number).is_eq(),
        (Scalar::Flag(value), Fact::Flag(flag)) => *value == flag,
        _ => false,
    }
}
