//! qmail-local: delivers one message as its recipient.
//!
//! Started by qmail-lspawn as the user the message is for, with the message
//! on descriptor 0 (seekable) and the report on 1. Carries out the `.qmail`
//! instructions of the address: writes below the user's home, runs the user's
//! programs with a clean environment, forwards through the queue.
//!
//! Exits 0 when delivered, 100 when it never will be, 111 when it should be
//! tried again (qmail-local(8)).

use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileTypeExt;
use std::process::ExitCode;

use delivery::Site;
use delivery::local::{self, Mode};
use run::{Exit, Home};
use wire::deliver::Request;

const USAGE: &str =
    "usage: qmail-local [ -nN ] user homedir local dash ext domain sender aliasempty qqeh";

fn main() -> ExitCode {
    run::process("qmail-local", || {
        os::account::set_umask(0o077);
        let arguments = std::env::args_os().skip(1).map(OsStringExt::into_vec);
        let (mode, request) = parse(arguments.collect())?;
        let message = message()?;
        // The standard library opens /dev/null for a closed descriptor; an
        // empty message in a mailbox would hide that the real one was lost.
        let kind = message.metadata().map_err(unreadable)?.file_type();
        if mode == Mode::Deliver && kind.is_char_device() {
            return Err(Exit::new(
                run::TEMPORARY,
                "Unable to rewind message. (#4.3.0): descriptor 0 is no file",
            ));
        }
        let message = delivery::seekable(message).map_err(unreadable)?;
        let home = Home::find();
        let site = Site::open("qmail-local", home)
            .map_err(|error| Exit::new(run::TEMPORARY, error.to_string()))?;
        let users = delivery::NoUsers;
        let outcome = local::deliver(&site, &users, &request, &message, mode);
        // When the report cannot be written there is only the exit code.
        let _ = std::io::stdout().write_all(&outcome.output);
        Ok::<_, Exit>(outcome.code)
    })
}

fn message() -> Result<File, Exit> {
    let number = 0;
    os::fd::inherit_file(number).ok_or_else(|| {
        Exit::new(
            run::TEMPORARY,
            "descriptor 0 is closed; the message belongs there",
        )
    })
}

fn unreadable(error: std::io::Error) -> Exit {
    Exit::new(
        run::TEMPORARY,
        format!("Unable to rewind message. (#4.3.0): {error}"),
    )
}

/// Options, then eight or nine arguments.
fn parse(mut arguments: Vec<Vec<u8>>) -> Result<(Mode, Request), Exit> {
    let usage = || Exit::new(run::PERMANENT, USAGE);
    let mut mode = Mode::Deliver;
    while let Some(first) = arguments.first() {
        match &first[..] {
            b"--help" => {
                println!(
                    "{USAGE}\n\nDelivers the message on descriptor 0 to local@domain.\n  -n  print what would be done\n  -N  deliver (the default)\nExit codes: 0 delivered, 100 never, 111 later."
                );
                return Err(Exit::new(0, ""));
            }
            b"--" => {
                arguments.remove(0);
                break;
            }
            [b'-', letters @ ..] if !letters.is_empty() => {
                for letter in letters {
                    mode = match letter {
                        b'n' => Mode::Print,
                        b'N' => Mode::Deliver,
                        _ => return Err(usage()),
                    };
                }
                arguments.remove(0);
            }
            _ => break,
        }
    }
    if arguments.len() == 8 {
        arguments.push(Vec::new());
    }
    let arguments: [Vec<u8>; 9] = arguments.try_into().map_err(|_| usage())?;
    let [
        user,
        home,
        local,
        dash,
        ext,
        domain,
        sender,
        default_delivery,
        extra_headers,
    ] = arguments;
    if !home.starts_with(b"/") {
        return Err(usage());
    }
    // The id comes in a variable here; deliveries know it from a header.
    let env_headers = run::Tracer::id_of_process().to_header().into_bytes();
    let request = Request {
        delivery: 0,
        user,
        home,
        local,
        dash,
        ext,
        domain,
        sender,
        default_delivery,
        extra_headers,
        env_headers,
    };
    Ok((mode, request))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<u8>> {
        text.split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect()
    }

    #[test]
    fn eight_or_nine_arguments_and_an_absolute_home() {
        let (mode, request) = parse(words("-n u /h l - e d s ./M/ q")).unwrap();
        assert_eq!((mode, &request.extra_headers[..]), (Mode::Print, &b"q"[..]));
        let (mode, request) = parse(words("-nN -- u /h l - e d s ./M/")).unwrap();
        assert_eq!(
            (mode, &request.extra_headers[..]),
            (Mode::Deliver, &b""[..])
        );
        for wrong in [
            "u /h l - e d s",
            "u h l - e d s ./M/ q",
            "-x u /h l - e d s ./M/ q",
        ] {
            assert_eq!(parse(words(wrong)).unwrap_err().code, run::PERMANENT);
        }
    }
}
