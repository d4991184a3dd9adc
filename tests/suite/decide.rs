//! The laws of the decision, over random routes, requests and health.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use waypost::classify::Traits;
use waypost::config::{Catalogue, Route, Sticky};
use waypost::decide::{Exclusion, Plan, Seed, SeedSource, plan, redirect};
use waypost::health::{Admission, View};
use waypost::units::{MicroUsd, Millis, Tokens, UnixMillis};

/// Draws that compare shares with frequencies, for each of so many worlds.
const DRAWS: u32 = 100_000;
const DRAWN_WORLDS: usize = 6;
/// Below this many expected firsts a count is not normally distributed; such candidates are counted together.
const FIRSTS_MIN: f64 = 30.0;
/// Sessions of which each removal is tried.
const SESSIONS: u32 = 200;

fn view() -> impl Strategy<Value = View> {
    let admission = prop_oneof![
        6 => Just(Admission::Admitted),
        1 => (0.05..0.95).prop_map(|share| Admission::Recovering { share }),
        1 => Just(Admission::Ejected { until: UnixMillis(9) }),
    ];
    (
        0.01..0.99,
        0.05..20.0,
        0.001..0.5,
        1.0..4_000.0,
        0.0..9.0,
        cost_view(),
        admission,
    )
        .prop_map(
            |(
                p_success,
                ttft_seconds,
                seconds_per_token,
                answer_tokens,
                rate_limited,
                learned,
                admission,
            )| View {
                p_success,
                ttft_seconds,
                seconds_per_token,
                answer_tokens,
                rate_limited,
                admission,
                ..learned
            },
        )
}

/// What was learned about cost.
fn cost_view() -> impl Strategy<Value = View> {
    let share = || 0.0..1.0_f64;
    (0.25..4.0, share(), 0_u64..3_000, share(), share()).prop_map(
        |(prompt_factor, reasoning, warm, cache_hits, cache_written)| View {
            prompt_factor,
            reasoning,
            warm_tokens: Tokens(warm),
            cache_hits,
            cache_written,
            ..View::default()
        },
    )
}

/// One target's JSON fields, without its id.
fn target() -> impl Strategy<Value = String> {
    (0.01..100.0, 0.01..50.0, 0.01..50.0, 0.05..1.0).prop_map(|(weight, input, output, quality)| {
        format!(
            "\"provider\":\"openai\",\"model\":\"m\",\"weight\":{weight},\"quality\":{quality},\
             \"usd_per_mtok\":{{\"in\":{input},\"out\":{output}}}"
        )
    })
}

/// A route of some targets with the health of each.
fn world() -> impl Strategy<Value = (Route, Vec<View>)> {
    world_of(1..8)
}

fn world_of(
    count: impl Into<prop::collection::SizeRange>,
) -> impl Strategy<Value = (Route, Vec<View>)> {
    let prefer = (0.0..3.0, 0.0..3.0, 0.0..3.0, 0.0..6.0, 0.0..6.0);
    let temperature = prop_oneof![Just(0.0), 0.05..3.0];
    (prop::collection::vec((target(), view()), count), prefer, temperature).prop_map(
        |(targets, (price, ttft, speed, quality, reliability), temperature)| {
            let (targets, views): (Vec<String>, Vec<View>) = targets.into_iter().unzip();
            let targets: Vec<String> = targets
                .iter()
                .enumerate()
                .map(|(place, fields)| format!("{{\"id\":\"t{place}\",{fields}}}"))
                .collect();
            let text = format!(
                "{{\"targets\":[{}],\"temperature\":{temperature},\"prefer\":{{\"price\":{price},\"ttft\":{ttft},\
                 \"speed\":{speed},\"quality\":{quality},\"reliability\":{reliability}}}}}",
                targets.join(",")
            );
            (route(&text), views)
        },
    )
}

fn route(text: &str) -> Route {
    Route::parse("r", text, &Catalogue::default())
        .unwrap()
        .value
}

fn traits() -> Traits {
    Traits {
        prompt_tokens: Tokens(1_000),
        ..Traits::default()
    }
}

fn names(plan: &Plan) -> Vec<String> {
    plan.order
        .iter()
        .map(|place| plan.candidates[*place].target.to_string())
        .collect()
}

fn first(plan: &Plan) -> &str {
    &plan.candidates[plan.order[0]].target
}

