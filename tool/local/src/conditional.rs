//! bouncesaying, condredirect and except: what to do depends on how a program
//! ends.

use std::ffi::OsString;
use std::io::{self, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use run::Exit;

use crate::program::{STOP, status};
use crate::{message, usage};

pub(crate) fn bouncesaying(arguments: &[OsString]) -> Result<u8, Exit> {
    let [text, program @ ..] = arguments else {
        return Err(usage("bouncesaying"));
    };
    let code = match program {
        [] => 0,
        program => status(program, Stdio::inherit())?,
    };
    match code {
        0 => {
            let _ = io::stdout().write_all(&[text.as_bytes(), b"\n"].concat());
            Ok(run::PERMANENT)
        }
        code if code == i32::from(run::TEMPORARY) => Err(temporary_child()),
        _ => Ok(0),
    }
}

pub(crate) fn except(arguments: &[OsString]) -> Result<u8, Exit> {
    if arguments.is_empty() {
        return Err(usage("except"));
    }
    match status(arguments, Stdio::inherit())? {
        0 => Ok(run::PERMANENT),
        code if code == i32::from(run::TEMPORARY) => Err(temporary_child()),
        _ => Ok(0),
    }
}

pub(crate) fn condredirect(arguments: &[OsString]) -> Result<u8, Exit> {
    let (inverted, arguments) = match arguments {
        [option, rest @ ..] if option == "-r" => (true, rest),
        all => (false, all),
    };
    let [address, program @ ..] = arguments else {
        return Err(usage("condredirect"));
    };
    if program.is_empty() {
        return Err(usage("condredirect"));
    }
    let sender = message::needed("SENDER")?;
    let mut prefix = message::line("DTLINE")?;
    prefix.extend(message::extra_lines());
    let mut file = message::standard_input()?;
    let trouble = |error| Exit::new(run::TEMPORARY, format!("unable to read message: {error}"));
    let given = file.try_clone().map_err(trouble)?;
    let code = status(program, Stdio::from(given))?;
    let redirect = match code {
        111 => return Err(temporary_child()),
        100 => return Ok(run::PERMANENT),
        0 => !inverted,
        _ => inverted,
    };
    if !redirect {
        return Ok(0);
    }
    file.rewind().map_err(trouble)?;
    let recipients = [address.as_bytes().to_vec()];
    let qp = message::queue("condredirect", &prefix, &file, &sender, &recipients)?;
    println!("condredirect: qp {qp}");
    Ok(STOP)
}

fn temporary_child() -> Exit {
    Exit::new(run::TEMPORARY, "temporary child error")
}
