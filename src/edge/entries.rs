//! What this isolate remembers of KV, and how it is kept fresh.
//!
//! An entry is awaited once, when the isolate first needs it; after that it is served from memory, and a request
//! that finds it older than the refresh interval starts a new read beside itself (stale-while-revalidate). A name
//! without an entry is remembered as well.
//!
//! A refused entry leaves the last good one in force. So that this holds for an isolate that starts after a bad
//! put, each accepted revision is also written under `good:<name>`, and read together with the entry.
//!
//! Not here: what an entry means (`config/`, `access/`).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use worker::{Context, Env};

use super::clock::now;
use super::{js, kv};
use crate::access::{KeyTerms, entry_name};
use crate::config::{Catalogue, Checked, Problem, Revision, Route};
use crate::units::{Millis, UnixMillis};

/// How old an entry may grow before it is read again. `REFRESH_MS` sets another.
const REFRESH_DEFAULT: Millis = Millis(10_000);
const REFRESH_MIN: Millis = Millis(50);
/// Routes and keys in memory; a caller who invents names must not fill it.
const SLOTS_MAX: usize = 2_000;
/// A refresh that has not come back by then is taken for lost, and the next request starts another.
const REFRESH_LOST: Millis = Millis(30_000);

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

#[derive(Default)]
struct Memory {
    catalogue: Slot<Catalogue>,
    routes: BTreeMap<String, Slot<Route>>,
    keys: BTreeMap<String, Slot<KeyTerms>>,
    route_names: Slot<Vec<String>>,
}

/// One entry as it was last read.
struct Slot<T> {
    /// Absent where there is no such entry, or none that was ever good.
    value: Option<Arc<T>>,
    /// Of the text that `value` was read from.
    revision: Revision,
    /// Of the catalogue that it was resolved against.
    against: Revision,
    /// Why the newest text was refused, if it was.
    problems: Vec<Problem>,
    read_at: Option<UnixMillis>,
    refreshing_since: Option<UnixMillis>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            value: None,
            revision: Revision::default(),
            against: Revision::default(),
            problems: Vec::new(),
            read_at: None,
            refreshing_since: None,
        }
    }
}

impl<T> Slot<T> {
    /// What is remembered, and whether the asker should start a new read beside itself. None before the first read.
    fn look(&mut self, refresh: Millis) -> Option<(Found<T>, bool)> {
        let is_stale = now().since(self.read_at?) >= refresh;
        let is_asker_due = is_stale && self.claim_refresh();
        Some((Found::from(&*self), is_asker_due))
    }

    /// Whether a new read should start: nobody else's is under way.
    fn claim_refresh(&mut self) -> bool {
        let now = now();
        let is_taken = self
            .refreshing_since
            .is_some_and(|since| now.since(since) < REFRESH_LOST);
        if !is_taken {
            self.refreshing_since = Some(now);
        }
        !is_taken
    }

    fn mark_read(&mut self) {
        self.read_at = Some(now());
        self.refreshing_since = None;
    }

    /// Takes the newest text, or keeps what is good. Gives the text to remember as good, if it is new.
    fn take<'a>(
        &mut self,
        newest: Option<&'a str>,
        good: Option<&str>,
        against: &Revision,
        parse: impl Fn(&str) -> Result<T, Vec<Problem>>,
    ) -> Option<&'a str> {
        self.mark_read();
        let Some(text) = newest else {
            let read_at = self.read_at;
            *self = Self {
                read_at,
                against: against.clone(),
                ..Self::default()
            };
            return None;
        };
        let revision = Revision::of(text);
        let is_known =
            self.value.is_some() && self.revision == revision && self.against == *against;
        if is_known && self.problems.is_empty() {
            return None;
        }
        match parse(text) {
            Ok(value) => {
                self.value = Some(Arc::new(value));
                self.revision = revision;
                self.against = against.clone();
                self.problems.clear();
                (good != Some(text)).then_some(text)
            }
            Err(problems) => {
                self.problems = problems;
                if self.value.is_none()
                    && let Some(good) = good
                    && let Ok(value) = parse(good)
                {
                    self.value = Some(Arc::new(value));
                    self.revision = Revision::of(good);
                    self.against = against.clone();
                }
                None
            }
        }
    }
}

/// What a name led to.
pub struct Found<T> {
    pub value: Option<Arc<T>>,
    pub revision: Revision,
    pub problems: u32,
}

