//! maildir2mbox, maildirwatch, and the readers of mbox files that want a
//! maildir moved there first: elq, pinq and qail.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use maildir::mbox;
use run::Exit;

use crate::glance::Glance;
use crate::usage;

/// Files in `tmp` older than this were left behind.
const STALE_SECONDS: i64 = 36 * 60 * 60;
/// Longest first line of a message.
const LINE_BYTES_MAX: u64 = 4096;
/// How often maildirwatch looks.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Bytes of subject and body maildirwatch shows.
const TEXT_BYTES_MAX: usize = 158;
/// Most messages maildirwatch shows; no screen has more lines.
const SHOWN_MAX: usize = 1000;

/// A message of a maildir.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Entry {
    changed: (i64, i64),
    path: PathBuf,
}

pub(crate) fn maildir2mbox(arguments: &[OsString]) -> Result<u8, Exit> {
    if !arguments.is_empty() {
        return Err(usage("maildir2mbox"));
    }
    let (maildir, mail, through) = (path("MAILDIR")?, path("MAIL")?, path("MAILTMP")?);
    empty_into(&maildir, &mail, &through)?;
    Ok(0)
}

fn empty_into(maildir: &Path, mail: &Path, through: &Path) -> Result<(), Exit> {
    let now = os::clock::unix_seconds();
    remove_stale(maildir, now);
    let mut entries = Vec::new();
    for name in ["new", "cur"] {
        entries.extend(list(&maildir.join(name))?);
    }
    // A message of this very second may be one of two that look the same in
    // age; it is moved the next time.
    entries.retain(|entry| entry.changed.0 < now);
    if entries.is_empty() {
        return Ok(());
    }
    entries.sort();
    // Opened one after the other: a maildir may have more messages than a
    // process descriptors.
    mbox::extend(mail, through, entries.iter().map(open))
        .map_err(|error| temporary(run::chain(&error)))?;
    for entry in &entries {
        // One that stays is there twice the next time, which is better than
        // not at all.
        if let Err(error) = fs::remove_file(&entry.path) {
            run::warn(
                "maildir2mbox",
                &format!("{}: {error}", entry.path.display()),
            );
        }
    }
    Ok(())
}

/// A message and its `From ` line, made from its `Return-Path`.
fn open(entry: &Entry) -> io::Result<(Vec<u8>, File)> {
    let file = File::options()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(&entry.path)?;
    let mut line = Vec::new();
    BufReader::new((&file).take(LINE_BYTES_MAX)).read_until(b'\n', &mut line)?;
    (&file).rewind()?;
    let sender = line
        .strip_prefix(b"Return-Path: <")
        .and_then(|rest| rest.trim_ascii_end().strip_suffix(b">"))
        .filter(|sender| !sender.is_empty())
        .unwrap_or(b"MAILER-DAEMON");
    let sender: Vec<u8> = sender
        .iter()
        .map(|&b| if b.is_ascii_whitespace() { b'-' } else { b })
        .collect();
    let date = tai::mbox_date(entry.changed.0);
    let head = [b"From ", &sender[..], b" ", date.as_bytes(), b"\n"].concat();
    Ok((head, file))
}

/// The regular files of a directory whose names do not start with a dot.
fn list(directory: &Path) -> Result<Vec<Entry>, Exit> {
    let unable =
        |error: io::Error| temporary(format!("unable to read {}: {error}", directory.display()));
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory).map_err(unable)? {
        let entry = entry.map_err(unable)?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => entries.push(Entry {
                changed: (metadata.mtime(), metadata.mtime_nsec()),
                path: entry.path(),
            }),
            Ok(_) => {}
            // Another reader was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unable(error)),
        }
    }
    Ok(entries)
}

fn remove_stale(maildir: &Path, now: i64) {
    for entry in list(&maildir.join("tmp")).unwrap_or_default() {
        let accessed = fs::symlink_metadata(&entry.path).map_or(now, |m| m.atime());
        if entry.changed.0.max(accessed) < now - STALE_SECONDS {
            let _ = fs::remove_file(&entry.path);
        }
    }
}

pub(crate) fn maildirwatch(arguments: &[OsString]) -> Result<u8, Exit> {
    if !arguments.is_empty() {
        return Err(usage("maildirwatch"));
    }
    let maildir = path("MAILDIR")?;
    loop {
        let screen = screen(&maildir)?;
        let mut out = io::stdout().lock();
        let shown = out.write_all(screen.as_bytes()).and_then(|()| out.flush());
        if shown.is_err() {
            // Nobody is looking any more.
            return Ok(0);
        }
        drop(out);
        std::thread::sleep(LOOK_EVERY);
    }
}

/// What the terminal shows: cleared, then the messages from old to new.
fn screen(maildir: &Path) -> Result<String, Exit> {
    let mut new = list(&maildir.join("new"))?;
    let old = list(&maildir.join("cur"))?;
    new.sort();
    let mut screen = format!("\x1b[H\x1b[J{} new, {} old\r\n", new.len(), old.len());
    for entry in new.iter().take(SHOWN_MAX) {
        let Ok((_, file)) = open(entry) else { continue };
        let Ok(glance) = Glance::of(&file, TEXT_BYTES_MAX) else {
            continue;
        };
        let Glance {
            sender,
            recipient,
            text,
        } = glance;
        screen.push_str(&format!(
            "\r\nFROM {sender} TO <{recipient}>\r\n    {text}\r\n"
        ));
    }
    Ok(screen)
}

pub(crate) fn elq(arguments: &[OsString]) -> Result<u8, Exit> {
    read_with("elm", arguments)
}

pub(crate) fn pinq(arguments: &[OsString]) -> Result<u8, Exit> {
    read_with("pine", arguments)
}

pub(crate) fn qail(arguments: &[OsString]) -> Result<u8, Exit> {
    read_with("Mail", arguments)
}

/// Moves new mail to the mbox and becomes its reader.
fn read_with(reader: &str, arguments: &[OsString]) -> Result<u8, Exit> {
    maildir2mbox(&[])?;
    let error = Command::new(reader).args(arguments).exec();
    Err(temporary(format!("unable to run {reader}: {error}")))
}

fn path(name: &str) -> Result<PathBuf, Exit> {
    std::env::var_os(name).map(PathBuf::from).ok_or_else(|| {
        let text = format!("{name} is not set; it says where the mail is");
        Exit::new(run::TEMPORARY, text)
    })
}

fn temporary(text: impl Into<String>) -> Exit {
    Exit::new(run::TEMPORARY, text)
}
