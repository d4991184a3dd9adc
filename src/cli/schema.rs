//! `waypost schema [NAME]`: the JSON Schema of an entry, as `docs/schema/` ships it.

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;

use super::print;
use crate::config::schema;

/// What the command was asked.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Which schema to print; without it, their names.
    #[arg(value_parser = PossibleValuesParser::new(schema::names()))]
    name: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let text = match &arguments.name {
        Some(name) => schema::text(name),
        None => Some(schema::names().join("\n")),
    };
    print(text.unwrap_or_default().trim_end());
    ExitCode::SUCCESS
}
