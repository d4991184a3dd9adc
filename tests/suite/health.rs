//! The laws of merging health.

use proptest::prelude::*;
use waypost::chat::{AttemptFailure, Phase, Usage};
use waypost::health::{
    Admission, Digest, Expected, Health, LEARNED_HALF_LIFE, Observation, Weight,
};
use waypost::units::{Millis, Tokens, UnixMillis};

/// A digest that observed a few attempts at random times.
fn digest() -> impl Strategy<Value = Digest> {
    let attempt = (0_u64..600_000, any::<bool>(), 1_u64..20_000, 1_u64..2_000);
    prop::collection::vec(attempt, 0..12).prop_map(|mut attempts| {
        attempts.sort_unstable();
        let mut digest = Digest::default();
        for (at, is_good, millis, tokens) in attempts {
            let now = UnixMillis(at);
            if is_good {
                digest.succeeded(
                    Some(Millis(millis)),
                    Some(Millis(millis * 3)),
                    Tokens(tokens),
                    Weight::WHOLE,
                    now,
                );
                digest.counted(expected(tokens), &usage(millis, tokens), now);
            } else {
                digest.failed(tokens % 2 == 0, Weight::WHOLE, now);
            }
        }
        digest
    })
}

fn expected(tokens: u64) -> Expected {
    Expected {
        text: Some(Tokens(tokens)),
        warm: Tokens(tokens / 2),
    }
}

fn usage(prompt: u64, answer: u64) -> Usage {
    Usage {
        prompt: Tokens(prompt),
        cached: Tokens(prompt / 3),
        cache_write: Tokens(prompt / 5),
        answer: Tokens(answer),
        reasoning: Tokens(answer / 4),
        ..Usage::default()
    }
}

/// Addition of floating-point numbers is commutative to the bit, and associative to some of the last ones.
fn assert_near(a: &Digest, b: &Digest) -> Result<(), TestCaseError> {
    let figures = |digest: &Digest| {
        [
            digest.attempts,
            digest.successes,
            digest.rate_limited,
            digest.ln_ttft_seconds.sum,
            digest.ln_ttft_seconds.weight,
            digest.ln_seconds_per_token.sum,
            digest.ln_seconds_per_token.weight,
            digest.ln_answer_tokens.sum,
            digest.ln_answer_tokens.weight,
            digest.learned.ln_prompt_factor.sum,
            digest.learned.ln_prompt_factor.weight,
            digest.learned.cache_hits.sum,
            digest.learned.cache_hits.weight,
            digest.learned.cache_written.sum,
            digest.learned.cache_written.weight,
            digest.learned.reasoning.sum,
            digest.learned.reasoning.weight,
        ]
    };
    prop_assert_eq!(a.at, b.at);
    for (left, right) in figures(a).into_iter().zip(figures(b)) {
        let scale = left.abs().max(right.abs()).max(1.0);
        prop_assert!(
            (left - right).abs() <= 1e-12 * scale,
            "{} is not {}",
            left,
            right
        );
    }
    Ok(())
}

proptest! {
    #[test]
    fn merging_commutes(a in digest(), b in digest()) {
        prop_assert_eq!(a.merged(b), b.merged(a));
    }

    #[test]
    fn merging_associates(a in digest(), b in digest(), c in digest()) {
        assert_near(&a.merged(b).merged(c), &a.merged(b.merged(c)))?;
    }

    #[test]
    fn merging_nothing_changes_nothing(a in digest()) {
        prop_assert_eq!(a.merged(Digest::default()), a);
    }

    #[test]
    fn decaying_in_two_steps_is_decaying_in_one(a in digest(), first in 0_u64..900_000, second in 0_u64..900_000) {
        let end = a.at + Millis(first) + Millis(second);
        assert_near(&a.decayed(a.at + Millis(first)).decayed(end), &a.decayed(end))?;
    }

    #[test]
    fn merging_and_decaying_may_swap(a in digest(), b in digest(), wait in 0_u64..900_000) {
        let end = a.at.max(b.at) + Millis(wait);
        assert_near(&a.merged(b).decayed(end), &a.decayed(end).merged(b.decayed(end)))?;
    }

    #[test]
    fn looking_back_in_time_changes_nothing(a in digest()) {
        prop_assert_eq!(a.decayed(UnixMillis(0)), a);
    }

    #[test]
    fn figures_stay_positive_and_finite(a in digest(), wait in 0_u64..10_000_000_000) {
        let a = a.decayed(a.at + Millis(wait));
        prop_assert!(a.p_success() > 0.0 && a.p_success() < 1.0);
        for figure in [a.ttft_seconds(), a.seconds_per_token(), a.answer_tokens(), a.learned.prompt_factor()] {
            prop_assert!(figure > 0.0 && figure.is_finite());
        }
    }
}

#[test]
fn observation_counts_half_after_thirty_seconds() {
    let mut digest = Digest::default();
    digest.failed(true, Weight::WHOLE, UnixMillis(0));
    let later = digest.decayed(UnixMillis(30_000));
    assert_eq!((later.attempts, later.rate_limited), (0.5, 0.5));
}