proptest! {
    #[test]
    fn same_inputs_give_the_same_plan((route, views) in world(), seed: u64) {
        let again = plan(&traits(), &route, &views, seed);
        prop_assert_eq!(plan(&traits(), &route, &views, seed), again);
    }

    #[test]
    fn plan_holds_every_target_once_and_shares_sum_to_one((route, views) in world(), seed: u64) {
        let plan = plan(&traits(), &route, &views, seed);
        let mut places = plan.order.clone();
        places.sort_unstable();
        prop_assert_eq!(places, (0..route.targets.len()).collect::<Vec<_>>());
        let sum: f64 = plan.candidates.iter().map(|candidate| candidate.share).sum();
        prop_assert!((sum - 1.0).abs() < 1e-9, "shares sum to {}", sum);
    }

    #[test]
    fn ejected_targets_come_last_and_have_no_share((route, views) in world(), seed: u64) {
        let plan = plan(&traits(), &route, &views, seed);
        let is_ejected = |place: &usize| plan.candidates[*place].excluded == Some(Exclusion::Ejected);
        let tail = plan.order.iter().skip_while(|place| !is_ejected(place));
        prop_assert!(tail.clone().all(is_ejected));
        prop_assert!(tail.clone().all(|place| plan.candidates[*place].share == 0.0));
        let is_down = |view: &View| matches!(view.admission, Admission::Ejected { .. });
        prop_assert_eq!(tail.count() == 0, views.iter().all(is_down) || !views.iter().any(is_down));
    }

    /// A power of two changes no bit of a price's mantissa, so that even ties stay ties.
    #[test]
    fn another_currency_changes_no_plan((route, views) in world(), seed: u64, exponent in -8_i32..8) {
        let factor = f64::from(exponent).exp2();
        let mut other = route.clone();
        for target in &mut other.targets {
            if let Some(price) = &mut target.terms.price {
                *price = price.scaled(factor);
            }
        }
        let (here, there) = (plan(&traits(), &route, &views, seed), plan(&traits(), &other, &views, seed));
        prop_assert_eq!(names(&here), names(&there));
    }

    #[test]
    fn raising_a_cost_never_raises_a_rank((route, views) in world(), seed: u64, chosen: prop::sample::Index) {
        let place = chosen.index(route.targets.len());
        let rank = |plan: &Plan| plan.order.iter().position(|other| *other == place).unwrap();
        let before = rank(&plan(&traits(), &route, &views, seed));
        let mut dearer = route.clone();
        if let Some(price) = &mut dearer.targets[place].terms.price {
            *price = price.scaled(3.0);
        }
        prop_assert!(rank(&plan(&traits(), &dearer, &views, seed)) >= before);
    }

    #[test]
    fn adding_a_candidate_never_swaps_two_others((route, views) in world(), seed: u64) {
        let is_up = |view: &View| !matches!(view.admission, Admission::Ejected { .. });
        // Health that was ignored for want of anyone else is heeded once there is someone.
        prop_assume!(views.iter().take(views.len() - 1).any(is_up));
        let mut fewer = route.clone();
        let added = fewer.targets.pop().unwrap().id;
        prop_assume!(!fewer.targets.is_empty());
        let without = names(&plan(&traits(), &fewer, &views, seed));
        let mut with = names(&plan(&traits(), &route, &views, seed));
        with.retain(|name| **name != *added);
        prop_assert_eq!(without, with);
    }

    #[test]
    fn removing_one_of_ten_targets_moves_only_its_own_sessions(
        (mut ten, views) in world_of(10..=10),
        removed in 0_usize..10,
    ) {
        ten.sticky = Some(Sticky::Session);
        let is_up = |view: &View| !matches!(view.admission, Admission::Ejected { .. });
        let (mut nine, mut left) = (ten.clone(), views.clone());
        let gone = nine.targets.remove(removed).id;
        left.remove(removed);
        // Health that was heeded is ignored once there is nobody else.
        prop_assume!(left.iter().any(is_up));
        for session in 0..SESSIONS {
            let traits = Traits { session: Some(format!("session {session}")), ..traits() };
            let seed = Seed::of(&ten, &traits, 1);
            prop_assert_eq!(seed.source, SeedSource::Session);
            let before = plan(&traits, &ten, &views, seed.value);
            let after = plan(&traits, &nine, &left, Seed::of(&nine, &traits, 2).value);
            prop_assert!(*first(&before) == *gone || first(&before) == first(&after));
        }
    }

    #[test]
    fn decision_survives_a_record((route, views) in world(), seed: u64) {
        let plan = plan(&traits(), &route, &views, seed);
        let text = serde_json::to_string(&plan.candidates).unwrap();
        let read: Vec<waypost::decide::Candidate> = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(plan.candidates, read);
    }
}

