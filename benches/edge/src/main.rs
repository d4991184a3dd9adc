//! The two ends of the edge benchmark, in one program, because they must agree on what a whole answer is.
//!
//! `upstream` is the provider: it says the port it chose as a line of JSON, then answers until it is ended. `load` is the
//! clients: it asks as often as it is told and prints one line of JSON, figures and failures. Both run on one thread, so
//! that one core holds both and the system under test has the others.
//!
//! Not here: which systems are compared, and their CPU time and memory. That is `scripts/bench-edge.mjs`.

mod answer;
mod load;
mod reads;
mod upstream;

use clap::Parser;

#[derive(Parser)]
enum Command {
    /// Answers as a provider would.
    Upstream,
    /// Asks and measures.
    Load(load::Options),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    match Command::parse() {
        Command::Upstream => upstream::serve().await?,
        Command::Load(options) => {
            let report = load::run(options).await?;
            println!("{}", serde_json::to_string(&report)?);
        }
    }
    Ok(())
}
