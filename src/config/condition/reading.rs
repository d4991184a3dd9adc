//! Conditions as a team writes them: JSON becomes a [`When`], or problems.
//!
//! How many conditions there are, how deep they stand in each other and how large a pattern is when compiled are limited
//! for a route as a whole, so one [`Reading`] reads all of them.

use regex_lite::RegexBuilder;

use super::{Condition, Kind, Pattern, SUBJECTS, Scalar, Subject, Test, Texts, When};
use crate::config::read::{Node, Object, Problems};
use crate::config::schema::when::{PATTERN_BYTES_MAX, SECRET_HEADERS, VALUES_MAX, WHEN};
use crate::config::window::Window;

/// Conditions of one route, those inside `any`, `all` and `none` included.
const CONDITIONS_MAX: usize = 512;
/// How deep `any`, `all`, `none` and `not` may stand in each other.
const DEPTH_MAX: usize = 16;
/// The compiled size of one pattern: `(a{99}){99}` is refused, any reasonable list of words is not.
const PATTERN_SIZE_MAX: usize = 64 * 1024;
/// Tests of message text in one route: each reads the text once more.
const TEXTS_MAX: usize = 16;

/// What reading a route's conditions needs and gathers.
pub(in crate::config) struct Reading<'p> {
    pub problems: &'p mut Problems,
    pub warnings: &'p mut Problems,
    pub texts: Texts,
    conditions: usize,
}

impl<'p> Reading<'p> {
    pub fn new(problems: &'p mut Problems, warnings: &'p mut Problems) -> Self {
        Self {
            problems,
            warnings,
            texts: Texts::new(),
            conditions: 0,
        }
    }

    /// Counts one more condition; a problem once there are too many.
    fn admit(&mut self, node: &Node<'_>, depth: usize) -> bool {
        self.conditions += 1;
        if self.conditions == CONDITIONS_MAX + 1 {
            let expected = format!("at most {CONDITIONS_MAX} conditions in a route");
            self.problems.note(&node.path, expected, "more");
        }
        if depth > DEPTH_MAX {
            let expected = format!("at most {DEPTH_MAX} levels of any, all, none and not");
            self.problems.note(&node.path, expected, "more");
        }
        self.conditions <= CONDITIONS_MAX && depth <= DEPTH_MAX
    }

    pub fn when(&mut self, node: &Node<'_>) -> When {
        self.when_at(node, 0)
    }

    fn when_at(&mut self, node: &Node<'_>, depth: usize) -> When {
        let mut parts = Vec::new();
        if !self.admit(node, depth) {
            return When::All(parts);
        }
        let Some(fields) = node.described(&WHEN, self.problems) else {
            return When::All(parts);
        };
        for (name, subject, kind) in SUBJECTS {
            if let Some(node) = fields.field(name) {
                self.warn_of_unset(subject, &node);
                let test = self.test(&node, *kind, depth);
                let subject = subject.clone();
                parts.extend(test.map(|test| When::Is(Condition { subject, test })));
            }
        }
        self.named(&fields, "headers", &mut parts, depth);
        self.named(&fields, "metadata", &mut parts, depth);
        parts.extend(self.text(&fields, depth));
        if let Some(node) = fields.field("time") {
            parts.extend(Window::read(&node, self.problems).map(When::Time));
        }
        if let Some(node) = fields.field("all") {
            parts.push(When::All(self.group(&node, depth)));
        }
        if let Some(node) = fields.field("any") {
            parts.push(When::Any(self.group(&node, depth)));
        }
        if let Some(node) = fields.field("none") {
            let any = When::Any(self.group(&node, depth));
            parts.push(When::Not(Box::new(any)));
        }
        When::All(parts)
    }

    fn group(&mut self, node: &Node<'_>, depth: usize) -> Vec<When> {
        let Some(items) = node.array(VALUES_MAX, self.problems) else {
            return Vec::new();
        };
        if items.is_empty() {
            let expected = "a list of at least one condition";
            self.problems.note(&node.path, expected, "none");
        }
        let read = |item: &Node<'_>| self.when_at(item, depth + 1);
        items.iter().map(read).collect()
    }

    fn warn_of_unset(&mut self, subject: &Subject, node: &Node<'_>) {
        if matches!(
            subject,
            Subject::Sensitive | Subject::Topic | Subject::Difficulty
        ) {
            self.warnings.note(
                &node.path,
                "the caller to state it, as in `x-waypost-tags: topic=code`: no classifier sets it yet",
                "a condition that holds only then",
            );
        }
    }

    /// Conditions on headers or metadata, by the names that the team gives.
    fn named(&mut self, fields: &Object<'_>, group: &str, parts: &mut Vec<When>, depth: usize) {
        let Some(node) = fields.field(group) else {
            return;
        };
        let Some(named) = node.open_object(self.problems) else {
            return;
        };
        for (name, node) in named.fields() {
            let subject = if group == "headers" {
                Subject::Header(name.to_ascii_lowercase())
            } else {
                Subject::Metadata(name.to_owned())
            };
            if let Subject::Header(name) = &subject
                && SECRET_HEADERS.contains(&name.as_str())
            {
                let expected = "a header that carries no secret";
                self.problems.note(&node.path, expected, name);
            } else if let Some(test) = self.test(&node, Kind::Text, depth) {
                parts.push(When::Is(Condition { subject, test }));
            }
        }
    }

