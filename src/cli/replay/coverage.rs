//! Whether the intervals cover the truth as often as they say.
//!
//! A world of known truth: requests of several kinds, three targets, outcomes that depend on both. The kinds are few, so
//! the truth is a sum and no simulation. Each kind's probabilities come from the real decision, through the code that
//! replays records; what is drawn here is who comes, who is chosen and how it ends, in a thousand logs.

use super::estimate::{Log, Told};
use super::interval::Estimate;
use super::sample::{Figure, METRICS, Metric, Sample};
use crate::classify::Traits;
use crate::cli::again::{Routes, again, decisions};
use crate::config::{Catalogue, Route};
use crate::decide::{Candidate, Seed, SeedSource, plan};
use crate::health::View;
use crate::journal::{Decision, Record};
use crate::units::{Tokens, UnixMillis};

const LOGS: u32 = 1_000;
const EXCHANGES: usize = 1_500;
/// Seeds by which it is learned how often another choice comes of the same seed.
const SEEDS: u64 = 500;
const TARGETS: usize = 3;

/// What is drawn from a hash of its place: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".
struct Chance(u64);

impl Chance {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn uniform(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let bits = (self.bits() >> 11) as f64;
        (bits + 0.5) / 9_007_199_254_740_992.0
    }

    /// Box and Muller 1958.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// The place of one of them, in proportion.
    fn pick(&mut self, weights: impl Iterator<Item = f64> + Clone) -> usize {
        let mut left = self.uniform() * weights.clone().sum::<f64>();
        for (place, weight) in weights.clone().enumerate() {
            left -= weight;
            if left <= 0.0 {
                return place;
            }
        }
        weights.count() - 1
    }
}

/// Requests that are alike, and what each target makes of them.
struct Kind {
    weight: f64,
    /// One exchange of it; who is chosen and how it ends is drawn anew.
    sample: Sample,
    /// By choice: how often the new config makes the same one with the same seed.
    stays: [f64; TARGETS],
    truths: [Truth; TARGETS],
}

/// What is true of one target for one kind.
#[derive(Clone, Copy, Default)]
struct Truth {
    p_success: f64,
    /// Means, in the order of `METRICS`.
    means: [f64; 3],
}

fn route(name: &str, rest: &str) -> Route {
    let target = |id: &str, price: f64, code: f64| {
        format!(
            "{{\"id\":\"{id}\",\"provider\":\"openai\",\"model\":\"{id}\",\"usd_per_mtok\":{{\"in\":{price},\"out\":{}}},\
             \"quality\":{{\"code\":{code},\"*\":0.7}}}}",
            4.0 * price
        )
    };
    let targets = [
        target("a", 0.5, 0.5),
        target("b", 2.0, 0.8),
        target("c", 5.0, 0.95),
    ];
    let text = format!("{{\"targets\":[{}],{rest}}}", targets.join(","));
    Route::parse(name, &text, &Catalogue::default())
        .unwrap()
        .value
}

/// Topic, length, stream and the health of one target: each changes both who is chosen and what comes of it.
fn kinds(old: &Route, new: &Routes) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for bits in 0..16_u32 {
        let has = |bit: u32| bits & (1 << bit) != 0;
        let traits = Traits {
            topic: has(0).then(|| "code".to_owned()),
            prompt_tokens: Tokens(if has(1) { 4_000 } else { 400 }),
            is_streaming: has(2),
            ..Traits::default()
        };
        let slow = View {
            ttft_seconds: 4.0,
            p_success: 0.7,
            ..View::default()
        };
        let views = [
            View::default(),
            if has(3) { slow } else { View::default() },
            View::default(),
        ];
        kinds.push(kind(&traits, &views, old, new, 1.0 + f64::from(bits % 5)));
    }
    kinds
}

