//! Decides a recorded request again, under a route of today.
//!
//! A record holds all that a decision depends on, so the same route gives the same plan. Health is found by provider
//! and model, under which it is kept: a target that was only renamed keeps what was known of it. One that the record
//! does not know counts as never asked.

use crate::classify::Traits;
use crate::config::{Route, Target};
use crate::decide::{Candidate, Plan, plan};
use crate::health::View;

/// The plan for these traits. `known` are the candidates as they were recorded.
pub(super) fn plan_again(traits: &Traits, known: &[Candidate], route: &Route, seed: u64) -> Plan {
    let view = |target: &Target| {
        let same = known.iter().find(|known| is_same(known, target));
        same.map_or_else(View::default, |known| known.health)
    };
    let views: Vec<View> = route.targets.iter().map(view).collect();
    plan(traits, route, &views, seed)
}

/// Whether the candidate asked the same model of the same provider.
pub(super) fn is_same(known: &Candidate, target: &Target) -> bool {
    known.provider == target.provider.name && known.model == target.model
}
