//! What isolates learn from each other: reports, the place of a `PoP`, the snapshot of all.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;
use waypost::chat::AttemptFailure;
use waypost::health::{
    Admission, Health, Here, ISOLATES_MAX, Observation, Place, REPORT_INTERVAL, REPORT_LIFETIME,
    Report, SENDERS_MAX, SNAPSHOT_CELLS_MAX, Snapshot, View, report_due,
};
use waypost::units::{Millis, Tokens, UnixMillis};

const START: u64 = 1_000_000;
const FAILED: Observation = Observation::Failed(AttemptFailure::Unreachable);
const SUCCEEDED: Observation = Observation::Succeeded {
    ttft: Some(Millis(200)),
    // Asked and answered at one instant here: how long it streamed is not told.
    streaming: None,
    answer: Tokens(10),
    counted: None,
};

/// An isolate, and the part of the world that it sees.
struct Isolate {
    health: Health,
    name: String,
}

impl Isolate {
    fn new(name: &str, pop: &str, region: &str) -> Self {
        let mut health = Health::default();
        health.settle(Here {
            isolate: name.to_owned(),
            pop: pop.to_owned(),
            region: region.to_owned(),
        });
        Self {
            health,
            name: name.to_owned(),
        }
    }

    /// Asks a target some times, with one outcome.
    fn ask(&mut self, target: &str, times: usize, outcome: &Observation, at: u64) {
        for _ in 0..times {
            let now = UnixMillis(at);
            self.health.observe(target, &Observation::Sent, now);
            self.health.observe(target, outcome, now);
        }
    }

    fn report(&mut self, at: u64) -> (Report, Report) {
        self.health.report(UnixMillis(at)).unwrap()
    }

    /// As it comes out of the queue or the cache.
    fn sent(&mut self, at: u64) -> Report {
        travelled(&self.report(at).0, at)
    }

    fn view(&self, target: &str, at: u64) -> View {
        self.health.view(target, UnixMillis(at))
    }

    fn is_ejected(&self, target: &str, at: u64) -> bool {
        matches!(self.view(target, at).admission, Admission::Ejected { .. })
    }
}

fn travelled(report: &Report, at: u64) -> Report {
    let text = serde_json::to_string(report).unwrap();
    Report::parse(&text, UnixMillis(at)).unwrap()
}

fn fold(reports: &[Report], at: u64) -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.fold(reports, UnixMillis(at));
    snapshot
}

/// Reports of some isolates at some places about some targets.
fn reports() -> impl Strategy<Value = Vec<Report>> {
    let attempt = (0_usize..4, 0_usize..3, any::<bool>(), 0_u64..60_000);
    prop::collection::vec(attempt, 1..60).prop_map(|mut attempts| {
        attempts.sort_by_key(|attempt| attempt.3);
        let places = ["FRA", "FRA", "IAD", "NRT"];
        let names = (0..4).map(|n| Isolate::new(&format!("i{n}"), places[n], places[n]));
        let mut isolates: Vec<Isolate> = names.collect();
        let mut reports = Vec::new();
        for (isolate, target, is_good, at) in attempts {
            let outcome = if is_good { SUCCEEDED } else { FAILED };
            let at = START + at;
            isolates[isolate].ask(&format!("t{target}"), 1, &outcome, at);
            reports.push(isolates[isolate].report(at).0);
        }
        reports
    })
}

/// Every cell of a snapshot, to eight digits: sums of floating-point numbers associate to some of the last ones.
fn told(snapshot: &Snapshot) -> String {
    let mut lines = String::new();
    for target in snapshot.targets().collect::<BTreeSet<_>>() {
        for (pop, told) in snapshot.cells(target) {
            let digest = told.digest;
            let _ = writeln!(
                lines,
                "{target} {pop} {:.8} {:.8} {:.8} {:?}",
                digest.attempts, digest.successes, digest.ln_ttft_seconds.sum, told.verdict
            );
        }
    }
    lines
}

