//! qlist: a name from before ezmlm.

use std::ffi::OsString;
use std::io::{self, Write};

use run::Exit;

const TEXT: &str = "qlist does not handle subscriptions. Mailing lists are the job of ezmlm:\n\
    a list is a directory and the files .qmail-LIST, .qmail-LIST-default,\n\
    .qmail-LIST-owner and .qmail-LIST-return-default, which ezmlm-make writes.\n";

pub(crate) fn main(_: &[OsString]) -> Result<u8, Exit> {
    let _ = io::stdout().write_all(TEXT.as_bytes());
    Ok(run::PERMANENT)
}
