//! Reads and writes entries with their revisions and history.
//!
//! KV lags, so two writers at different places may both find the revision that they expect. Within this isolate it is
//! exact: what is being written is remembered before the write is awaited ([`Claims`]).

use std::cell::RefCell;

use worker::Env;

use crate::config::{Action, Change, Claims, EntryName, Precondition, Revision, Unmet};
use crate::edge::js::Thrown;
use crate::edge::{clock, kv};
use crate::units::UnixMillis;

/// Changes of one entry that are told. Older ones stay in KV.
pub const HISTORY_MAX: u32 = 200;

thread_local! {
    static CLAIMS: RefCell<Claims> = RefCell::default();
}

/// What a change is to be noted with.
pub struct Note {
    pub action: Action,
    pub by: Option<String>,
    pub words: Option<String>,
}

/// An entry as KV shows it.
pub struct Live {
    pub text: Option<String>,
    revision: Option<Revision>,
}

impl Live {
    pub async fn read(name: &EntryName, env: &Env) -> Result<Self, Thrown> {
        let texts = kv::read(env, &[name.key()]).await?;
        let text = texts.into_iter().next().flatten();
        let revision = text.as_deref().map(Revision::of);
        Ok(Self { text, revision })
    }

    /// The live revision: what this isolate wrote lately, where KV still shows something older.
    pub fn revision(&self, name: &EntryName) -> Option<Revision> {
        let shown = self.revision.as_ref();
        CLAIMS.with_borrow(|claims| claims.live(name, shown, clock::now()))
    }
}

/// Makes `new` the live revision for everyone in this isolate, if the precondition holds, and returns what was live.
pub fn claim(
    name: &EntryName,
    live: &Live,
    precondition: &Precondition,
    new: Option<&Revision>,
) -> Result<Option<Revision>, Unmet> {
    let (shown, now) = (live.revision.as_ref(), clock::now());
    CLAIMS.with_borrow_mut(|claims| claims.claim(name, shown, precondition, new, now))
}

/// Writes the revision, the history and then the entry. Without a text the entry is deleted.
pub async fn write(
    name: &EntryName,
    text: Option<&str>,
    live: &Live,
    was: Option<Revision>,
    note: Note,
    env: &Env,
) -> Result<(), Thrown> {
    let written = write_all(name, text, live, was, note, env).await;
    if written.is_err() {
        CLAIMS.with_borrow_mut(|claims| claims.forget(name));
    }
    written
}

async fn write_all(
    name: &EntryName,
    text: Option<&str>,
    live: &Live,
    was: Option<Revision>,
    note: Note,
    env: &Env,
) -> Result<(), Thrown> {
    let at = clock::now();
    keep_found(name, live, at, env).await?;
    let revision = text.map(Revision::of);
    if let (Some(text), Some(revision)) = (text, &revision) {
        kv::write(env, &name.revision_key(revision), text).await?;
    }
    let change = Change {
        revision,
        was,
        at,
        by: note.by,
        note: note.words,
        action: note.action,
    };
    write_history(name, &change, env).await?;
    match text {
        Some(text) => kv::write(env, &name.key(), text).await,
        None => kv::delete(env, &name.key()).await,
    }
}

/// An entry that was put past the history is kept as a revision, so that it can be gone back to.
async fn keep_found(
    name: &EntryName,
    live: &Live,
    at: UnixMillis,
    env: &Env,
) -> Result<(), Thrown> {
    let (Some(text), Some(revision)) = (&live.text, &live.revision) else {
        return Ok(());
    };
    let key = name.revision_key(revision);
    let kept = kv::read(env, std::slice::from_ref(&key)).await?;
    if kept.first().is_some_and(Option::is_some) {
        return Ok(());
    }
    kv::write(env, &key, text).await?;
    let change = Change {
        revision: Some(revision.clone()),
        was: None,
        at: UnixMillis(at.0.saturating_sub(1)),
        by: None,
        note: None,
        action: Action::Found,
    };
    write_history(name, &change, env).await
}

async fn write_history(name: &EntryName, change: &Change, env: &Env) -> Result<(), Thrown> {
    let text = serde_json::to_string(change).map_err(|_| Thrown)?;
    kv::write_with_metadata(env, &name.history_key(change.at), &text, &text).await
}

/// The newest changes of an entry, the newest first.
pub async fn history(name: &EntryName, env: &Env) -> Result<Vec<Change>, Thrown> {
    let keys = kv::list_with_metadata(env, &name.history_prefix(), HISTORY_MAX).await?;
    let own = keys.iter().filter(|(key, _)| name.is_history_key(key));
    Ok(own
        .filter_map(|(_, metadata)| serde_json::from_str(metadata).ok())
        .collect())
}

/// The text of a revision, where it is kept.
pub async fn revision_text(
    name: &EntryName,
    revision: &Revision,
    env: &Env,
) -> Result<Option<String>, Thrown> {
    let texts = kv::read(env, &[name.revision_key(revision)]).await?;
    Ok(texts.into_iter().next().flatten())
}
