//! The probabilities of an answer's tokens, read and written.
//!
//! Google tells what was chosen at each step in one list and what else was likely there in another
//! (<https://ai.google.dev/api/generate-content#LogprobsResult>). It numbers tokens and tells no bytes.

use serde::Serialize;

use super::super::read::{Raw, each_of, owned};
use super::wire::loose;
use crate::chat::{Alternative, TokenLogprob};

pub(super) fn read_logprobs(raw: Option<Raw>) -> Vec<TokenLogprob> {
    let [chosen, top] = loose(raw, ["chosenCandidates", "topCandidates"]);
    let mut tokens = Vec::new();
    each_of(chosen, &mut |raw| {
        tokens.push(TokenLogprob {
            chosen: alternative(raw),
            top: Vec::new(),
        });
    });
    let mut rest = tokens.iter_mut();
    each_of(top, &mut |raw| {
        let [candidates] = loose(Some(raw), ["candidates"]);
        if let Some(token) = rest.next() {
            each_of(candidates, &mut |raw| token.top.push(alternative(raw)));
        }
    });
    tokens
}

fn alternative(raw: Raw) -> Alternative {
    let [token, logprob] = loose(Some(raw), ["token", "logProbability"]);
    let logprob = logprob.and_then(|raw| serde_json::from_str(raw.get()).ok());
    Alternative {
        token: owned(token).unwrap_or_default(),
        logprob: logprob.unwrap_or_default(),
        bytes: None,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireLogprobs<'a> {
    top_candidates: Vec<WireTop<'a>>,
    chosen_candidates: Vec<WireCandidate<'a>>,
}

#[derive(Serialize)]
struct WireTop<'a> {
    candidates: Vec<WireCandidate<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireCandidate<'a> {
    token: &'a str,
    log_probability: f64,
}

/// None where there are none.
pub(super) fn logprobs(tokens: &[TokenLogprob]) -> Option<WireLogprobs<'_>> {
    (!tokens.is_empty()).then(|| WireLogprobs {
        top_candidates: tokens.iter().map(alternatives).collect(),
        chosen_candidates: tokens
            .iter()
            .map(|token| candidate(&token.chosen))
            .collect(),
    })
}

fn alternatives(token: &TokenLogprob) -> WireTop<'_> {
    WireTop {
        candidates: token.top.iter().map(candidate).collect(),
    }
}

fn candidate(of: &Alternative) -> WireCandidate<'_> {
    WireCandidate {
        token: &of.token,
        log_probability: of.logprob,
    }
}
