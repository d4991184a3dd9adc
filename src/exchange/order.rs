//! What an exchange begins with.

use std::sync::Arc;

use crate::classify::Traits;
use crate::config::{Route, Target};
use crate::decide::{Plan, Seed, plan};
use crate::dialects::Dialect;
use crate::health::{Health, View};
use crate::journal::{ConfigRevisions, Decision, Explanation};
use crate::units::UnixMillis;

/// All that an exchange begins with.
#[derive(Debug)]
pub struct Order {
    pub id: String,
    pub client: Dialect,
    /// The request as the client sent it.
    pub body: Vec<u8>,
    pub traits: Traits,
    pub route: Arc<Route>,
    /// The routes whose rules sent the request on to this one.
    pub via: Vec<String>,
    pub config: ConfigRevisions,
    pub seed: Seed,
    /// Whether the client asked for the decision, in the response's headers.
    pub is_explained: bool,
}

impl Order {
    /// What an exchange that begins now would decide. Sends nothing, and changes nothing.
    #[must_use]
    pub fn explain(&self, health: &Health, now: UnixMillis) -> Explanation {
        self.explanation(&self.plan(health, now))
    }

    pub(super) fn plan(&self, health: &Health, now: UnixMillis) -> Plan {
        let view = |target: &Target| health.view(&target.health_key(), now);
        let views: Vec<View> = self.route.targets.iter().map(view).collect();
        plan(&self.traits, &self.route, &views, self.seed.value)
    }

    pub(super) fn explanation(&self, plan: &Plan) -> Explanation {
        Explanation::new(
            self.route.name.clone(),
            self.via.clone(),
            Some(self.config.clone()),
            self.traits.clone(),
            Decision::of(plan, &self.route, self.seed),
        )
    }
}
