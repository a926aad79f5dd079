//! `indimail db`: the database of users: where it is, which version its
//! tables have, and how it moves to another place.
//!
//! What root starts works on the database as the owner of the mail: what
//! that user can put in the way must not lead root astray. Only the control
//! file that names the place is written as root.

mod migrate;

use std::process::ExitCode;

use clap::Subcommand;
use directory::{Directory, Location, copy};
use os::account::{self, Account, Identity};
use run::{Home, Settings};
use serde::Serialize;

use crate::{Outcome, Root, site};

/// Arguments of `indimail db`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say where the users are and how many rows each table has
    Show(Root),
    /// Move all users to a database server or back to a file
    Migrate(migrate::Arguments),
    /// Show the version of the tables, or move them to another one
    Schema(Schema),
    /// The part of migrate that runs as the owner of the mail
    #[command(hide = true)]
    Copy(Root),
}

/// Arguments of `indimail db schema`.
#[derive(clap::Args, Debug)]
struct Schema {
    /// Move the tables to this version; going down drops what later ones added
    #[arg(long, value_name = "VERSION")]
    to: Option<i64>,
    #[command(flatten)]
    root: Root,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Outcome {
    match &arguments.command {
        Command::Show(root) => show(root),
        Command::Migrate(arguments) => migrate::run(arguments),
        Command::Schema(arguments) => schema(arguments),
        Command::Copy(root) => migrate::copy_as_owner(&site::home(root.root.as_deref())?),
    }
}

#[derive(Serialize)]
struct Shown {
    place: String,
    schema: i64,
    schema_known: i64,
    tables: Vec<Table>,
}

#[derive(Serialize)]
struct Table {
    name: String,
    rows: u64,
}

fn show(root: &Root) -> Outcome {
    let directory = open(&site::home(root.root.as_deref())?)?;
    let tables = copy::counts(&directory)?;
    let (schema, schema_known) = directory.schema()?;
    let shown = Shown {
        place: directory.place(),
        schema,
        schema_known,
        tables: tables
            .into_iter()
            .map(|(name, rows)| Table { name, rows })
            .collect(),
    };
    if root.json {
        println!("{}", serde_json::to_string_pretty(&shown)?);
    } else {
        println!("users are in  {}", shown.place);
        println!("schema        {schema} of {schema_known}");
        for Table { name, rows } in &shown.tables {
            println!("{rows:>12}  {name}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn schema(arguments: &Schema) -> Outcome {
    let directory = open(&site::home(arguments.root.root.as_deref())?)?;
    if let Some(to) = arguments.to {
        directory.migrate_schema(to)?;
    }
    let (found, known) = directory.schema()?;
    if arguments.root.json {
        println!("{{\"schema\":{found},\"schema_known\":{known}}}");
    } else {
        println!("schema {found} of {known}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens the database as the owner of the mail, for good.
fn open(home: &Home) -> Result<Directory, Box<dyn std::error::Error>> {
    let location = Location::of(home, &Settings::of_process(home))?;
    owner()?.assume()?;
    account::set_umask(0o077);
    Ok(Directory::open_at(&location)?)
}

/// The owner of the mail.
fn owner() -> Result<Identity, os::account::AccountError> {
    Ok(match account::is_root() {
        true => Account::by_name("indimail")?.identity,
        false => Identity::of_this_process(),
    })
}