impl<T> From<&Slot<T>> for Found<T> {
    fn from(slot: &Slot<T>) -> Self {
        Self {
            value: slot.value.clone(),
            revision: slot.revision.clone(),
            problems: u32::try_from(slot.problems.len()).unwrap_or(u32::MAX),
        }
    }
}

/// KV did not answer and nothing is remembered.
#[derive(Debug)]
pub struct Unreadable;

/// Entries as the current request sees them.
#[derive(Clone)]
pub struct Entries {
    env: Env,
    context: Rc<Context>,
    refresh: Millis,
}

impl Entries {
    pub fn new(env: &Env, context: &Rc<Context>) -> Self {
        let refresh = js::get_text(env, "REFRESH_MS")
            .and_then(|text| text.parse().ok())
            .map_or(REFRESH_DEFAULT, |millis| Millis(millis).max(REFRESH_MIN));
        Self {
            env: env.clone(),
            context: Rc::clone(context),
            refresh,
        }
    }

    pub fn context(&self) -> &Rc<Context> {
        &self.context
    }

    pub async fn route(&self, name: &str) -> Result<Found<Route>, Unreadable> {
        let look = |memory: &mut Memory| memory.routes.get_mut(name)?.look(self.refresh);
        self.recall(look, |entries| {
            let name = name.to_owned();
            async move { entries.read_route(&name).await }
        })
        .await
    }

    /// The providers and models that a route or a direct name may use.
    pub async fn catalogue(&self) -> Result<Found<Catalogue>, Unreadable> {
        let look = |memory: &mut Memory| memory.catalogue.look(self.refresh);
        let read = |entries: Self| async move { entries.read_catalogue().await };
        self.recall(look, read).await
    }

    /// The terms of a key.
    pub async fn key(&self, key: &str) -> Result<Option<Arc<KeyTerms>>, Unreadable> {
        let entry = entry_name(key);
        let look = |memory: &mut Memory| memory.keys.get_mut(&entry)?.look(self.refresh);
        let found = self.recall(look, |entries| {
            let entry = entry.clone();
            async move { entries.read_key(&entry).await }
        });
        Ok(found.await?.value)
    }

    /// The names of all routes, sorted.
    pub async fn route_names(&self) -> Result<Arc<Vec<String>>, Unreadable> {
        let look = |memory: &mut Memory| memory.route_names.look(self.refresh);
        let read = |entries: Self| async move { entries.read_route_names().await };
        Ok(self.recall(look, read).await?.value.unwrap_or_default())
    }

    /// Whether any key is configured at all, for the message to one who has none.
    pub async fn has_keys(&self) -> bool {
        kv::list(&self.env, "key:")
            .await
            .is_ok_and(|names| !names.is_empty())
    }

    /// Serves from memory; reads beside the request what is stale, and awaits only what was never read. A failed
    /// read leaves what is remembered in force.
    async fn recall<T, F>(
        &self,
        look: impl Fn(&mut Memory) -> Option<(Found<T>, bool)>,
        read: impl FnOnce(Self) -> F,
    ) -> Result<Found<T>, Unreadable>
    where
        F: Future<Output = Result<(), Unreadable>> + 'static,
    {
        match MEMORY.with_borrow_mut(&look) {
            Some((found, false)) => Ok(found),
            Some((found, true)) => {
                let refresh = read(self.clone());
                self.context.wait_until(async move {
                    let _ = refresh.await;
                });
                Ok(found)
            }
            None => {
                read(self.clone()).await?;
                let found = MEMORY.with_borrow_mut(look).ok_or(Unreadable)?;
                Ok(found.0)
            }
        }
    }

    /// Every problem of the entries that this isolate has read, by entry.
    pub async fn problems(&self) -> Result<BTreeMap<String, Vec<Problem>>, Unreadable> {
        for name in self.route_names().await?.iter() {
            self.route(name).await?;
        }
        let collect = |memory: &Memory| {
            let routes = memory.routes.iter();
            let routes = routes.map(|(name, slot)| (format!("route:{name}"), &slot.problems));
            let providers = ("providers".to_owned(), &memory.catalogue.problems);
            let all = routes.chain([providers]);
            all.filter(|(_, problems)| !problems.is_empty())
                .map(|(entry, problems)| (entry, problems.clone()))
                .collect()
        };
        Ok(MEMORY.with_borrow(collect))
    }

