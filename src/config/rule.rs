//! Rules: conditions on what is known of a request, and what they do to the candidates.
//!
//! A condition names a subject (a trait of the request) and tests it. A subject that is unknown for a request
//! matches no test but `not`: a rule that binds must not fire on a guess.

use super::read::{Node, Object, Problems};

const RULES_MAX: usize = 128;
const VALUES_MAX: usize = 1_000;
/// Conditions of one rule, headers included.
const CONDITIONS_MAX: usize = 64;

/// Drops candidates from requests that meet all its conditions.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub name: Option<String>,
    /// All must hold; none means always.
    pub when: Vec<Condition>,
    /// Only these targets stay, by id.
    pub only: Option<Vec<String>>,
    /// These targets go, by id.
    pub avoid: Vec<String>,
    pub require: Require,
}

/// What a target must be to stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Require {
    pub region: Option<Vec<String>>,
    pub private: Option<bool>,
    pub provider: Option<Vec<String>>,
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

/// Every subject that is a field of its own under `when`; headers have names of their own.
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

/// Headers that carry a secret: a rule on one would put it into records.
const SECRET_HEADERS: [&str; 4] = [
    "authorization",
    "x-api-key",
    "cookie",
    "proxy-authorization",
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
    Not(Box<Test>),
    /// Every one of them.
    All(Vec<Test>),
}

