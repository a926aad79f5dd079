//! crash: cuts the power of a model of the mail system, as often as asked.

use std::process::ExitCode;

use clap::Parser;
use crash::{Journal, Report, SCENARIOS};

/// Cuts the power at every moment of every scenario, and lets every operation
/// fail; says how much was tried. Ends with a message and a failure when a
/// promise is broken.
#[derive(Parser)]
struct Arguments {
    /// Outcomes of one power cut that are tried before chance chooses.
    #[arg(long, default_value_t = 5000)]
    ways: usize,
    /// Power cuts after each failed operation.
    #[arg(long, default_value_t = 20)]
    crashes: usize,
    /// What chance begins with.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut all = Report::default();
    for scenario in SCENARIOS {
        for journal in [Journal::None, Journal::Names] {
            let report = crash::crashes(scenario, journal, arguments.ways, arguments.seed);
            println!("{}, {journal:?}: {report:?}", scenario.name);
            all.add(report);
            let report = crash::faults(scenario, journal, arguments.crashes, arguments.seed);
            println!("{}, {journal:?}, faults: {report:?}", scenario.name);
            all.add(report);
        }
    }
    println!("all: {all:?}");
    ExitCode::SUCCESS
}
