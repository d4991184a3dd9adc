//! The one request that all simulated clients make, and the bytes that all simulated providers answer with.

use std::sync::Arc;

use super::place::Pop;
use crate::classify::{Caller, Traits};
use crate::config::Route;
use crate::decide::{Seed, SeedSource};
use crate::dialects::{ClientDialect, ClientHeaders, Delivery, Form, Outline, Prefix, outline};
use crate::exchange::{Order, ProviderHead, Routing};
use crate::journal::ConfigRevisions;
use crate::units::{Millis, Tokens, UnixMillis};

const BODY: &[u8] =
    br#"{"model":"simulated","stream":true,"messages":[{"role":"user","content":"Hello."}]}"#;
const BEGINNING: &[u8] = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n";
const PIECE: &[u8] = BEGINNING;

#[derive(Debug)]
pub(super) struct Template {
    route: Arc<Route>,
    traits: Traits,
}

impl Template {
    pub fn new(route: &Arc<Route>) -> Self {
        // The body is ours, and readable.
        let outline: Outline = outline(ClientDialect::OpenaiChat, BODY).unwrap_or_default();
        let caller = Caller {
            dialect: Some(ClientDialect::OpenaiChat),
            key: "simulated".to_owned(),
            ..Caller::default()
        };
        Self {
            route: Arc::clone(route),
            traits: Traits::of(&outline, &route.name, caller),
        }
    }

    /// The `number`th request.
    pub fn order(
        &self,
        number: u64,
        team: usize,
        pop: &Pop,
        prompt_tokens: u64,
        seed: u64,
        now: UnixMillis,
    ) -> Order {
        let mut traits = self.traits.clone();
        traits.team = Some(format!("team-{team}"));
        traits.continent = Some(pop.region.clone());
        traits.pop = Some(pop.name.clone());
        traits.prompt_tokens = Tokens(prompt_tokens);
        traits.at = now;
        Order {
            id: number.to_string(),
            client: ClientDialect::OpenaiChat,
            headers: ClientHeaders::default(),
            delivery: Delivery::default(),
            form: Form::default(),
            body: BODY.to_vec(),
            prefix: Prefix::default(),
            routing: Routing {
                traits,
                route: Arc::clone(&self.route),
                via: Vec::new(),
                config: ConfigRevisions::default(),
                seed: Seed {
                    value: seed,
                    source: SeedSource::Random,
                },
            },
            fallbacks: Vec::new(),
            is_explained: false,
        }
    }
}

/// A stream's headers and first good token.
pub(super) fn beginning() -> (ProviderHead, Vec<u8>) {
    (head(200, "text/event-stream"), BEGINNING.to_vec())
}

/// What comes between.
pub(super) fn piece() -> Vec<u8> {
    PIECE.to_vec()
}

/// The end of a whole answer, with its usage.
pub(super) fn end(prompt: u64, answer: u64) -> Vec<u8> {
    format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}],\
         \"usage\":{{\"prompt_tokens\":{prompt},\"completion_tokens\":{answer}}}}}\n\n\
         data: [DONE]\n\n"
    )
    .into_bytes()
}

/// The head of a refusal.
pub(super) fn refusal(status: u16, retry_after: Option<Millis>) -> ProviderHead {
    ProviderHead {
        retry_after_ms: retry_after.map(|wait| wait.0.to_string()),
        ..head(status, "application/json")
    }
}

fn head(status: u16, content_type: &str) -> ProviderHead {
    ProviderHead {
        status,
        content_type: content_type.to_owned(),
        ..ProviderHead::default()
    }
}
