//! What the name of a Claude model says of what it takes, wherever it is served.
//!
//! Anthropic's newer models refuse with 400 what the older ones took, so a request that is translated must know:
//!
//! - From 4.1 on a temperature and a `top_p` are not taken together, and from 4.7 on neither is, nor `top_k`
//!   (<https://platform.claude.com/docs/en/api/migration-2026-10-21>).
//! - Opus from 5.5 on, and Fable and Mythos, cannot be made to call a tool
//!   (<https://platform.claude.com/docs/en/models/opus-5-5/whats-new-opus-5-5>).
//! - From 5 on they think unless told not to (<https://platform.claude.com/docs/en/about-claude/models/whats-new-opus-5>).
//!
//! All as of 2026-11-22. A name that tells no version counts as the newest.
//!
//! Not abilities of the catalogue: a team's own names for models, and those of other clouds, have the same words in them.

/// What a model lets the caller say of how its tokens are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sampling {
    Any,
    /// A temperature or a `top_p`, not both.
    One,
    None,
}

/// A model, as its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claude<'a> {
    family: &'a str,
    version: (u8, u8),
}

impl<'a> Claude<'a> {
    /// None where the name is none of a Claude's.
    pub fn read(model: &'a str) -> Option<Self> {
        let (_, name) = model.rsplit_once("claude-")?;
        // `3-5-sonnet`, `v2`, `instant-v1`: up to 3.7 the version came first, if at all.
        if name.starts_with(|c: char| c.is_ascii_digit()) || name.starts_with(['v', 'i']) {
            let (family, version) = ("", (3, 0));
            return Some(Self { family, version });
        }
        let (family, version) = name.split_once('-').unwrap_or((name, ""));
        // Behind the version stands the day of the snapshot, which is no such small number.
        let number = |digits: &str| digits.parse::<u8>().ok();
        let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(number);
        let major = numbers.next().flatten().unwrap_or(u8::MAX);
        let minor = numbers.next().flatten().unwrap_or_default();
        let version = (major, minor);
        Some(Self { family, version })
    }

    pub fn sampling(self) -> Sampling {
        if self.version <= (4, 0) {
            Sampling::Any
        } else if self.version < (4, 7) {
            Sampling::One
        } else {
            Sampling::None
        }
    }

    /// Whether it can be told that a tool must be called.
    pub fn can_be_forced(self) -> bool {
        match self.family {
            "fable" | "mythos" => false,
            "opus" => self.version < (5, 5),
            _ => true,
        }
    }

    /// Whether it thinks where nothing is said of it.
    pub fn thinks_unasked(self) -> bool {
        self.version >= (5, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_a_model_takes() {
        let expected = "
            Any true false claude-3-5-sonnet-20241022 claude-opus-4-20250514 claude-sonnet-4-0
            Any true false anthropic.claude-v2:1 anthropic.claude-instant-v1 anthropic.claude-3-haiku-20240307-v1:0
            One true false claude-opus-4-1-20250805 claude-sonnet-4.5 claude-haiku-4-5@20251001 claude-opus-4-6
            One true false eu.anthropic.claude-sonnet-4-5-20250929-v1:0 vertex/anthropic/claude-sonnet-4.6
            None true false claude-opus-4-7 global.anthropic.claude-opus-4-8
            None true true claude-opus-5 claude-sonnet-5 claude-sonnet-5-5 claude-haiku-5-5-20261001
            None false true claude-opus-5-5 claude-opus-6 claude-fable-5 claude-mythos-preview claude-opus-latest";
        for line in expected.lines().filter(|line| !line.trim().is_empty()) {
            let mut words = line.split_whitespace();
            let told: Vec<&str> = words.by_ref().take(3).collect();
            for model in words {
                let claude = Claude::read(model).unwrap();
                let sampling = format!("{:?}", claude.sampling());
                let others = [claude.can_be_forced(), claude.thinks_unasked()];
                let others = others.map(|it| it.to_string());
                assert_eq!(vec![&*sampling, &*others[0], &*others[1]], told, "{model}");
            }
        }
        assert_eq!(Claude::read("kimi-k2"), None);
        assert_eq!(Claude::read("amazon.nova-pro-v1:0"), None);
    }
}
