//! `indimail logins`: who guesses passwords, and who is forgiven.

use std::process::ExitCode;
use std::time::Duration;

use run::{Home, Link};
use wire::lookup::{Block, Reply, Request, VERSION};

use crate::{Outcome, Root, site};

/// How long inlookup may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Arguments of `indimail logins`.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    act: Option<Act>,
    #[command(flatten)]
    root: Root,
}

#[derive(clap::Subcommand, Debug)]
enum Act {
    /// Forget the wrong passwords of a user or an address
    Forgive {
        /// user@domain, an address, or an IPv6 network, as listed
        name: String,
        #[command(flatten)]
        root: Root,
    },
}

/// Runs the command; 1 when nobody of that name was to be forgiven.
pub fn run(arguments: &Arguments) -> Outcome {
    let (root, request) = match &arguments.act {
        None => (&arguments.root, Request::Blocks),
        Some(Act::Forgive { name, root }) => (root, Request::Forgive { name: name.clone() }),
    };
    let home = site::home(root.root.as_deref())?;
    match ask(&home, &request)? {
        Reply::Blocks(blocks) => {
            print(&blocks, root.json)?;
            Ok(ExitCode::SUCCESS)
        }
        Reply::Forgiven(count) => {
            if root.json {
                println!("{}", serde_json::json!({ "forgiven": count }));
            } else if count == 0 {
                eprintln!("indimail: nothing is held against that name");
            }
            Ok(match count {
                0 => ExitCode::FAILURE,
                _ => ExitCode::SUCCESS,
            })
        }
        Reply::Temporary(text) => Err(text.into()),
        other => Err(format!("inlookup answers another question: {other:?}").into()),
    }
}

/// Puts a question to inlookup.
pub fn ask(home: &Home, request: &Request) -> Result<Reply, Box<dyn std::error::Error>> {
    let socket = home.socket("inlookup");
    let mut link = Link::connect(&socket, VERSION, ANSWER_TIMEOUT)
        .map_err(|error| format!("{}; is inlookup up?", run::chain(&error)))?;
    Ok(link.ask(request)?)
}

fn print(blocks: &[Block], json: bool) -> Result<(), serde_json::Error> {
    if json {
        println!("{}", serde_json::to_string_pretty(blocks)?);
        return Ok(());
    }
    if blocks.is_empty() {
        println!("nobody is stopped");
    }
    for block in blocks {
        println!(
            "{}  {} wrong passwords, not checked for {} s",
            text::log::safe(block.name.as_bytes()),
            block.failures,
            block.seconds_left
        );
    }
    Ok(())
}
