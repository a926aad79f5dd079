//! qscanq and qscanq-stdin: attachments and viruses, before the queue
//! (smtp-receiving.md §5.6).
//!
//! Differs from the original: qscanq is not set-uid; it works as its caller,
//! in a directory nobody else can enter. Parts are unpacked here, and not by
//! another program. The scanner finds nothing to read on its descriptor 0.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use os::child::{Ended, Setup};
use policy::{AddressList, Engines, Mode, Separator};
use run::{Exit, Home, ProgramEnd, Settings};
use settings::front_ends::{BADEXT, BADEXTPATTERNS, SCANCMD, SCANDIR};
use settings::receiving::{QREGEX, VIRUSCHECK};

use super::attachments::{self, Attachment};
use super::{
    CODE_ATTACHMENT, CODE_CRASHED, CODE_LATER, CODE_READ, CODE_VIRUS, Replaced, become_next,
    descriptor, failed, given_or, help, set_death, spool, unreadable, words,
};

const QSCANQ_HELP: &str = "\
usage: qscanq [program [argument...]] < message 1< envelope

Runs qscanq-stdin in a directory of its own below SCANDIR, and removes that
afterwards. DEBUG tells what happens.
Exit codes: those of qscanq-stdin, 71 not now.
";
const STDIN_HELP: &str = "\
usage: qscanq-stdin [program [argument...]] < message 1< envelope

Unpacks a message into a directory of its own, compares the names of
attachments with badext and badextpatterns, runs SCANCMD there, each as
VIRUSCHECK has it, and becomes the program, else qmail-multi.
Exit codes: those of the program; 33 virus, 34 attachment that is not wanted,
54 cannot read, 71 not now.
";

/// Below the root, without `SCANDIR`.
const DIRECTORY: &str = "qscanq/root/scanq";
/// How long a scan may take.
const SCAN_TIME_MAX: Duration = Duration::from_secs(3600);
/// Largest message that is unpacked.
const MESSAGE_BYTES_MAX: u64 = 512 << 20;
/// Most names that are tried for a directory.
const TRIES_MAX: u32 = 1000;
/// Longest name that an unpacked part gets.
const NAME_BYTES_MAX: usize = 100;
/// The whole message, among its parts.
const MESSAGE_NAME: &str = "message";
/// What stands for it in the scanner's arguments.
const MESSAGE: &str = "%s";

/// qscanq.
pub fn qscanq(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    if help(QSCANQ_HELP, arguments) {
        return Ok(().into());
    }
    let home = Home::find();
    let settings = Settings::of_process(&home);
    set_death(&settings)?;
    let debug = settings.variable("DEBUG").is_some();
    let later = |error: io::Error| Exit::new(CODE_LATER, format!("cannot scan: {error}"));
    let named = settings.line(&SCANDIR).map_err(unreadable)?;
    let parent = match named.filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(text::log::printable(&path, 4096)),
        None => home.root().join(DIRECTORY),
    };
    let own = own_directory(&parent).map_err(|error| {
        let text = format!("cannot make a directory in {}: {error}", parent.display());
        Exit::new(CODE_LATER, text)
    })?;
    if debug {
        run::info("qscanq", &format!("working in {}", own.0.display()));
    }
    let mut command = Command::new(home.bin().join("qscanq-stdin"));
    command
        .args(arguments.iter().map(|word| os_text(word)))
        .current_dir(own.0.join("work"))
        .stdin(Stdio::inherit());
    os::child::prepare(&mut command, Setup::default());
    let child = command.spawn().map_err(later)?;
    let code = match os::child::wait(child).map_err(later)? {
        Ended::Code(code) => u8::try_from(code).unwrap_or(CODE_CRASHED),
        Ended::Signal(_) => CODE_LATER,
    };
    if debug {
        run::info("qscanq", &format!("qscanq-stdin ended with {code}"));
    }
    Ok(code.into())
}

fn os_text(word: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(word)
}

/// A directory that goes when we do.
struct Own(PathBuf);

