//! The programs of an installation: copied from where this one was built,
//! each callable by every name the guide gives it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use os::beneath::Directory;

use super::{InstallError, accounts, file_error, tree};
use crate::site::Site;

/// Programs that are a binary of their own.
pub const PROGRAMS: &[&str] = &[
    "adminclient",
    "admind",
    "indiapi",
    "indimail",
    "indisrvr",
    "imapd",
    "inlookup",
    "multilog",
    "pop3d",
    "qmail-clean",
    "qmail-daemon",
    "qmail-dkim",
    "qmail-getpw",
    "qmail-local",
    "qmail-lspawn",
    "qmail-qmqpd",
    "qmail-qmtpd",
    "qmail-queue",
    "qmail-queued",
    "qmail-remote",
    "qmail-rspawn",
    "qmail-send",
    "qmail-smtpd",
    "qmail-start",
    "qmail-todo",
    "signer",
    "spawn-filter",
    "supervise",
    "svscan",
    "tracelog",
    "systpass",
    "vchkpass",
    "vdeliverd",
    "verifier",
];

/// Binaries with several names, and those names.
pub const FAMILIES: &[(&str, &[&str])] = &[
    ("vdelivermail", &["vfilter"]),
    (
        "svc-tools",
        &[
            "svc",
            "svstat",
            "svok",
            "setuidgid",
            "envuidgid",
            "envdir",
            "softlimit",
            "setlock",
            "pgrphack",
            "fghack",
            "readproctitle",
            "splogger",
            "qmail-cat",
            "qcat",
            "qmail-logfifo",
            "tai64n",
            "tai64nlocal",
            "tai64nunix",
        ],
    ),
    (
        "vadmin-tools",
        &[
            "vadddomain",
            "vaddomain",
            "vdeldomain",
            "vadduser",
            "vdeluser",
            "vmoduser",
            "vpasswd",
            "valias",
            "vcfilter",
            "vmoddomain",
            "vuserinfo",
            "vdominfo",
            "vsetuserquota",
            "vrenameuser",
            "vmoveuserdir",
            "vmoveuser",
            "vgroup",
            "vapppasswd",
            "mgmttoken",
            "vimport",
            "vexport",
            "vrenamedomain",
            "vlimit",
            "vipmap",
            "vatrn",
            "vcalias",
            "vcaliasrev",
            "vacation",
            "vbulletin",
            "vdeloldusers",
            "vreorg",
            "printdir",
            "vfstab",
            "vpriv",
            "mgmtpass",
            "mgmtuser",
            "clearopensmtp",
            "updaterules",
            "vhostid",
            "vsmtp",
            "hostcntrl",
            "hostsync",
            "dbinfo",
            "vserverinfo",
            "inquerytest",
        ],
    ),
    (
        "queue-tools",
        &[
            "qmail-newu",
            "qmail-pw2u",
            "qmail-qstat",
            "qmail-qread",
            "qmail-newmrh",
            "qmail-cdb",
            "qmail-showctl",
            "qmail-tcpto",
            "qmail-tcpok",
            "ipmeprint",
            "qmail-rm",
            "queue-fix",
        ],
    ),
    (
        "mess822-tools",
        &[
            "qmail-inject",
            "new-inject",
            "sendmail",
            "mailq",
            "datemail",
            "mailsubj",
            "predate",
            "rmail",
            "batv",
            "qmail-multi",
            "qmail-dk",
            "qmail-nullqueue",
            "qmail-qfilter",
            "qmail-spamfilter",
            "qscanq",
            "qscanq-stdin",
            "qmail-qmqpc",
            "ofmipd",
            "ofmipname",
            "822addr",
            "822body",
            "822bodyfilter",
            "822date",
            "822field",
            "822fields",
            "822header",
            "822headerfilter",
            "822headerok",
            "822print",
            "822received",
            "iftocc",
            "iftoccfrom",
            "ifaddr",
        ],
    ),
    (
        "serial-tools",
        &[
            "maildirserial",
            "maildirsmtp",
            "maildirqmtp",
            "serialsmtp",
            "serialqmtp",
        ],
    ),
    (
        "ucspi-tools",
        &[
            "greydaemon",
            "greymd",
            "qmail-greyd",
            "qmail-greymd",
            "rblsmtpd",
            "tcpclient",
            "tcprules",
            "tcprulescheck",
            "tcpserver",
        ],
    ),
    (
        "local-tools",
        &[
            "autoresponder",
            "bouncesaying",
            "condredirect",
            "condtomaildir",
            "dot-forward",
            "elq",
            "except",
            "fastforward",
            "forward",
            "ismaildup",
            "maildir2mbox",
            "maildirdeliver",
            "maildirmake",
            "maildirwatch",
            "newaliases",
            "newinclude",
            "pinq",
            "preline",
            "printforward",
            "printmaillist",
            "qail",
            "qbiff",
            "qlist",
            "qmaildirmake",
            "qmaildirwatch",
            "qreceipt",
            "setforward",
            "setmaillist",
        ],
    ),
];