proptest! {
    #[test]
    fn the_order_of_reports_and_their_repetition_change_nothing(reports in reports(), turn in any::<u64>()) {
        let now = START + 61_000;
        let once = fold(&reports, now);
        let mut shuffled = reports.clone();
        shuffled.extend(reports.iter().step_by(2).cloned());
        let count = shuffled.len();
        for place in 0..count {
            shuffled.swap(place, (place * 7 + usize::try_from(turn % 1_000).unwrap()) % count);
        }
        let mut again = Snapshot::default();
        let folded = again.fold(&shuffled, UnixMillis(now));
        prop_assert_eq!(folded, reports.len());
        prop_assert_eq!(told(&once), told(&again));
    }

    #[test]
    fn folding_in_pieces_is_folding_at_once(reports in reports(), cut in 0_usize..60) {
        let now = START + 61_000;
        let (first, second) = reports.split_at(cut.min(reports.len()));
        let mut pieces = fold(first, now - 500);
        pieces.fold(second, UnixMillis(now));
        prop_assert_eq!(told(&fold(&reports, now)), told(&pieces));
    }

    #[test]
    fn places_join_in_any_order_and_any_number_of_times(reports in reports(), cut in 0_usize..60) {
        let (first, second) = reports.split_at(cut.min(reports.len()));
        let (a, b) = (Place::of(first.to_vec()), Place::of(second.to_vec()));
        let joined = a.clone().joined(b.clone());
        prop_assert_eq!(&joined, &b.joined(a.clone()));
        prop_assert_eq!(&joined, &joined.clone().joined(a));
        prop_assert_eq!(&joined, &Place::of(reports));
    }

    /// An isolate that reads back what it has said itself knows no more than before, whichever way it comes back and
    /// however many reports it was in.
    #[test]
    fn own_observations_are_not_counted_twice(
        asked in prop::collection::vec((1_usize..9, any::<bool>(), 1_u64..5_000), 1..20),
        others in 0_usize..9,
    ) {
        let mut isolate = Isolate::new("a", "FRA", "EU");
        let mut alone = Isolate::new("a", "FRA", "EU");
        let mut peer = Isolate::new("b", "FRA", "EU");
        let (mut snapshot, mut now, mut whole) = (Snapshot::default(), START, None);
        for (times, is_good, wait) in asked {
            now += wait;
            let outcome = if is_good { SUCCEEDED } else { Observation::Failed(AttemptFailure::EmptyAnswer) };
            isolate.ask("t", times, &outcome, now);
            alone.ask("t", times, &outcome, now);
            let (fresh, all) = isolate.report(now);
            snapshot.fold(&[travelled(&fresh, now), travelled(&fresh, now)], UnixMillis(now));
            whole = Some(all);
        }
        peer.ask("t", others, &SUCCEEDED, now);
        let said = peer.health.report(UnixMillis(now));
        if let Some((fresh, all)) = &said {
            snapshot.fold(&[travelled(fresh, now)], UnixMillis(now));
            alone.health.take_place(&Place::of(vec![travelled(all, now)]), UnixMillis(now));
        }
        isolate.health.take_snapshot(&snapshot, UnixMillis(now));
        prop_assert!(is_near(&isolate.view("t", now), &alone.view("t", now)), "through the snapshot");
        let mut place = vec![whole.unwrap()];
        place.extend(said.map(|(_, all)| all));
        isolate.health.take_place(&Place::of(place), UnixMillis(now));
        isolate.health.take_snapshot(&snapshot, UnixMillis(now));
        prop_assert!(is_near(&isolate.view("t", now), &alone.view("t", now)), "through the place");
    }

    /// However much an isolate has seen, it weighs thirty observations; what the others have, twenty, or five from afar.
    #[test]
    fn others_weigh_no_more_than_their_bound(own in 0_usize..50, theirs in 0_usize..400, is_near in any::<bool>()) {
        let mut isolate = Isolate::new("a", "FRA", "EU");
        isolate.ask("t", own, &SUCCEEDED, START);
        let mut other = Isolate::new("b", if is_near { "FRA" } else { "IAD" }, "EU");
        other.ask("t", theirs, &FAILED, START);
        let before = isolate.view("t", START).p_success;
        if let Some((fresh, all)) = other.health.report(UnixMillis(START)) {
            isolate.health.take_snapshot(&fold(&[fresh], START), UnixMillis(START));
            if is_near {
                isolate.health.take_place(&Place::of(vec![all]), UnixMillis(START));
            }
        }
        let after = isolate.view("t", START).p_success;
        let count = |number: usize| f64::from(u32::try_from(number).unwrap());
        let own = count(own).min(30.0);
        let bound = count(theirs).min(if is_near { 20.0 } else { 5.0 });
        let expected = (own + 4.5) / (own + bound + 5.0);
        prop_assert!((after - expected).abs() < 1e-4, "{} to {}, expected {}", before, after, expected);
    }

    #[test]
    fn reports_are_due_within_half_and_one_and_a_half_intervals(last in 0_u64..1 << 50, number in any::<u64>(), seed in any::<u64>()) {
        let wait = report_due(UnixMillis(last), number, false, seed).0 - last;
        prop_assert!((REPORT_INTERVAL.0 / 2..REPORT_INTERVAL.0 * 3 / 2).contains(&wait));
        prop_assert!(report_due(UnixMillis(last), number, true, seed).0 - last < 500);
    }
}

