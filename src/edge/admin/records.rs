//! The admin API's records: what was decided and done.

use futures::future::try_join_all;
use serde::Deserialize;
use serde_json::value::RawValue;
use wasm_bindgen::JsValue;
use web_sys::Response;
use worker::{D1Database, Env, Range};

use super::refuse;
use crate::dialects::ClientError;
use crate::edge::journal::ensure_table;
use crate::edge::respond;

const LIMIT_DEFAULT: u32 = 20;
/// Each record is one read of R2.
const LIMIT_MAX: u32 = 200;

/// Where a record's line stands in R2.
#[derive(Deserialize)]
struct Place {
    object: String,
    offset: u64,
    length: u64,
}

#[derive(serde::Serialize)]
struct Page<'a> {
    records: Vec<&'a RawValue>,
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

async fn newest(limit: u32, env: &Env) -> worker::Result<Option<Response>> {
    let database = env.d1("DB")?;
    ensure_table(&database).await?;
    let statement = database
        .prepare("SELECT object, offset, length FROM records ORDER BY at DESC, id DESC LIMIT ?")
        .bind(&[JsValue::from_f64(f64::from(limit))])?;
    let places: Vec<Place> = statement.all().await?.results()?;
    let lines = try_join_all(places.iter().map(|place| line(place, env))).await?;
    let records = lines
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok());
    let page = Page {
        records: records.collect(),
    };
    Ok(Some(respond::json(200, &page)))
}

async fn one(id: &str, env: &Env) -> worker::Result<Option<Response>> {
    let database = env.d1("DB")?;
    ensure_table(&database).await?;
    let Some(place) = place_of(id, &database).await? else {
        return Ok(None);
    };
    let line = line(&place, env).await?;
    let record = serde_json::from_str::<&RawValue>(&line);
    Ok(record.ok().map(|record| respond::json(200, &record)))
}

async fn place_of(id: &str, database: &D1Database) -> worker::Result<Option<Place>> {
    let statement = database
        .prepare("SELECT object, offset, length FROM records WHERE id = ?")
        .bind(&[JsValue::from_str(id)])?;
    statement.first(None).await
}

async fn line(place: &Place, env: &Env) -> worker::Result<String> {
    let range = Range::OffsetWithLength {
        offset: place.offset,
        length: place.length,
    };
    let object = env
        .bucket("ARCHIVE")?
        .get(&place.object)
        .range(range)
        .execute()
        .await?;
    match object.as_ref().and_then(worker::Object::body) {
        Some(body) => body.text().await,
        // Removed by the bucket's own retention; the row is all that is left.
        None => Ok(String::new()),
    }
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
    ClientError {
        status: 404,
        code: "not_found".to_owned(),
        message: "no such record or path; records appear some seconds after their exchange"
            .to_owned(),
        param: None,
        retry_after: None,
    }
}

fn unreadable() -> ClientError {
    ClientError {
        status: 503,
        code: "records_unreadable".to_owned(),
        message: "the record store did not answer; try again".to_owned(),
        param: None,
        retry_after: None,
    }
}