fn binaries() -> impl Iterator<Item = &'static &'static str> {
    PROGRAMS.iter().chain(FAMILIES.iter().map(|(name, _)| name))
}

/// Where the programs are copied from.
fn source() -> Result<PathBuf, InstallError> {
    let here = std::env::current_exe().map_err(file_error("find", "this program"))?;
    Ok(here.parent().unwrap_or(Path::new(".")).to_owned())
}

/// Makes sure that all programs are there, before anything is changed.
pub fn are_built() -> Result<(), InstallError> {
    let source = source()?;
    let missing = binaries()
        .map(|name| source.join(name))
        .find(|path| !path.exists());
    missing.map_or(Ok(()), |path| Err(InstallError::NotBuilt(path)))
}

/// Copies all programs into `bin` and makes their names.
pub fn install(site: &Site) -> Result<(), InstallError> {
    let source = source()?;
    let bin = site.home.bin();
    if source != bin {
        for name in binaries() {
            copy(&source.join(name), &bin.join(name))?;
        }
    }
    for (family, names) in FAMILIES {
        for name in *names {
            tree::link(&bin.join(name), Path::new(family))?;
        }
    }
    set_uid(site)
}

/// Replaces a program that may be running: a new file, then a rename.
fn copy(from: &Path, to: &Path) -> Result<(), InstallError> {
    if !from.exists() {
        return Err(InstallError::NotBuilt(from.to_owned()));
    }
    if same(from, to) {
        return Ok(());
    }
    let temporary = to.with_extension("new");
    fs::copy(from, &temporary).map_err(file_error("copy a program to", &temporary))?;
    fs::set_permissions(&temporary, Permissions::from_mode(0o755))
        .map_err(file_error("set permissions of", &temporary))?;
    fs::rename(&temporary, to).map_err(file_error("install", to))
}

/// Says whether a program is installed already: same length, not older.
fn same(from: &Path, to: &Path) -> bool {
    let (Ok(from), Ok(to)) = (fs::metadata(from), fs::metadata(to)) else {
        return false;
    };
    from.len() == to.len()
        && matches!((from.modified(), to.modified()), (Ok(from), Ok(to)) if from <= to)
}

/// qmail-queue is the one set-uid program; without separate users it need not
/// be one.
fn set_uid(site: &Site) -> Result<(), InstallError> {
    let path = site.home.bin().join("qmail-queue");
    let owner = accounts::identity(site.mode, "qmailq", "qmail")?;
    let mode = match site.mode {
        crate::site::Mode::Separated => 0o4711,
        crate::site::Mode::SingleUser => 0o755,
    };
    let settle = || {
        let found = Directory::open(&site.home.bin())?.entry("qmail-queue")?;
        // Changing the owner takes the set-uid bit away, so the mode comes last.
        found.give(owner)?;
        found.set_mode(mode)
    };
    settle().map_err(file_error("give away", &path))
}

/// Runs a program to its end; what it printed becomes the error when it
/// fails, and is returned when it does not.
pub fn run(command: &mut Command) -> Result<String, InstallError> {
    let program = format!("{command:?}").replace('"', "");
    let output = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .map_err(file_error("run", &program))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        let output = format!("{} {}", text(&output.stderr), text(&output.stdout));
        Err(InstallError::Program { program, output })
    }
}
