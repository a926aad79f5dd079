//! vadmin: administration of virtual domains and users.
//!
//! One program with many names: called as `vadduser`, or as
//! `vadmin-tools vadduser`. Runs as root or as the owner of the mail, never
//! set-uid. Started by root it edits control files and `users/assign` itself
//! and does everything below `db`, `domains/D` and `mail` as the mail's owner:
//! what that user can put in the way must not lead root astray.
//!
//! Exit codes: 0 done; 1 not found, or an empty answer; 100 wrong usage, or
//! refused for good; 111 not now.

mod bulk;
mod clearopensmtp;
mod cluster;
mod domain;
mod group;
mod inquerytest;
mod lines;
mod mgmtpass;
mod mgmttoken;
mod notify;
mod printdir;
mod secrets;
mod show;
mod site;
mod undo;
mod user;
mod vacation;
mod valias;
mod vatrn;
mod vbulletin;
mod vcalias;
mod vcfilter;
mod vfstab;
mod vipmap;
mod vlimit;
mod vpriv;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use run::Exit;

const USAGE: &str = "usage: vadmin-tools COMMAND [ARGUMENTS]

Commands, also as programs of their own:
  vadddomain   add a virtual domain           vdeldomain  delete one
  vdominfo     show domains                   vaddaliasdomain  add a name for one
  vadduser     add a user                     vdeluser    delete one
  vmoduser     change quota, flags, state     vpasswd     change a password
  vsetuserquota  set a quota                  vrenameuser  give another name
  vmoveuserdir move a home                    vuserinfo   show a user
  valias       show and change aliases        vgroup      groups and their members
  vapppasswd   passwords for single programs of a user
  vcfilter     show and change filter rules   vmoddomain  change a domain's delivery
  mgmttoken    tokens for administering over HTTP
  vimport      add many users from a file     vexport     write the users of a domain
  vrenamedomain  give a domain another name   vlimit      limits of domains and users
  vdeloldusers users nobody uses any more     vreorg      spread homes over directories
  vacation     automatic answers              vbulletin   mail to all users of a domain
  vcalias      aliases from files to tables   vcaliasrev  and back
  vipmap       domains of own addresses       vatrn       whose mail ATRN fetches
  vfstab       file systems with homes        printdir    how far homes have grown
  clearopensmtp  end relaying after reading   updaterules its rules for connections
  vpriv        what operators may run         mgmtpass    operators and passwords
  inquerytest  ask inlookup over its FIFO
Of clusters:
  vhostid vsmtp hostcntrl hostsync dbinfo vserverinfo

COMMAND --help explains each.
Exit codes: 0 done, 1 not found, 100 wrong use or refused, 111 not now.";

