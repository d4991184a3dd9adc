//! A request becomes traits: all that is known of it before it is sent.
//!
//! Traits are plain data and go into the record, so that a decision can be replayed. They hold no prompt text.
//! What only a classifier could tell (topic, difficulty, sensitivity) is unknown unless the caller states it in
//! `x-waypost-tags`, as `topic=code`, `difficulty=0.7` or `sensitive`.
//!
//! Not here: what a dialect's body looks like; [`Outline`] has been read by then.

mod asked;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::{Constraints, Fact, Subject};
use crate::dialects::{Asks, ClientDialect, Endpoint, Features, Outline};
use crate::units::{Tokens, UnixMillis};

pub use asked::{LIMITS_HEADER, shortened};

/// Tags beyond this are ignored: they come from the caller and go into the record.
const TAGS_MAX: usize = 32;
const TAG_BYTES_MAX: usize = 128;

/// Who asks, from where: what the edge knows besides the body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Caller {
    /// The wire format of the request.
    pub dialect: Option<ClientDialect>,
    pub endpoint: Endpoint,
    /// The name of the virtual key, never the key.
    pub key: String,
    pub team: Option<String>,
    pub session: Option<String>,
    pub user: Option<String>,
    /// The value of `x-waypost-tags`.
    pub tags: Option<String>,
    /// ISO 3166-1, two letters.
    pub country: Option<String>,
    pub continent: Option<String>,
    /// The airport code of the place that serves the request.
    pub pop: Option<String>,
    /// Only the headers that the route asks about, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Only the strings of the body's `metadata` that the route asks about.
    pub metadata: BTreeMap<String, String>,
    /// Whether the user's text matched, for each of the route's tests of it.
    pub text_matches: Vec<bool>,
    /// When the request came.
    pub at: UnixMillis,
    /// What the caller says of the targets, from the header and the body.
    pub constraints: Constraints,
}

/// All that a decision may depend on, besides the route and health.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own that a rule may ask about"
)]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Traits {
    /// The client's wire format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<ClientDialect>,
    /// What is asked of the API; absent for a conversation.
    #[serde(skip_serializing_if = "Endpoint::is_chat")]
    pub endpoint: Endpoint,
    pub model: String,
    pub key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// A hash: enough to see which requests belong together, nothing to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// A hash, as `session`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pop: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Whether the user's text matched, for each of the route's tests of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub text_matches: Vec<bool>,
    /// When the request came, for rules on the time.
    pub at: UnixMillis,
    pub messages: u32,
    /// Estimated from the text, images and sounds of the prompt, for no model in particular.
    pub prompt_tokens: Tokens,
    /// Those of `prompt_tokens` that stand for images.
    #[serde(skip_serializing_if = "Tokens::is_none")]
    pub image_tokens: Tokens,
    /// Those of `prompt_tokens` that stand for sounds.
    #[serde(skip_serializing_if = "Tokens::is_none")]
    pub audio_tokens: Tokens,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_tokens_max: Option<Tokens>,
    pub is_streaming: bool,
    pub has_tools: bool,
    pub has_images: bool,
    pub has_json_schema: bool,
    /// Whether the last message is the beginning of the answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub has_prefill: bool,
    /// What it asks for that not every dialect can carry.
    #[serde(skip_serializing_if = "Asks::is_empty")]
    pub asks: Asks,
    /// In records of before `asks`: the first field that only a target of the client's own dialect could carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unportable: Option<String>,
    /// In records of before `asks`: the first field that a target of another dialect would not get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<String>,
    /// What the caller demands or wishes of the targets; absent where it said nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraints: Option<Box<Constraints>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difficulty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_sensitive: Option<bool>,
}

impl Traits {
    #[must_use]
    /// `model` is the client's name for what it wants: that of the outline, or another of its `models`.
    pub fn of(outline: &Outline, model: &str, caller: Caller) -> Self {
        let tags = tags_of(caller.tags.as_deref().unwrap_or_default());
        let stated = |name: &str| {
            let value = |tag: &String| {
                let (key, value) = tag.split_once('=')?;
                key.eq_ignore_ascii_case(name).then(|| value.to_owned())
            };
            tags.iter().find_map(value)
        };
        let is_difficulty = |number: &f64| (0.0..=1.0).contains(number);
        let difficulty = stated("difficulty")
            .and_then(|text| text.parse().ok())
            .filter(is_difficulty);
        let is_sensitive = tags.iter().any(|tag| tag.eq_ignore_ascii_case("sensitive"));
        Self {
            dialect: caller.dialect,
            endpoint: caller.endpoint,
            model: model.to_owned(),
            key: caller.key,
            team: caller.team,
            session: caller.session.as_deref().map(pseudonym),
            user: caller
                .user
                .as_deref()
                .or(outline.user.as_deref())
                .map(pseudonym),
            country: caller.country,
            continent: caller.continent,
            pop: caller.pop,
            headers: caller.headers,
            metadata: caller.metadata,
            text_matches: caller.text_matches,
            at: caller.at,
            messages: outline.message_count,
            prompt_tokens: outline.prompt_tokens(),
            image_tokens: outline.image_tokens(),
            audio_tokens: outline.audio_tokens,
            answer_tokens_max: outline.answer_tokens_max,
            is_streaming: outline.is_streaming,
            has_tools: outline.tool_count > 0,
            has_images: outline.image_count > 0,
            has_json_schema: outline.wants_json_schema,
            has_prefill: outline.last_role_is_assistant,
            asks: outline.asks.clone(),
            unportable: None,
            dropped: None,
            constraints: (!caller.constraints.is_empty()).then(|| Box::new(caller.constraints)),
            topic: stated("topic"),
            difficulty,
            is_sensitive: is_sensitive.then_some(true),
            tags,
        }
    }