    /// A test of the user's text is kept apart; what stays here asks whether it matched.
    fn text(&mut self, fields: &Object<'_>, depth: usize) -> Option<When> {
        let node = fields.field("text")?;
        let test = self.test(&node, Kind::Text, depth)?;
        let subject = Subject::Text(self.texts.len());
        self.texts.push(test);
        if self.texts.len() == TEXTS_MAX + 1 {
            let expected = format!("at most {TEXTS_MAX} conditions on text in a route");
            self.problems.note(&node.path, expected, "more");
        }
        let test = Test::In(vec![Scalar::Flag(true)]);
        Some(When::Is(Condition { subject, test }))
    }

    /// A value, a list of values, or an object of operators that must all hold.
    fn test(&mut self, node: &Node<'_>, kind: Kind, depth: usize) -> Option<Test> {
        if !self.admit(node, depth) {
            return None;
        }
        if node.value.is_array() {
            return self.values(node, kind).map(Test::In);
        }
        if !node.value.is_object() {
            return self.scalar(node, kind).map(|value| Test::In(vec![value]));
        }
        let description = kind.operators();
        let operators = description.names();
        let fields = node.described(description, self.problems)?;
        if fields.len() == 0 {
            let expected = format!("one of {}", operators.join(", "));
            self.problems.note(&node.path, expected, "nothing");
        }
        let mut tests = Vec::new();
        for operator in &operators {
            if let Some(node) = fields.field(operator) {
                tests.extend(self.operator(operator, &node, kind, depth + 1));
            }
        }
        Some(Test::All(tests))
    }

    fn operator(&mut self, name: &str, node: &Node<'_>, kind: Kind, depth: usize) -> Option<Test> {
        match name {
            "eq" => self.scalar(node, kind).map(|value| Test::In(vec![value])),
            "in" => self.values(node, kind).map(Test::In),
            "not" => Some(Test::Not(Box::new(self.test(node, kind, depth)?))),
            "any" => Some(Test::Any(self.tests(node, kind, depth))),
            "all" => Some(Test::All(self.tests(node, kind, depth))),
            "none" => {
                let any = Test::Any(self.tests(node, kind, depth));
                Some(Test::Not(Box::new(any)))
            }
            "gt" => node.any_number(self.problems).map(Test::Above),
            "lt" => node.any_number(self.problems).map(Test::Below),
            "between" => self.between(node),
            _ => self.pattern(name, node).map(Test::Matches),
        }
    }

    fn tests(&mut self, node: &Node<'_>, kind: Kind, depth: usize) -> Vec<Test> {
        let items = node.array(VALUES_MAX, self.problems).unwrap_or_default();
        let read = |item: &Node<'_>| self.test(item, kind, depth);
        items.iter().filter_map(read).collect()
    }

    fn between(&mut self, node: &Node<'_>) -> Option<Test> {
        let ends = node.array(2, self.problems)?;
        let [low, high] = ends.as_slice() else {
            self.problems
                .note(&node.path, "two numbers", format!("{}", ends.len()));
            return None;
        };
        let (low, high) = (
            low.any_number(self.problems)?,
            high.any_number(self.problems)?,
        );
        if low > high {
            self.problems
                .note(&node.path, "the smaller number first", "the larger one");
        }
        Some(Test::Between(low, high))
    }

    /// All but `regex` ignore ASCII case, as equality does.
    fn pattern(&mut self, operator: &str, node: &Node<'_>) -> Option<Pattern> {
        let text = node.text(self.problems)?;
        let written = match operator {
            "contains" => format!("(?i){}", regex_lite::escape(text)),
            "prefix" => format!("(?i)^{}", regex_lite::escape(text)),
            "glob" => format!("(?is)^{}$", of_glob(text)),
            _ => text.to_owned(),
        };
        let regex = RegexBuilder::new(&written)
            .size_limit(PATTERN_SIZE_MAX)
            .build();
        match regex {
            Ok(regex) if text.len() <= PATTERN_BYTES_MAX => Some(Pattern { written, regex }),
            Ok(_) => {
                let expected = format!("a pattern of at most {PATTERN_BYTES_MAX} bytes");
                self.problems
                    .note(&node.path, expected, format!("{} bytes", text.len()));
                None
            }
            Err(error) => {
                let expected =
                    "a regular expression of modest size, without look-around or back-references";
                self.problems.note(&node.path, expected, error.to_string());
                None
            }
        }
    }

    fn values(&mut self, node: &Node<'_>, kind: Kind) -> Option<Vec<Scalar>> {
        let items = node.array(VALUES_MAX, self.problems)?;
        let read = |item: &Node<'_>| self.scalar(item, kind);
        Some(items.iter().filter_map(read).collect())
    }

    fn scalar(&mut self, node: &Node<'_>, kind: Kind) -> Option<Scalar> {
        match kind {
            Kind::Text => node
                .text(self.problems)
                .map(|text| Scalar::Text(text.to_owned())),
            Kind::Number => node.any_number(self.problems).map(Scalar::Number),
            Kind::Flag => node.flag(self.problems).map(Scalar::Flag),
        }
    }
}

/// `*` is any text and `?` any one character.
fn of_glob(glob: &str) -> String {
    let mut pattern = String::with_capacity(glob.len() * 2);
    for part in glob.chars() {
        match part {
            '*' => pattern.push_str(".*"),
            '?' => pattern.push('.'),
            other => pattern.push_str(&regex_lite::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    pattern
}