fn is_near(a: &View, b: &View) -> bool {
    let figures = |view: &View| {
        [
            view.p_success,
            view.ttft_seconds,
            view.seconds_per_token,
            view.answer_tokens,
        ]
    };
    let near = |(a, b): (f64, f64)| (a - b).abs() <= 1e-3 * a.abs().max(b.abs());
    figures(a).into_iter().zip(figures(b)).all(near)
}

/// Isolates of six places on three continents, of which those named have met a dead target.
fn world(met: &[&str]) -> Snapshot {
    let places = [
        ("FRA", "EU"),
        ("AMS", "EU"),
        ("IAD", "NA"),
        ("SJC", "NA"),
        ("NRT", "AS"),
        ("SIN", "AS"),
    ];
    let reports = places.iter().filter_map(|(pop, region)| {
        let mut isolate = Isolate::new(pop, pop, region);
        if met.contains(pop) {
            isolate.ask("t", 3, &FAILED, START);
        } else if met.contains(&&*pop.to_lowercase()) {
            isolate.ask("t", 3, &SUCCEEDED, START);
        } else {
            return None;
        }
        Some(isolate.sent(START))
    });
    fold(&reports.collect::<Vec<_>>(), START)
}

#[test]
fn an_ejection_travels_only_where_others_agree() {
    // Capitals have met it dead, small letters alive; the rest have not asked.
    for (met, is_avoided) in [
        (vec!["FRA"], false),
        (vec!["FRA", "AMS"], false),
        (vec!["IAD", "SJC"], false),
        (vec!["FRA", "IAD"], true),
        (vec!["FRA", "AMS", "IAD", "SJC"], true),
        (vec!["FRA", "IAD", "sin"], false),
        (vec!["FRA", "IAD", "SIN"], true),
        (vec!["FRA", "ams", "IAD", "sjc"], false),
        (vec!["sin", "FRA"], false),
    ] {
        let mut tokyo = Isolate::new("x", "NRT", "AS");
        tokyo.health.take_snapshot(&world(&met), UnixMillis(START));
        assert_eq!(tokyo.is_ejected("t", START), is_avoided, "{met:?}");
    }
    let mut frankfurt = Isolate::new("x", "TXL", "EU");
    frankfurt
        .health
        .take_snapshot(&world(&["FRA", "AMS"]), UnixMillis(START));
    assert!(frankfurt.is_ejected("t", START), "two of its own region");
}

#[test]
fn own_success_outweighs_what_is_said_elsewhere() {
    let snapshot = world(&["FRA", "AMS", "IAD", "SJC"]);
    let mut tokyo = Isolate::new("x", "NRT", "AS");
    tokyo.ask("t", 1, &SUCCEEDED, START - 30_000);
    tokyo.health.take_snapshot(&snapshot, UnixMillis(START));
    assert!(!tokyo.is_ejected("t", START));
    let mut long_ago = Isolate::new("x", "NRT", "AS");
    long_ago.ask("t", 1, &SUCCEEDED, START - 90_000);
    long_ago.health.take_snapshot(&snapshot, UnixMillis(START));
    assert!(long_ago.is_ejected("t", START));
}

