//! What counts when targets are compared: the exponents of the score, and changes to them.

use super::read::{Node, Problems};
use super::schema::route as described;
use super::schema::route::EXPONENT_MAX;

/// How much each signal counts: the exponents of the score. 0 means not at all.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Prefer {
    pub price: f64,
    /// Time to first token.
    pub ttft: f64,
    /// Seconds per answer token.
    pub speed: f64,
    pub quality: f64,
    pub reliability: f64,
    /// How much of late the target said that it was rate limited.
    pub load: f64,
    /// How far its region stands in the route's ring from where the caller is.
    pub distance: f64,
    /// How much is left of the target's rate limits, while that is less than what is needed.
    pub room: f64,
}

impl Default for Prefer {
    /// Only what is short counts: it counts for nothing where there is plenty.
    fn default() -> Self {
        Self {
            price: 0.0,
            ttft: 0.0,
            speed: 0.0,
            quality: 0.0,
            reliability: 0.0,
            load: 0.0,
            distance: 0.0,
            room: 1.0,
        }
    }
}

/// Exponents that a rule, a strategy, a route or a caller gives; the others stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct PreferChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reliability: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<f64>,
}

impl Prefer {
    #[must_use]
    pub fn changed_by(self, change: PreferChange) -> Self {
        Self {
            price: change.price.unwrap_or(self.price),
            ttft: change.ttft.unwrap_or(self.ttft),
            speed: change.speed.unwrap_or(self.speed),
            quality: change.quality.unwrap_or(self.quality),
            reliability: change.reliability.unwrap_or(self.reliability),
            load: change.load.unwrap_or(self.load),
            distance: change.distance.unwrap_or(self.distance),
            room: change.room.unwrap_or(self.room),
        }
    }
}

impl PreferChange {
    /// These changes, with `over`'s where it has any.
    #[must_use]
    pub fn overridden_by(self, over: Self) -> Self {
        Self {
            price: over.price.or(self.price),
            ttft: over.ttft.or(self.ttft),
            speed: over.speed.or(self.speed),
            quality: over.quality.or(self.quality),
            reliability: over.reliability.or(self.reliability),
            load: over.load.or(self.load),
            distance: over.distance.or(self.distance),
            room: over.room.or(self.room),
        }
    }

    pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Self {
        let Some(fields) = node.described(&described::PREFER, problems) else {
            return Self::default();
        };
        let mut exponent = |name: &str| {
            let node = fields.field(name)?;
            node.number(0.0, EXPONENT_MAX, problems)
        };
        Self {
            price: exponent("price"),
            ttft: exponent("ttft"),
            speed: exponent("speed"),
            quality: exponent("quality"),
            reliability: exponent("reliability"),
            load: exponent("load"),
            distance: exponent("distance"),
            room: exponent("room"),
        }
    }
}
