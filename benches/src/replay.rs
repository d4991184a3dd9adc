//! A decision made again from what a record holds, told to the last bit.
//!
//! A world is one line of JSON: the route's entry, and the traits, the health and the seed of a record. What comes out
//! is one line of text in which every number is the 16 hexadecimal digits of its bits, so that two runs can be compared
//! as text. `tests/suite/replay.rs` compiles this file too: the host and wasm run the same lines.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::value::RawValue;
use waypost::classify::Traits;
use waypost::config::{Catalogue, Route};
use waypost::decide::{Seed, plan};
use waypost::health::View;

/// What a decision is made from.
#[derive(Deserialize)]
struct World<'a> {
    #[serde(borrow)]
    route: &'a RawValue,
    traits: Traits,
    health: Vec<View>,
    seed: Seed,
}

/// Decides, or says what is wrong with the line.
pub fn replay(line: &str) -> String {
    let world: World = match serde_json::from_str(line) {
        Ok(world) => world,
        Err(error) => return format!("not a world: {error}"),
    };
    let route = match Route::parse("replayed", world.route.get(), &Catalogue::default()) {
        Ok(checked) => checked.value,
        Err(problems) => return format!("not a route: {problems:?}"),
    };
    // Where the route is sticky, the seed follows from the traits, and that is replayed too.
    let seed = Seed::of(&route, &world.traits, world.seed.value);
    let plan = plan(&world.traits, &route, &world.health, seed.value);
    let mut told = format!("{:016x} rules {}", seed.value, plan.rules.join(" "));
    for candidate in &plan.candidates {
        let bits = f64::to_bits;
        let (score, share) = (bits(candidate.score), bits(candidate.share));
        let cost = bits(candidate.signals.cost.0);
        let _ = write!(
            told,
            " | {} {score:016x} {share:016x} {cost:016x}",
            candidate.target
        );
        if let Some(why) = &candidate.excluded {
            let why = serde_json::to_string(why).unwrap_or_default();
            let _ = write!(told, " {why}");
        }
    }
    let _ = write!(
        told,
        " | order {:?} {:016x}",
        plan.order,
        plan.propensity().to_bits()
    );
    told
}
