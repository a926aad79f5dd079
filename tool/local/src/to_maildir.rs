//! maildirdeliver and condtomaildir: deliveries into a maildir.

use std::ffi::OsString;
use std::fs::File;
use std::io::Seek;
use std::path::Path;
use std::process::Stdio;

use maildir::deliver::Error;
use run::Exit;

use crate::program::{STOP, status};
use crate::{message, usage};

pub(crate) fn maildirdeliver(arguments: &[OsString]) -> Result<u8, Exit> {
    let [directory] = arguments else {
        return Err(usage("maildirdeliver"));
    };
    let mut prefix = Vec::new();
    for name in ["RPLINE", "DTLINE"] {
        if message::variable(name).is_some() {
            prefix.extend(message::line(name)?);
        }
    }
    deliver(Path::new(directory), &prefix, &message::standard_input()?)?;
    Ok(0)
}

pub(crate) fn condtomaildir(arguments: &[OsString]) -> Result<u8, Exit> {
    let (inverted, arguments) = match arguments {
        [option, rest @ ..] if option == "-r" => (true, rest),
        all => (false, all),
    };
    let [directory, program @ ..] = arguments else {
        return Err(usage("condtomaildir"));
    };
    if program.is_empty() {
        return Err(usage("condtomaildir"));
    }
    let prefix = [
        message::line("RPLINE")?,
        message::line("DTLINE")?,
        message::extra_lines(),
    ]
    .concat();
    let mut file = message::standard_input()?;
    let trouble = |error| Exit::new(run::TEMPORARY, format!("unable to read message: {error}"));
    let given = file.try_clone().map_err(trouble)?;
    let chosen = match status(program, Stdio::from(given))? {
        111 => return Err(Exit::new(run::TEMPORARY, "temporary child error")),
        100 => return Ok(run::PERMANENT),
        0 => !inverted,
        _ => inverted,
    };
    if !chosen {
        return Ok(0);
    }
    file.rewind().map_err(trouble)?;
    deliver(Path::new(directory), &prefix, &file)?;
    Ok(STOP)
}

fn deliver(directory: &Path, prefix: &[u8], file: &File) -> Result<(), Exit> {
    let host = os::account::host_name();
    let delivered = maildir::deliver::deliver(directory, &host, prefix, file, None);
    delivered.map(drop).map_err(|error| match error {
        Error::Full(_) => Exit::new(
            run::PERMANENT,
            "Recipient's mailbox is full, message returned to sender. (#5.2.2)",
        ),
        error => Exit::new(run::TEMPORARY, run::chain(&error)),
    })
}
