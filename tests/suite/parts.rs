//! The snapshot of many data centres in parts: what an isolate reads of it, and that it is the same as reading all.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use waypost::chat::AttemptFailure;
use waypost::health::{
    ENTRY, Edition, FOLD_INTERVAL, HELD_MAX, Health, Held, Here, Observation, PARTS, Reading,
    Report, SENDERS_MAX, SNAPSHOT_CELLS_MAX, Snapshot, View, by_part, part_of,
};
use waypost::units::{Millis, Tokens, UnixMillis};

const START: u64 = 1_000_000;
const NOW: UnixMillis = UnixMillis(START + 61_000);
const FAILED: Observation = Observation::Failed(AttemptFailure::Unreachable);
const SUCCEEDED: Observation = Observation::Succeeded {
    ttft: Some(Millis(200)),
    streaming: None,
    answer: Tokens(10),
    counted: None,
};
const REGIONS: [&str; 4] = ["AS", "EU", "NA", "SA"];

fn isolate(name: &str, pop: &str, region: &str) -> Health {
    let mut health = Health::default();
    health.settle(Here {
        isolate: name.to_owned(),
        pop: pop.to_owned(),
        region: region.to_owned(),
    });
    health
}

fn observe(health: &mut Health, target: &str, outcome: &Observation, at: u64) {
    health.observe(target, &Observation::Sent, UnixMillis(at));
    health.observe(target, outcome, UnixMillis(at));
}

/// The report of an isolate that has asked some targets once.
fn report_of(sender: &str, pop: &str, region: &str, targets: &[String]) -> Report {
    let mut health = isolate(sender, pop, region);
    for target in targets {
        observe(&mut health, target, &SUCCEEDED, NOW.0);
    }
    health.report(NOW).unwrap().0
}

/// So many senders that nothing fits into one snapshot, where nobody else is.
static CROWD: LazyLock<Vec<Report>> = LazyLock::new(|| {
    let target = ["elsewhere".to_owned()];
    let report = |n| report_of(&format!("crowd{n}"), &format!("X{n}"), "OC", &target);
    (0..=SENDERS_MAX).map(report).collect()
});

fn edition(reports: &[Report], now: UnixMillis) -> Edition {
    let parts = by_part(reports).into_iter().map(|reports| {
        let mut part = Snapshot::default();
        part.fold(reports, now);
        part
    });
    Edition::of(parts.collect(), now)
}

fn stored(edition: &Edition) -> BTreeMap<String, String> {
    edition.entries().collect()
}

fn read(
    reading: &mut Reading,
    pop: &str,
    kv: &BTreeMap<String, String>,
    now: UnixMillis,
) -> Option<Snapshot> {
    let names = reading.names(pop);
    let texts: Vec<Option<String>> = names.iter().map(|name| kv.get(name).cloned()).collect();
    reading.take(&texts, now)
}