/// Failures from the 60th to the 120th second, successes before and after; so many a second in calm and in between.
fn after_a_bad_minute(calm: u64, between: u64) -> Health {
    let mut health = Health::default();
    let limited = Observation::Failed(AttemptFailure::RateLimited {
        status: 429,
        retry_after: None,
    });
    for second in 0..180 {
        let is_bad = (60..120).contains(&second);
        let (count, outcome) = if is_bad {
            (between, limited.clone())
        } else {
            (calm, succeeded())
        };
        for nth in 0..count {
            let at = UnixMillis(100_000 + second * 1_000 + nth * 1_000 / count);
            health.observe("t", &outcome, at);
        }
    }
    health
}

#[test]
fn a_minute_of_a_hundred_times_the_requests_is_forgotten_like_any_other() {
    let figures = |calm, between| {
        let view = after_a_bad_minute(calm, between).view("t", UnixMillis(280_000));
        format!("{:.1} {:.0}", view.p_success, view.rate_limited)
    };
    let told = [figures(2, 2), figures(2, 200), figures(200, 2)];
    assert_eq!(told, ["0.8 6"; 3]);
}

#[test]
fn what_was_learned_fades_more_slowly() {
    let mut digest = Digest::default();
    digest.counted(expected(100), &usage(200, 8), UnixMillis(0));
    let learned = digest.decayed(UnixMillis(0) + LEARNED_HALF_LIFE).learned;
    assert!((learned.ln_prompt_factor.weight - 0.5).abs() < 1e-12);
    assert!((learned.reasoning.sum - 0.125).abs() < 1e-12);
}

#[test]
fn unknown_target_is_neither_perfect_nor_hopeless() {
    let digest = Digest::default();
    assert!((digest.p_success() - 0.9).abs() < 1e-12);
    assert!((digest.ttft_seconds() - 1.0).abs() < 1e-12);
}

#[test]
fn refused_key_rests_and_comes_back() {
    let mut health = Health::default();
    let refused = AttemptFailure::KeyRejected { status: 401 };
    health.rest_key("A_KEY", &refused, UnixMillis(1_000));
    assert!(health.is_key_resting("A_KEY", UnixMillis(60_999)));
    assert!(!health.is_key_resting("A_KEY", UnixMillis(61_000)));
    assert!(!health.is_key_resting("B_KEY", UnixMillis(1_000)));
    let limited = AttemptFailure::RateLimited {
        status: 429,
        retry_after: Some(Millis(7)),
    };
    health.rest_key("B_KEY", &limited, UnixMillis(1_000));
    assert!(health.is_key_resting("B_KEY", UnixMillis(1_006)));
    assert!(!health.is_key_resting("B_KEY", UnixMillis(1_007)));
    health.rest_key("C_KEY", &AttemptFailure::Unreachable, UnixMillis(1_000));
    assert!(!health.is_key_resting("C_KEY", UnixMillis(1_000)));
}

#[test]
fn invented_models_do_not_fill_the_memory() {
    let mut health = Health::default();
    for number in 0..5_000_u64 {
        health.observe(
            &format!("openai/{number}"),
            &Observation::Failed(AttemptFailure::NotFound),
            UnixMillis(number),
        );
    }
    let known: Vec<&str> = health.targets().collect();
    assert_eq!(known.len(), 4_096);
    assert!(known.contains(&"openai/4999") && !known.contains(&"openai/0"));
}

/// What callers can bring about by what they send.
fn callers_doings() -> Vec<AttemptFailure> {
    vec![
        AttemptFailure::ServerError {
            status: 500,
            retry_after: None,
        },
        AttemptFailure::RateLimited {
            status: 429,
            retry_after: None,
        },
        AttemptFailure::KeyRejected { status: 403 },
        AttemptFailure::NotFound,
        AttemptFailure::EmptyAnswer,
        AttemptFailure::CutOff { bytes: 1 },
        AttemptFailure::DeadlinePassed {
            phase: Phase::FirstToken,
            waited: Millis(120_000),
        },
    ]
}

fn succeeded() -> Observation {
    Observation::Succeeded {
        ttft: Some(Millis(200)),
        streaming: Some(Millis(900)),
        answer: Tokens(10),
        counted: None,
    }
}

fn is_ejected(health: &Health, at: u64) -> bool {
    let admission = health.view("t", UnixMillis(at)).admission;
    matches!(admission, Admission::Ejected { .. })
}

#[test]
fn one_tenants_failures_eject_nothing_while_others_succeed() {
    for failure in callers_doings() {
        let mut health = Health::default();
        let failed = Observation::Failed(failure.clone());
        // A request a second of others, and ten of one that always fails.
        for tenth in 0..600_u64 {
            let now = UnixMillis(100_000 + tenth * 100);
            if tenth % 10 == 0 {
                let other = ["quiet", "calm"][usize::from(tenth % 20 == 0)];
                health.observe_from(other, "t", &succeeded(), now);
            }
            health.observe_from("loud", "t", &failed, now);
            assert!(!is_ejected(&health, now.0), "{failure} at {tenth}");
            let p_success = health.view("t", now).p_success;
            assert!(p_success >= 0.5, "{failure} at {tenth}: {p_success}");
        }
        let now = UnixMillis(160_100);
        health.observe_from("quiet", "t", &failed, now);
        assert!(
            is_ejected(&health, now.0),
            "a second scope has failed as well: {failure}"
        );
    }
}

