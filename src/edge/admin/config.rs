//! Entries over the admin API: read, put, deleted, their history, and the way back.
//!
//! A revision is the entity tag of its entry, and whoever changes an entry says in `If-Match` which one it was read at;
//! so two people cannot overwrite each other unseen. The segment after `config/` is the entry's KV key, percent-encoded,
//! since a route's name may hold `/`.
//!
//! What is refused is refused whole: all problems at once, and nothing is written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use web_sys::{Request, Response};
use worker::Env;

use super::store::{self, Live, Note};
use super::{check, no_such_path, refuse};
use crate::chat::RequestError;
use crate::config::{
    Action, BY_BYTES_MAX, ENTRY_BYTES_MAX, EntryName, NOTE_BYTES_MAX, Precondition, Problem,
    Revision, Unmet, before,
};
use crate::dialects::ClientError;
use crate::edge::caller::{body, header};
use crate::edge::entries::Entries;
use crate::edge::js::Thrown;
use crate::edge::{kv, respond};
use crate::exchange::ResponseHead;
use crate::units::Millis;

/// Keys of one bulk get.
const KEYS_PER_READ: usize = 100;
/// A rollback's body names one revision.
const ROLLBACK_BYTES_MAX: u64 = 1_024;

/// One request about one entry.
struct Asked<'a> {
    name: EntryName,
    request: &'a Request,
    env: &'a Env,
    entries: &'a Entries,
}

/// What a change answers.
#[derive(Serialize)]
struct Changed {
    entry: String,
    /// Absent where the entry is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<Revision>,
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<Revision>,
}

#[derive(Serialize)]
struct Listed {
    entry: String,
    revision: Revision,
}

#[derive(Deserialize)]
struct Rollback {
    revision: Option<Revision>,
}

/// A response that is ready, or one that says why not.
type Answered = Result<Response, Response>;

/// Answers a request below `/admin/api/config`; `parts` are the segments that follow.
pub async fn answer(
    method: &str,
    parts: &[&str],
    request: &Request,
    env: &Env,
    entries: &Entries,
) -> Answered {
    let [entry, rest @ ..] = parts else {
        return match method {
            "GET" => list(env).await.map_err(|_| refuse(&unreadable())),
            _ => Err(refuse(&no_such_path(method))),
        };
    };
    let decoded = js_sys::decode_uri_component(entry).ok().map(String::from);
    let Some(name) = decoded.and_then(|key| EntryName::parse(&key)) else {
        return Err(refuse(&no_such_entry()));
    };
    let asked = Asked {
        name,
        request,
        env,
        entries,
    };
    match (method, rest) {
        ("GET", []) => asked.read().await,
        ("PUT", []) => asked.put().await,
        ("DELETE", []) => asked.delete().await,
        ("GET", ["history"]) => asked.history().await,
        ("GET", ["revisions", revision]) => asked.revision(revision).await,
        ("POST", ["rollback"]) => asked.rollback().await,
        _ => Err(refuse(&no_such_path(method))),
    }
}

/// Every entry and its revision: at most a thousand routes and a thousand keys.
async fn list(env: &Env) -> Result<Response, Thrown> {
    let mut keys = vec!["providers".to_owned(), "flags".to_owned()];
    keys.extend(kv::list(env, "route:").await?);
    keys.extend(kv::list(env, "key:").await?);
    let mut entries = Vec::with_capacity(keys.len());
    for keys in keys.chunks(KEYS_PER_READ) {
        let texts = kv::read(env, keys).await?;
        let known = keys.iter().zip(texts).filter_map(|(key, text)| {
            let revision = Revision::of(&text?);
            let entry = key.clone();
            Some(Listed { entry, revision })
        });
        entries.extend(known);
    }
    let listed = BTreeMap::from([("entries", entries)]);
    Ok(respond::json(200, &listed))
}