impl Drop for Own {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `time.ppid.n`, with `work` in it; its sticky bit says that it is in use.
fn own_directory(parent: &Path) -> io::Result<Own> {
    let (time, caller) = (
        os::clock::unix_seconds(),
        std::os::unix::process::parent_id(),
    );
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    for number in 0..TRIES_MAX {
        let path = parent.join(format!("{time}.{caller}.{number}"));
        match builder.create(&path) {
            Ok(()) => {
                let own = Own(path);
                fs::set_permissions(&own.0, Permissions::from_mode(0o1700))?;
                builder.create(own.0.join("work"))?;
                return Ok(own);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// qscanq-stdin.
pub fn qscanq_stdin(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    if help(STDIN_HELP, arguments) {
        return Ok(().into());
    }
    let home = Home::find();
    let settings = Settings::of_process(&home);
    set_death(&settings)?;
    let message = spool(descriptor(0, "message")?)?;
    let engines = Engines::of(settings.variable(VIRUSCHECK.variable));
    if engines.outside()
        && let Some(code) = judge(&settings, engines, &message)?
    {
        return Ok(code.into());
    }
    let mut command = given_or(&home, &settings, arguments, None, "qmail-multi")?;
    // What runs next must not send it here again.
    command
        .env_remove(VIRUSCHECK.variable)
        .current_dir(home.root());
    let mut message = message;
    io::Seek::rewind(&mut message).map_err(super::no_temporary)?;
    let replaced = Replaced {
        message: Some(message),
        envelope: None,
    };
    Err(become_next(command, replaced))
}

/// Why a message is not taken.
fn judge(settings: &Settings, engines: Engines, message: &File) -> Result<Option<u8>, Exit> {
    let unread = |error: io::Error| Exit::new(CODE_READ, format!("cannot unpack: {error}"));
    let mut whole = Vec::new();
    let mut input = message.try_clone().map_err(unread)?;
    io::Seek::rewind(&mut input).map_err(unread)?;
    let length = input
        .take(MESSAGE_BYTES_MAX + 1)
        .read_to_end(&mut whole)
        .map_err(unread)?;
    if MESSAGE_BYTES_MAX < length as u64 {
        return Err(unread(io::ErrorKind::FileTooLarge.into()));
    }
    let parts = attachments::of(&whole);
    if engines.names && is_unwanted(settings, &parts)? {
        return Ok(Some(CODE_ATTACHMENT));
    }
    if !engines.external {
        return Ok(None);
    }
    let directory = tempfile::Builder::new()
        .prefix("scan.")
        .tempdir_in(".")
        .or_else(|_| tempfile::tempdir_in(filter::temporary_directory()))
        .map_err(unread)?;
    unpack(directory.path(), &whole, &parts).map_err(unread)?;
    let code = scan(settings, directory.path())?;
    directory.close().map_err(unread)?;
    Ok(code)
}

/// Says whether an attachment has a name that is refused, or one that is none.
fn is_unwanted(settings: &Settings, parts: &[Attachment<'_>]) -> Result<bool, Exit> {
    let lines = |setting| settings.list(setting).map_err(unreadable);
    let mode = match settings.integer(&QREGEX).map_err(unreadable)? {
        0 => Mode::Wildcard,
        _ => Mode::Regex,
    };
    let names = lines(&BADEXT)?.unwrap_or_default();
    let patterns = lines(&BADEXTPATTERNS)?.unwrap_or_default();
    let list = AddressList::separated(Separator::Dot, names, patterns, None, mode);
    let list = list.map_err(|error| Exit::new(CODE_LATER, format!("badext: {error}")))?;
    let mut names = parts.iter().flat_map(|part| &part.names);
    Ok(parts.iter().any(Attachment::is_malformed)
        || names.any(|name| list.matching(name).is_some()))
}

fn unpack(directory: &Path, whole: &[u8], parts: &[Attachment<'_>]) -> io::Result<()> {
    let write = |name: &str, content: &[u8]| {
        File::create_new(directory.join(name)).and_then(|mut file| file.write_all(content))
    };
    write(MESSAGE_NAME, whole)?;
    for (at, part) in parts.iter().enumerate() {
        let name = part.names.iter().next().map_or(&b""[..], Vec::as_slice);
        write(&format!("{at}.{}", safe(name)), &part.content)?;
    }
    Ok(())
}

/// A name without anything that means something to anybody.
fn safe(name: &[u8]) -> String {
    let shown = |b: &u8| match b {
        b if b.is_ascii_alphanumeric() => char::from(*b),
        b'.' | b'-' => char::from(*b),
        _ => '_',
    };
    let start = name.len().saturating_sub(NAME_BYTES_MAX);
    name[start..].iter().map(shown).collect()
}

/// Runs the scanner; the code when the message is not taken.
fn scan(settings: &Settings, directory: &Path) -> Result<Option<u8>, Exit> {
    let command = settings.line(&SCANCMD).map_err(unreadable)?;
    let line = words(&command.unwrap_or_default(), settings)?;
    let mut command = Command::new(&line[0]);
    command
        .args(line[1..].iter().map(|word| match word.to_str() {
            Some(text) if text.starts_with(MESSAGE) => MESSAGE_NAME.as_ref(),
            _ => word.as_os_str(),
        }))
        .env_clear()
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    os::child::prepare(&mut command, Setup::default());
    let ended = filter::wait(command, SCAN_TIME_MAX).map_err(|source| {
        let program = line[0].to_string_lossy().into_owned();
        let error = failed(filter::Error::Run { program, source });
        Exit::new(CODE_LATER, error.text)
    })?;
    Ok(match ended {
        Some(Ended::Code(0)) => None,
        Some(Ended::Code(1)) => Some(CODE_VIRUS),
        Some(Ended::Code(3)) => Some(CODE_ATTACHMENT),
        _ => Some(CODE_LATER),
    })
}