/// The worlds are random and always the same ones, so that this cannot fail by chance alone on one day.
#[test]
fn shares_match_how_often_each_comes_first() {
    let mut runner = TestRunner::deterministic();
    let worlds = world_of(2..8).prop_filter("a draw needs a temperature", |(route, _)| {
        route.temperature > 0.0
    });
    for _ in 0..DRAWN_WORLDS {
        let (route, views) = worlds.new_tree(&mut runner).unwrap().current();
        let mut firsts = vec![0_u32; views.len()];
        for seed in 0..DRAWS {
            let order = plan(&traits(), &route, &views, u64::from(seed)).order;
            firsts[order[0]] += 1;
        }
        let candidates = plan(&traits(), &route, &views, 0).candidates;
        let shares = candidates.iter().map(|candidate| candidate.share);
        let pairs: Vec<(f64, u32)> = shares.zip(firsts).collect();
        let is_rare = |(share, _): &(f64, u32)| share * f64::from(DRAWS) < FIRSTS_MIN;
        let (rare, often): (Vec<_>, Vec<_>) = pairs.into_iter().partition(is_rare);
        for (share, count) in &often {
            let seen = f64::from(*count) / f64::from(DRAWS);
            let error = (share * (1.0 - share) / f64::from(DRAWS)).sqrt();
            let is_near = (seen - share).abs() <= 3.0 * error;
            assert!(is_near, "share {share}, seen {seen}, error {error}");
        }
        let expected: f64 = rare.iter().map(|(share, _)| share).sum::<f64>() * f64::from(DRAWS);
        let seen: f64 = rare.iter().map(|(_, count)| f64::from(*count)).sum();
        // The square root of a small count is its standard error; one more for a count that must be whole.
        let is_near = (seen - expected).abs() <= 3.0 * expected.sqrt() + 1.0;
        assert!(is_near, "the rare ones: {expected} expected, {seen} seen");
    }
}

#[test]
fn weights_alone_are_a_weighted_split() {
    let text = r#"{"targets":[
        {"id":"a","provider":"openai","model":"m","weight":90},
        {"id":"b","provider":"openai","model":"m","weight":10}]}"#;
    let plan = plan(&traits(), &route(text), &[View::default(); 2], 1);
    let shares: Vec<f64> = plan
        .candidates
        .iter()
        .map(|candidate| candidate.share)
        .collect();
    assert!(
        (shares[0] - 0.9).abs() < 1e-12 && (shares[1] - 0.1).abs() < 1e-12,
        "{shares:?}"
    );
}

#[test]
fn price_two_alone_is_inverse_square_price() {
    let text = r#"{"targets":[
        {"id":"a","provider":"openai","model":"m","usd_per_mtok":{"in":1,"out":1}},
        {"id":"b","provider":"openai","model":"m","usd_per_mtok":{"in":3,"out":3}}],"prefer":{"price":2}}"#;
    let plan = plan(&traits(), &route(text), &[View::default(); 2], 1);
    assert!((plan.candidates[0].share - 0.9).abs() < 1e-12);
}

#[test]
fn descending_weights_at_temperature_zero_are_strict_priority() {
    let text = r#"{"targets":[
        {"id":"last","provider":"openai","model":"m","weight":1},
        {"id":"first","provider":"openai","model":"m","weight":3},
        {"id":"second","provider":"openai","model":"m","weight":2}],"temperature":0}"#;
    for seed in 0..100 {
        let plan = plan(&traits(), &route(text), &[View::default(); 3], seed);
        assert_eq!(names(&plan), ["first", "second", "last"]);
        assert!((plan.propensity() - 1.0).abs() < f64::EPSILON);
    }
}

#[test]
fn equals_at_temperature_zero_share_evenly() {
    let text = r#"{"targets":[
        {"id":"a","provider":"openai","model":"m"},
        {"id":"b","provider":"openai","model":"m"}],"temperature":0}"#;
    let route = route(text);
    let firsts = (0..1_000)
        .filter(|seed| first(&plan(&traits(), &route, &[View::default(); 2], *seed)) == "a")
        .count();
    assert!((400..600).contains(&firsts), "{firsts} of 1000");
    assert!(
        (plan(&traits(), &route, &[View::default(); 2], 1).propensity() - 0.5).abs() < f64::EPSILON
    );
}