impl Asked<'_> {
    async fn read(&self) -> Answered {
        let live = self.live().await?;
        let text = live.text.ok_or_else(|| refuse(&no_such_entry()))?;
        Ok(text_response(&text))
    }

    async fn revision(&self, revision: &str) -> Answered {
        let revision = Revision(revision.to_owned());
        let text = self.revision_text(&revision).await?;
        Ok(text_response(&text))
    }

    async fn history(&self) -> Answered {
        let live = self.live().await?;
        let changes = store::history(&self.name, self.env).await;
        let changes = changes.map_err(|_| refuse(&unreadable()))?;
        Ok(respond::json(
            200,
            &serde_json::json!({
                "entry": self.name.key(),
                "revision": live.revision(&self.name),
                "changes": changes,
            }),
        ))
    }

    async fn put(&self) -> Answered {
        let bytes = body(self.request, ENTRY_BYTES_MAX as u64).await;
        let bytes = bytes.map_err(|error| refuse(&no_entry(&error)))?;
        let text = String::from_utf8(bytes).map_err(|_| refuse(&not_utf8()))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let note = self.note(Action::Push)?;
        let live = self.live().await?;
        self.change(Some(text), &live, note).await
    }

    async fn delete(&self) -> Answered {
        let note = self.note(Action::Delete)?;
        let live = self.live().await?;
        if live.revision(&self.name).is_none() {
            return Err(refuse(&no_such_entry()));
        }
        self.change(None, &live, note).await
    }

    async fn rollback(&self) -> Answered {
        let note = self.note(Action::Rollback)?;
        let mut asked = Rollback { revision: None };
        if self.request.body().is_some() {
            let bytes = body(self.request, ROLLBACK_BYTES_MAX).await;
            let bytes = bytes.map_err(|error| refuse(&ClientError::from(&error)))?;
            if !bytes.trim_ascii().is_empty() {
                asked = serde_json::from_slice(&bytes).map_err(|_| refuse(&no_rollback()))?;
            }
        }
        let live = self.live().await?;
        let revision = match asked.revision {
            Some(revision) => revision,
            None => self.revision_before(&live).await?,
        };
        let text = self.revision_text(&revision).await?;
        self.change(Some(&text), &live, note).await
    }

    async fn revision_before(&self, live: &Live) -> Result<Revision, Response> {
        let history = store::history(&self.name, self.env).await;
        let history = history.map_err(|_| refuse(&unreadable()))?;
        let revision = before(&history, live.revision(&self.name).as_ref());
        revision.cloned().ok_or_else(|| refuse(&nothing_before()))
    }

    /// Checks and writes. The precondition is looked at first, since it is cheap, and last, when nothing is awaited any
    /// more.
    async fn change(&self, text: Option<&str>, live: &Live, note: Note) -> Answered {
        let precondition = self.precondition();
        let unmet = |unmet| refuse_unmet(unmet, live.revision(&self.name).as_ref());
        let was = live.revision(&self.name);
        precondition.check(was.as_ref()).map_err(unmet)?;
        let revision = text.map(Revision::of);
        if revision == was {
            return Ok(changed(200, &self.name, revision, was));
        }
        let problems = match text {
            Some(text) => check::problems(&self.name, text, self.env).await,
            None => check::problems_of_deleting(&self.name, self.env).await,
        };
        let problems = problems.map_err(|_| refuse(&unreadable()))?;
        if !problems.is_empty() {
            return Err(refuse_problems(&self.name, &problems));
        }
        let claimed = store::claim(&self.name, live, &precondition, revision.as_ref());
        let was = claimed.map_err(unmet)?;
        let written = store::write(&self.name, text, live, was.clone(), note, self.env).await;
        written.map_err(|_| refuse(&unwritten()))?;
        self.entries.take_written(&self.name, text).await;
        let status = if was.is_none() { 201 } else { 200 };
        Ok(changed(status, &self.name, revision, was))
    }

    async fn live(&self) -> Result<Live, Response> {
        let live = Live::read(&self.name, self.env).await;
        live.map_err(|_| refuse(&unreadable()))
    }

    async fn revision_text(&self, revision: &Revision) -> Result<String, Response> {
        let text = store::revision_text(&self.name, revision, self.env).await;
        let text = text.map_err(|_| refuse(&unreadable()))?;
        text.ok_or_else(|| refuse(&no_such_revision()))
    }

    fn precondition(&self) -> Precondition {
        let if_match = header(self.request, "if-match");
        let if_none_match = header(self.request, "if-none-match");
        Precondition::read(if_match.as_deref(), if_none_match.as_deref())
    }

    /// Who, and why: two headers, percent-encoded where they are not ASCII.
    fn note(&self, action: Action) -> Result<Note, Response> {
        let read = |name: &str, bytes_max: usize| {
            let Some(given) = header(self.request, name) else {
                return Ok(None);
            };
            let decoded = js_sys::decode_uri_component(&given).ok().map(String::from);
            let is_fit =
                |text: &String| text.len() <= bytes_max && !text.contains(char::is_control);
            let text = decoded.filter(is_fit);
            text.map(Some)
                .ok_or_else(|| refuse(&unfit_note(name, bytes_max)))
        };
        Ok(Note {
            action,
            by: read("x-waypost-by", BY_BYTES_MAX)?,
            words: read("x-waypost-note", NOTE_BYTES_MAX)?,
        })
    }
}

