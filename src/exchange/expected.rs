//! What the plan expected of a prompt at one target.
//!
//! An attempt keeps it: by the time of the answer, another plan may count.

use super::Exchange;
use crate::decide::{prompt_tokens, warm_tokens};
use crate::health::Expected;
use crate::units::Tokens;

#[derive(Clone, Copy, Debug)]
pub(super) struct Expectation {
    /// As this target counts tokens, for when it does not count them itself.
    pub prompt: Tokens,
    /// What health compares with the provider's own count.
    pub lesson: Expected,
}

impl Exchange {
    /// For the target at this place of the plan.
    pub(super) fn expect(&self, place: usize) -> Expectation {
        let traits = &self.order.routing.traits;
        let candidate = self.plan.candidates.get(place);
        let view = candidate
            .map(|candidate| candidate.health)
            .unwrap_or_default();
        let is_text_alone = traits.text_tokens() == traits.prompt_tokens;
        Expectation {
            prompt: prompt_tokens(traits, &view),
            lesson: Expected {
                text: is_text_alone.then_some(traits.prompt_tokens),
                warm: warm_tokens(traits, &view),
            },
        }
    }
}
