//! forward: sends the message on to other addresses.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use run::Exit;

use crate::{message, usage};

pub(crate) fn main(arguments: &[OsString]) -> Result<u8, Exit> {
    let arguments = match arguments {
        [dashes, rest @ ..] if dashes == "--" => rest,
        all => all,
    };
    if arguments.is_empty() {
        return Err(usage("forward"));
    }
    let sender = message::needed("NEWSENDER")?;
    let prefix = message::line("DTLINE")?;
    let recipients: Vec<Vec<u8>> = arguments.iter().map(|a| a.as_bytes().to_vec()).collect();
    let file = message::standard_input()?;
    let qp = message::queue("forward", &prefix, &file, &sender, &recipients)?;
    println!("forward: qp {qp}");
    Ok(0)
}
