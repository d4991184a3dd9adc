//! What is counted while a world runs. `outcome.rs` makes figures of it.

use super::fault::{Fault, From};
use super::place::Pop;
use super::scenario::Scenario;
use super::world::START;
use crate::health::{Admission, Report, State};
use crate::journal::{AttemptRecord, Ending, Record};
use crate::units::{Millis, UnixMillis};

/// Counts of one run.
#[derive(Debug)]
pub(super) struct Tally {
    pub begun: u64,
    pub ended: u64,
    /// Of requests by the second in which they came.
    pub seconds: Vec<Second>,
    pub isolates: Vec<Known>,
    /// For each fault with a provider: first calls from where it is seen, and those of them to that provider, by second.
    pub watched: Vec<Vec<(u32, u32)>>,
    pub providers: Vec<Provider>,
    faults: Vec<Window>,
}

/// The requests of one second.
#[derive(Clone, Debug, Default)]
pub(super) struct Second {
    pub begun: u32,
    pub completed: u32,
    /// Broke after they had begun to answer.
    pub cut: u32,
    pub failed: u32,
    pub calls: u32,
    /// By provider.
    pub first_calls: Vec<u32>,
    pub micro_usd: f64,
    /// Of those that got one, in milliseconds.
    pub first_tokens: Vec<u32>,
}

/// What one isolate came to know of each fault.
#[derive(Debug)]
pub(super) struct Known {
    pub from: From,
    pub pop: usize,
    pub born_at: UnixMillis,
    /// By fault: whether it served a request while it was there, and when it first took the target for ejected.
    pub of: Vec<(bool, Option<UnixMillis>)>,
    /// By provider: when it last ejected the target by its own judgement.
    ejected_at: Vec<UnixMillis>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Provider {
    pub name: String,
    /// The names of its targets as health knows them.
    keys: Vec<String>,
    pub calls: u64,
    pub fullness_max: f64,
    /// By an isolate's own judgement.
    pub ejections: u64,
    /// From which `PoP`, and when.
    pub probes: Vec<(usize, UnixMillis)>,
    /// Calls though it was ejected, for want of another target.
    pub last_resorts: u64,
}

#[derive(Debug)]
struct Window {
    provider: Option<usize>,
    from: UnixMillis,
    until: UnixMillis,
    regions: Vec<usize>,
    pops: Option<usize>,
}

impl Window {
    fn of(fault: &Fault) -> Self {
        Self {
            provider: fault.provider,
            from: START + fault.from,
            until: START + fault.until(),
            regions: fault.regions.clone(),
            pops: fault.pops,
        }
    }

    fn is_for(&self, from: From) -> bool {
        (self.regions.is_empty() || self.regions.contains(&from.region))
            && self.pops.is_none_or(|pops| from.pop < pops)
    }
}

impl Tally {
    pub fn new(scenario: &Scenario) -> Self {
        let provider = |name: &String| {
            let targets = scenario.route.targets.iter();
            let own = targets.filter(|target| target.provider.name.as_ref() == name);
            Provider {
                name: name.clone(),
                keys: own.map(crate::config::Target::health_key).collect(),
                ..Provider::default()
            }
        };
        let names = scenario.providers.iter().map(|capacity| &capacity.name);
        let faults = scenario.faults.iter();
        Self {
            begun: 0,
            ended: 0,
            seconds: Vec::new(),
            isolates: Vec::new(),
            watched: faults.clone().map(|_| Vec::new()).collect(),
            providers: names.map(provider).collect(),
            faults: faults.map(Window::of).collect(),
        }
    }

    pub fn begun(&self) -> u64 {
        self.begun
    }

    pub fn ended(&self) -> u64 {
        self.ended
    }

    pub fn isolate(&mut self, pop: &Pop, now: UnixMillis) {
        self.isolates.push(Known {
            from: pop.from,
            pop: pop.number,
            born_at: now,
            of: vec![(false, None); self.faults.len()],
            ejected_at: vec![UnixMillis(0); self.providers.len()],
        });
    }

    pub fn begin(&mut self, now: UnixMillis) {
        self.begun += 1;
        if let Some(second) = self.second(now) {
            second.begun += 1;
        }
    }

