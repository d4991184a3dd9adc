//! The command line: native only, and the one place that prints.

mod check;

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
}

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    match command {
        Command::Check { dir, json } => check::run(&dir, json),
    }
}