    /// The field that a target which is given `carried` cannot be given, and without which the answer would mean
    /// something else.
    #[must_use]
    pub fn beyond(&self, carried: Features) -> Option<&str> {
        let old = self.unportable.as_deref();
        let old = old.filter(|_| !carried.is_own());
        old.or_else(|| Some(self.asks.beyond(carried)?.field.as_str()))
    }

    /// The fields that such a target is not given, though it is asked.
    pub fn dropped_by(&self, carried: Features) -> impl Iterator<Item = &str> {
        let old = self.dropped.as_deref();
        let old = old.filter(|_| !carried.is_own());
        let asked = self.asks.dropped(carried);
        old.into_iter().chain(asked.map(|ask| ask.field.as_str()))
    }

    /// Whether the answer can be told in the words of `chat`.
    #[must_use]
    pub fn is_portable(&self) -> bool {
        self.unportable.is_none() && self.asks.are_portable()
    }

    /// Those of `prompt_tokens` that stand for text.
    #[must_use]
    pub fn text_tokens(&self) -> Tokens {
        let others = self.image_tokens + self.audio_tokens;
        Tokens(self.prompt_tokens.0.saturating_sub(others.0))
    }

    /// What a rule's subject finds here.
    #[must_use]
    pub fn fact(&self, subject: &Subject) -> Fact<'_> {
        match subject {
            Subject::Header(name) => text(self.headers.get(name)),
            Subject::Metadata(name) => text(self.metadata.get(name)),
            Subject::Text(number) => self
                .text_matches
                .get(*number)
                .map_or(Fact::Unknown, |matched| Fact::Flag(*matched)),
            Subject::Tags => Fact::Texts(&self.tags),
            Subject::Country => text(self.country.as_ref()),
            Subject::Continent => text(self.continent.as_ref()),
            Subject::Pop => text(self.pop.as_ref()),
            Subject::Key => Fact::Text(&self.key),
            Subject::Team => text(self.team.as_ref()),
            Subject::Model => Fact::Text(&self.model),
            Subject::PromptTokens => Fact::Number(self.prompt_tokens.as_f64()),
            Subject::AnswerTokensMax => self
                .answer_tokens_max
                .map_or(Fact::Unknown, |tokens| Fact::Number(tokens.as_f64())),
            Subject::Messages => Fact::Number(f64::from(self.messages)),
            Subject::Images => Fact::Flag(self.has_images),
            Subject::Tools => Fact::Flag(self.has_tools),
            Subject::JsonSchema => Fact::Flag(self.has_json_schema),
            Subject::Stream => Fact::Flag(self.is_streaming),
            Subject::Sensitive => self.is_sensitive.map_or(Fact::Unknown, Fact::Flag),
            Subject::Topic => text(self.topic.as_ref()),
            Subject::Difficulty => self.difficulty.map_or(Fact::Unknown, Fact::Number),
        }
    }
}

fn text(value: Option<&String>) -> Fact<'_> {
    value.map_or(Fact::Unknown, |value| Fact::Text(value))
}

/// Comma-separated, trimmed, bounded.
fn tags_of(value: &str) -> Vec<String> {
    value
        .split(',')
        .map(str::trim)
        .filter(|tag| !tag.is_empty() && tag.len() <= TAG_BYTES_MAX)
        .take(TAGS_MAX)
        .map(str::to_owned)
        .collect()
}

/// The same for the same text, and not reversible by reading: callers put mail addresses into these fields.
fn pseudonym(text: &str) -> String {
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stated_traits_come_from_tags() {
        let caller = Caller {
            tags: Some("gold, topic=code ,difficulty=0.7,,Sensitive".to_owned()),
            ..Caller::default()
        };
        let traits = Traits::of(&Outline::default(), "", caller);
        assert_eq!(
            traits.tags,
            ["gold", "topic=code", "difficulty=0.7", "Sensitive"]
        );
        assert_eq!(traits.topic.as_deref(), Some("code"));
        assert_eq!(traits.difficulty, Some(0.7));
        assert_eq!(traits.is_sensitive, Some(true));
    }

    #[test]
    fn tags_are_bounded() {
        let many = vec!["t"; 100].join(",");
        assert_eq!(tags_of(&many).len(), TAGS_MAX);
        assert_eq!(tags_of(&"x".repeat(TAG_BYTES_MAX + 1)), [""; 0]);
    }

    #[test]
    fn nonsense_difficulty_is_unknown() {
        for stated in [
            "difficulty=NaN",
            "difficulty=7",
            "difficulty=-1",
            "difficulty=x",
        ] {
            let caller = Caller {
                tags: Some(stated.to_owned()),
                ..Caller::default()
            };
            let traits = Traits::of(&Outline::default(), "", caller);
            assert_eq!(traits.difficulty, None, "{stated}");
        }
    }

    #[test]
    fn user_is_the_headers_or_else_the_bodys() {
        let outline = Outline {
            user: Some("body".to_owned()),
            ..Outline::default()
        };
        let by_header = Caller {
            user: Some("header".to_owned()),
            ..Caller::default()
        };
        assert_eq!(
            Traits::of(&outline, "", by_header).user,
            Some(pseudonym("header"))
        );
        assert_eq!(
            Traits::of(&outline, "", Caller::default()).user,
            Some(pseudonym("body"))
        );
        assert_eq!(
            Traits::of(&Outline::default(), "", Caller::default()).user,
            None
        );
    }

    #[test]
    fn session_and_user_are_not_readable() {
        let caller = Caller {
            session: Some("ann@example.com".to_owned()),
            ..Caller::default()
        };
        let written = serde_json::to_string(&Traits::of(&Outline::default(), "", caller));
        assert!(!written.is_ok_and(|text| text.contains("ann")));
    }
}
