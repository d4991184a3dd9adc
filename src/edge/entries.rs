//! What this isolate remembers of KV, and how it is kept fresh.
//!
//! An entry is awaited once, when the isolate first needs it; after that it is served from memory, and a request
//! that finds it older than the refresh interval starts a new read beside itself (stale-while-revalidate). A name
//! without an entry is remembered as well.
//!
//! A refused entry leaves the last good one in force. So that this holds for an isolate that starts after a bad
//! put, each accepted revision is also written under `good:<name>`, a route's together with the providers that it was
//! resolved against, and read together with the entry.
//!
//! Not here: what an entry means (`config/`, `access/`).

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use worker::{Context, Env};

use super::slot::{Found, Slot};
use super::{js, kv};
use crate::access::{KeyTerms, entry_name};
use crate::config::{Catalogue, EntryName, Problem, Revision, Route};
use crate::units::Millis;

/// How old an entry may grow before it is read again. `REFRESH_MS` sets another.
const REFRESH_DEFAULT: Millis = Millis(10_000);
const REFRESH_MIN: Millis = Millis(50);
/// Routes and keys in memory; a caller who invents names must not fill it.
const SLOTS_MAX: usize = 2_000;
/// Routes of one bulk get: KV takes 100 keys, a route has two, and so has `providers`.
const ROUTES_PER_READ: usize = 49;

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

#[derive(Default)]
struct Memory {
    catalogue: Slot<Catalogue>,
    /// The text that `catalogue` was read from; none where it is the built-in one.
    providers_text: Option<String>,
    routes: BTreeMap<String, Slot<Route>>,
    keys: BTreeMap<String, Slot<KeyTerms>>,
    route_names: Slot<Vec<String>>,
    /// Read only where there is a key.
    has_keys: Slot<()>,
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
            let names = [name.to_owned()];
            async move { entries.read_routes(&names).await }
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