#[test]
fn removing_a_target_moves_only_its_own_sessions() {
    let targets: Vec<String> = (0..10)
        .map(|place| format!("{{\"id\":\"t{place}\",\"provider\":\"openai\",\"model\":\"m\"}}"))
        .collect();
    let ten = route(&format!(
        "{{\"targets\":[{}],\"sticky\":\"session\"}}",
        targets.join(",")
    ));
    let mut nine = ten.clone();
    let removed = nine.targets.remove(4).id;
    let mut moved = 0;
    for session in 0..2_000 {
        let traits = Traits {
            session: Some(format!("session {session}")),
            ..traits()
        };
        let seed = Seed::of(&ten, &traits, 1);
        assert_eq!(seed.source, SeedSource::Session);
        let before = plan(&traits, &ten, &[View::default(); 10], seed.value);
        let after = plan(&traits, &nine, &[View::default(); 9], seed.value);
        if *first(&before) == *removed {
            moved += 1;
        } else {
            assert_eq!(first(&before), first(&after));
        }
    }
    assert!(
        (120..280).contains(&moved),
        "{moved} of 2000 sessions were the removed target's"
    );
}

#[test]
fn health_is_ignored_when_it_would_leave_nobody() {
    let text = r#"{"targets":[
        {"id":"a","provider":"openai","model":"m","weight":2},
        {"id":"b","provider":"openai","model":"m","weight":1}],"temperature":0}"#;
    let down = View {
        admission: Admission::Ejected {
            until: UnixMillis(9),
        },
        ..View::default()
    };
    let plan = plan(&traits(), &route(text), &[down; 2], 1);
    assert_eq!(names(&plan), ["a", "b"]);
    assert_eq!(plan.candidates[0].excluded, None);
}

const RULED: &str = r#"{"targets":[
        {"id":"bare","provider":"openai","model":"m","can":[],"context_tokens":2000,"usd_per_mtok":{"in":1,"out":1}},
        {"id":"other","provider":"anthropic","model":"m","region":"EU","private":true}],
        "limits":{"cost_usd_max":0.002},
        "rules":[
            {"name":"gold","when":{"tags":"gold"},"only":["other"]},
            {"when":{"country":["DE"]},"require":{"region":"eu"}},
            {"when":{"headers":{"X-Tier":"free"}},"avoid":["bare"]},
            {"when":{"prompt_tokens":{"gt":1500,"lt":1600}},"require":{"private":true}},
            {"when":{"team":{"not":"ours"},"key":"guest"},"require":{"provider":"anthropic"}}
        ]}"#;

