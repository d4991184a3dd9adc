//! The admin API's dead letters: messages of records that nobody could take, and the way back.

use serde::Serialize;
use web_sys::Response;
use worker::Env;

use super::refuse;
use crate::dialects::ClientError;
use crate::edge::pipeline::{Failed, dead};
use crate::edge::respond;
use crate::exchange::ResponseHead;

#[derive(Serialize)]
struct Revived {
    /// Messages that are in the queue again.
    revived: usize,
    has_more: bool,
}

#[derive(Serialize)]
struct Deleted<'a> {
    deleted: &'a str,
}

/// Answers a request below `/admin/api/dead`; `rest` is what follows. None where there is no such path.
pub async fn answer(method: &str, rest: &[&str], env: &Env) -> Option<Response> {
    let answered = match (method, rest) {
        ("GET", []) => dead::list(env).await.map(|page| respond::json(200, &page)),
        ("POST", ["retry"]) => dead::revive_all(env)
            .await
            .map(|(revived, has_more)| respond::json(200, &Revived { revived, has_more })),
        ("GET", [name]) => read(name, env).await,
        ("POST", [name, "retry"]) => revive(name, env).await,
        ("DELETE", [name]) => delete(name, env).await,
        _ => return None,
    };
    Some(answered.unwrap_or_else(|failed| {
        worker::console_error!("dead letters could not be reached: {failed}");
        let message = "the dead letters did not answer; try again".to_owned();
        refuse(&ClientError::new(503, "dead_unreadable", message))
    }))
}

async fn read(name: &str, env: &Env) -> Result<Response, Failed> {
    let head = ResponseHead {
        status: 200,
        content_type: "text/plain; charset=utf-8".into(),
        headers: Vec::new(),
    };
    let found = dead::read(name, env).await?;
    Ok(found.map_or_else(unknown, |bytes| respond::whole(&head, &bytes)))
}

async fn revive(name: &str, env: &Env) -> Result<Response, Failed> {
    if !dead::revive(name, env).await? {
        return Ok(unknown());
    }
    let revived = Revived {
        revived: 1,
        has_more: false,
    };
    Ok(respond::json(200, &revived))
}

async fn delete(name: &str, env: &Env) -> Result<Response, Failed> {
    if dead::read(name, env).await?.is_none() {
        return Ok(unknown());
    }
    dead::delete(name, env).await?;
    Ok(respond::json(200, &Deleted { deleted: name }))
}

fn unknown() -> Response {
    let message = "no dead letter of this name; GET /admin/api/dead lists them".to_owned();
    refuse(&ClientError::new(404, "not_found", message))
}
