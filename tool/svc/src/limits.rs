//! softlimit: soft limits for a child.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use run::Exit;

use crate::exec::{child, exec, system, usage};

/// What an option's letter limits.
fn resources(letter: u8) -> Option<&'static [Resource]> {
    use Resource::{
        RLIMIT_AS, RLIMIT_CORE, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_MEMLOCK,
        RLIMIT_MSGQUEUE, RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_RSS, RLIMIT_STACK,
    };
    Some(match letter {
        b'a' => &[RLIMIT_AS],
        b'c' => &[RLIMIT_CORE],
        b'd' => &[RLIMIT_DATA],
        b'f' => &[RLIMIT_FSIZE],
        b'l' => &[RLIMIT_MEMLOCK],
        b'm' => &[RLIMIT_DATA, RLIMIT_STACK, RLIMIT_MEMLOCK, RLIMIT_AS],
        b'o' => &[RLIMIT_NOFILE],
        b'p' => &[RLIMIT_NPROC],
        b'q' => &[RLIMIT_MSGQUEUE],
        b'r' => &[RLIMIT_RSS],
        b's' => &[RLIMIT_STACK],
        b't' => &[RLIMIT_CPU],
        _ => return None,
    })
}

/// Sets the limits and runs the child.
pub fn softlimit(arguments: &[OsString]) -> Result<u8, Exit> {
    let mut rest = arguments;
    while let Some((option, after)) = rest.split_first()
        && let Some((b'-', letters)) = option.as_bytes().split_first().map(|(a, b)| (*a, b))
    {
        rest = after;
        if letters == b"-" {
            break;
        }
        let (letter, attached) = letters.split_first().ok_or_else(usage)?;
        let value = match attached {
            [] => {
                let (value, after) = rest.split_first().ok_or_else(usage)?;
                rest = after;
                value.as_bytes()
            }
            attached => attached,
        };
        for &resource in resources(*letter).ok_or_else(usage)? {
            limit(resource, value)?;
        }
    }
    Err(exec(child(rest)?))
}

/// `=` is the hard limit, and so is everything above it.
fn limit(resource: Resource, value: &[u8]) -> Result<(), Exit> {
    let failed = |error: nix::errno::Errno| system("set resource limit")(error.into());
    let (_, hard) = getrlimit(resource).map_err(failed)?;
    let text = std::str::from_utf8(value).map_err(|_| usage())?;
    let soft = match text {
        "=" => hard,
        number => number.parse::<u64>().map_err(|_| usage())?.min(hard),
    };
    setrlimit(resource, soft, hard).map_err(failed)
}