#[test]
fn hearsay_is_not_told_on() {
    let mut tokyo = Isolate::new("x", "NRT", "AS");
    tokyo
        .health
        .take_snapshot(&world(&["FRA", "IAD"]), UnixMillis(START));
    assert!(tokyo.is_ejected("t", START));
    assert_eq!(tokyo.health.report(UnixMillis(START)), None);
    tokyo.ask("t", 1, &FAILED, START + 2_000);
    let told = tokyo.sent(START + 2_000).targets["t"];
    assert!(told.verdict.is_some(), "its own probe has failed");
}

#[test]
fn an_ejection_and_a_readmission_reach_the_other_isolates_of_a_pop() {
    let [mut a, mut b, mut c] = ["a", "b", "c"].map(|name| Isolate::new(name, "FRA", "EU"));
    a.ask("t", 3, &FAILED, START);
    c.ask("t", 1, &SUCCEEDED, START + 1);
    let place = |isolate: &mut Isolate, at| Place::of(vec![isolate.report(at).1]);
    let said = place(&mut a, START + 300);
    b.health.take_place(&said, UnixMillis(START + 301));
    c.health.take_place(&said, UnixMillis(START + 301));
    assert!(b.is_ejected("t", START + 301));
    assert!(!c.is_ejected("t", START + 301), "it has succeeded since");
    a.ask("t", 1, &SUCCEEDED, START + 2_000);
    b.health
        .take_place(&place(&mut a, START + 2_300), UnixMillis(START + 2_301));
    let admission = b.view("t", START + 2_301).admission;
    assert!(
        matches!(admission, Admission::Recovering { .. }),
        "{admission:?}"
    );
}

#[test]
fn isolates_of_a_pop_take_turns_at_probing() {
    let names: Vec<String> = (0..5).map(|n| format!("isolate-{n}")).collect();
    let mut isolates: Vec<Isolate> = names
        .iter()
        .map(|name| Isolate::new(name, "FRA", "EU"))
        .collect();
    isolates[0].ask("t", 3, &FAILED, START);
    for isolate in &mut isolates {
        isolate.ask("other", 1, &SUCCEEDED, START);
    }
    let reports: Vec<Report> = isolates
        .iter_mut()
        .map(|isolate| isolate.report(START).1)
        .collect();
    let place = Place::of(reports);
    for isolate in &mut isolates {
        isolate.health.take_place(&place, UnixMillis(START));
    }
    let mut owners = Vec::new();
    for turn in 0..40 {
        let at = START + 2_000 + turn * 5_000;
        let may = |at: u64| -> Vec<&str> {
            let may = isolates
                .iter()
                .filter(|isolate| !isolate.is_ejected("t", at));
            may.map(|isolate| isolate.name.as_str()).collect()
        };
        assert_eq!(may(at).len(), 1, "one may probe in turn {turn}");
        assert_eq!(may(at), may(at + 1_999), "for some time");
        assert!(may(at + 2_000).is_empty() && may(at + 4_999).is_empty());
        owners.push(may(at)[0].to_owned());
    }
    for name in &names {
        assert!(owners.contains(name), "{name} has its turns");
    }
}

#[test]
fn an_isolate_that_has_gone_silent_takes_no_turn() {
    let mut a = Isolate::new("a", "FRA", "EU");
    a.ask("t", 3, &FAILED, START);
    let reports = (0..30).map(|n| {
        let mut peer = Isolate::new(&format!("p{n}"), "FRA", "EU");
        peer.ask("other", 1, &SUCCEEDED, START - 11_000);
        peer.report(START - 11_000).1
    });
    let place = Place::of(reports.collect());
    a.health.take_place(&place, UnixMillis(START));
    assert!(!a.is_ejected("t", START + 2_000));
}

#[test]
fn without_a_report_for_ten_minutes_a_place_or_a_sender_is_forgotten() {
    let mut a = Isolate::new("a", "FRA", "EU");
    a.ask("t", 3, &FAILED, START);
    let report = a.sent(START);
    let late = START + REPORT_LIFETIME.0;
    assert_eq!(
        Snapshot::default().fold(std::slice::from_ref(&report), UnixMillis(late)),
        0
    );
    let mut snapshot = fold(&[report], START);
    snapshot.fold(&[], UnixMillis(late));
    assert!(!snapshot.has("a", 1));
    assert_eq!(snapshot.targets().count(), 0);
}

