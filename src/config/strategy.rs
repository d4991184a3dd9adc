//! Strategies: names for common settings of a route's plain fields.
//!
//! A strategy is expanded when the route is read, so nothing after this file knows that there are any. A field that
//! the route writes itself wins. `docs/decision.md` gives the equation of each.

use super::prefer::Prefer;
use super::read::{Node, Problems};
use super::route::Route;

/// What most teams mean by a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    /// The targets in the order in which they are written.
    Priority,
    /// In proportion to the weights.
    Weighted,
    Cheapest,
    FastestFirstToken,
    FastestFinish,
    /// A bit of everything, with some spread.
    Balanced,
    InverseSquarePrice,
    /// Away from targets that said they were rate limited.
    LeastLoaded,
    /// The best for the topic.
    Quality,
    /// The nearest region, and the next when that is down.
    Nearest,
}

const NAMES: [(&str, Strategy); 10] = [
    ("priority", Strategy::Priority),
    ("weighted", Strategy::Weighted),
    ("cheapest", Strategy::Cheapest),
    ("fastest_first_token", Strategy::FastestFirstToken),
    ("fastest_finish", Strategy::FastestFinish),
    ("balanced", Strategy::Balanced),
    ("inverse_square_price", Strategy::InverseSquarePrice),
    ("least_loaded", Strategy::LeastLoaded),
    ("quality", Strategy::Quality),
    ("nearest", Strategy::Nearest),
];

impl Strategy {
    pub fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        node.choice("a strategy", &NAMES, problems)
    }

    pub fn names() -> Vec<&'static str> {
        NAMES.iter().map(|(name, _)| *name).collect()
    }

    /// Sets the plain fields.
    pub fn expand(self, route: &mut Route) {
        let none = Prefer::default();
        let (prefer, temperature) = match self {
            Self::Priority => {
                rank_by_place(route);
                (none, 0.0)
            }
            Self::Weighted => (none, 1.0),
            Self::Cheapest => (Prefer { price: 1.0, ..none }, 0.0),
            Self::FastestFirstToken => (Prefer { ttft: 1.0, ..none }, 0.0),
            // The time of an answer is nearly all in its tokens, and what is not is in the first one.
            Self::FastestFinish => {
                let prefer = Prefer {
                    ttft: 0.25,
                    speed: 1.0,
                    ..none
                };
                (prefer, 0.0)
            }
            Self::Balanced => {
                let prefer = Prefer {
                    price: 1.0,
                    ttft: 0.5,
                    speed: 0.5,
                    quality: 2.0,
                    reliability: 2.0,
                    ..none
                };
                (prefer, 0.3)
            }
            Self::InverseSquarePrice => (Prefer { price: 2.0, ..none }, 1.0),
            Self::LeastLoaded => {
                let prefer = Prefer {
                    reliability: 1.0,
                    load: 2.0,
                    ..none
                };
                (prefer, 1.0)
            }
            Self::Quality => (
                Prefer {
                    quality: 1.0,
                    ..none
                },
                0.0,
            ),
            Self::Nearest => (
                Prefer {
                    distance: 1.0,
                    ..none
                },
                0.0,
            ),
        };
        route.prefer = prefer;
        route.temperature = temperature;
    }
}

/// Falling weights, so that at temperature 0 the order is the written one.
fn rank_by_place(route: &mut Route) {
    let mut weight = 1.0;
    for target in route.targets.iter_mut().rev() {
        target.weight = weight;
        weight += 1.0;
    }
}
