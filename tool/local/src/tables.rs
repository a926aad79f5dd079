//! setforward, printforward, setmaillist, printmaillist, newaliases and
//! newinclude: the tables and lists of fastforward, and back.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use aliases::{BadLine, Record, list, sendmail, source};
use message::Names;
use run::{Exit, Home, Settings};
use settings::{injecting, site};

use crate::usage;

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Where the system's aliases are.
const ALIASES: &str = "/etc/aliases";
/// Everybody may read what is made: qmail-local runs as anybody.
const READABLE: u32 = 0o644;

pub(crate) fn setforward(arguments: &[OsString]) -> Result<u8, Exit> {
    let [table, temporary] = arguments else {
        return Err(usage("setforward"));
    };
    let records = source::parse(&read(io::stdin(), "input")?).map_err(bad("input"))?;
    replace(Path::new(table), Path::new(temporary), &build(&records)?)
}

pub(crate) fn printforward(arguments: &[OsString]) -> Result<u8, Exit> {
    if !arguments.is_empty() {
        return Err(usage("printforward"));
    }
    let table = read(io::stdin(), "input")?;
    let corrupt = || temporary("the input is not a forwarding table");
    let reader = cdb::Reader::new(&table).map_err(|_| corrupt())?;
    let mut text = Vec::new();
    for record in reader.iter() {
        let (key, data) = record.map_err(|_| corrupt())?;
        text.extend(source::print(key, data).ok_or_else(corrupt)?);
    }
    print(&text)
}

pub(crate) fn setmaillist(arguments: &[OsString]) -> Result<u8, Exit> {
    let [compiled, temporary] = arguments else {
        return Err(usage("setmaillist"));
    };
    let content = list::compile(&read(io::stdin(), "input")?).map_err(bad("input"))?;
    replace(Path::new(compiled), Path::new(temporary), &content)
}

pub(crate) fn printmaillist(arguments: &[OsString]) -> Result<u8, Exit> {
    if !arguments.is_empty() {
        return Err(usage("printmaillist"));
    }
    let text = list::print(&read(io::stdin(), "input")?);
    print(&text.ok_or_else(|| temporary("the input is not a compiled list"))?)
}

pub(crate) fn newaliases(arguments: &[OsString]) -> Result<u8, Exit> {
    let file = match arguments {
        [] => Path::new(ALIASES),
        [file] => Path::new(file),
        _ => return Err(usage("newaliases")),
    };
    let shown = file.display().to_string();
    let records = sendmail::aliases(&read_file(file)?, &names()?).map_err(bad(&shown))?;
    replace(
        &beside(file, ".cdb"),
        &beside(file, ".tmp"),
        &build(&records)?,
    )
}

pub(crate) fn newinclude(arguments: &[OsString]) -> Result<u8, Exit> {
    let [file] = arguments else {
        return Err(usage("newinclude"));
    };
    let file = Path::new(file);
    let shown = file.display().to_string();
    let compiled = sendmail::include(&read_file(file)?, &names()?).map_err(bad(&shown))?;
    replace(&beside(file, ".bin"), &beside(file, ".tmp"), &compiled)
}

/// What is added to addresses without a host, as qmail-inject(8) has it.
pub(crate) fn names() -> Result<Names, Exit> {
    let settings = Settings::of_process(&Home::find());
    let trouble = |error: run::SettingError| temporary(error.to_string());
    let me = settings.line(&site::ME).map_err(trouble)?;
    let line = |setting: &settings::Setting| {
        let value = settings.line(setting).map_err(trouble)?;
        Ok(value
            .or_else(|| me.clone())
            .unwrap_or_else(|| setting.file.into()))
    };
    Ok(Names::new(
        &line(&injecting::DEFAULTHOST)?,
        &line(&injecting::DEFAULTDOMAIN)?,
        &line(&injecting::PLUSDOMAIN)?,
    ))
}

fn build(records: &[Record]) -> Result<Vec<u8>, Exit> {
    let too_large = |_| Exit::new(run::PERMANENT, "too much data for a table");
    let mut builder = cdb::Builder::default();
    for record in records {
        builder.add(&record.key, &record.data).map_err(too_large)?;
    }
    builder.finish().map_err(too_large)
}

fn bad(file: &str) -> impl Fn(BadLine) -> Exit {
    move |error| Exit::new(run::PERMANENT, format!("{file}: {error}"))
}

fn temporary(text: impl Into<String>) -> Exit {
    Exit::new(run::TEMPORARY, text)
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn read_file(file: &Path) -> Result<Vec<u8>, Exit> {
    let shown = file.display();
    let opened =
        File::open(file).map_err(|error| temporary(format!("unable to open {shown}: {error}")))?;
    read(opened, &shown.to_string())
}

fn read(from: impl Read, name: &str) -> Result<Vec<u8>, Exit> {
    let mut content = Vec::new();
    from.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut content)
        .map_err(|error| temporary(format!("unable to read {name}: {error}")))?;
    if FILE_BYTES_MAX < content.len() as u64 {
        let text = format!("{name} is too long");
        return Err(Exit::new(run::PERMANENT, text));
    }
    Ok(content)
}

fn print(text: &[u8]) -> Result<u8, Exit> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text).and_then(|()| out.flush());
    written.map_err(|error| temporary(format!("unable to write output: {error}")))?;
    Ok(0)
}

/// Readers see the old file or the new one: write the temporary one, sync,
/// rename, sync the directory.
fn replace(path: &Path, through: &Path, content: &[u8]) -> Result<u8, Exit> {
    let unable = |what: &str, file: &Path| {
        let text = format!("unable to {what} {}", file.display());
        move |error: io::Error| temporary(format!("{text}: {error}"))
    };
    // A link somebody left there must not lead the writing elsewhere.
    match fs::remove_file(through) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(unable("remove", through)(error));
        }
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(through)
        .map_err(unable("create", through))?;
    file.set_permissions(Permissions::from_mode(READABLE))
        .and_then(|()| file.write_all(content))
        .and_then(|()| file.sync_all())
        .map_err(unable("write", through))?;
    fs::rename(through, path).map_err(unable("move to", path))?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().as_bytes().is_empty() => parent,
        _ => Path::new("."),
    };
    os::file::sync_directory(parent).map_err(unable("sync", parent))?;
    Ok(0)
}
