//! vimport: adds many users from a file.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::rc::Rc;

use clap::Parser;
use directory::tree::Prefix;
use directory::{Directory, Placement, Quota, UID_IN_STEP, User, VirtualDomain, home, value};
use run::Exit;
use settings::users;

use super::progress::Progress;
use super::record::{Format, Record, each};
use crate::domain::populate::remember_suffix;
use crate::notify::{LOOKUP, Notify};
use crate::secrets::{PasswordOptions, Stored};
use crate::site::{Site, file, permanent, refused};
use crate::user::{administrator, placement};

/// Users that are added in one transaction.
const BATCH: usize = 1000;
/// What a user without a password has: a hash that nothing matches.
const NO_PASSWORD: &str = "!";

/// Adds the users of a file: CSV with a title line, or JSON objects, as
/// vexport writes them. Columns: address, password or hash, scram, gecos,
/// quota, flags, active; all but address may be left out, and what is left
/// out is as vadduser has it. A user without a password gets one with
/// vpasswd.
///
/// Each line is added or refused by itself; refused ones are told on standard
/// error with their number, and it can be repeated. Homes are made with the
/// first message or login.
/// Exit codes: 0 all added, 1 some refused, 100 wrong use, 111 temporary
/// failure.
#[derive(Debug, Parser)]
#[command(name = "vimport", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// How users are written; by the name of the file, else CSV
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Check everything, add nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Leave users alone that are there already, and do not call that an error
    #[arg(long)]
    skip_existing: bool,
    /// Make homes now
    #[arg(short = 'd')]
    create_homes: bool,
    #[command(flatten)]
    options: PasswordOptions,
    /// The file; `-` is standard input
    file: PathBuf,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let notify = Notify::open(&site.home, LOOKUP);
    let (input, total) = arguments.open()?;
    let rules = Rules::of(&site)?;
    site.become_owner()?;
    let read = Rc::new(Cell::new(0));
    let input = Counted(input, Rc::clone(&read));
    let mut import = Import {
        arguments: &arguments,
        site: &site,
        rules,
        directory: site.directory()?,
        domains: BTreeMap::new(),
        waiting: BTreeMap::new(),
        trees: BTreeSet::new(),
        added: 0,
        existing: 0,
        refused: 0,
        progress: Progress::of(total),
        read,
    };
    each(input, arguments.format(), |number, record| {
        import.take(number, record)
    })?;
    import.finish()?;
    notify.hup();
    let Import {
        added,
        existing,
        refused,
        progress,
        ..
    } = import;
    drop(progress);
    let verb = if arguments.dry_run {
        "would be added"
    } else {
        "added"
    };
    println!("{added} users {verb}, {existing} there already, {refused} refused");
    match refused {
        0 => Ok(()),
        _ => Err(Exit::new(1, "")),
    }
}

impl Arguments {
    fn open(&self) -> Result<(Box<dyn Read>, u64), Exit> {
        if self.file.as_os_str() == "-" {
            return Ok((Box::new(io::stdin()), 0));
        }
        let input = File::open(&self.file).map_err(|error| file(&self.file, &error))?;
        let total = input.metadata().map_or(0, |metadata| metadata.len());
        Ok((Box::new(input), total))
    }

    fn format(&self) -> Format {
        let extension = self
            .file
            .extension()
            .and_then(|extension| extension.to_str());
        self.format.unwrap_or(match extension {
            Some("json" | "jsonl" | "ndjson") => Format::Json,
            _ => Format::Csv,
        })
    }
}

/// What holds for every user.
struct Rules {
    allowed: String,
    quota: String,
    inactive: bool,
}

impl Rules {
    fn of(site: &Site) -> Result<Self, Exit> {
        Ok(Self {
            allowed: site.text(&users::ALLOWCHARS)?,
            quota: site.text(&users::HARD_QUOTA)?,
            inactive: site.is_on(&users::CREATE_INACTIVE)?,
        })
    }
}

/// Counts what was read.
struct Counted(Box<dyn Read>, Rc<Cell<u64>>);

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.set(self.1.get() + count as u64);
        Ok(count)
    }
}

/// An import under way.
struct Import<'a> {
    arguments: &'a Arguments,
    site: &'a Site,
    rules: Rules,
    directory: Directory,
    domains: BTreeMap<String, (VirtualDomain, Placement)>,
    waiting: BTreeMap<String, Vec<(u64, User)>>,
    /// Trees that are listed as used.
    trees: BTreeSet<(String, &'static str)>,
    added: u64,
    existing: u64,
    refused: u64,
    progress: Progress,
    read: Rc<Cell<u64>>,
}