fn kind(traits: &Traits, views: &[View], old: &Route, new: &Routes, weight: f64) -> Kind {
    let (mut chosen, mut same) = ([0.0; TARGETS], [0.0; TARGETS]);
    let mut template = None;
    for seed in 0..SEEDS {
        let seed = Seed {
            value: Chance(seed).bits(),
            source: SeedSource::Random,
        };
        let decision = Decision::of(&plan(traits, old, views, seed.value), seed);
        let traits = traits.clone();
        let mut record = Record::rejected(
            String::new(),
            UnixMillis(0),
            "r".to_owned(),
            traits,
            200,
            "",
        );
        record.decision = Some(decision);
        let decided = decisions(&record).next().unwrap();
        let again = again(&decided, Some(old), new);
        let place = |candidate: &Candidate| usize::from(candidate.target.as_bytes()[0] - b'a');
        let sample = Sample::of(&record, &decided, &again, place).unwrap();
        chosen[sample.chosen] += 1.0;
        same[sample.chosen] += f64::from(u8::from(sample.would_stay));
        template = Some(sample);
    }
    let sample = template.unwrap();
    let is_code = f64::from(u8::from(traits.topic.is_some()));
    let is_long = f64::from(u8::from(traits.prompt_tokens.0 > 1_000));
    let is_slow = f64::from(u8::from(views[1].ttft_seconds > 1.0));
    let mut truths = [Truth::default(); TARGETS];
    let mut staying = [0.0; TARGETS];
    for (place, (truth, price)) in truths.iter_mut().zip([0.5, 2.0, 5.0]).enumerate() {
        let nth = f64::from(u8::try_from(place).unwrap());
        let is_b = if place == 1 { 1.0 } else { 0.0 };
        let cost = price * (0.4 + 3.6 * is_long) * (1.0 + 2.0 * is_code);
        let first =
            (300.0 + 250.0 * nth + 700.0 * is_long) * (1.0 + is_code + 3.0 * is_slow * is_b);
        truth.means = [
            cost,
            first,
            first + 3_000.0 * (1.0 + is_code) * (1.0 + 0.3 * nth),
        ];
        truth.p_success =
            0.9 + 0.03 * nth - 0.15 * is_code * (1.0 - 0.4 * nth) - 0.1 * is_slow * is_b;
        staying[place] = same[place] / f64::max(chosen[place], 1.0);
    }
    Kind {
        weight,
        sample,
        stays: staying,
        truths,
    }
}

/// The new config's: what an exchange adds to the two sums of a figure, if `target` is chosen.
fn expected(kind: &Kind, target: usize, metric: usize) -> (f64, f64) {
    let truth = &kind.truths[target];
    let figure = |presence: f64| (presence * truth.means[metric], presence);
    match METRICS[metric] {
        Metric::Cost => figure(1.0),
        Metric::FirstToken if kind.sample.figures[1] == Figure::Foreign => (0.0, 0.0),
        Metric::FirstToken | Metric::Total => figure(truth.p_success),
        Metric::Success => (truth.p_success, 1.0),
    }
}

fn truth(kinds: &[Kind], metric: usize, is_new: bool) -> f64 {
    let (mut above, mut below) = (0.0, 0.0);
    for kind in kinds {
        for choice in &kind.sample.choices {
            let share = if is_new { choice.new } else { choice.logged };
            let (figure, presence) = expected(kind, choice.model, metric);
            above += kind.weight * share * figure;
            below += kind.weight * share * presence;
        }
    }
    above / below
}

fn drawn(kinds: &[Kind], chance: &mut Chance) -> Sample {
    let kind = &kinds[chance.pick(kinds.iter().map(|kind| kind.weight))];
    let mut sample = kind.sample.clone();
    sample.seed = chance.bits();
    let choice = chance.pick(sample.choices.iter().map(|choice| choice.logged));
    sample.chosen = sample.choices[choice].model;
    sample.would_stay = chance.uniform() < kind.stays[sample.chosen];
    let truth = &kind.truths[sample.chosen];
    let is_whole = chance.uniform() < truth.p_success;
    // Log-normal, with this mean: a few take many times as long as most.
    let mut skewed = |mean: f64, sigma: f64| {
        Figure::Is(mean * (sigma * chance.normal() - 0.5 * sigma * sigma).exp())
    };
    let times = [skewed(truth.means[1], 0.8), skewed(truth.means[2], 0.6)];
    let or_missing = |figure: Figure| if is_whole { figure } else { Figure::Missing };
    let first = match sample.figures[1] {
        Figure::Foreign => Figure::Foreign,
        _ => or_missing(times[0]),
    };
    let success = Figure::Is(f64::from(u8::from(is_whole)));
    sample.figures = [
        skewed(truth.means[0], 0.7),
        first,
        or_missing(times[1]),
        success,
    ];
    sample
}

/// How many logs' intervals cover the truth.
#[derive(Debug, Default)]
struct Covered {
    old: u32,
    doubly_robust: u32,
    change: u32,
    self_normalised: u32,
    /// None where a figure may be missing.
    inverse_propensity: Option<u32>,
    naive: u32,
}