    /// Whether any key is configured at all, for the message to one who has none. That there are some is remembered:
    /// whoever tries keys must not make us list them each time.
    pub async fn has_keys(&self) -> bool {
        let look = |memory: &mut Memory| memory.has_keys.look(self.refresh);
        let read = |entries: Self| async move { entries.read_has_keys().await };
        self.recall(look, read).await.is_ok()
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

    /// Every problem of all entries, by entry. Reads what is stale, and waits for it: nobody's answer does.
    pub async fn problems(&self) -> Result<BTreeMap<String, Vec<Problem>>, Unreadable> {
        let is_stale = |memory: &Memory| {
            (
                memory.route_names.is_stale(self.refresh),
                memory.catalogue.is_stale(self.refresh),
            )
        };
        let (are_names_stale, is_catalogue_stale) = MEMORY.with_borrow(is_stale);
        if are_names_stale {
            self.read_route_names().await?;
        }
        if is_catalogue_stale {
            self.read_catalogue().await?;
        }
        let due = MEMORY.with_borrow(|memory| {
            let names = memory.route_names.value.clone().unwrap_or_default();
            let is_due = |name: &&String| {
                let slot = memory.routes.get(name.as_str());
                slot.is_none_or(|slot| slot.is_stale(self.refresh))
            };
            names.iter().filter(is_due).cloned().collect::<Vec<_>>()
        });
        for names in due.chunks(ROUTES_PER_READ) {
            self.read_routes(names).await?;
        }
        let collect = |memory: &Memory| {
            let names = memory.route_names.value.clone().unwrap_or_default();
            let routes = memory
                .routes
                .iter()
                .filter(|(name, _)| names.binary_search(name).is_ok());
            let routes = routes.map(|(name, slot)| (route_entry(name), &slot.problems));
            let providers = ("providers".to_owned(), &memory.catalogue.problems);
            let all = routes.chain([providers]);
            all.filter(|(_, problems)| !problems.is_empty())
                .map(|(entry, problems)| (entry, problems.clone()))
                .collect()
        };
        Ok(MEMORY.with_borrow(collect))
    }

    /// Those of the routes that have a good revision. Reads what is stale, and waits for it, many at once.
    pub async fn routes(&self, names: &[String]) -> Result<Vec<Arc<Route>>, Unreadable> {
        let mut routes = Vec::with_capacity(names.len());
        for names in names.chunks(ROUTES_PER_READ) {
            let is_stale = MEMORY.with_borrow(|memory| {
                let slot = |name: &String| memory.routes.get(name);
                let is_stale =
                    |name: &String| slot(name).is_none_or(|slot| slot.is_stale(self.refresh));
                names.iter().any(is_stale)
            });
            if is_stale {
                self.read_routes(names).await?;
            }
            MEMORY.with_borrow(|memory| {
                let found = names.iter().filter_map(|name| memory.routes.get(name));
                routes.extend(found.filter_map(|slot| slot.value.clone()));
            });
        }
        Ok(routes)
    }

    /// The entries that are in force here, at most `limit`, each with its revision. Reads nothing.
    pub fn revisions(limit: usize) -> Vec<(String, String)> {
        let collect = |memory: &Memory| {
            let providers = ("providers".to_owned(), memory.catalogue.revision.0.clone());
            let routes = memory
                .routes
                .iter()
                .filter(|(_, slot)| slot.value.is_some());
            let routes = routes.map(|(name, slot)| (route_entry(name), slot.revision.0.clone()));
            [providers].into_iter().chain(routes).take(limit).collect()
        };
        MEMORY.with_borrow(collect)
    }

    /// Reads routes, and the providers that they are resolved against, in one operation.
    async fn read_routes(&self, names: &[String]) -> Result<(), Unreadable> {
        let mut entries = vec!["providers".to_owned(), good("providers")];
        for name in names {
            entries.push(route_entry(name));
            entries.push(good(&route_entry(name)));
        }
        let texts = kv::read(&self.env, &entries)
            .await
            .map_err(|_| Unreadable)?;
        let mut pairs = texts.chunks(2);
        let Some([providers, good_providers]) = pairs.next() else {
            return Err(Unreadable);
        };
        self.take_catalogue(providers.as_deref(), good_providers.as_deref());
        for (name, pair) in names.iter().zip(pairs) {
            if let [route, good_route] = pair {
                self.take_route(name, route.as_deref(), good_route.as_deref());
            }
        }
        Ok(())
    }

    fn take_route(&self, name: &str, text: Option<&str>, good: Option<&str>) {
        let accepted = MEMORY.with_borrow_mut(|memory| {
            let against = memory.catalogue.revision.clone();
            let catalogue = memory.catalogue.value.clone().unwrap_or_default();
            let providers = memory.providers_text.clone();
            make_room(&mut memory.routes, name);
            let slot = memory.routes.entry(name.to_owned()).or_default();
            let parse =
                |text: &str| Route::parse(name, text, &catalogue).map(|checked| checked.value);
            let last_good = || GoodRoute::read(good?)?.parse(name);
            let is_accepted = slot.take(text, &against, parse, last_good);
            let accepted = text.filter(|_| is_accepted)?;
            GoodRoute::write(accepted, providers.as_deref())
        });
        self.keep_as_good(&route_entry(name), accepted, good);
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
            let parse = |text: &str| Catalogue::parse(text).map(|checked| checked.value);
            let last_good = || Some((parse(good?).ok()?, Revision::of(good?)));
            let slot = &mut memory.catalogue;
            let is_first = slot.value.is_none();
            let is_accepted = slot.take(text, &Revision::default(), parse, last_good);
            if slot.problems.is_empty() {
                memory.providers_text = text.map(str::to_owned);
            } else if is_first {
                memory.providers_text = good.map(str::to_owned);
            }
            if slot.value.is_none() {
                slot.value = Some(Arc::default());
            }
            text.filter(|_| is_accepted).map(str::to_owned)
        });
        self.keep_as_good("providers", accepted, good);
    }

    /// Takes what this isolate has just written to KV, so that its next request sees it. A route is resolved against
    /// what is remembered of the providers; routes that new providers concern follow at their own refresh.
    pub async fn take_written(&self, name: &EntryName, text: Option<&str>) {
        match name {
            EntryName::Flags => {}
            EntryName::Providers => self.take_catalogue(text, None),
            EntryName::Key(_) => take_key(&name.key(), text),
            EntryName::Route(name) => {
                // The providers must be known. Where KV does not tell them, the route is read when it is asked for.
                if self.catalogue().await.is_ok() {
                    self.take_route(name, text, None);
                    take_route_name(name, text.is_some());
                }
            }
        }
    }

    async fn read_key(&self, entry: &str) -> Result<(), Unreadable> {
        let names = [entry.to_owned()];
        let texts = kv::read(&self.env, &names).await.map_err(|_| Unreadable)?;
        take_key(entry, texts.first().and_then(Option::as_deref));
        Ok(())
    }

    async fn read_has_keys(&self) -> Result<(), Unreadable> {
        let names = kv::list(&self.env, "key:").await.map_err(|_| Unreadable)?;
        MEMORY.with_borrow_mut(|memory| {
            memory.has_keys = Slot::default();
            if !names.is_empty() {
                memory.has_keys.set(Some(Arc::new(())));
            }
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
            memory.route_names.set(Some(Arc::new(names)));
        });
        Ok(())
    }

    /// Other isolates do the same with the same text; when KV's limit of a write a second refuses one, another
    /// has written it.
    fn keep_as_good(&self, entry: &str, accepted: Option<String>, known: Option<&str>) {
        let Some(text) = accepted.filter(|text| known != Some(text.as_str())) else {
            return;
        };
        let (env, entry) = (self.env.clone(), good(entry));
        self.context.wait_until(async move {
            let _ = kv::write(&env, &entry, &text).await;
        });
    }
}

