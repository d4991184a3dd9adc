//! `waypost simulate`: what a scenario comes to, on the router's own code.
//!
//! A scenario says who asks from where, what providers can do, how late news is, and what goes wrong. The simulator runs
//! the real decision, health and exchange of every isolate through it, event by event, and tells reaction times,
//! oscillation, goodput, cost and amplification. The same scenario and seed give the same JSON, byte for byte.
//!
//! Not simulated: bytes on the wire beyond a token and an end, CPU time, the platform's own failures but for KV, the queue
//! and the cache (`world.rs` lists the rest).

mod agenda;
mod assign;
mod capacity;
mod dice;
mod fault;
mod load;
mod outcome;
mod place;
mod plot;
mod reaction;
mod scenario;
mod show;
mod tally;
mod template;
mod tidings;
mod world;

use std::fs;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{print, print_error};
use crate::config::{Problem, parse_tree};
use crate::units::Millis;
use assign::{Assignment, Sweep, combinations};
use outcome::Outcome;
use scenario::Scenario;
use world::World;

/// How often a run that takes long says how far it is.
const PROGRESS: Duration = Duration::from_secs(2);

/// What the command was asked.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The scenario, as JSON; docs/scale.md has its fields.
    file: PathBuf,
    /// The same as --set seed=N.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Another value for a field, as `regions.EU.pops=30` or `faults[0].share=0.5`.
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = Assignment::parse)]
    assignments: Vec<Assignment>,
    /// A run for each value, and a table of them all. With several, a run for each combination.
    #[arg(long = "sweep", value_name = "PATH=V1,V2,…", value_parser = Sweep::parse)]
    sweeps: Vec<Sweep>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Draw shares, first tokens and requests over time.
    #[arg(long, value_name = "FILE.svg", conflicts_with = "sweeps")]
    plot: Option<PathBuf>,
}

/// Why nothing was simulated.
enum Refusal {
    Usage(String),
    Problems(Vec<Problem>),
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match simulate(arguments) {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(Refusal::Usage(mistake)) => {
            print_error(&mistake);
            ExitCode::from(2)
        }
        Err(Refusal::Problems(problems)) => {
            let file = arguments.file.display();
            if arguments.json {
                let told = json!({ "problems": problems });
                print(&serde_json::to_string_pretty(&told).unwrap_or_default());
            } else {
                for problem in problems {
                    print(&format!("{file}: {problem}"));
                }
            }
            ExitCode::from(1)
        }
    }
}

fn simulate(arguments: &Arguments) -> Result<String, Refusal> {
    let file = &arguments.file;
    let text = fs::read_to_string(file)
        .map_err(|error| Refusal::Usage(format!("{}: {error}", file.display())))?;
    let mut tree = parse_tree(&text).map_err(Refusal::Problems)?;
    let seed = arguments.seed.map(|seed| Assignment {
        path: "seed".to_owned(),
        value: json!(seed),
    });
    for assignment in arguments.assignments.iter().chain(&seed) {
        assignment.apply(&mut tree).map_err(Refusal::Usage)?;
    }
    if arguments.sweeps.is_empty() {
        let scenario = Scenario::parse(&tree).map_err(Refusal::Problems)?;
        let outcome = watched(&scenario, "");
        if let Some(file) = &arguments.plot {
            plot::draw(file, &scenario, &outcome)
                .map_err(|error| Refusal::Usage(format!("{}: {error}", file.display())))?;
        }
        return Ok(if arguments.json {
            serde_json::to_string_pretty(&outcome).unwrap_or_default()
        } else {
            show::text(&outcome)
        });
    }
    let runs = sweep(&tree, &arguments.sweeps)?;
    if !arguments.json {
        return Ok(show::sweep(&runs));
    }
    let told: Vec<Value> = runs
        .iter()
        .map(|(value, outcome)| json!({ "value": value, "outcome": outcome }))
        .collect();
    Ok(serde_json::to_string_pretty(&json!({ "runs": told })).unwrap_or_default())
}

/// Each combination of the sweeps' values with what it came to. All are read before the first one runs.
fn sweep(tree: &Value, sweeps: &[Sweep]) -> Result<Vec<(String, Outcome)>, Refusal> {
    let mut scenarios = Vec::new();
    for run in combinations(sweeps).map_err(Refusal::Usage)? {
        let mut tree = tree.clone();
        for assignment in &run {
            assignment.apply(&mut tree).map_err(Refusal::Usage)?;
        }
        let name = |it: &Assignment| format!("{}={}", it.path, it.value);
        let names: Vec<String> = run.iter().map(name).collect();
        let scenario = Scenario::parse(&tree).map_err(Refusal::Problems)?;
        scenarios.push((names.join(" "), scenario));
    }
    let run = |(name, scenario): (String, Scenario)| {
        let outcome = watched(&scenario, &name);
        (name, outcome)
    };
    Ok(scenarios.into_iter().map(run).collect())
}

/// Runs a scenario. To a person at a terminal it says now and then how far it is, and in the end how long it took.
#[expect(
    clippy::disallowed_methods,
    reason = "progress is by the person's clock; the simulation has its own"
)]
fn watched(scenario: &Scenario, name: &str) -> Outcome {
    let is_watched = std::io::stderr().is_terminal();
    let began = Instant::now();
    let mut told = began;
    let watch = |at: Millis, ended: u64| {
        if is_watched && told.elapsed() >= PROGRESS {
            told = Instant::now();
            let (at, end) = (at.as_seconds(), scenario.duration.as_seconds());
            print_error(&format!("{name} {at:.0} of {end:.0} s, {ended} exchanges"));
        }
    };
    let outcome = World::new(scenario).run(watch);
    if is_watched {
        let took = began.elapsed().as_secs_f64();
        let rate = real(outcome.ended) / took.max(1e-9);
        print_error(&format!(
            "{name} {} exchanges in {took:.1} s, {rate:.0} a second",
            outcome.ended
        ));
    }
    outcome
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a run stay far below 2^53"
)]
fn real(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversion saturates, which is meant"
)]
fn whole(number: f64) -> u64 {
    number as u64
}
