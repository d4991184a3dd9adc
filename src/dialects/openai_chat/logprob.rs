//! The probabilities of an answer's tokens, which OpenAI's two dialects write alike.

use serde::{Deserialize, Serialize};

use super::super::read::Loose;
use crate::chat::{Alternative, TokenLogprob};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct ReadLogprob {
    token: Loose<String>,
    logprob: Loose<f64>,
    bytes: Loose<Vec<u8>>,
    top_logprobs: Loose<Vec<ReadAlternative>>,
}

/// A type of its own: one that held itself would let a provider nest as deep as it likes.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ReadAlternative {
    token: Loose<String>,
    logprob: Loose<f64>,
    bytes: Loose<Vec<u8>>,
}

impl ReadLogprob {
    pub fn token(self) -> TokenLogprob {
        let top = self.top_logprobs.0.unwrap_or_default().into_iter();
        TokenLogprob {
            chosen: alternative(self.token.0, self.logprob.0, self.bytes.0),
            top: top
                .map(|other| alternative(other.token.0, other.logprob.0, other.bytes.0))
                .collect(),
        }
    }
}

fn alternative(token: Option<String>, logprob: Option<f64>, bytes: Option<Vec<u8>>) -> Alternative {
    Alternative {
        token: token.unwrap_or_default(),
        logprob: logprob.unwrap_or_default(),
        bytes,
    }
}

#[derive(Serialize)]
pub(in super::super) struct WireLogprob<'a> {
    token: &'a str,
    logprob: f64,
    bytes: Option<&'a [u8]>,
    top_logprobs: Vec<WireAlternative<'a>>,
}

#[derive(Serialize)]
struct WireAlternative<'a> {
    token: &'a str,
    logprob: f64,
    bytes: Option<&'a [u8]>,
}

impl<'a> From<&'a Alternative> for WireAlternative<'a> {
    fn from(of: &'a Alternative) -> Self {
        Self {
            token: &of.token,
            logprob: of.logprob,
            bytes: of.bytes.as_deref(),
        }
    }
}

pub(in super::super) fn wire_logprobs(tokens: &[TokenLogprob]) -> Vec<WireLogprob<'_>> {
    tokens.iter().map(wire).collect()
}

fn wire(TokenLogprob { chosen, top }: &TokenLogprob) -> WireLogprob<'_> {
    WireLogprob {
        token: &chosen.token,
        logprob: chosen.logprob,
        bytes: chosen.bytes.as_deref(),
        top_logprobs: top.iter().map(WireAlternative::from).collect(),
    }
}