/// What is kept of an accepted route: its text, and that of the `providers` entry it was resolved against. Each may
/// change by itself, and only together are they known to be good.
#[derive(Serialize, Deserialize)]
struct GoodRoute<'a> {
    route: Cow<'a, str>,
    providers: Option<Cow<'a, str>>,
}

impl GoodRoute<'_> {
    fn read(text: &str) -> Option<GoodRoute<'_>> {
        serde_json::from_str(text).ok()
    }

    fn write(route: &str, providers: Option<&str>) -> Option<String> {
        let kept = GoodRoute {
            route: route.into(),
            providers: providers.map(Cow::from),
        };
        serde_json::to_string(&kept).ok()
    }

    fn parse(&self, name: &str) -> Option<(Route, Revision)> {
        let catalogue = match &self.providers {
            Some(text) => Catalogue::parse(text).ok()?.value,
            None => Catalogue::default(),
        };
        let route = Route::parse(name, &self.route, &catalogue).ok()?.value;
        Some((route, Revision::of(&self.route)))
    }
}

fn take_route_name(name: &str, is_there: bool) {
    MEMORY.with_borrow_mut(|memory| {
        let Some(names) = memory.route_names.value.as_mut().map(Arc::make_mut) else {
            return;
        };
        match names.binary_search_by(|known| known.as_str().cmp(name)) {
            Ok(place) if !is_there => {
                names.remove(place);
            }
            Err(place) if is_there => names.insert(place, name.to_owned()),
            _ => {}
        }
    });
}

fn take_key(entry: &str, text: Option<&str>) {
    let hash = entry.strip_prefix("key:").unwrap_or(entry);
    MEMORY.with_borrow_mut(|memory| {
        make_room(&mut memory.keys, entry);
        let slot = memory.keys.entry(entry.to_owned()).or_default();
        // Terms that cannot be read admit nobody: a guess could be too generous.
        let terms = text.and_then(|text| KeyTerms::parse(hash, text).ok());
        slot.set(terms.map(Arc::new));
    });
}

fn route_entry(name: &str) -> String {
    format!("route:{name}")
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
