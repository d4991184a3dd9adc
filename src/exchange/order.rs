//! What an exchange begins with.

use std::sync::Arc;

use crate::classify::Traits;
use crate::config::{Route, Target};
use crate::decide::{Candidate, Plan, Seed, plan};
use crate::dialects::{ClientDialect, ClientHeaders, Delivery, Endpoint, Form, Prefix};
use crate::health::{Health, View};
use crate::journal::{ConfigRevisions, Decision, Explanation};
use crate::units::UnixMillis;

/// All that an exchange begins with.
#[derive(Debug)]
pub struct Order {
    pub id: String,
    pub client: ClientDialect,
    /// What the client's headers say of the body.
    pub headers: ClientHeaders,
    /// How the pieces of a streamed answer are held together.
    pub delivery: Delivery,
    /// The request as the client sent it.
    pub body: Vec<u8>,
    /// How it is written. A conversation is always JSON.
    pub form: Form,
    /// The beginnings of the prompt. Beside the traits, because no record may hold them.
    pub prefix: Prefix,
    /// For the name that the client asked for.
    pub routing: Routing,
    /// For each further name of the client's `models`, in its order: what is tried once no target of those before is
    /// left.
    pub fallbacks: Vec<Routing>,
    /// Whether the client asked for the decision, in the response's headers.
    pub is_explained: bool,
}

/// A request, and the route that takes it.
#[derive(Debug)]
pub struct Routing {
    pub traits: Traits,
    pub route: Arc<Route>,
    /// The routes whose rules sent the request on to this one.
    pub via: Vec<String>,
    pub config: ConfigRevisions,
    pub seed: Seed,
}

impl Order {
    /// What is asked for, whichever route takes it.
    pub(super) fn endpoint(&self) -> Endpoint {
        self.routing.traits.endpoint
    }

    /// What an exchange that begins now would decide. Sends nothing, and changes nothing.
    #[must_use]
    pub fn explain(&self, health: &Health, now: UnixMillis) -> Explanation {
        let explain = |routing: &Routing| {
            let plan = routing.plan(&self.prefix, health, now);
            routing.explanation(&plan).explained()
        };
        Explanation {
            fallbacks: self.fallbacks.iter().map(explain).collect(),
            ..explain(&self.routing)
        }
    }
}

impl Routing {
    pub(super) fn plan(&self, prefix: &Prefix, health: &Health, now: UnixMillis) -> Plan {
        let targets = || self.route.targets.iter();
        let keys: Vec<String> = targets().map(Target::health_key).collect();
        let age = health.age(&keys, now);
        let view = |(target, key): (&Target, &String)| {
            let mut view = health.view(key, now);
            view.age = age;
            if is_cached(prefix, target) {
                view.warm_tokens = health.warm_tokens(key, self.scope(), prefix, now);
            }
            view
        };
        let views: Vec<View> = targets().zip(&keys).map(view).collect();
        plan(&self.traits, &self.route, &views, self.seed.value)
    }

    /// Whose prompts are compared with each other: those of one team, or of one key that has none.
    #[must_use]
    pub fn scope(&self) -> &str {
        self.traits.team.as_ref().unwrap_or(&self.traits.key)
    }

    pub(super) fn explanation(&self, plan: &Plan) -> Explanation<Candidate> {
        Explanation::new(
            self.route.name.clone(),
            self.via.clone(),
            Some(self.config.clone()),
            self.traits.clone(),
            Decision::of(plan, self.seed),
        )
    }
}

/// Whether the target's provider caches prompts such as this one, and asks less for them then.
pub(super) fn is_cached(prefix: &Prefix, target: &Target) -> bool {
    target.terms.has_prompt_cache() && prefix.is_cached_by(target.provider.dialect)
}
