//! What a route asks about a request beyond its outline: headers, metadata, and whether its text matches.
//!
//! Nothing else of these is read, because what is read goes into the record.

use super::Caller;
use crate::config::{Fact, Route, TEXT_BYTES_MAX, Test};
use crate::dialects::{Dialect, metadata, user_text};

/// A longer value of a header or of metadata that a rule or the record reads is cut.
const VALUE_CHARS_MAX: usize = 1_024;

#[must_use]
pub fn shortened(value: &str) -> String {
    value.chars().take(VALUE_CHARS_MAX).collect()
}

impl Caller {
    /// Adds what this route asks about. `header` looks one up by its name in lower case.
    pub fn ask_for(&mut self, route: &Route, body: &[u8], header: impl Fn(&str) -> Option<String>) {
        for name in route.headers() {
            if let Some(value) = header(name) {
                self.headers.insert(name.to_owned(), shortened(&value));
            }
        }
        let asked = route.metadata();
        if !asked.is_empty() {
            let known = metadata(body);
            let asked = known
                .into_iter()
                .filter(|(name, _)| asked.contains(&name.as_str()));
            self.metadata
                .extend(asked.map(|(name, value)| (name, shortened(&value))));
        }
        self.text_matches.clear();
        if !route.texts.is_empty() {
            let dialect = self.dialect.unwrap_or(Dialect::OpenaiChat);
            // A body that we cannot take apart may still match as it is; a rule that guards must not be passed by.
            let text = user_text(dialect, body, TEXT_BYTES_MAX).unwrap_or_else(|_| {
                let start = body.len().saturating_sub(TEXT_BYTES_MAX);
                String::from_utf8_lossy(body.get(start..).unwrap_or_default()).into_owned()
            });
            let matches = |test: &Test| test.matches(Fact::Text(&text));
            self.text_matches.extend(route.texts.iter().map(matches));
        }
    }
}
