//! What a route asks about a request beyond its outline: headers, metadata, and whether its text matches.
//!
//! Nothing else of these is read, because what is read goes into the record. So does what the caller says of the
//! targets, which is read here as well.

use super::Caller;
use crate::chat::RequestError;
use crate::config::{Constraints, Fact, Problem, Route, TEXT_BYTES_MAX, Test};
use crate::dialects::{
    CONSTRAINT_BYTES_MAX, ClientDialect, Endpoint, Ours, Outline, metadata, user_text,
};

/// The header with limits for one request.
pub const LIMITS_HEADER: &str = "x-waypost-limits";
/// A longer value of a header or of metadata that a rule or the record reads is cut.
const VALUE_CHARS_MAX: usize = 1_024;

#[must_use]
pub fn shortened(value: &str) -> String {
    value.chars().take(VALUE_CHARS_MAX).collect()
}

impl Caller {
    /// Reads what the caller says of the targets: `header` is the value of `x-waypost-limits`.
    ///
    /// # Errors
    /// The first mistake, by its path.
    pub fn constrain(
        &mut self,
        outline: &Outline,
        header: Option<&str>,
    ) -> Result<(), RequestError> {
        let Ours {
            waypost, provider, ..
        } = &outline.ours;
        if header.is_some_and(|text| text.len() > CONSTRAINT_BYTES_MAX) {
            return Err(RequestError::Invalid {
                field: LIMITS_HEADER.to_owned(),
                expected: format!("at most {CONSTRAINT_BYTES_MAX} bytes"),
            });
        }
        self.constraints = Constraints::parse(header, waypost.as_deref(), provider.as_deref())
            .map_err(|problems| refusal(&problems))?;
        Ok(())
    }

    /// Adds what this route asks about. `header` looks one up by its name in lower case.
    pub fn ask_for(&mut self, route: &Route, body: &[u8], header: impl Fn(&str) -> Option<String>) {
        for name in route.headers() {
            if let Some(value) = header(name) {
                self.headers.insert(name.to_owned(), shortened(&value));
            }
        }
        let asked = route.metadata();
        if !asked.is_empty() {
            let found = metadata(body, &asked);
            let found = found.into_iter();
            self.metadata
                .extend(found.map(|(name, value)| (name, shortened(&value))));
        }
        self.text_matches.clear();
        if !route.texts.is_empty() {
            let dialect = self.dialect.unwrap_or(ClientDialect::OpenaiChat);
            let has_messages = matches!(self.endpoint, Endpoint::Chat | Endpoint::CountTokens);
            let text = has_messages.then(|| user_text(dialect, body, TEXT_BYTES_MAX).ok());
            // A body that we cannot take apart may still match as it is; a rule that guards must not be passed by.
            let text = text.flatten().unwrap_or_else(|| {
                let start = body.len().saturating_sub(TEXT_BYTES_MAX);
                String::from_utf8_lossy(body.get(start..).unwrap_or_default()).into_owned()
            });
            let matches = |test: &Test| test.matches(Fact::Text(&text));
            self.text_matches.extend(route.texts.iter().map(matches));
        }
    }
}

/// The first problem, for the caller. What stood there is not repeated: it is the caller's own.
fn refusal(problems: &[Problem]) -> RequestError {
    let Some(problem) = problems.first() else {
        return RequestError::Invalid {
            field: LIMITS_HEADER.to_owned(),
            expected: "limits for this request".to_owned(),
        };
    };
    let nearest = problem.nearest.as_ref();
    let hint = nearest.map(|nearest| format!("; did you mean `{nearest}`?"));
    let more = (problems.len() > 1).then(|| format!(" (and {} more problems)", problems.len() - 1));
    let words = [
        problem.expected.as_str(),
        hint.as_deref().unwrap_or_default(),
        more.as_deref().unwrap_or_default(),
    ];
    RequestError::Invalid {
        field: problem.path.clone(),
        expected: words.concat(),
    }
}
