//! qbiff: tells a user on their terminals that a message arrived.
//!
//! Writes only to terminals that belong to the user and whose owner may
//! "execute" them, which is what `biff y` sets. Always succeeds: mail must
//! not wait for a bell.

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::libc::utmpx;
use run::Exit;

use crate::glance::{Glance, shown};
use crate::{message, usage};

/// Who is logged in.
const UTMP: &str = "/var/run/utmp";
const DEVICES: &str = "/dev";
/// Bytes of subject and body on a terminal.
const TEXT_BYTES_MAX: usize = 78;
/// Owner may execute: wants to be told.
const WANTS_TO_KNOW: u32 = 0o100;

pub(crate) fn main(arguments: &[OsString]) -> Result<u8, Exit> {
    if !arguments.is_empty() {
        return Err(usage("qbiff"));
    }
    let user = message::variable("USER").unwrap_or_default();
    let text = text();
    let utmp = std::fs::read(UTMP).unwrap_or_default();
    let uid = os::account::Identity::of_this_process().uid;
    for line in lines_of(&utmp, &user) {
        tell(
            &Path::new(DEVICES).join(OsStr::from_bytes(line)),
            uid,
            &text,
        );
    }
    Ok(0)
}

fn text() -> String {
    let variable = |name| shown(&message::variable(name).unwrap_or_default());
    let glance = message::standard_input()
        .ok()
        .and_then(|file| Glance::of(&file, TEXT_BYTES_MAX).ok())
        .unwrap_or_default();
    let (local, sender) = (variable("LOCAL"), variable("SENDER"));
    let text = glance.text;
    format!("\r\n\x07*** TO <{local}> FROM <{sender}>\r\n    {text}\r\n")
}

/// The terminals where a user is logged in.
fn lines_of<'a>(utmp: &'a [u8], user: &[u8]) -> Vec<&'a [u8]> {
    const LINE: usize = std::mem::offset_of!(utmpx, ut_line);
    const USER: usize = std::mem::offset_of!(utmpx, ut_user);
    const LINE_BYTES: usize = 32;
    const USER_BYTES: usize = 32;
    let is_login = |record: &[u8]| {
        let kind = i16::from_ne_bytes([record[0], record[1]]);
        kind == nix::libc::USER_PROCESS
    };
    let text = |field: &'a [u8]| field.split(|&b| b == 0).next().unwrap_or_default();
    utmp.chunks_exact(size_of::<utmpx>())
        .filter(|record| is_login(record))
        .filter(|record| !user.is_empty() && text(&record[USER..USER + USER_BYTES]) == user)
        .map(|record| text(&record[LINE..LINE + LINE_BYTES]))
        .filter(|line| is_device(line))
        .collect()
}

/// A name below `/dev` and nothing else.
fn is_device(line: &[u8]) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || *b == b'/';
    !line.is_empty() && line[0] != b'/' && line.iter().all(plain)
}

/// Writes without waiting for a terminal that is stopped.
fn tell(terminal: &Path, uid: u32, text: &str) {
    let opened = OpenOptions::new()
        .write(true)
        .custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY | nix::libc::O_NOFOLLOW)
        .open(terminal);
    let Ok(mut terminal) = opened else { return };
    let Ok(metadata) = terminal.metadata() else {
        return;
    };
    let is_wanted = metadata.file_type().is_char_device()
        && metadata.uid() == uid
        && metadata.mode() & WANTS_TO_KNOW != 0;
    if is_wanted {
        let _ = terminal.write_all(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn record(kind: i16, line: &str, user: &str) -> Vec<u8> {
        let mut record = vec![0; size_of::<utmpx>()];
        record[..2].copy_from_slice(&kind.to_ne_bytes());
        let mut put = |at: usize, text: &str| {
            record[at..at + text.len()].copy_from_slice(text.as_bytes());
        };
        put(std::mem::offset_of!(utmpx, ut_line), line);
        put(std::mem::offset_of!(utmpx, ut_user), user);
        record
    }

    #[test]
    fn only_terminals_where_the_user_is_logged_in() {
        let login = nix::libc::USER_PROCESS;
        let utmp = [
            record(login, "pts/3", "joe"),
            record(login, "pts/4", "joey"),
            record(nix::libc::DEAD_PROCESS, "pts/5", "joe"),
            record(login, "../etc/passwd", "joe"),
            record(login, "/etc/passwd", "joe"),
            record(login, "tty1", "joe"),
            vec![0; 7],
        ]
        .concat();
        assert_eq!(lines_of(&utmp, b"joe"), [&b"pts/3"[..], b"tty1"]);
        assert!(lines_of(&utmp, b"").is_empty());
    }

    #[test]
    fn a_terminal_is_told_when_it_wants_to_know() {
        use std::os::unix::fs::PermissionsExt;
        let pty = nix::pty::openpty(None, None).unwrap();
        let path = nix::unistd::ttyname(&pty.slave).unwrap();
        let uid = std::fs::metadata(&path).unwrap().uid();
        let set = |mode| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, permissions).unwrap();
        };
        set(0o600);
        tell(&path, uid, "no\r\n");
        set(0o700);
        tell(&path, uid + 1, "no\r\n");
        tell(&path, uid, "yes");
        let mut seen = [0; 10];
        let got = std::fs::File::from(pty.master).read(&mut seen).unwrap();
        assert_eq!(&seen[..got], b"yes");
    }
}
