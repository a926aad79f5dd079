//! `indimail explain`: why the system does what it does, about a setting or
//! about a message that somebody wants to send us.

mod setting;
mod smtp;

use crate::{Outcome, Root};

/// Arguments of `indimail explain`.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// Name of a control file or an environment variable, like databytes
    #[arg(required = true)]
    name: Option<String>,
    #[command(flatten)]
    root: Root,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// Explain a control file or variable, and say what holds now
    Setting {
        /// Its name, like databytes
        name: String,
        #[command(flatten)]
        root: Root,
    },
    /// Say what qmail-smtpd would do with a message, and which rules decide
    Smtp(smtp::Arguments),
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Outcome {
    match (&arguments.what, &arguments.name) {
        (Some(What::Setting { name, root }), _) => setting::run(name, root),
        (Some(What::Smtp(arguments)), _) => smtp::run(arguments),
        (None, Some(name)) => setting::run(name, &arguments.root),
        (None, None) => Err("name a setting, or say smtp".into()),
    }
}