/// A command: its name for messages, and what it does with its arguments.
type Command = (&'static str, fn(Vec<OsString>) -> Result<(), Exit>);

/// All names; several may mean the same.
const COMMANDS: &[(&str, Command)] = &[
    ("vadddomain", ("vadddomain", domain::add::main)),
    ("vaddomain", ("vadddomain", domain::add::main)),
    ("vdeldomain", ("vdeldomain", domain::delete::main)),
    ("vdelldomain", ("vdeldomain", domain::delete::main)),
    ("vdominfo", ("vdominfo", domain::info::main)),
    ("vmoddomain", ("vmoddomain", domain::modify::main)),
    ("vadduser", ("vadduser", user::add::main)),
    ("vdeluser", ("vdeluser", user::delete::main)),
    ("vmoduser", ("vmoduser", user::modify::main)),
    ("vpasswd", ("vpasswd", user::passwd::main)),
    ("vuserinfo", ("vuserinfo", user::info::main)),
    ("vsetuserquota", ("vsetuserquota", user::quota::main)),
    ("vrenameuser", ("vrenameuser", user::rename::main)),
    ("vmoveuserdir", ("vmoveuserdir", user::move_home::main)),
    ("vmoveuser", ("vmoveuserdir", user::move_home::main)),
    ("vgroup", ("vgroup", group::main)),
    ("vapppasswd", ("vapppasswd", user::app_password::main)),
    ("vexport", ("vexport", bulk::export::main)),
    ("vimport", ("vimport", bulk::import::main)),
    ("valias", ("valias", valias::main)),
    ("mgmttoken", ("mgmttoken", mgmttoken::main)),
    ("vcalias", ("vcalias", vcalias::main)),
    ("vcaliasrev", ("vcaliasrev", vcalias::reverse)),
    ("vacation", ("vacation", vacation::main)),
    ("vlimit", ("vlimit", vlimit::main)),
    ("vipmap", ("vipmap", vipmap::main)),
    ("vatrn", ("vatrn", vatrn::main)),
    ("vpriv", ("vpriv", vpriv::main)),
    ("mgmtpass", ("mgmtpass", mgmtpass::main)),
    ("mgmtuser", ("mgmtpass", mgmtpass::main)),
    ("vfstab", ("vfstab", vfstab::main)),
    ("printdir", ("printdir", printdir::main)),
    ("vbulletin", ("vbulletin", vbulletin::main)),
    ("clearopensmtp", ("clearopensmtp", clearopensmtp::main)),
    ("updaterules", ("updaterules", clearopensmtp::rules_main)),
    (
        clearopensmtp::NAME,
        ("clearopensmtp", clearopensmtp::as_owner_main),
    ),
    ("inquerytest", ("inquerytest", inquerytest::main)),
    ("vhostid", ("vhostid", cluster::vhostid::main)),
    ("vsmtp", ("vsmtp", cluster::vsmtp::main)),
    ("hostcntrl", ("hostcntrl", cluster::hostcntrl::main)),
    ("hostsync", ("hostsync", cluster::hostsync::main)),
    ("dbinfo", ("dbinfo", cluster::dbinfo::main)),
    ("vserverinfo", ("vserverinfo", cluster::vserverinfo::main)),
    ("vrenamedomain", ("vrenamedomain", domain::rename::main)),
    (
        domain::rename::MOVE,
        ("vrenamedomain", domain::rename::move_main),
    ),
    (
        domain::rename::FINISH,
        ("vrenamedomain", domain::rename::finish_main),
    ),
    ("vreorg", ("vreorg", user::reorg::main)),
    ("vdeloldusers", ("vdeloldusers", user::stale::main)),
    ("vcfilter", ("vcfilter", vcfilter::main)),
    ("vaddaliasdomain", ("vaddaliasdomain", domain::alias::main)),
    (
        domain::populate::LINK,
        ("vaddaliasdomain", domain::populate::link_main),
    ),
    (
        domain::populate::UNLINK,
        ("vdeldomain", domain::populate::unlink_main),
    ),
    (
        domain::populate::NAME,
        ("vadddomain", domain::populate::main),
    ),
    (
        domain::populate::CLEAR,
        ("vdeldomain", domain::populate::clear),
    ),
];

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let command = command_of(&arguments[..arguments.len().min(1)]).or_else(|| {
        let command = command_of(arguments.get(1..2)?)?;
        arguments.remove(0);
        Some(command)
    });
    let Some((name, body)) = command else {
        let asked = arguments.get(1).is_some_and(|first| first == "--help");
        return if asked {
            println!("{USAGE}");
            ExitCode::SUCCESS
        } else {
            eprintln!("{USAGE}");
            ExitCode::from(run::PERMANENT)
        };
    };
    run::process(name, || {
        if os::account::is_set_uid() {
            return Err(Exit::new(run::PERMANENT, "I refuse to run set-uid"));
        }
        body(arguments)
    })
}

fn command_of(first: &[OsString]) -> Option<Command> {
    let name = Path::new(first.first()?).file_name()?;
    COMMANDS
        .iter()
        .find(|(known, _)| name == *known)
        .map(|(_, command)| *command)
}

/// Reads arguments; help and usage errors end the program as documented.
fn parse<T: Parser>(arguments: Vec<OsString>) -> Result<T, Exit> {
    T::try_parse_from(arguments).map_err(|error| {
        let _ = error.print();
        match error.exit_code() {
            0 => Exit::new(0, ""),
            _ => Exit::new(run::PERMANENT, ""),
        }
    })
}