/// Isolates of a dozen places on four continents that ask three targets, as they report and as they are in the end.
fn places() -> impl Strategy<Value = (Vec<Report>, Vec<Health>)> {
    let attempts = (0_usize..12, 0_usize..3, 0_u8..5, 0_u64..60_000);
    prop::collection::vec(attempts, 1..120).prop_map(|mut attempts| {
        attempts.sort_by_key(|attempt| attempt.3);
        let place = |n: usize| isolate(&format!("i{n}"), &format!("P{}", n / 2), REGIONS[n / 3]);
        let mut isolates: Vec<Health> = (0..12).map(place).collect();
        let mut reports = Vec::new();
        for (place, target, outcome, at) in attempts {
            let outcome = if outcome > 1 { FAILED } else { SUCCEEDED };
            let at = START + at;
            // Two places in three have met a dead target where they met it at all.
            for _ in 0..2 {
                observe(&mut isolates[place], &format!("t{target}"), &outcome, at);
            }
            reports.push(isolates[place].report(UnixMillis(at)).unwrap().0);
        }
        (reports, isolates)
    })
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
    let near = |(a, b): (f64, f64)| (a - b).abs() <= 1e-4 * a.abs().max(b.abs());
    let are_near = figures(a).into_iter().zip(figures(b)).all(near);
    are_near && a.admission == b.admission
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever has happened, an isolate that takes its own part knows what it would know of everything.
    #[test]
    fn a_part_says_what_the_whole_says((reports, isolates) in places()) {
        let mut whole = Snapshot::default();
        whole.fold(&reports, NOW);
        let parts = edition(&[reports, CROWD.clone()].concat(), NOW);
        prop_assert!(parts.is_in_parts());
        let kv = stored(&parts);
        for isolate in isolates {
            let pop = isolate.here().unwrap().pop.clone();
            let (mut of_all, mut of_part) = (isolate.clone(), isolate);
            of_all.take_snapshot(&whole, NOW);
            of_part.take_snapshot(&read(&mut Reading::default(), &pop, &kv, NOW).unwrap(), NOW);
            for target in ["t0", "t1", "t2"] {
                let (all, part) = (of_all.view(target, NOW), of_part.view(target, NOW));
                prop_assert!(is_near(&all, &part), "{} at {}: {:?} and {:?}", target, pop, all, part);
            }
        }
    }

    #[test]
    fn while_all_fits_into_one_entry_it_is_in_one((reports, _) in places()) {
        let mut whole = Snapshot::default();
        whole.fold(&reports, NOW);
        let edition = edition(&reports, NOW);
        prop_assert_eq!(edition.count(), 1);
        let kv = stored(&edition);
        let found = read(&mut Reading::default(), "P0", &kv, NOW).unwrap();
        for target in ["t0", "t1", "t2"] {
            prop_assert_eq!(found.cells(target).count(), whole.cells(target).count());
            for ((pop, told), (of_pop, expected)) in found.cells(target).zip(whole.cells(target)) {
                prop_assert_eq!((pop, told.verdict), (of_pop, expected.verdict));
                prop_assert!((told.digest.attempts - expected.digest.attempts).abs() < 1e-4);
            }
        }
    }
}

/// What `docs/scale.md` promises: more data centres than there are, more targets than a team has, and 25 isolates in each.
#[test]
fn there_is_room_for_64_targets_at_330_data_centres_with_8192_isolates() {
    let names: Vec<String> = (0..64).map(|n| format!("provider-{n}/model-{n}")).collect();
    let pops: Vec<String> = (0_u32..330)
        .map(|n| {
            let letter = |n: u32| char::from_digit(10 + n % 26, 36).unwrap();
            let name = [letter(n / 26), letter(n), letter(n * 7)];
            name.iter().collect::<String>().to_uppercase()
        })
        .collect();
    let mut reports = Vec::new();
    for (place, pop) in pops.iter().enumerate() {
        let region = REGIONS[place % 4];
        for sender in 0..25 {
            // One isolate has asked all targets, the others one each.
            let asked = if sender == 0 {
                0..64
            } else {
                sender..sender + 1
            };
            let name = format!("{pop}-{sender}");
            reports.push(report_of(&name, pop, region, &names[asked]));
        }
    }
    let edition = edition(&reports, NOW);
    let kv = stored(&edition);
    assert_eq!(kv.len(), 33);
    for pop in &pops {
        let part = read(&mut Reading::default(), pop, &kv, NOW).unwrap();
        assert_eq!(part.at_pop(pop).count(), 64, "{pop}");
        let has = |sender: &usize| part.has(&format!("{pop}-{sender}"), 1);
        assert_eq!((0..25).filter(has).count(), 25, "{pop}");
        let (near, world) = part.beyond(&names[0], pop, "EU");
        let others = near.attempts + world.attempts;
        assert!((others - 329.0).abs() < 1e-2, "{pop} hears of {others}");
    }
    let largest = kv.values().map(String::len).max().unwrap();
    assert!(largest < 280_000, "an entry of {largest} bytes");
}