#[test]
fn a_tenant_alone_ejects_what_fails_it() {
    for failure in callers_doings() {
        let failed = Observation::Failed(failure.clone());
        let mut health = Health::default();
        health.observe_from("other", "t", &succeeded(), UnixMillis(100_000));
        for second in 0..3 {
            assert!(!is_ejected(&health, 110_000 + second));
            health.observe_from("loud", "t", &failed, UnixMillis(110_000 + second));
        }
        assert!(
            is_ejected(&health, 110_003),
            "ten seconds on, nobody says otherwise: {failure}"
        );
    }
}

#[test]
fn what_no_caller_brings_about_ejects_whoever_met_it() {
    for failure in [
        AttemptFailure::Unreachable,
        AttemptFailure::KeyRejected { status: 401 },
        AttemptFailure::ServerError {
            status: 503,
            retry_after: None,
        },
    ] {
        let mut health = Health::default();
        health.observe_from("other", "t", &succeeded(), UnixMillis(100_000));
        for _ in 0..3 {
            let failed = Observation::Failed(failure.clone());
            health.observe_from("loud", "t", &failed, UnixMillis(100_001));
        }
        assert!(is_ejected(&health, 100_002), "{failure}");
    }
}

#[test]
fn a_readmitted_target_is_not_lost_to_the_tenant_that_fails() {
    let mut health = Health::default();
    let failed = Observation::Failed(AttemptFailure::EmptyAnswer);
    (0..3).for_each(|_| health.observe_from("loud", "t", &failed, UnixMillis(100_000)));
    assert!(is_ejected(&health, 100_001));
    health.observe_from("quiet", "t", &Observation::Sent, UnixMillis(102_000));
    health.observe_from("quiet", "t", &succeeded(), UnixMillis(103_500));
    for at in 103_501..103_600 {
        health.observe_from("loud", "t", &failed, UnixMillis(at));
        assert!(!is_ejected(&health, at));
    }
}

#[test]
fn a_wait_that_is_too_short_for_the_target_is_no_failure() {
    let short = |phase, waited| {
        Observation::Failed(AttemptFailure::DeadlinePassed {
            phase,
            waited: Millis(waited),
        })
    };
    let mut health = Health::default();
    (0..20).for_each(|at| health.observe("t", &succeeded(), UnixMillis(100_000 + at)));
    let before = health.view("t", UnixMillis(100_020));
    for observation in [
        short(Phase::FirstToken, 1),
        short(Phase::Headers, 100),
        short(Phase::NextEvent, 999),
        short(Phase::End, 30_000),
    ] {
        (0..50).for_each(|_| health.observe("t", &observation, UnixMillis(100_020)));
        assert_eq!(
            health.view("t", UnixMillis(100_020)),
            before,
            "{observation:?}"
        );
    }
    let fair = short(Phase::FirstToken, 300);
    (0..3).for_each(|_| health.observe("t", &fair, UnixMillis(100_020)));
    assert!(is_ejected(&health, 100_021));
}

#[test]
fn a_probe_whose_caller_left_or_erred_is_given_back() {
    for observation in [
        Observation::Left,
        Observation::Failed(AttemptFailure::Rejected { status: 400 }),
    ] {
        let mut health = Health::default();
        let failed = Observation::Failed(AttemptFailure::Unreachable);
        (0..3).for_each(|_| health.observe("t", &failed, UnixMillis(100_000)));
        let at = UnixMillis(102_000);
        health.observe("t", &Observation::Sent, at);
        health.observe("t", &failed, at);
        let until = UnixMillis(106_000);
        assert!(is_ejected(&health, 105_999) && !is_ejected(&health, 106_000));
        health.observe("t", &Observation::Sent, until);
        health.observe("t", &observation, until);
        assert!(is_ejected(&health, 107_999));
        assert!(!is_ejected(&health, 108_000), "two seconds, not four");
    }
}

#[test]
fn a_key_that_callers_may_have_refused_rests_briefly_and_none_for_ever() {
    let mut health = Health::default();
    let forbidden = AttemptFailure::KeyRejected { status: 403 };
    health.rest_key("A_KEY", &forbidden, UnixMillis(1_000));
    assert!(health.is_key_resting("A_KEY", UnixMillis(5_999)));
    assert!(!health.is_key_resting("A_KEY", UnixMillis(6_000)));
    let limited = AttemptFailure::RateLimited {
        status: 429,
        retry_after: Some(Millis(u64::MAX)),
    };
    health.rest_key("A_KEY", &limited, UnixMillis(1_000));
    assert!(!health.is_key_resting("A_KEY", UnixMillis(601_000)));
}
