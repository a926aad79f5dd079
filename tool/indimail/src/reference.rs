//! The parts of the manual that are made from declarations: settings, this
//! command's own pages, and completion for shells.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, ValueEnum};

use crate::Outcome;

/// Arguments of `indimail completions`.
#[derive(clap::Args, Debug)]
pub struct Completions {
    /// Which shell; load the output with its `source` or `eval`
    shell: clap_complete::Shell,
}

/// Arguments of `indimail reference`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// What to make
    #[arg(long, default_value = "markdown")]
    format: Format,
    /// Where pages go
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// All settings, on standard output
    Markdown,
    /// qmail-control(5) and indimail-variables(5), on standard output
    Man,
    /// The pages of this command, as files
    Command,
}

/// Prints a completion script.
pub fn complete(arguments: &Completions) -> Outcome {
    let mut script = Vec::new();
    let mut command = crate::Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "indimail", &mut script);
    std::io::Write::write_all(&mut std::io::stdout(), &script)?;
    Ok(ExitCode::SUCCESS)
}

/// Makes what was asked for.
pub fn run(arguments: &Arguments) -> Outcome {
    use settings::reference;
    match arguments.format {
        Format::Markdown => print!("{}", reference::markdown()),
        Format::Man => print!(
            "{}{}",
            reference::control_page(),
            reference::variables_page()
        ),
        Format::Command => clap_mangen::generate_to(crate::Arguments::command(), &arguments.out)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_of_this_command_are_current() {
        let directory = tempfile::tempdir().unwrap();
        clap_mangen::generate_to(crate::Arguments::command(), directory.path()).unwrap();
        let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../../man/man1");
        for entry in std::fs::read_dir(directory.path()).unwrap() {
            let entry = entry.unwrap();
            let made = std::fs::read_to_string(entry.path()).unwrap();
            let kept = PathBuf::from(kept).join(entry.file_name());
            let kept = std::fs::read_to_string(&kept).unwrap_or_default();
            let name = entry.file_name();
            assert!(made == kept, "{name:?} is stale; run cargo xtask man");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        crate::Arguments::command().debug_assert();
    }
}