#[test]
fn an_isolate_reads_one_entry_once_it_knows_which() {
    let few = vec![report_of("a", "FRA", "EU", &["t".to_owned()])];
    let many = [few.clone(), CROWD.clone()].concat();
    let (part, later) = (format!("{ENTRY}:{}", part_of("FRA")), NOW + Millis(1_000));
    let mut reading = Reading::default();
    assert_eq!(reading.names("FRA"), [ENTRY.to_owned(), part.clone()]);
    let mut kv = stored(&edition(&few, NOW));
    assert!(read(&mut reading, "FRA", &kv, NOW).is_some());
    assert_eq!(reading.names("FRA"), [ENTRY]);
    assert_eq!(read(&mut reading, "FRA", &kv, later), None, "the same text");
    // It has become too much for one entry. The part is seen later than what points to it.
    let now_parts = stored(&edition(&many, later));
    kv.insert(ENTRY.to_owned(), now_parts[ENTRY].clone());
    assert_eq!(read(&mut reading, "FRA", &kv, later), None);
    assert_eq!(reading.names("FRA"), [ENTRY.to_owned(), part.clone()]);
    assert_eq!(read(&mut reading, "FRA", &kv, later), None);
    kv = now_parts;
    assert!(read(&mut reading, "FRA", &kv, later).is_some());
    assert_eq!(reading.names("FRA"), [part.as_str()]);
    assert_eq!(read(&mut reading, "FRA", &kv, later), None, "the same text");
    // It fits into one again, and the part is left as it was.
    let much_later = later + Millis(120_000);
    kv.insert(
        ENTRY.to_owned(),
        stored(&edition(&few, much_later))[ENTRY].clone(),
    );
    assert_eq!(read(&mut reading, "FRA", &kv, much_later), None);
    assert_eq!(reading.names("FRA"), [ENTRY.to_owned(), part]);
    assert!(read(&mut reading, "FRA", &kv, much_later).is_some());
    assert_eq!(reading.names("FRA"), [ENTRY]);
}

#[test]
fn a_part_that_was_left_behind_is_not_taken() {
    let long_ago = edition(&CROWD, NOW);
    let now = NOW + Millis(300_000);
    let mut kv = stored(&long_ago);
    let pointing = format!(
        r#"{{"v":2,"at":{},"number":9,"parts":32,"pops":[],"cells":{{}},"senders":[]}}"#,
        now.0
    );
    kv.insert(ENTRY.to_owned(), pointing);
    assert_eq!(read(&mut Reading::default(), "FRA", &kv, now), None);
}

