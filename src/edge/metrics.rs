//! `GET /metrics`: figures for Prometheus, behind the admin key or one that may only scrape.
//!
//! What was done is told from D1, and so for the whole fleet, whichever isolate answers; what is known right now is told
//! from this isolate's memory. Where D1 does not answer the scrape fails: half of the figures would look like a reset.
//!
//! Not here: the text (`journal/prometheus.rs`), what a scrape means (`docs/metrics.md`).

use web_sys::{Request, Response};
use worker::Env;

use super::entries::Entries;
use super::pipeline::figures;
use super::{caller, clock, health, journal, respond};
use crate::dialects::ClientError;
use crate::exchange::ResponseHead;
use crate::health::{Admission, Health};
use crate::journal::{Figures, TargetHealth, exposition};

/// Targets, and entries, of which gauges are told: those of a caller who invents models must not fill a scrape.
const GAUGES_MAX: usize = 300;
const SCRAPE_KEY: &str = "WAYPOST_METRICS_KEY";

pub async fn answer(
    request: &Request,
    env: &Env,
    entries: &Entries,
) -> Result<Response, ClientError> {
    caller::check_admin_or(request, env, SCRAPE_KEY)?;
    let problems = entries.problems().await?;
    let figures = figures::read(env).await.map_err(|error| {
        worker::console_error!("the figures could not be read: {error}");
        unreadable()
    })?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of one isolate are far below 2^53"
    )]
    let figures = Figures {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        records_lost: journal::lost() as f64,
        config_problems: problems.values().map(Vec::len).sum::<usize>() as f64,
        config: Entries::revisions(GAUGES_MAX),
        targets: health::look(targets),
        ..figures
    };
    let head = ResponseHead {
        status: 200,
        content_type: "text/plain; version=0.0.4; charset=utf-8".into(),
        headers: Vec::new(),
    };
    Ok(respond::whole(&head, exposition(&figures).as_bytes()))
}

fn targets(health: &Health) -> Vec<TargetHealth> {
    let now = clock::now();
    let target = |target: &str| {
        let view = health.view(target, now);
        TargetHealth {
            target: target.to_owned(),
            is_ejected: matches!(view.admission, Admission::Ejected { .. }),
            p_success: view.p_success,
            ttft_seconds: view.ttft_seconds,
        }
    };
    health.targets().take(GAUGES_MAX).map(target).collect()
}

fn unreadable() -> ClientError {
    ClientError::new(
        503,
        "figures_unreadable",
        "the figures could not be read from D1; try again",
    )
}
