//! Where a plan's randomness comes from.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::classify::Traits;
use crate::config::{Route, Sticky};

/// The number that every draw of a plan depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed {
    /// In hexadecimal digits on the wire: JSON readers round integers beyond 2^53.
    #[serde(with = "hex")]
    pub value: u64,
    pub source: SeedSource,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeedSource {
    /// Fresh bits for each request.
    Random,
    Session,
    User,
    Key,
    Header,
}

impl Seed {
    /// A hash of what the route is sticky to, where the request has it; otherwise `random`. The route's name is
    /// hashed as well, so that two routes split the same sessions independently.
    #[must_use]
    pub fn of(route: &Route, traits: &Traits, random: u64) -> Self {
        let (source, value) = match &route.sticky {
            None => (SeedSource::Random, None),
            Some(Sticky::Session) => (SeedSource::Session, traits.session.as_ref()),
            Some(Sticky::User) => (SeedSource::User, traits.user.as_ref()),
            Some(Sticky::Key) => (SeedSource::Key, Some(&traits.key)),
            Some(Sticky::Header(name)) => (SeedSource::Header, traits.headers.get(name)),
        };
        match value {
            Some(value) => Self {
                value: xxh3_64(format!("{}\n{value}", route.name).as_bytes()),
                source,
            },
            None => Self {
                value: random,
                source: SeedSource::Random,
            },
        }
    }
}

mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:016x}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let digits = String::deserialize(deserializer)?;
        u64::from_str_radix(&digits, 16).map_err(D::Error::custom)
    }
}
