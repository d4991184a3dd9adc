//! The admin API: the configuration, what was recorded, and what could not be. Behind the admin key, which `edge/mod.rs` has checked.
//!
//! Not here: what a revision and a history are (`config/`), what routing makes of an entry (`entries.rs`).

mod check;
mod config;
mod dead;
mod records;
mod store;

use web_sys::{Request, Response};
use worker::Env;

use super::entries::Entries;
use super::respond;
use crate::dialects::{ClientDialect, ClientError};

/// Answers a request below `/admin/api`; `path` is what follows.
pub async fn answer(
    path: &str,
    query: &str,
    request: &Request,
    env: &Env,
    entries: &Entries,
) -> Response {
    let method = request.method();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (method.as_str(), parts.as_slice()) {
        ("GET", ["records"]) => records::answer("", query, env).await,
        ("GET", ["records", id]) => records::answer(id, query, env).await,
        (_, ["dead", rest @ ..]) => {
            // Boxed: its state would be part of that of every request's future.
            let answered = Box::pin(dead::answer(&method, rest, env)).await;
            answered.unwrap_or_else(|| refuse(&no_such_path(&method)))
        }
        (_, ["config", rest @ ..]) => {
            let answered = config::answer(&method, rest, request, env, entries).await;
            answered.unwrap_or_else(|response| response)
        }
        _ => refuse(&no_such_path(&method)),
    }
}

fn no_such_path(method: &str) -> ClientError {
    let message = format!(
        "no such path of the admin API, or none for {method}; there are GET records, records/ID, dead, dead/NAME, config, \
         config/ENTRY, config/ENTRY/history and config/ENTRY/revisions/REVISION, PUT and DELETE config/ENTRY, DELETE dead/NAME, \
         and POST config/ENTRY/rollback, dead/retry and dead/NAME/retry. A `/` in ENTRY is written %2F"
    );
    ClientError::new(404, "not_found", message)
}

fn refuse(error: &ClientError) -> Response {
    respond::error(ClientDialect::OpenaiChat, error, Vec::new())
}