impl Covered {
    fn take(&mut self, told: &Told, old: f64, new: f64) {
        let covers = |estimate: &Estimate, truth: f64| {
            let (low, high) = (estimate.low.unwrap(), estimate.high.unwrap());
            u32::from((low..=high).contains(&truth))
        };
        self.old += covers(&told.old, old);
        self.doubly_robust += covers(&told.doubly_robust, new);
        self.change += covers(&told.change, new - old);
        self.self_normalised += covers(&told.self_normalised, new);
        self.naive += covers(&told.naive.unwrap(), new);
        if let Some(inverse) = &told.inverse_propensity {
            *self.inverse_propensity.get_or_insert_default() += covers(inverse, new);
        }
    }

    /// All but the naive one in 93 to 97 % of the logs, and that one in fewer.
    fn check(&self, name: &str) {
        let Self {
            old,
            doubly_robust,
            change,
            self_normalised,
            inverse_propensity,
            naive,
        } = self;
        let good = [old, doubly_robust, change, self_normalised]
            .into_iter()
            .chain(inverse_propensity);
        let honest = LOGS * 93 / 100..=LOGS * 97 / 100;
        for covered in good {
            assert!(honest.contains(covered), "{name}: {self:?}");
        }
        assert!(naive < honest.start(), "{name}: {self:?}");
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "docs/replay.md has the figures")]
fn intervals_cover_the_truth_as_often_as_they_say_and_the_naive_one_does_not() {
    let old = route(
        "r",
        r#""prefer":{"price":0.5,"quality":2,"reliability":1},"temperature":0.7"#,
    );
    let new = route(
        "r",
        r#""prefer":{"price":0.2,"quality":4,"ttft":0.5},"temperature":0.7"#,
    );
    let kinds = kinds(&old, &Routes::from([("r".to_owned(), new)]));
    let mut chance = Chance(1);
    let mut covered: [Covered; METRICS.len()] = Default::default();
    for _ in 0..LOGS {
        let samples: Vec<Sample> = (0..EXCHANGES).map(|_| drawn(&kinds, &mut chance)).collect();
        let log = Log::new(&samples, TARGETS);
        for (place, metric) in METRICS.into_iter().enumerate() {
            let told = log.ask(metric).unwrap();
            let (old, new) = (truth(&kinds, place, false), truth(&kinds, place, true));
            covered[place].take(&told, old, new);
        }
    }
    for (metric, covered) in METRICS.into_iter().zip(&covered) {
        println!("{}: {covered:?}", metric.name());
    }
    for (metric, covered) in METRICS.into_iter().zip(&covered) {
        covered.check(metric.name());
    }
}

/// Sessions stay where they began, and each is slow or quick by itself: its requests are one draw.
#[test]
fn intervals_count_sessions_where_sessions_are_what_was_drawn() {
    const SESSIONS: u64 = 300;
    let old = route("r", r#""sticky":"session""#);
    let text = r#"{"targets":[{"id":"a","provider":"openai","model":"a"},{"id":"b","provider":"openai","model":"b","weight":3}],
        "sticky":"session"}"#;
    let new = Route::parse("r", text, &Catalogue::default())
        .unwrap()
        .value;
    let routes = Routes::from([("r".to_owned(), new)]);
    let views = [View::default(); TARGETS];
    let kind = kind(&Traits::default(), &views, &old, &routes, 1.0);
    // a: 1/3 -> 1/4, b: 1/3 -> 3/4, c: 1/3 -> 0.
    let mean = [1_000.0, 1_500.0, 4_000.0];
    let new_truth = 0.25 * mean[0] + 0.75 * mean[1];
    let mut chance = Chance(7);
    let (mut by_session, mut by_request) = (0, 0);
    for _ in 0..LOGS {
        let mut samples = Vec::new();
        for session in 0..SESSIONS {
            let mut sample = kind.sample.clone();
            sample.seed = session;
            sample.chosen = sample.choices
                [chance.pick(sample.choices.iter().map(|choice| choice.logged))]
            .model;
            let own = (0.5 * chance.normal() - 0.125).exp();
            for _ in 0..=chance.bits() % 6 {
                let time = mean[sample.chosen] * own * (0.9 + 0.2 * chance.uniform());
                sample.figures[2] = Figure::Is(time);
                samples.push(sample.clone());
            }
        }
        let covers = |samples: &[Sample]| {
            let told = Log::new(samples, TARGETS).ask(Metric::Total).unwrap();
            let Estimate { low, high, .. } = told.doubly_robust;
            u32::from((low.unwrap()..=high.unwrap()).contains(&new_truth))
        };
        by_session += covers(&samples);
        for (seed, sample) in (0..).zip(&mut samples) {
            sample.seed = seed;
        }
        by_request += covers(&samples);
    }
    assert!((930..=970).contains(&by_session), "{by_session}");
    assert!(by_request < 900, "{by_request}");
}