/// Each reason to drop a target, from a request that has it and one that has not.
#[test]
fn ejection_leaves_the_share_that_the_route_wants() {
    let down = |p_success| View {
        p_success,
        admission: Admission::Ejected {
            until: UnixMillis(u64::MAX),
        },
        ..View::default()
    };
    let views = [down(0.2), down(0.4), View::default(), down(0.3)];
    let target = |place| format!(r#"{{"id":"t{place}","provider":"openai","model":"m"}}"#);
    let targets: Vec<String> = (0..4).map(target).collect();
    let asked = |share: f64| {
        let text = format!(
            r#"{{"targets":[{}],"ejected_share_max":{share}}}"#,
            targets.join(",")
        );
        let plan = plan(&traits(), &route(&text), &views, 7);
        let open = plan.candidates.iter().filter(|it| it.excluded.is_none());
        open.map(|it| it.target.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(asked(1.0), ["t2"]);
    assert_eq!(asked(0.75), ["t2"]);
    assert_eq!(asked(0.5), ["t1", "t2"]);
    assert_eq!(asked(0.49), ["t1", "t2", "t3"]);
    assert_eq!(asked(0.0), ["t0", "t1", "t2", "t3"]);
}

#[test]
fn every_exclusion_has_its_reason() {
    let route = route(RULED);
    let excluded = |change: &dyn Fn(&mut Traits)| {
        let mut traits = traits();
        change(&mut traits);
        let plan = plan(&traits, &route, &[View::default(); 2], 1);
        plan.candidates[0]
            .excluded
            .as_ref()
            .map(ToString::to_string)
    };
    let rule = |name: &str| Some(format!("excluded by rule `{name}`"));
    assert_eq!(excluded(&|_| {}), None);
    assert_eq!(
        excluded(&|traits| traits.has_tools = true),
        Some("lacks tools".to_owned())
    );
    assert_eq!(
        excluded(&|traits| traits.has_images = true),
        Some("lacks images".to_owned())
    );
    assert_eq!(
        excluded(&|traits| traits.has_json_schema = true),
        Some("lacks json_schema".to_owned())
    );
    let long = Some("the prompt is longer than its context".to_owned());
    assert_eq!(
        excluded(&|traits| traits.prompt_tokens = Tokens(4_500)),
        long
    );
    let carry = Some("its dialect cannot carry `n`".to_owned());
    assert_eq!(
        excluded(&|traits| traits.unportable = Some("n".to_owned())),
        carry
    );
    let dear = Some("beyond the route's limit `cost_usd_max`".to_owned());
    assert_eq!(
        excluded(&|traits| traits.prompt_tokens = Tokens(1_900)),
        dear
    );
    assert_eq!(
        excluded(&|traits| traits.tags = vec!["Gold".to_owned()]),
        rule("gold")
    );
    assert_eq!(
        excluded(&|traits| traits.country = Some("de".to_owned())),
        rule("rules[1]")
    );
    let free = |traits: &mut Traits| {
        traits
            .headers
            .insert("x-tier".to_owned(), "free".to_owned());
    };
    assert_eq!(excluded(&free), rule("rules[2]"));
    assert_eq!(
        excluded(&|traits| traits.prompt_tokens = Tokens(1_550)),
        rule("rules[3]")
    );
    assert_eq!(
        excluded(&|traits| traits.key = "guest".to_owned()),
        rule("rules[4]")
    );
    let ours = |traits: &mut Traits| {
        traits.key = "guest".to_owned();
        traits.team = Some("ours".to_owned());
    };
    assert_eq!(excluded(&ours), None);
}

#[test]
fn expected_cost_counts_the_answer_up_to_the_clients_limit() {
    let text = r#"{"targets":[{"id":"a","provider":"openai","model":"m","usd_per_mtok":{"in":2,"out":10}}]}"#;
    let cost = |limit| {
        let traits = Traits {
            answer_tokens_max: limit,
            ..traits()
        };
        let view = View {
            answer_tokens: 100.0,
            ..View::default()
        };
        plan(&traits, &route(text), &[view], 1).candidates[0]
            .signals
            .cost
    };
    assert_eq!(cost(None), MicroUsd(3_000.0));
    assert_eq!(cost(Some(Tokens(10))), MicroUsd(2_100.0));
    assert_eq!(cost(Some(Tokens(1_000))), MicroUsd(3_000.0));
}

/// Two targets that differ in nothing but what `fields` and `views` say, at temperature 1; the first one's share.
fn share_of_first(fields: [&str; 2], views: &[View; 2], rest: &str) -> f64 {
    let target = |place: usize| {
        format!(
            "{{\"id\":\"t{place}\",\"provider\":\"openai\",\"model\":\"m\"{}}}",
            fields[place]
        )
    };
    let text = format!("{{\"targets\":[{},{}]{rest}}}", target(0), target(1));
    plan(&traits(), &route(&text), views, 1).candidates[0].share
}

fn assert_share(share: f64, expected: f64) {
    assert!((share - expected).abs() < 1e-9, "{share} is not {expected}");
}

/// Each exponent, on a quantity that the first target has twice as good: shares of 4 to 1 at exponent 2.
#[test]
fn every_exponent_weighs_its_own_signal() {
    let base = View::default();
    let same = ["", ""];
    let faster = View {
        ttft_seconds: base.ttft_seconds / 2.0,
        ..base
    };
    assert_share(
        share_of_first(same, &[faster, base], r#","prefer":{"ttft":2}"#),
        0.8,
    );
    let quicker = View {
        seconds_per_token: base.seconds_per_token / 2.0,
        ..base
    };
    assert_share(
        share_of_first(same, &[quicker, base], r#","prefer":{"speed":2}"#),
        0.8,
    );
    let shaky = View {
        p_success: base.p_success / 2.0,
        ..base
    };
    assert_share(
        share_of_first(same, &[base, shaky], r#","prefer":{"reliability":2}"#),
        0.8,
    );
    let quality = [r#","quality":0.8"#, r#","quality":0.4"#];
    assert_share(
        share_of_first(quality, &[base; 2], r#","prefer":{"quality":2}"#),
        0.8,
    );
    let limited = View {
        rate_limited: 1.0,
        ..base
    };
    assert_share(
        share_of_first(same, &[base, limited], r#","prefer":{"load":2}"#),
        0.8,
    );
    for other in [
        [faster, base],
        [quicker, base],
        [base, shaky],
        [base, limited],
    ] {
        assert_share(share_of_first(same, &other, ""), 0.5);
    }
}

#[test]
fn old_figures_widen_the_choice_by_what_rests_on_them() {
    let views = |age| {
        [0.5, 0.55].map(|ttft_seconds| View {
            ttft_seconds,
            age: Millis(age),
            ..View::default()
        })
    };
    let share = |age, rest| share_of_first([r#","weight":2"#, ""], &views(age), rest);
    let fastest = r#","prefer":{"ttft":1},"temperature":0"#;
    assert_share(share(10_000, fastest), 1.0);
    // Three half-lives past what is fresh, the temperature is seven eighths of a quarter.
    let ratio = 2.2_f64;
    let weight = ratio.powf(1.0 / 0.218_75);
    assert_share(share(100_000, fastest), weight / (weight + 1.0));
    let weight = ratio.powf(1.0 / 0.718_75);
    let warmer = r#","prefer":{"ttft":1},"temperature":0.5"#;
    assert_share(share(100_000, warmer), weight / (weight + 1.0));
    let weighted = r#","temperature":1"#;
    assert_share(share(100_000, weighted), 2.0 / 3.0);
    let strict = r#","temperature":0"#;
    assert_share(share(100_000, strict), 1.0);
}

#[test]
fn temperature_sharpens_the_split() {
    let weights = [r#","weight":2"#, r#","weight":1"#];
    let views = [View::default(); 2];
    assert_share(share_of_first(weights, &views, ""), 2.0 / 3.0);
    assert_share(
        share_of_first(weights, &views, r#","temperature":0.5"#),
        0.8,
    );
    assert_share(
        share_of_first(weights, &views, r#","temperature":1000"#),
        0.500_173_286_759_860_8,
    );
}

#[test]
fn recovering_target_has_its_share_of_its_weight() {
    let mut views = [View::default(); 2];
    views[0].admission = Admission::Recovering { share: 0.25 };
    assert_share(share_of_first(["", ""], &views, ""), 0.2);
}

#[test]
fn quality_is_taken_for_the_topic() {
    let text = r#"{"targets":[{"id":"a","provider":"openai","model":"m","quality":{"code":0.9,"*":0.3}}]}"#;
    let quality = |topic: Option<&str>| {
        let traits = Traits {
            topic: topic.map(str::to_owned),
            ..traits()
        };
        plan(&traits, &route(text), &[View::default()], 1).candidates[0]
            .signals
            .quality
    };
    let found = [quality(Some("code")), quality(Some("law")), quality(None)];
    for (found, expected) in found.into_iter().zip([0.9, 0.3, 0.3]) {
        assert_share(found, expected);
    }
}

#[test]
fn two_routes_split_the_same_sessions_independently() {
    let text = r#"{"targets":[{"provider":"openai","model":"m"}],"sticky":"session"}"#;
    let catalogue = Catalogue::default();
    let seed = |name: &str, session: Option<&str>| {
        let route = Route::parse(name, text, &catalogue).unwrap().value;
        let traits = Traits {
            session: session.map(str::to_owned),
            ..traits()
        };
        Seed::of(&route, &traits, 5)
    };
    assert_ne!(seed("a", Some("s")).value, seed("b", Some("s")).value);
    assert_eq!(seed("a", Some("s")), seed("a", Some("s")));
    assert_eq!(seed("a", None).source, SeedSource::Random);
    assert_eq!(seed("a", None).value, 5);
}

#[test]
fn ring_prefers_the_nearest_region_and_the_next_when_it_is_down() {
    let text = r#"{"strategy":"nearest","ring":{"EU":["eu","us"],"*":["us","eu"]},"targets":[
        {"id":"far","provider":"openai","model":"m"},
        {"id":"eu","provider":"openai","model":"m","region":"EU"},
        {"id":"us","provider":"openai","model":"m","region":"us"}]}"#;
    let route = route(text);
    let order = |continent: Option<&str>, views: &[View]| {
        let traits = Traits {
            continent: continent.map(str::to_owned),
            ..traits()
        };
        names(&plan(&traits, &route, views, 1))
    };
    let mut views = [View::default(); 3];
    assert_eq!(order(Some("EU"), &views), ["eu", "us", "far"]);
    assert_eq!(order(Some("AS"), &views), ["us", "eu", "far"]);
    assert_eq!(order(None, &views), ["us", "eu", "far"]);
    views[1].admission = Admission::Ejected {
        until: UnixMillis(9),
    };
    assert_eq!(order(Some("EU"), &views), ["us", "far", "eu"]);
}

/// What each strategy does to two targets, the first of which is better in just the way that it looks for.
#[test]
fn strategies_find_what_their_names_say() {
    let base = View::default();
    let fast = View {
        ttft_seconds: 0.1,
        ..base
    };
    let quick = View {
        seconds_per_token: 0.001,
        ..base
    };
    let limited = View {
        rate_limited: 50.0,
        ..base
    };
    let cheap = [
        r#","usd_per_mtok":{"in":1,"out":1}"#,
        r#","usd_per_mtok":{"in":2,"out":2}"#,
    ];
    let good = [r#","quality":0.9"#, r#","quality":0.8"#];
    let same = ["", ""];
    let share = |strategy: &str, fields, views| {
        share_of_first(fields, &views, &format!(",\"strategy\":\"{strategy}\""))
    };
    assert_share(share("priority", same, [base; 2]), 1.0);
    assert_share(share("weighted", [r#","weight":3"#, ""], [base; 2]), 0.75);
    assert_share(share("cheapest", cheap, [base; 2]), 1.0);
    assert_share(share("inverse_square_price", cheap, [base; 2]), 0.8);
    assert_share(share("fastest_first_token", same, [fast, base]), 1.0);
    assert_share(share("fastest_finish", same, [quick, fast]), 1.0);
    assert_share(share("quality", good, [base; 2]), 1.0);
    assert!(share("least_loaded", same, [base, limited]) > 0.99);
    for (fields, views) in [
        (cheap, [base; 2]),
        (good, [base; 2]),
        (same, [fast, base]),
        (same, [quick, base]),
    ] {
        assert!(share("balanced", fields, views) > 0.6);
    }
}

#[test]
fn field_of_the_route_wins_over_its_strategy() {
    let text = r#"{"strategy":"cheapest","temperature":1,"prefer":{"quality":3},
        "targets":[{"provider":"openai","model":"m"}]}"#;
    let route = route(text);
    assert!((route.temperature - 1.0).abs() < f64::EPSILON);
    assert!(
        (route.prefer.price - 1.0).abs() < f64::EPSILON
            && (route.prefer.quality - 3.0).abs() < f64::EPSILON
    );
}

#[test]
fn rules_change_settings_and_the_last_one_wins() {
    let text = r#"{"targets":[{"id":"a","provider":"openai","model":"m"}],
        "prefer":{"price":1,"ttft":2},"deadlines":{"idle_ms":5},"limits":{"cost_usd_max":1},
        "rules":[
            {"when":{"tags":"x"},"prefer":{"price":0},"deadlines":{"idle_ms":7,"total_ms":9}},
            {"when":{"tags":["x","y"]},"prefer":{"quality":4},"limits":{"cost_usd_max":0.5},"deadlines":{"idle_ms":8}}
        ]}"#;
    let route = route(text);
    let settings = |tag: &str| {
        let traits = Traits {
            tags: vec![tag.to_owned()],
            ..traits()
        };
        plan(&traits, &route, &[View::default()], 1).settings
    };
    let both = settings("x");
    let found = [both.prefer.price, both.prefer.ttft, both.prefer.quality];
    for (found, expected) in found.into_iter().zip([0.0, 2.0, 4.0]) {
        assert_share(found, expected);
    }
    assert_eq!(both.limits.cost_max, Some(MicroUsd(500_000.0)));
    assert_eq!(
        (both.deadlines.idle, both.deadlines.total),
        (Some(Millis(8)), Some(Millis(9)))
    );
    assert_eq!(settings("z").deadlines.idle, Some(Millis(5)));
}

/// Every operator, on a fact that it takes and one that it refuses.
#[test]
fn every_operator_takes_and_refuses() {
    let fires = |when: &str, traits: &Traits| {
        let text = format!(
            "{{\"targets\":[{{\"id\":\"a\",\"provider\":\"openai\",\"model\":\"m\"}}],\
             \"rules\":[{{\"when\":{when},\"avoid\":\"a\"}}]}}"
        );
        !plan(traits, &route(&text), &[View::default()], 1)
            .rules
            .is_empty()
    };
    let known = Traits {
        model: "Team/Chat-4".to_owned(),
        tags: vec!["alpha".to_owned(), "beta-2".to_owned()],
        metadata: [("tier".to_owned(), "gold".to_owned())].into(),
        text_matches: vec![true, false],
        prompt_tokens: Tokens(50),
        at: UnixMillis(1_795_392_000_000),
        ..Traits::default()
    };
    let taken = [
        r#"{"model":{"eq":"team/chat-4"}}"#,
        r#"{"model":{"contains":"CHAT"}}"#,
        r#"{"model":{"prefix":"team/"}}"#,
        r#"{"model":{"glob":"team/*-?"}}"#,
        r#"{"model":{"regex":"^Team/[A-Z][a-z]+-[0-9]$"}}"#,
        r#"{"model":{"any":["x",{"prefix":"team"}]}}"#,
        r#"{"model":{"all":[{"prefix":"team"},{"contains":"4"}]}}"#,
        r#"{"model":{"none":["x","y"]}}"#,
        r#"{"tags":{"glob":"beta*"}}"#,
        r#"{"metadata":{"tier":"gold"}}"#,
        r#"{"prompt_tokens":{"between":[50,60]}}"#,
        r#"{"prompt_tokens":{"in":[1,50]}}"#,
        r#"{"country":{"not":"DE"}}"#,
        r#"{"text":{"contains":"whatever the text was, it matched"}}"#,
        r#"{"time":{"days":"mon","to":"00:01"}}"#,
        r#"{"any":[{"tags":"gamma"},{"tags":"alpha","model":{"prefix":"team"}}]}"#,
        r#"{"all":[{"tags":"alpha"},{"tags":"beta-2"}]}"#,
        r#"{"none":[{"tags":"gamma"},{"country":"DE"}]}"#,
    ];
    for when in taken {
        assert!(fires(when, &known), "{when} should hold");
    }
    let refused = [
        r#"{"model":{"eq":"team/chat"}}"#,
        r#"{"model":{"contains":"chat5"}}"#,
        r#"{"model":{"prefix":"chat"}}"#,
        r#"{"model":{"glob":"team/*-"}}"#,
        r#"{"model":{"glob":"team.chat-4"}}"#,
        r#"{"model":{"regex":"^team"}}"#,
        r#"{"model":{"any":["x","y"]}}"#,
        r#"{"model":{"all":[{"prefix":"team"},{"contains":"5"}]}}"#,
        r#"{"model":{"none":["x",{"contains":"4"}]}}"#,
        r#"{"metadata":{"tier":{"not":"gold"}}}"#,
        r#"{"metadata":{"plan":"gold"}}"#,
        r#"{"prompt_tokens":{"between":[51,60]}}"#,
        r#"{"country":"DE"}"#,
        r#"{"time":{"from":"00:01","days":"mon"}}"#,
        r#"{"any":[{"tags":"gamma"},{"tags":"alpha","model":"x"}]}"#,
        r#"{"all":[{"tags":"alpha"},{"tags":"gamma"}]}"#,
        r#"{"none":[{"tags":"gamma"},{"tags":"alpha"}]}"#,
    ];
    for when in refused {
        assert!(!fires(when, &known), "{when} should not hold");
    }
}

#[test]
fn first_rule_with_a_route_sends_the_request_there() {
    let text = r#"{"targets":[{"id":"a","provider":"openai","model":"m"}],"rules":[
        {"when":{"tags":"x"},"route":"other"},{"when":{"tags":["x","y"]},"route":"third"}]}"#;
    let route = route(text);
    let to = |tag: &str| {
        let traits = Traits {
            tags: vec![tag.to_owned()],
            ..traits()
        };
        redirect(&traits, &route).map(str::to_owned)
    };
    assert_eq!(to("x").as_deref(), Some("other"));
    assert_eq!(to("y").as_deref(), Some("third"));
    assert_eq!(to("z"), None);
}
