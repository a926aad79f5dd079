//! `indimail trace`: the whole story of one message.

use std::path::PathBuf;
use std::process::ExitCode;

use run::story::Story;
use serde::Serialize;
use wire::trace::{Event, TraceId};

use crate::print::say;
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
    let stories = run::story::find(&home, &arguments.wanted)
        .map_err(|error| format!("{error}; run this as root or the owner of the installation"))?;
    if arguments.json {
        let told: Vec<Told<'_>> = stories.iter().map(Told::from).collect();
        say!("{}", serde_json::to_string_pretty(&told)?);
    } else {
        for story in &stories {
            say!("message {}", story.trace);
            story.lines().iter().for_each(|line| say!("  {line}"));
        }
    }
    if stories.is_empty() {
        eprintln!("indimail: no message known by {}", arguments.wanted);
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// A story as JSON.
#[derive(Serialize)]
struct Told<'a> {
    trace: TraceId,
    events: &'a [Event],
}

impl<'a> From<&'a Story> for Told<'a> {
    fn from(story: &'a Story) -> Self {
        Self {
            trace: story.trace,
            events: &story.events,
        }
    }
}
