//! qmail-dk: where DomainKeys were (RFC 4870, obsolete); hands every message
//! on (smtp-receiving.md §5.8).

use run::{Exit, Home, ProgramEnd, Settings};
use settings::front_ends::DKQUEUE;

use super::{Replaced, become_next, given_or, help};

const HELP: &str = "\
usage: qmail-dk [program [argument...]] < message 1< envelope

Becomes DKQUEUE with the arguments, or the program that they name, or
qmail-multi. DomainKeys are gone; qmail-dkim signs and verifies.
Exit codes: those of the program.
";

/// The program.
pub fn dk(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    if help(HELP, arguments) {
        return Ok(().into());
    }
    let home = Home::find();
    let settings = Settings::of_process(&home);
    let asked = ["DKSIGN", "DKVERIFY"];
    if asked
        .iter()
        .any(|name| settings.variable(name).is_some_and(|v| !v.is_empty()))
    {
        run::info(
            "qmail-dk",
            "DomainKeys are gone (RFC 6376); qmail-dkim signs and verifies",
        );
    }
    let variable = Some(DKQUEUE.variable);
    let command = given_or(&home, &settings, arguments, variable, "qmail-multi")?;
    Err(become_next(command, Replaced::default()))
}
