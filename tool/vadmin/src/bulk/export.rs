//! vexport: writes the users of a domain, for vimport and other programs.

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};

use clap::Parser;
use run::Exit;

use super::progress::Progress;
use super::record::{Format, Record};
use crate::site::{Site, refused, temporary};

/// Writes the users of a domain on standard output, one a line.
///
/// Exit codes: 0 done, 1 no such domain, 100 refused, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vexport", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// How they are written
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// The same as --format json
    #[arg(long)]
    json: bool,
    /// Write password hashes and SCRAM secrets, too
    #[arg(long)]
    secrets: bool,
    /// The domain
    domain: String,
}

/// Why the export ended.
enum Ended {
    Directory(directory::Error),
    Output(io::Error),
}

impl From<directory::Error> for Ended {
    fn from(error: directory::Error) -> Self {
        Self::Directory(error)
    }
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let (domain, _) = site.real_domain(&arguments.domain)?;
    site.become_owner()?;
    let directory = site.directory()?;
    let total = directory
        .count_users(&domain)
        .map_err(|error| refused(&error))?;
    let mut progress = Progress::of(total);
    let mut output = Output::new(arguments.json || arguments.format == Format::Json);
    let mut done = 0;
    let written = directory
        .each_user(&domain, |user| -> Result<(), Ended> {
            done += 1;
            progress.at(done, done);
            let record = Record::of(&user, arguments.secrets);
            output.write(&record).map_err(Ended::Output)
        })
        .and_then(|()| output.finish().map_err(Ended::Output));
    written.map_err(|ended| match ended {
        Ended::Directory(error) => refused(&error),
        Ended::Output(error) => temporary(&error),
    })
}

/// Standard output in one of the formats.
enum Output {
    Csv(Box<csv::Writer<io::Stdout>>),
    Json(BufWriter<io::Stdout>),
}

impl Output {
    fn new(json: bool) -> Self {
        match json {
            true => Self::Json(BufWriter::new(io::stdout())),
            false => Self::Csv(Box::new(
                csv::WriterBuilder::new()
                    .has_headers(false)
                    .from_writer(io::stdout()),
            )),
        }
        .titled()
    }

    /// Every column has a title, whether this export fills it or not.
    fn titled(mut self) -> Self {
        if let Self::Csv(writer) = &mut self {
            let titles = [
                "address", "hash", "scram", "gecos", "quota", "flags", "active",
            ];
            let _ = writer.write_record(titles);
        }
        self
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        match self {
            Self::Csv(writer) => Ok(writer.write_record([
                record.address.as_str(),
                &record.hash,
                &record.scram,
                &record.gecos,
                &record.quota,
                &record.flags.unwrap_or(0).to_string(),
                match record.active {
                    Some(false) => "false",
                    _ => "true",
                },
            ])?),
            Self::Json(writer) => {
                serde_json::to_writer(&mut *writer, record)?;
                writer.write_all(b"\n")
            }
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Csv(writer) => writer.flush(),
            Self::Json(writer) => writer.flush(),
        }
    }
}