    async fn read_route(&self, name: &str) -> Result<(), Unreadable> {
        let entry = format!("route:{name}");
        let names = [
            "providers".to_owned(),
            good("providers"),
            entry.clone(),
            good(&entry),
        ];
        let texts = kv::read(&self.env, &names).await.map_err(|_| Unreadable)?;
        let [providers, good_providers, route, good_route] = texts.as_slice() else {
            return Err(Unreadable);
        };
        self.take_catalogue(providers.as_deref(), good_providers.as_deref());
        let accepted = MEMORY.with_borrow_mut(|memory| {
            let against = memory.catalogue.revision.clone();
            let catalogue = memory.catalogue.value.clone().unwrap_or_default();
            make_room(&mut memory.routes, name);
            let slot = memory.routes.entry(name.to_owned()).or_default();
            let parse = |text: &str| {
                Route::parse(name, text, &catalogue).map(|Checked { value, .. }| value)
            };
            let accepted = slot.take(route.as_deref(), good_route.as_deref(), &against, parse);
            accepted.map(str::to_owned)
        });
        self.keep_as_good(entry, accepted);
        Ok(())
    }

    async fn read_catalogue(&self) -> Result<(), Unreadable> {
        let names = ["providers".to_owned(), good("providers")];
        let texts = kv::read(&self.env, &names).await.map_err(|_| Unreadable)?;
        let [providers, good_providers] = texts.as_slice() else {
            return Err(Unreadable);
        };
        self.take_catalogue(providers.as_deref(), good_providers.as_deref());
        Ok(())
    }

    /// Without an entry the built-in catalogue stands alone.
    fn take_catalogue(&self, text: Option<&str>, good: Option<&str>) {
        let accepted = MEMORY.with_borrow_mut(|memory| {
            let parse = |text: &str| Catalogue::parse(text).map(|Checked { value, .. }| value);
            let accepted = memory
                .catalogue
                .take(text, good, &Revision::default(), parse);
            if memory.catalogue.value.is_none() {
                memory.catalogue.value = Some(Arc::default());
            }
            accepted.map(str::to_owned)
        });
        self.keep_as_good("providers".to_owned(), accepted);
    }

    async fn read_key(&self, entry: &str) -> Result<(), Unreadable> {
        let names = [entry.to_owned()];
        let texts = kv::read(&self.env, &names).await.map_err(|_| Unreadable)?;
        let text = texts.first().cloned().flatten();
        let hash = entry.strip_prefix("key:").unwrap_or(entry);
        MEMORY.with_borrow_mut(|memory| {
            make_room(&mut memory.keys, entry);
            let slot = memory.keys.entry(entry.to_owned()).or_default();
            // Terms that cannot be read admit nobody: a guess could be too generous.
            let terms = text.and_then(|text| KeyTerms::parse(hash, &text).ok());
            slot.value = terms.map(Arc::new);
            slot.mark_read();
        });
        Ok(())
    }

    async fn read_route_names(&self) -> Result<(), Unreadable> {
        let entries = kv::list(&self.env, "route:")
            .await
            .map_err(|_| Unreadable)?;
        let mut names: Vec<String> = entries
            .iter()
            .filter_map(|entry| entry.strip_prefix("route:").map(str::to_owned))
            .collect();
        names.sort_unstable();
        MEMORY.with_borrow_mut(|memory| {
            memory.route_names.value = Some(Arc::new(names));
            memory.route_names.mark_read();
        });
        Ok(())
    }

    /// Other isolates do the same with the same text; when KV's limit of a write a second refuses one, another
    /// has written it.
    fn keep_as_good(&self, entry: String, text: Option<String>) {
        let Some(text) = text else {
            return;
        };
        let env = self.env.clone();
        self.context.wait_until(async move {
            let _ = kv::write(&env, &good(&entry), &text).await;
        });
    }
}

fn good(entry: &str) -> String {
    format!("good:{entry}")
}

/// Forgets what was read longest ago, when full.
fn make_room<T>(slots: &mut BTreeMap<String, Slot<T>>, name: &str) {
    if slots.len() < SLOTS_MAX || slots.contains_key(name) {
        return;
    }
    let oldest = slots.iter().min_by_key(|(_, slot)| slot.read_at);
    if let Some(name) = oldest.map(|(name, _)| name.clone()) {
        slots.remove(&name);
    }
}
