//! The command line: native only, and the one place that prints.

mod admin;
mod again;
mod check;
mod diff;
mod explain;
mod folder;
mod records;
mod replay;
mod schema;
mod simulate;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An LLM router at the network's edge: its tools.
#[derive(Debug, Parser)]
#[command(name = "waypost", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks a config folder and lists every problem at once.
    ///
    /// Exit status: 0 good, 1 problems found, 2 wrong usage.
    Check {
        /// The folder with providers.json, routes/, keys.json and flags.json.
        dir: PathBuf,
        /// Print one JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Tells why a request goes where it goes: every candidate, each signal's part of its score, and the plan.
    ///
    /// Nothing is sent. Takes a saved request body, which needs --config, or a record as the admin API gives it.
    ///
    /// Exit status: 0 good, 1 problems found or no candidate left, 2 wrong usage.
    Explain(Box<explain::Arguments>),
    /// Prints the JSON Schema of an entry, with which an editor completes and checks a config folder.
    ///
    /// The same as `docs/schema/NAME.schema.json`, and as a Worker serves under /schema/NAME.json. Exit status: 0 good,
    /// 2 wrong usage.
    Schema(schema::Arguments),
    /// Tells what differs between two config folders, or two files of one route.
    ///
    /// With --records it also tells what the change would have done to recorded traffic: shares, expected cost, and
    /// requests that would have no target left.
    ///
    /// Exit status: 0 good, 1 NEW has problems that OLD has not (or, with --exit-code, there is a difference),
    /// 2 wrong usage.
    Diff(Box<diff::Arguments>),
    /// Decides records again: the same plan, bit for bit? With --config, what would another config have done?
    ///
    /// With --config it tells which targets gain and lose, and estimates what cost, latency and success would have
    /// been, with 95 % intervals; and it says what the log cannot tell.
    ///
    /// Exit status: 0 good, 1 a plan differs, a line could not be read or the config has problems, 2 wrong usage.
    Replay(Box<replay::Arguments>),
    /// Simulates a scenario: data centres, isolates and providers, late news and faults, on the router's own code.
    ///
    /// Nothing is sent. The same scenario and seed give the same figures. Exit status: 0 simulated, 1 the scenario has
    /// problems, 2 wrong usage.
    Simulate(Box<simulate::Arguments>),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    match command {
        Command::Check { dir, json } => check::run(&dir, json),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
    }
}

#[expect(clippy::print_stdout, reason = "this is the command line")]
fn print(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "this is the command line")]
fn print_error(text: &str) {
    eprintln!("{text}");
}
