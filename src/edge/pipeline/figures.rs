//! The totals of the whole fleet, as D1 has them.

use worker::Env;

use super::database::text;
use super::{Failed, dead, tables};
use crate::journal::{AttemptTotals, ENDINGS, Figures, Latency, RequestTotals};

/// A row's labels, and its sums in lists: D1's functions take 32 arguments.
type Sums = (Vec<String>, Vec<Vec<f64>>);

/// What D1 and R2 tell of all exchanges.
pub async fn read(env: &Env) -> Result<Figures, Failed> {
    tables::ensure(env).await?;
    let requests = rows(&request_sql(), env).await?;
    let attempts = rows(ATTEMPTS, env).await?;
    let newest = "SELECT CAST(MAX(at) AS TEXT) AS text FROM records";
    let newest = text(env, newest, &[]).await?;
    let newest: Option<f64> = newest.and_then(|at| at.parse().ok());
    let dead = dead::count(env).await?;
    Ok(Figures {
        requests: requests.into_iter().map(request).collect(),
        attempts: attempts.into_iter().map(attempt).collect(),
        newest_seconds: newest.map(|at| at / 1_000.0),
        dead_letters: u32::try_from(dead).ok().map(f64::from),
        ..Figures::default()
    })
}

const ATTEMPTS: &str = "SELECT json_group_array(json_array(json_array(route, target, variant, outcome), json_array(json_array(attempts, \
    prompt_tokens, cached_tokens, answer_tokens, reasoning_tokens, cost_micro_usd)))) AS text \
    FROM attempt_rollups WHERE minute = 0";

fn request_sql() -> String {
    let list = |columns: Vec<String>| format!("json_array({})", columns.join(", "));
    let time = |name: &str| {
        let sum = format!("{name}_ms_sum");
        list([sum].into_iter().chain(tables::buckets(name)).collect())
    };
    let counts = ENDINGS.iter().copied().chain(["failovers"]);
    format!(
        "SELECT json_group_array(json_array(json_array(route, target, variant), json_array({}, {}, {}))) AS text \
         FROM rollups WHERE minute = 0",
        list(counts.map(str::to_owned).collect()),
        time("first_token"),
        time("total")
    )
}

async fn rows(sql: &str, env: &Env) -> Result<Vec<Sums>, Failed> {
    let found = text(env, sql, &[]).await?.unwrap_or_default();
    Ok(serde_json::from_str(&found).unwrap_or_default())
}

fn request((labels, sums): Sums) -> RequestTotals {
    let [route, target, variant] = take(labels);
    let [mut endings, first_token, total] = take(sums);
    let failovers = endings.pop().unwrap_or_default();
    RequestTotals {
        route,
        target,
        variant,
        endings,
        failovers,
        first_token: latency(&first_token),
        total: latency(&total),
    }
}

fn latency(sum_and_buckets: &[f64]) -> Latency {
    let (sum, buckets) = sum_and_buckets.split_first().unwrap_or((&0.0, &[]));
    Latency {
        buckets: buckets.to_vec(),
        sum_ms: *sum,
    }
}

fn attempt((labels, sums): Sums) -> AttemptTotals {
    let [route, target, variant, outcome] = take(labels);
    let [sums] = take(sums);
    let [
        attempts,
        prompt_tokens,
        cached_tokens,
        answer_tokens,
        reasoning_tokens,
        cost_micro_usd,
    ] = take(sums);
    AttemptTotals {
        route,
        target,
        variant,
        outcome,
        attempts,
        prompt_tokens,
        cached_tokens,
        answer_tokens,
        reasoning_tokens,
        cost_micro_usd,
    }
}

/// The items that our own statement selected, in its order.
fn take<T: Default, const N: usize>(items: Vec<T>) -> [T; N] {
    let mut items = items.into_iter();
    std::array::from_fn(|_| items.next().unwrap_or_default())
}
