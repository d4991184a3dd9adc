//! The settings of a request that OpenAI's two dialects call alike, read for a provider that speaks another one.
//!
//! Numbers are held to OpenAI's ranges here and not in the outline: what is passed on as it is may go to a provider
//! with other ranges.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::read::{self, Raw, Text};
use crate::chat::{Effort, Request, RequestError};

const TEMPERATURE: (f64, f64) = (0.0, 2.0);
const TOP_P: (f64, f64) = (0.0, 1.0);
const PENALTY: (f64, f64) = (-2.0, 2.0);
/// Alternatives of a token.
const LOGPROBS_MAX: u32 = 20;

/// `reasoning` of the Responses API; `max_tokens` is OpenRouter's, whose clients write the object into chat completions.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Reasoning<'a> {
    #[serde(borrow)]
    effort: Option<Raw<'a>>,
    #[serde(borrow)]
    max_tokens: Option<Raw<'a>>,
}

/// Takes one setting.
pub(in super::super) fn read_setting<'a>(
    request: &mut Request<'a>,
    key: &str,
    raw: Raw<'a>,
) -> Result<(), RequestError> {
    let at = format_args!("{key}");
    match key {
        "temperature" => request.temperature = Some(read::number_within(raw, at, TEMPERATURE)?),
        "top_p" => request.top_p = Some(read::number_within(raw, at, TOP_P)?),
        "top_k" => request.top_k = Some(read::value(raw, at, "a whole number")?),
        "seed" => request.seed = Some(read::value(raw, at, "a whole number")?),
        "frequency_penalty" => {
            request.frequency_penalty = Some(read::number_within(raw, at, PENALTY)?);
        }
        "presence_penalty" => {
            request.presence_penalty = Some(read::number_within(raw, at, PENALTY)?);
        }
        "top_logprobs" => request.logprobs = Some(alternatives(raw)?),
        "reasoning_effort" => request.effort = Some(effort(raw, at)?),
        "reasoning" => {
            let wish: Reasoning = read::object(raw, at, "an object with `effort`")?;
            let word = read::optional(wish.effort, format_args!("reasoning.effort"), effort)?;
            let budget = format_args!("reasoning.max_tokens");
            let budget = read::optional(wish.max_tokens, budget, read::tokens)?;
            let wish = word.or(budget.map(Effort::Tokens));
            request.effort = wish.or(request.effort);
        }
        "verbosity" => request.verbosity = Some(read::text(raw, at)?),
        "prompt_cache_key" => request.cache_key = Some(read::text(raw, at)?),
        "service_tier" => {
            request.service_tier = Some(read::text(raw, at)?).filter(|tier| tier != "auto");
        }
        "metadata" => request.metadata = labels(raw, at)?,
        _ => {}
    }
    Ok(())
}

fn alternatives(raw: Raw) -> Result<u32, RequestError> {
    let at = format_args!("top_logprobs");
    let expected = "a whole number from 0 to 20";
    let count = read::value(raw, at, expected)?;
    if count > LOGPROBS_MAX {
        return Err(read::invalid(at, expected));
    }
    Ok(count)
}

pub(in super::super) fn effort(raw: Raw, at: std::fmt::Arguments) -> Result<Effort, RequestError> {
    let word = read::text(raw, at)?;
    let expected = "one of none, minimal, low, medium, high, xhigh, max";
    Effort::parse(&word).ok_or_else(|| read::invalid(at, expected))
}

/// Metadata, under the name that a dialect has for it.
pub(in super::super) fn labels<'a>(
    raw: Raw<'a>,
    at: std::fmt::Arguments,
) -> Result<BTreeMap<Cow<'a, str>, Cow<'a, str>>, RequestError> {
    let expected = "an object whose values are strings";
    let labels: BTreeMap<String, Text> = read::value(raw, at, expected)?;
    let labels = labels.into_iter();
    Ok(labels.map(|(name, label)| (name.into(), label.0)).collect())
}
