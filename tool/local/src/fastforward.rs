//! fastforward: sends a message on as a forwarding table says
//! (queue-and-delivery.md §6.10).

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aliases::{ExpandError, Expansion, RECIPIENTS_MAX, Tables, Task};
use run::Exit;

use crate::program::{STOP, shell};
use crate::{message, usage};

/// Largest compiled list.
const LIST_BYTES_MAX: u64 = RECIPIENTS_MAX as u64 * 1024;
/// A list counts only when everybody may read it.
const READABLE_BY_ALL: u32 = 0o444;

/// What the letters ask for.
#[derive(Clone, Copy, Default)]
struct Options {
    /// Print instead of doing.
    print: bool,
    /// Leave unknown recipients to the next line.
    pass: bool,
    /// The recipient is `DEFAULT@HOST` or `EXT@HOST`.
    default: bool,
}

pub(crate) fn main(arguments: &[OsString]) -> Result<u8, Exit> {
    let mut options = Options::default();
    let mut rest = arguments;
    while let [first, others @ ..] = rest {
        let Some(letters) = first.as_bytes().strip_prefix(b"-") else {
            break;
        };
        rest = others;
        if letters == b"-" {
            break;
        }
        for letter in letters {
            match letter {
                b'n' => options.print = true,
                b'N' => options.print = false,
                b'p' => options.pass = true,
                b'P' => options.pass = false,
                b'd' => options.default = true,
                b'D' => options.default = false,
                _ => return Err(usage("fastforward")),
            }
        }
    }
    let [table] = rest else {
        return Err(usage("fastforward"));
    };
    let sender = message::needed("SENDER")?;
    let recipient = recipient(options)?;
    let table = Table::open(Path::new(table))?;
    let Some(mut expansion) = aliases::expand(&recipient, &table).map_err(trouble)? else {
        if options.pass {
            return Ok(0);
        }
        let text = "Sorry, no mailbox here by that name. (#5.1.1)\n";
        let _ = io::stdout().write_all(text.as_bytes());
        return Ok(run::PERMANENT);
    };
    // Bounces and double bounces stay what they are.
    if sender.is_empty() || sender == b"#@[]" {
        expansion.owner = None;
    }
    if options.print {
        return show(&expansion);
    }
    carry_out(&expansion, sender)?;
    Ok(if options.pass { STOP } else { 0 })
}

fn recipient(options: Options) -> Result<Vec<u8>, Exit> {
    if !options.default {
        return message::needed("RECIPIENT");
    }
    let local = match message::variable("DEFAULT") {
        Some(default) => default,
        None => message::needed("EXT")?,
    };
    Ok([&local[..], b"@", &message::needed("HOST")?].concat())
}

/// Programs first, in their order; a failure keeps the message from being
/// sent on, as in a `.qmail` file.
fn carry_out(expansion: &Expansion, sender: Vec<u8>) -> Result<(), Exit> {
    let file = message::standard_input()?;
    for task in &expansion.tasks {
        let (command, prefix) = match task {
            Task::Program(command) => (command, Vec::new()),
            Task::Preline(command) => (command, message::preline()?),
        };
        shell(command, &prefix, &file)?;
    }
    if expansion.recipients.is_empty() {
        return Ok(());
    }
    let sender = expansion.owner.clone().unwrap_or(sender);
    let prefix = message::line("DTLINE")?;
    let recipients = &expansion.recipients;
    let qp = message::queue("fastforward", &prefix, &file, &sender, recipients)?;
    println!("fastforward: qp {qp}");
    Ok(())
}

fn show(expansion: &Expansion) -> Result<u8, Exit> {
    let mut text = Vec::new();
    let mut say = |word: &str, value: &[u8]| {
        text.extend_from_slice(&[word.as_bytes(), b" ", value, b"\n"].concat());
    };
    for task in &expansion.tasks {
        match task {
            Task::Program(command) => say("program", command),
            Task::Preline(command) => say("preline", command),
        }
    }
    if let Some(owner) = &expansion.owner {
        say("sender", owner);
    }
    for recipient in &expansion.recipients {
        say("forward", recipient);
    }
    let _ = io::stdout().write_all(&text);
    Ok(0)
}

/// The table and the lists it names.
struct Table {
    content: Vec<u8>,
}

impl Table {
    fn open(path: &Path) -> Result<Self, Exit> {
        let content = fs::read(path).map_err(|error| {
            let text = format!("unable to read {}: {error}", path.display());
            Exit::new(run::TEMPORARY, text)
        })?;
        Ok(Self { content })
    }
}

impl Tables for Table {
    type Error = Exit;

    fn find(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Exit> {
        let corrupt = |_| Exit::new(run::TEMPORARY, "the forwarding table is damaged");
        let reader = cdb::Reader::new(&self.content).map_err(corrupt)?;
        Ok(reader.find(key).map_err(corrupt)?.map(<[u8]>::to_vec))
    }

    fn list(&self, path: &[u8]) -> Result<Vec<u8>, Exit> {
        let path = Path::new(OsStr::from_bytes(path));
        let bad = |why: &dyn std::fmt::Display| {
            let text = format!("unable to read list {}: {why}", path.display());
            Exit::new(run::TEMPORARY, text)
        };
        let file = File::open(path).map_err(|error| bad(&error))?;
        let metadata = file.metadata().map_err(|error| bad(&error))?;
        if !metadata.is_file() {
            return Err(bad(&"it is not a file"));
        }
        if metadata.permissions().mode() & READABLE_BY_ALL != READABLE_BY_ALL {
            return Err(bad(&"not everybody may read it (chmod 644)"));
        }
        if LIST_BYTES_MAX < metadata.len() {
            return Err(bad(&"it is too long"));
        }
        let mut content = Vec::new();
        file.take(LIST_BYTES_MAX)
            .read_to_end(&mut content)
            .map_err(|error| bad(&error))?;
        Ok(content)
    }
}

/// A damaged table is the administrator's to mend; the mail waits.
fn trouble(error: ExpandError<Exit>) -> Exit {
    let text = match error {
        ExpandError::Tables(exit) => return exit,
        ExpandError::BadEntry => "the table or a list has an entry that is none",
        ExpandError::AddressTooLong => "the table or a list has an address that is too long",
        ExpandError::TooMany => "the table makes too many recipients of one",
    };
    Exit::new(run::TEMPORARY, text)
}