impl Test {
    #[must_use]
    pub fn matches(&self, fact: Fact<'_>) -> bool {
        match self {
            Self::In(values) => values.iter().any(|value| equals(value, fact)),
            Self::Above(limit) => matches!(fact, Fact::Number(number) if number > *limit),
            Self::Below(limit) => matches!(fact, Fact::Number(number) if number < *limit),
            Self::Not(test) => !test.matches(fact),
            Self::All(tests) => tests.iter().all(|test| test.matches(fact)),
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

pub(super) fn read_rules(
    node: &Node<'_>,
    target_ids: &[&str],
    problems: &mut Problems,
    warnings: &mut Problems,
) -> Vec<Rule> {
    let items = node.array(RULES_MAX, problems).unwrap_or_default();
    let read = |item: &Node<'_>| read_rule(item, target_ids, problems, warnings);
    items.iter().filter_map(read).collect()
}

fn read_rule(
    node: &Node<'_>,
    target_ids: &[&str],
    problems: &mut Problems,
    warnings: &mut Problems,
) -> Option<Rule> {
    let fields = node.object(&["name", "when", "only", "avoid", "require"], problems)?;
    let name = fields
        .field("name")
        .and_then(|node| node.text(problems).map(str::to_owned));
    let when = fields
        .field("when")
        .map(|node| read_when(&node, problems, warnings))
        .unwrap_or_default();
    let only = fields
        .field("only")
        .map(|node| read_target_ids(&node, target_ids, problems));
    let avoid = fields
        .field("avoid")
        .map(|node| read_target_ids(&node, target_ids, problems));
    let require = fields
        .field("require")
        .map(|node| read_require(&node, problems));
    if only.is_none() && avoid.is_none() && require.is_none() {
        problems.note(&node.path, "an effect: only, avoid or require", "none");
    }
    Some(Rule {
        name,
        when,
        only,
        avoid: avoid.unwrap_or_default(),
        require: require.unwrap_or_default(),
    })
}

fn read_target_ids(node: &Node<'_>, known: &[&str], problems: &mut Problems) -> Vec<String> {
    let ids = node.texts(VALUES_MAX, problems).unwrap_or_default();
    for id in &ids {
        if !known.contains(&id.as_str()) {
            problems.unknown_name(&node.path, "a target's id", id, known);
        }
    }
    ids
}

fn read_require(node: &Node<'_>, problems: &mut Problems) -> Require {
    let Some(fields) = node.object(&["region", "private", "provider"], problems) else {
        return Require::default();
    };
    if fields.len() == 0 {
        problems.note(&node.path, "region, private or provider", "nothing");
    }
    let mut texts = |name: &str| {
        let node = fields.field(name)?;
        node.texts(VALUES_MAX, problems)
    };
    let (region, provider) = (texts("region"), texts("provider"));
    let private = fields.field("private").and_then(|node| node.flag(problems));
    Require {
        region,
        private,
        provider,
    }
}

fn read_when(node: &Node<'_>, problems: &mut Problems, warnings: &mut Problems) -> Vec<Condition> {
    let mut known: Vec<_> = SUBJECTS.iter().map(|(name, ..)| *name).collect();
    known.push("headers");
    let Some(fields) = node.object(&known, problems) else {
        return Vec::new();
    };
    let mut when = Vec::new();
    for (name, subject, kind) in SUBJECTS {
        let Some(node) = fields.field(name) else {
            continue;
        };
        if matches!(
            subject,
            Subject::Sensitive | Subject::Topic | Subject::Difficulty
        ) {
            warnings.note(
                &node.path,
                "the caller to state it, as in `x-waypost-tags: topic=code`: no classifier sets it yet",
                "a condition that holds only then",
            );
        }
        if let Some(test) = read_test(&node, *kind, problems) {
            let subject = subject.clone();
            when.push(Condition { subject, test });
        }
    }
    if let Some(headers) = fields
        .field("headers")
        .and_then(|node| node.open_object(problems))
    {
        read_headers(&headers, &mut when, problems);
    }
    if when.len() > CONDITIONS_MAX {
        problems.note(
            &node.path,
            format!("at most {CONDITIONS_MAX} conditions"),
            when.len().to_string(),
        );
    }
    when
}

fn read_headers(headers: &Object<'_>, when: &mut Vec<Condition>, problems: &mut Problems) {
    for (name, node) in headers.fields() {
        let name = name.to_ascii_lowercase();
        if SECRET_HEADERS.contains(&name.as_str()) {
            problems.note(&node.path, "a header that carries no secret", name);
        } else if let Some(test) = read_test(&node, Kind::Text, problems) {
            let subject = Subject::Header(name);
            when.push(Condition { subject, test });
        }
    }
}

/// A value, a list of values, or an object of operators that must all hold.
fn read_test(node: &Node<'_>, kind: Kind, problems: &mut Problems) -> Option<Test> {
    if node.value.is_array() {
        return read_values(node, kind, problems).map(Test::In);
    }
    if !node.value.is_object() {
        return read_scalar(node, kind, problems).map(|value| Test::In(vec![value]));
    }
    let fields = node.object(&["eq", "in", "not", "gt", "lt"], problems)?;
    let mut tests = Vec::new();
    for (operator, node) in fields.fields() {
        let test = match operator {
            "eq" => read_scalar(&node, kind, problems).map(|value| Test::In(vec![value])),
            "in" => read_values(&node, kind, problems).map(Test::In),
            "not" => read_test(&node, kind, problems).map(|test| Test::Not(Box::new(test))),
            "gt" => read_limit(&node, kind, problems).map(Test::Above),
            "lt" => read_limit(&node, kind, problems).map(Test::Below),
            // Already noted as an unknown field.
            _ => None,
        };
        tests.extend(test);
    }
    if fields.len() == 0 {
        problems.note(&node.path, "eq, in, not, gt or lt", "nothing");
    }
    Some(Test::All(tests))
}

fn read_values(node: &Node<'_>, kind: Kind, problems: &mut Problems) -> Option<Vec<Scalar>> {
    let items = node.array(VALUES_MAX, problems)?;
    let read = |item: &Node<'_>| read_scalar(item, kind, problems);
    Some(items.iter().filter_map(read).collect())
}

fn read_scalar(node: &Node<'_>, kind: Kind, problems: &mut Problems) -> Option<Scalar> {
    match kind {
        Kind::Text => node
            .text(problems)
            .map(|text| Scalar::Text(text.to_owned())),
        Kind::Number => node.any_number(problems).map(Scalar::Number),
        Kind::Flag => node.flag(problems).map(Scalar::Flag),
    }
}

fn read_limit(node: &Node<'_>, kind: Kind, problems: &mut Problems) -> Option<f64> {
    if kind != Kind::Number {
        problems.note(&node.path, "gt and lt on a number only", "another trait");
        return None;
    }
    node.any_number(problems)
}