fn tag(revision: &Revision) -> (&'static str, String) {
    ("etag", format!("\"{}\"", revision.0))
}

fn text_response(text: &str) -> Response {
    let head = ResponseHead {
        status: 200,
        content_type: "application/json".into(),
        headers: vec![tag(&Revision::of(text))],
    };
    respond::whole(&head, text.as_bytes())
}

fn changed(
    status: u16,
    name: &EntryName,
    revision: Option<Revision>,
    was: Option<Revision>,
) -> Response {
    let head = ResponseHead {
        status,
        content_type: "application/json".into(),
        headers: revision.iter().map(tag).collect(),
    };
    let body = Changed {
        entry: name.key(),
        revision,
        was,
    };
    respond::whole(&head, &serde_json::to_vec(&body).unwrap_or_default())
}

fn refuse_unmet(unmet: Unmet, live: Option<&Revision>) -> Response {
    let (status, code, message) = match unmet {
        Unmet::Required => (
            428,
            "precondition_required",
            "the entry exists: send `If-Match` with the revision that you changed, as the ETag of GET gives it",
        ),
        Unmet::Failed => (
            412,
            "precondition_failed",
            "the entry is not at the revision that you named: somebody changed it. Read it again; its revision is in \
             the ETag of this answer, if it exists",
        ),
    };
    let error = ClientError::new(status, code, message);
    let headers = live.into_iter().map(tag).collect();
    respond::error(crate::dialects::ClientDialect::OpenaiChat, &error, headers)
}

fn refuse_problems(name: &EntryName, problems: &[Problem]) -> Response {
    let count = problems.len();
    let error = serde_json::json!({
        "message": format!("{} has {count} problems, and nothing was changed", name.key()),
        "type": "invalid_request_error",
        "code": "invalid_entry",
        "problems": problems,
    });
    respond::json(422, &BTreeMap::from([("error", error)]))
}

fn no_such_entry() -> ClientError {
    let message = "no such entry; there are `providers`, `flags`, `route:NAME` and `key:SHA256`, in the path \
                   percent-encoded, so that a `/` in NAME is %2F";
    ClientError::new(404, "not_found", message)
}

fn no_such_revision() -> ClientError {
    let message = "no such revision of this entry is kept; its history lists those that are";
    ClientError::new(404, "revision_not_found", message)
}

fn nothing_before() -> ClientError {
    let message =
        "there is no revision before the live one to go back to; DELETE removes the entry";
    ClientError::new(409, "nothing_before", message)
}

/// What the request's own words say is meant for prompts.
fn no_entry(error: &RequestError) -> ClientError {
    let error = ClientError::from(error);
    if error.status != 413 {
        return error;
    }
    let message = format!(
        "the body is larger than {ENTRY_BYTES_MAX} bytes, which is the most that an entry may have: make several of it"
    );
    ClientError { message, ..error }
}

fn not_utf8() -> ClientError {
    let message = "the body is the entry's JSON, as UTF-8";
    ClientError::new(400, "invalid_body", message)
}

fn no_rollback() -> ClientError {
    let message = "the body is empty, or `{\"revision\": \"…\"}` with a revision of the history";
    ClientError::new(400, "invalid_body", message)
}

fn unfit_note(name: &str, bytes_max: usize) -> ClientError {
    let message = format!(
        "`{name}`: expected at most {bytes_max} bytes on one line, percent-encoded where they are not ASCII"
    );
    ClientError::new(400, "invalid_header", message)
}

fn unreadable() -> ClientError {
    ClientError {
        retry_after: Some(Millis(1_000)),
        ..ClientError::new(
            503,
            "config_unreadable",
            "the configuration could not be read from KV; try again",
        )
    }
}

fn unwritten() -> ClientError {
    let message =
        "KV refused the write, which may be its limit of one a second for each key; try again";
    ClientError {
        retry_after: Some(Millis(1_000)),
        ..ClientError::new(503, "config_not_written", message)
    }
}