impl Import<'_> {
    fn take(&mut self, number: u64, record: Result<Record, String>) -> Result<(), Exit> {
        let user = record
            .map_err(permanent)
            .and_then(|record| self.user(&record));
        match user {
            Ok(user) => {
                let domain = user.domain.clone();
                let waiting = self.waiting.entry(domain.clone()).or_default();
                waiting.push((number, user));
                if waiting.len() == BATCH {
                    self.add(&domain)?;
                }
            }
            Err(exit) if exit.code == run::TEMPORARY => return Err(exit),
            Err(exit) => self.refuse(number, &exit.to_string()),
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Exit> {
        let domains: Vec<String> = self.waiting.keys().cloned().collect();
        domains.iter().try_for_each(|domain| self.add(domain))
    }

    fn refuse(&mut self, number: u64, why: &str) {
        self.refused += 1;
        eprintln!("vimport: record {number}: {why}");
    }

    /// A record as a user, everything checked.
    fn user(&mut self, record: &Record) -> Result<User, Exit> {
        let (name, domain) = self.site.address(&record.address)?;
        value::check_new_user(&name, &self.rules.allowed).map_err(|error| refused(&error))?;
        if !self.domains.contains_key(&domain) {
            let (_, entry) = self.site.real_domain(&domain)?;
            let placement = placement(self.site, &entry.dir, None)?;
            self.domains.insert(domain.clone(), (entry, placement));
        }
        let quota = match record.quota.as_str() {
            "" => &self.rules.quota,
            text => text,
        };
        let quota = Quota::parse(quota).map_err(|error| permanent(error.to_string()))?;
        let stored = self.stored(record)?;
        let reserved = value::RESERVED.contains(&name.as_str());
        let user = User {
            gecos: match record.gecos.as_str() {
                "" => name.clone(),
                gecos => gecos.to_owned(),
            },
            name,
            domain,
            password_hash: stored.hash,
            gid_flags: record.flags.unwrap_or(0),
            dir: PathBuf::new(),
            quota: quota.to_string(),
            scram: stored.scram,
            active: reserved || record.active.unwrap_or(!self.rules.inactive),
            uid_state: UID_IN_STEP,
        };
        value::check_user(&user).map_err(|error| refused(&error))?;
        Ok(user)
    }

    fn stored(&self, record: &Record) -> Result<Stored, Exit> {
        match (record.password.as_str(), record.hash.as_str()) {
            ("", "" | NO_PASSWORD) => Ok(Stored {
                hash: NO_PASSWORD.to_owned(),
                scram: None,
            }),
            ("", hash) => Ok(Stored {
                scram: Some(record.scram.clone()).filter(|scram| !scram.is_empty()),
                ..PasswordOptions::encrypted(hash)?
            }),
            (password, "") => {
                directory::password::check_new(password.as_bytes())
                    .map_err(|error| refused(&error))?;
                match self.arguments.dry_run {
                    // Hashing is slow, and nobody will see it.
                    true => Ok(Stored {
                        hash: NO_PASSWORD.to_owned(),
                        scram: None,
                    }),
                    false => self.arguments.options.stored(self.site, password),
                }
            }
            _ => Err(permanent("both a password and a hash")),
        }
    }

    /// Adds what waits for a domain.
    fn add(&mut self, domain: &str) -> Result<(), Exit> {
        let waiting = self.waiting.remove(domain).unwrap_or_default();
        let Some((entry, placement)) = self.domains.get(domain).cloned() else {
            return Ok(());
        };
        let (numbers, users): (Vec<u64>, Vec<User>) = waiting.into_iter().unzip();
        let results = if self.arguments.dry_run {
            self.look(&users)?
        } else {
            self.directory
                .add_users(&users, &placement, &administrator())
                .map_err(|error| refused(&error))?
        };
        for (number, result) in numbers.into_iter().zip(results) {
            match result {
                Ok(user) => {
                    self.added += 1;
                    if self.arguments.dry_run {
                        continue;
                    }
                    let tree = (domain.to_owned(), Prefix::of(&user.name).tag);
                    if self.trees.insert(tree) {
                        remember_suffix(&entry.dir, &placement, &user)?;
                    }
                    if self.arguments.create_homes {
                        home::create(&user).map_err(|error| refused(&error))?;
                    }
                }
                Err(directory::Error::Exists(_)) if self.arguments.skip_existing => {
                    self.existing += 1;
                }
                Err(error) => self.refuse(number, &error.to_string()),
            }
        }
        self.progress.at(self.read.get(), self.added);
        Ok(())
    }

    /// What adding would say.
    fn look(&self, users: &[User]) -> Result<Vec<Result<User, directory::Error>>, Exit> {
        let look = |user: &User| {
            let there = self.directory.find_user(&user.name, &user.domain);
            Ok(match there.map_err(|error| refused(&error))? {
                Some(_) => Err(directory::Error::Exists(user.address())),
                None => Ok(user.clone()),
            })
        };
        users.iter().map(look).collect()
    }
}
