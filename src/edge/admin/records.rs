//! The admin API's records: what was decided and done.

use serde_json::value::RawValue;
use web_sys::Response;
use worker::Env;

use super::refuse;
use crate::dialects::ClientError;
use crate::edge::pipeline::{Failed, places};
use crate::edge::respond;

const LIMIT_DEFAULT: u32 = 20;
/// Up to 96 KB each.
const LIMIT_MAX: u32 = 200;

#[derive(serde::Serialize)]
struct Page {
    records: Vec<Box<RawValue>>,
}

/// Answers `GET /admin/api/records` and `GET /admin/api/records/<id>`; `id` is what follows, if anything.
pub async fn answer(id: &str, query: &str, env: &Env) -> Response {
    let answered = match id {
        "" => match limit(query) {
            Ok(limit) => newest(limit, env).await,
            Err(error) => return refuse(&error),
        },
        id => one(id, env).await,
    };
    match answered {
        Ok(Some(response)) => response,
        Ok(None) => refuse(&not_found()),
        Err(error) => {
            worker::console_error!("records could not be read: {error}");
            refuse(&unreadable())
        }
    }
}

async fn newest(limit: u32, env: &Env) -> Result<Option<Response>, Failed> {
    let records = places::newest(limit, env).await?;
    Ok(Some(respond::json(200, &Page { records })))
}

async fn one(id: &str, env: &Env) -> Result<Option<Response>, Failed> {
    let record = places::one(id, env).await?;
    Ok(record.map(|record| respond::json(200, &record)))
}

fn limit(query: &str) -> Result<u32, ClientError> {
    let given = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("limit="));
    let Some(text) = given else {
        return Ok(LIMIT_DEFAULT);
    };
    let limit = text
        .parse()
        .ok()
        .filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| ClientError {
        status: 400,
        code: "invalid_field".to_owned(),
        message: format!("`limit`: expected a whole number from 1 to {LIMIT_MAX}"),
        param: Some("limit".to_owned()),
        retry_after: None,
    })
}

fn not_found() -> ClientError {
    let message = "no such record or path; records appear some seconds after their exchange";
    ClientError::new(404, "not_found", message)
}

fn unreadable() -> ClientError {
    let message = "the record store did not answer; try again";
    ClientError::new(503, "records_unreadable", message)
}
