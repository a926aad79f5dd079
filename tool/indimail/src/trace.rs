//! `indimail trace`: the whole story of one message.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::{Outcome, site};

/// Arguments of `indimail trace`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// A trace id, a message number in the queue, a Message-ID, or an address
    /// (sender or recipient)
    #[arg(value_name = "ID-OR-ADDRESS")]
    wanted: String,
    /// Root of the installation
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Print JSON for programs instead of text for people
    #[arg(long)]
    json: bool,
}

/// Runs the command; exit code 1 when nothing is known.
pub fn run(arguments: &Arguments) -> Outcome {
    let home = site::home(arguments.root.as_deref())?;
    let stories = run::story::find(&home, &arguments.wanted)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&stories)?);
    } else {
        stories.iter().for_each(|story| print!("{story}"));
    }
    if stories.is_empty() {
        eprintln!("indimail: no message known by {}", arguments.wanted);
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
