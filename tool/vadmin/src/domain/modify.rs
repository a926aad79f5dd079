//! vmoddomain: changes how a virtual domain is delivered.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use clap::Parser;
use dotqmail::VirtualProgram;
use run::Exit;

use super::add::{default_line, plain_word};
use crate::site::{Site, file, permanent, set_mark};

/// The domain's limits are enforced while it is there.
const LIMITS: &str = ".domain_limits";
/// What becomes of the domain's mail.
const DEFAULT: &str = ".qmail-default";
/// Mode of that file.
const PRIVATE_MODE: u32 = 0o600;
/// Most of it that is read.
const DEFAULT_BYTES_MAX: u64 = 64 * 1024;

/// Changes how mail of a virtual domain is delivered, and whether its limits
/// count.
///
/// Exit codes: 0 done, 1 no such domain, 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vmoddomain", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Tell what was done
    #[arg(short = 'v')]
    verbose: bool,
    /// 1: the limits of the domain count; 0: they do not
    #[arg(short = 'l', value_name = "0|1", value_parser = clap::value_parser!(u8).range(0..=1))]
    limits: Option<u8>,
    /// 1: mail is delivered by the rules of vcfilter; 0: without rules
    #[arg(short = 'f', value_name = "0|1", value_parser = clap::value_parser!(u8).range(0..=1))]
    filters: Option<u8>,
    /// Mail for unknown users: bounce-no-mailbox, delete, the path of a
    /// Maildir, an address or a route DOMAIN:IP:PORT
    #[arg(short = 'h', value_name = "HANDLER")]
    handler: Option<String>,
    /// Name of the domain
    domain: String,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let (domain, entry) = site.real_domain(&arguments.domain)?;
    if let Some(handler) = &arguments.handler
        && !matches!(handler.as_str(), "bounce-no-mailbox" | "delete")
        && !is_handler(handler)
    {
        return Err(permanent(format!(
            "-h: {handler} is no address, path or route"
        )));
    }
    site.become_owner()?;
    if let Some(on) = arguments.limits {
        set_mark(&entry.dir.join(LIMITS), on == 1)?;
    }
    if arguments.filters.is_some() || arguments.handler.is_some() {
        let line = arguments.line(&site, &entry.dir)?;
        let path = entry.dir.join(DEFAULT);
        os::file::replace(&path, line.as_bytes(), PRIVATE_MODE)
            .map_err(|error| file(&path, &error))?;
        if arguments.verbose {
            print!("{domain}: {line}");
        }
    }
    Ok(())
}

impl Arguments {
    /// The new line: what is not given stays as it is.
    fn line(&self, site: &Site, directory: &Path) -> Result<String, Exit> {
        let path = directory.join(DEFAULT);
        let mut text = String::new();
        File::open(&path)
            .and_then(|file| file.take(DEFAULT_BYTES_MAX).read_to_string(&mut text))
            .map_err(|error| file(&path, &error))?;
        let mut lines = text.lines().filter(|line| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with('#')
        });
        let old = match (lines.next(), lines.next()) {
            (Some(line), None) => line
                .strip_prefix('|')
                .and_then(|command| dotqmail::virtual_line(command.as_bytes())),
            _ => None,
        };
        let Some((program, unknown)) = old else {
            return Err(permanent(format!(
                "{}: is not one line of vdelivermail or vfilter; edit it",
                path.display()
            )));
        };
        let unknown = String::from_utf8_lossy(unknown);
        let filters = match self.filters {
            Some(on) => on == 1,
            None => program == VirtualProgram::Filter,
        };
        default_line(site, filters, self.handler.as_deref().unwrap_or(&unknown))
    }
}

/// An address, an absolute path, or a route with two colons.
fn is_handler(text: &str) -> bool {
    let route = text.split(':').count() == 3;
    plain_word(text) || (route && plain_word(&format!("/{text}")))
}