#[test]
fn a_snapshot_and_a_place_are_bounded() {
    let mut reports = Vec::new();
    for number in 0..SENDERS_MAX + 100 {
        let mut isolate = Isolate::new(&format!("i{number}"), &format!("P{}", number % 60), "EU");
        for target in 0..3 {
            isolate.ask(&format!("t{}", number * 3 + target), 1, &FAILED, START);
        }
        isolate.ask("shared", 9, &SUCCEEDED, START);
        reports.push(isolate.sent(START));
    }
    let snapshot = fold(&reports, START);
    assert_eq!(snapshot.targets().count(), SNAPSHOT_CELLS_MAX);
    assert_eq!(
        snapshot.cells("shared").count(),
        60,
        "what is known best stays"
    );
    let heard = (0..SENDERS_MAX + 100).filter(|number| snapshot.has(&format!("i{number}"), 1));
    assert_eq!(heard.count(), SENDERS_MAX);
    assert_eq!(Place::of(reports).isolates().len(), ISOLATES_MAX);
}

#[test]
fn a_snapshot_of_a_usual_size_is_small() {
    let mut reports = Vec::new();
    for pop in 0..30 {
        let mut isolate = Isolate::new(&format!("i{pop}"), &format!("P{pop}"), "EU");
        for target in 0..10 {
            let at = START + target * 37 + pop;
            isolate.ask(&format!("provider/model-{target}"), 17, &SUCCEEDED, at);
        }
        reports.push(isolate.sent(START + 1_000));
    }
    let snapshot = fold(&reports, START + 2_000);
    let text = snapshot.encode();
    assert!(text.len() < 45_000, "{} bytes", text.len());
    let read = Snapshot::parse(&text, UnixMillis(START + 2_000)).unwrap();
    assert_eq!(read.encode(), text, "rounding twice is rounding once");
}

#[test]
fn what_cannot_be_is_not_believed() {
    let parse = |digest: &str| {
        let text = format!(
            r#"{{"v":1,"sender":"a","number":1,"at":5,"pop":"FRA","region":"EU","targets":{{"t":{digest}}}}}"#
        );
        Report::parse(&text, UnixMillis(9)).map(|report| report.targets["t"].digest.attempts)
    };
    assert_eq!(parse("[0,0,0,0,3,1]"), Some(3.0));
    for impossible in [
        "-1",
        "1,2",
        "1e300,1",
        "1,1,-1",
        "0,0,0,9,1,0",
        "0,0,0,0,-1,1",
    ] {
        let digest = format!("[0,0,0,0,{impossible}]");
        assert_eq!(parse(&digest), Some(0.0), "{impossible}");
    }
    assert_eq!(parse("[1,1]]"), None);
    assert_eq!(Snapshot::parse("{}", UnixMillis(9)), None);
    assert_eq!(Place::parse("[", UnixMillis(9)), Place::of(Vec::new()));
    let mut future = Isolate::new("a", "FRA", "EU");
    future.ask("t", 3, &FAILED, START + 99_000);
    let report = travelled(&future.report(START + 99_000).0, START);
    assert_eq!(
        report.at,
        UnixMillis(START),
        "a clock that goes ahead is put back"
    );
}

#[test]
fn without_any_tier_the_own_memory_decides() {
    let mut isolate = Isolate::new("a", "FRA", "EU");
    isolate.ask("t", 2, &SUCCEEDED, START);
    let mut plain = Health::default();
    for observation in [
        &Observation::Sent,
        &SUCCEEDED,
        &Observation::Sent,
        &SUCCEEDED,
    ] {
        plain.observe("t", observation, UnixMillis(START));
    }
    let view = plain.view("t", UnixMillis(START));
    assert_eq!(isolate.view("t", START), view);
    isolate
        .health
        .take_snapshot(&Snapshot::default(), UnixMillis(START));
    isolate
        .health
        .take_place(&Place::of(Vec::new()), UnixMillis(START));
    assert_eq!(isolate.view("t", START), view);
}