    pub fn call(&mut self, provider: usize, is_first: bool, from: From, now: UnixMillis) {
        if let Some(known) = self.providers.get_mut(provider) {
            known.calls += 1;
        }
        let count = self.providers.len();
        if !is_first {
            return;
        }
        if let Some(second) = self.second(now) {
            second.first_calls.resize(count, 0);
            if let Some(calls) = second.first_calls.get_mut(provider) {
                *calls += 1;
            }
        }
        for (window, watched) in self.faults.iter().zip(&mut self.watched) {
            if window.provider.is_some() && window.is_for(from) {
                let second = second_of(now);
                if watched.len() <= second {
                    watched.resize(second + 1, (0, 0));
                }
                if let Some((all, there)) = watched.get_mut(second) {
                    *all += 1;
                    *there += u32::from(window.provider == Some(provider));
                }
            }
        }
    }

    pub fn fullness(&mut self, provider: usize, fullness: f64) {
        if let Some(known) = self.providers.get_mut(provider) {
            known.fullness_max = known.fullness_max.max(fullness);
        }
    }

    pub fn finish(&mut self, record: &Record, isolate: usize) {
        self.ended += 1;
        let outcome = &record.outcome;
        let calls = u32::try_from(record.attempts.len()).unwrap_or(u32::MAX);
        if let Some(second) = self.second(record.at) {
            match outcome.code {
                Ending::Completed => second.completed += 1,
                Ending::Cut => second.cut += 1,
                Ending::Failed | Ending::Rejected | Ending::ClientGone => second.failed += 1,
            }
            second.calls += calls;
            second.micro_usd += outcome.cost.0;
            let first_token = outcome.first_token_ms.map(|wait| wait.0);
            let first_token = first_token.map(|wait| u32::try_from(wait).unwrap_or(u32::MAX));
            second.first_tokens.extend(first_token);
        }
        self.learn(record, isolate);
    }

    /// What the record's isolate knew when the request came.
    fn learn(&mut self, record: &Record, isolate: usize) {
        let Some(decision) = &record.decision else {
            return;
        };
        let is_at_hand = |window: &Window| window.from <= record.at && record.at < window.until;
        let pop = self.isolates.get(isolate).map_or(0, |known| known.pop);
        let mut is_ejected = vec![false; self.providers.len()];
        for candidate in &decision.candidates {
            let is_it = |known: &Provider| known.name == candidate.provider.as_ref();
            let Some(place) = self.providers.iter().position(is_it) else {
                continue;
            };
            let is_out = matches!(candidate.health.admission, Admission::Ejected { .. });
            let is_probed = candidate.health.admission.is_for_a_probe();
            if let Some(known) = is_ejected.get_mut(place) {
                *known |= is_out;
            }
            let is_it = |attempt: &&AttemptRecord| attempt.target == candidate.target;
            let Some(known) = self.providers.get_mut(place) else {
                continue;
            };
            if is_out {
                let sent = record.attempts.iter().filter(is_it);
                known.last_resorts += u64::try_from(sent.count()).unwrap_or_default();
            }
            // A later attempt goes by a plan that has grown old, for want of another target.
            let first = record.attempts.first().filter(is_it);
            if first.is_some() && is_probed {
                known.probes.push((pop, record.at));
            }
        }
        let Some(known) = self.isolates.get_mut(isolate) else {
            return;
        };
        let windows = self.faults.iter().zip(&mut known.of);
        for (window, (has_served, first)) in windows.filter(|(window, _)| is_at_hand(window)) {
            *has_served = true;
            let provider = window.provider.and_then(|place| is_ejected.get(place));
            if provider == Some(&true) {
                *first = Some(first.map_or(record.at, |first| first.min(record.at)));
            }
        }
    }

    /// Counts the ejections that an isolate tells of.
    pub fn report(&mut self, isolate: usize, report: &Report) {
        let Some(known) = self.isolates.get_mut(isolate) else {
            return;
        };
        for (provider, ejected_at) in self.providers.iter_mut().zip(&mut known.ejected_at) {
            let told = provider
                .keys
                .iter()
                .filter_map(|key| report.targets.get(key));
            for verdict in told.filter_map(|told| told.verdict) {
                let is_first = matches!(verdict.state, State::Ejected { count: 1, .. });
                if is_first && verdict.at > *ejected_at {
                    *ejected_at = verdict.at;
                    provider.ejections += 1;
                }
            }
        }
    }

    fn second(&mut self, at: UnixMillis) -> Option<&mut Second> {
        let second = second_of(at);
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, Second::default());
        }
        self.seconds.get_mut(second)
    }
}

fn second_of(at: UnixMillis) -> usize {
    let Millis(since) = at.since(START);
    usize::try_from(since / 1_000).unwrap_or_default()
}