#[test]
fn what_is_no_snapshot_of_ours_is_not_read() {
    let wrap = |fields: &str| format!(r#"{{"at":5,"number":1,{fields},"senders":[]}}"#);
    let parse = |text: &str| Snapshot::parse(text, UnixMillis(9)).is_some();
    assert!(parse(&wrap(r#""v":2,"pops":[],"cells":{}"#)));
    assert!(!parse(&wrap(r#""v":1,"pops":[],"cells":{}"#)), "an old one");
    assert!(
        !parse(&wrap(r#""v":3,"pops":[],"cells":{}"#)),
        "one to come"
    );
    let cells = |count: usize| {
        let cells: Vec<String> = (0..count)
            .map(|n| format!(r#""t{n:04}\nFRA":[]"#))
            .collect();
        cells.join(",")
    };
    let with = |count| wrap(&format!(r#""v":2,"pops":[],"cells":{{{}}}"#, cells(count)));
    assert!(parse(&with(SNAPSHOT_CELLS_MAX)));
    assert!(!parse(&with(SNAPSHOT_CELLS_MAX + 1)));
    let rest = |count: usize| {
        let rest = (0..count).map(|n| format!(r#"["t{n:04}\nEU",[]]"#));
        let rest = rest.collect::<Vec<_>>().join(",");
        wrap(&format!(r#""v":2,"pops":[],"cells":{{}},"rest":[{rest}]"#))
    };
    assert!(parse(&rest(1_024)));
    assert!(!parse(&rest(1_025)));
    let long = wrap(r#""v":2,"pops":[],"cells":{}"#) + &" ".repeat(2_000_000);
    assert!(!parse(&long));
    for parts in ["7", "4294967295"] {
        let pointing = wrap(&format!(r#""v":2,"pops":[],"cells":{{}},"parts":{parts}"#));
        let kv = BTreeMap::from([(ENTRY.to_owned(), pointing)]);
        assert_eq!(read(&mut Reading::default(), "FRA", &kv, NOW), None);
    }
}

#[test]
fn votes_that_cannot_be_harm_nobody() {
    for votes in [
        "-1,-1,-1",
        "1e300,1e300,1e300",
        "9e15,4294967295,0,1",
        "0.5,0.5,0.5",
    ] {
        let text = format!(
            r#"{{"v":2,"at":5,"number":1,"pops":[],"cells":{{}},"senders":[],"rest":[["t\nEU",[{votes}]],["t\nNA",[{votes}]]]}}"#
        );
        let snapshot = Snapshot::parse(&text, NOW).unwrap();
        let since = snapshot.condemned("t", "NRT", "AS");
        assert!(since.is_none_or(|since| since <= NOW), "{votes}: {since:?}");
    }
}

#[test]
fn a_name_cannot_pass_for_a_place() {
    let names = ["t\nIAD", "t\"", "t\\", "t\u{1}", "t"].map(str::to_owned);
    let text = serde_json::to_string(&report_of("a", "FRA", "EU", &names)).unwrap();
    let read = Report::parse(&text, NOW).unwrap();
    assert_eq!(read.targets.keys().collect::<Vec<_>>(), ["t"]);
    for pop in ["FRA\nIAD", "FRA\""] {
        let report = report_of("a", pop, "EU", &["t".to_owned()]);
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(Report::parse(&text, NOW), None);
    }
}

#[test]
fn places_spread_evenly_over_the_parts() {
    let mut counts = BTreeMap::new();
    for n in 0..32_000 {
        *counts.entry(part_of(&format!("P{n}"))).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), PARTS);
    assert!(
        counts.values().all(|count| (850..1_150).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn reports_are_held_only_while_more_are_waiting() {
    let batch = || vec![report_of("a", "FRA", "EU", &["t".to_owned()]); 100];
    let at = |millis: u64| UnixMillis(START + millis);
    let mut held = Held::default();
    assert_eq!(
        held.take(batch(), true, at(0)).len(),
        100,
        "the first at once"
    );
    assert_eq!(held.take(batch(), true, at(1)).len(), 0);
    assert_eq!(held.take(batch(), true, at(1_999)).len(), 0);
    assert_eq!(held.take(batch(), true, at(FOLD_INTERVAL.0)).len(), 300);
    assert_eq!(held.take(batch(), true, at(2_500)).len(), 0);
    assert_eq!(
        held.take(Vec::new(), false, at(2_501)).len(),
        100,
        "none is waiting"
    );
    let counts: Vec<usize> = (0..10)
        .map(|n| held.take(batch(), true, at(2_502 + n)).len())
        .collect();
    assert_eq!(counts, [0, 0, 0, 0, 0, 0, 0, 0, 0, HELD_MAX]);
    let many = std::iter::repeat_with(batch).take(20).flatten();
    held.put_back(many);
    assert_eq!(held.take(Vec::new(), false, at(2_600)).len(), HELD_MAX);
}

/// With the longest names that are told, and with more of everything than has room.
#[test]
fn the_largest_entry_is_read_and_fits_into_a_row() {
    let long = |n: usize, bytes: usize| format!("{n:0bytes$}");
    let mut reports = Vec::new();
    for sender in 0..SENDERS_MAX * PARTS / 16 {
        let pop = long(sender % 600, 32);
        let region = long(sender % 9, 32);
        let names: Vec<String> = (0..5).map(|n| long((sender * 5 + n) % 300, 256)).collect();
        reports.push(report_of(&long(sender, 32), &pop, &region, &names));
    }
    let edition = edition(&reports, NOW);
    assert!(edition.is_in_parts());
    for (name, text) in edition.entries() {
        assert!(text.len() < 2_000_000, "{name} has {} bytes", text.len());
        assert!(Snapshot::parse(&text, NOW).is_some(), "{name}");
    }
}
