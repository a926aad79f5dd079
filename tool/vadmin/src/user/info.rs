//! vuserinfo: shows a user.

use std::ffi::OsString;

use clap::Parser;
use directory::password::Kind;
use directory::{Alias, Directory, LastAuth, User, flags};
use run::Exit;
use serde::Serialize;

use crate::show::{event, line, quota, span};
use crate::site::{Site, refused, temporary};

/// Most of a `maildirsize` that is read.
const MAILDIRSIZE_BYTES_MAX: u64 = 64 * 1024;

/// What each flag means to people.
const FLAG_TEXTS: [(u32, &str); 14] = [
    (flags::NO_PASSWD_CHNG, "password can not be changed by user"),
    (flags::NO_POP, "pop access closed"),
    (flags::NO_WEBMAIL, "webmail access closed"),
    (flags::NO_IMAP, "imap access closed"),
    (flags::NO_SMTP, "smtp access closed"),
    (flags::BOUNCE_MAIL, "mail will be bounced back to sender"),
    (flags::NO_RELAY, "user not allowed to relay mail"),
    (flags::NO_DIALUP, "no dialup flag has been set"),
    (flags::QA_ADMIN, "has qmailadmin administrator privileges"),
    (flags::V_OVERRIDE, "has domain limit skip privileges"),
    (flags::V_USER0, "user flag 0 is set"),
    (flags::V_USER1, "user flag 1 is set"),
    (flags::V_USER2, "user flag 2 is set"),
    (flags::V_USER3, "user flag 3 is set"),
];

/// Shows a user: everything, or only what options name.
///
/// Exit codes: 0 done, 1 no such user, 111 temporary failure.
#[derive(Debug, Parser)]
#[command(name = "vuserinfo", disable_help_flag = true)]
struct Arguments {
    /// Show this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Everything
    #[arg(short = 'a')]
    all: bool,
    /// Name
    #[arg(short = 'n')]
    name: bool,
    /// Password hash
    #[arg(short = 'p')]
    password: bool,
    /// State in a cluster
    #[arg(short = 'u')]
    uid: bool,
    /// Flags
    #[arg(short = 'g')]
    gid: bool,
    /// Full name
    #[arg(short = 'c')]
    gecos: bool,
    /// Home
    #[arg(short = 'd')]
    directory: bool,
    /// Quota and usage
    #[arg(short = 'q')]
    quota: bool,
    /// Logins
    #[arg(short = 'l')]
    last: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Address of the user
    address: String,
}

/// Runs the command.
pub fn main(arguments: Vec<OsString>) -> Result<(), Exit> {
    let arguments: Arguments = crate::parse(arguments)?;
    let site = Site::find()?;
    let (name, domain) = site.address(&arguments.address)?;
    site.become_owner()?;
    let directory = site.directory()?;
    let Some(user) = directory
        .find_user(&name, &domain)
        .map_err(|error| refused(&error))?
    else {
        eprintln!("{name}@{domain}: No such user");
        return Err(Exit::new(1, ""));
    };
    if arguments.json {
        return print_json(&directory, &user);
    }
    arguments.print(&directory, &user)
}

impl Arguments {
    fn print(&self, directory: &Directory, user: &User) -> Result<(), Exit> {
        let some = [
            self.name,
            self.password,
            self.uid,
            self.gid,
            self.gecos,
            self.directory,
            self.quota,
            self.last,
        ];
        if self.all || !some.contains(&true) {
            return print(directory, user);
        }
        if self.name {
            line("name", user.address());
        }
        if self.password {
            print_password(user);
        }
        if self.uid {
            line("uid", user.uid_state);
        }
        if self.gid {
            print_flags(user);
        }
        if self.gecos {
            line("gecos", &user.gecos);
        }
        if self.directory {
            print_directory(user);
        }
        if self.quota {
            print_quota(user);
        }
        if self.last {
            let events = directory.last_auth(user).map_err(|error| refused(&error))?;
            print_events(user, &events);
        }
        Ok(())
    }
}

/// Shows everything about a user.
pub fn print(directory: &Directory, user: &User) -> Result<(), Exit> {
    line("name", user.address());
    print_password(user);
    line("uid", user.uid_state);
    print_flags(user);
    line("gecos", &user.gecos);
    print_directory(user);
    print_quota(user);
    line("Mail Store IP", "127.0.0.1 (NonClustered - local)");
    line("Mail Store ID", "non-clustered domain");
    line("Sql Database", directory.place());
    let table = if user.active { "indimail" } else { "indibak" };
    line("Table Name", table);
    line(
        "Relay Allowed",
        if user.has(flags::NO_RELAY) {
            "NO"
        } else {
            "YES"
        },
    );
    let events = directory.last_auth(user).map_err(|error| refused(&error))?;
    print_events(user, &events);
    line(
        "Delivery Time",
        "No Mails Delivered yet / Per Day Limit not configured",
    );
    let lines = directory
        .aliases(&user.name, &user.domain)
        .map_err(|error| refused(&error))?;
    for (number, target) in lines.iter().enumerate() {
        line(if number == 0 { "Forwarding" } else { "" }, target);
    }
    Ok(())
}

/// Only root and the owner of the domain get here; see `Site::real_domain`.
fn print_password(user: &User) {
    let kind = Kind::of(&user.password_hash);
    line("passwd", format!("{} ({kind})", user.password_hash));
}

fn print_flags(user: &User) {
    line("gid", user.gid_flags);
    let set: Vec<&str> = flag_texts(user);
    if set.is_empty() {
        println!("{:16}-all services available", "");
    }
    for text in set {
        println!("{:16}-{text}", "");
    }
}

fn flag_texts(user: &User) -> Vec<&'static str> {
    FLAG_TEXTS
        .iter()
        .filter(|(flag, _)| user.has(*flag))
        .map(|(_, text)| *text)
        .collect()
}

fn print_directory(user: &User) {
    let missing = if user.dir.is_dir() { "" } else { " (missing)" };
    line("dir", format!("{}{missing}", user.dir.display()));
}

fn print_quota(user: &User) {
    line("quota", quota(&user.quota));
    let (bytes, messages) = usage(user);
    line("curr quota", format!("{bytes}S,{messages}C"));
}

fn print_events(user: &User, events: &[LastAuth]) {
    if let Some(last) = last_login(events) {
        let ago = os::clock::unix_seconds() - last.time;
        line("Days inact", span(ago));
    }
    line("Added On", event(events, "add", "Unknown"));
    let never = "Not yet logged in";
    let last = last_login(events).map_or(never.to_owned(), |last| {
        format!("({}) {}", last.remote_ip, tai::mbox_date(last.time))
    });
    line("last  auth", last);
    line("last  IMAP", event(events, "imap", never));
    line("last  POP3", event(events, "pop3", never));
    line("PassChange", event(events, "pass", "Not yet Changed"));
    line("Inact Date", event(events, "INAC", "Not yet Inactivated"));
    let activated = if user.active && events.iter().any(|event| event.service == "INAC") {
        "Unknown"
    } else {
        "Not yet Activated"
    };
    line("Activ Date", event(events, "ACTI", activated));
}

/// The latest login of any service.
fn last_login(events: &[LastAuth]) -> Option<&LastAuth> {
    let login = |event: &&LastAuth| matches!(event.service.as_str(), "imap" | "pop3" | "webm");
    events.iter().filter(login).max_by_key(|event| event.time)
}

/// Bytes and messages, from the running totals in `maildirsize`.
pub fn usage(user: &User) -> (i64, i64) {
    use std::io::Read as _;
    let mut text = String::new();
    let path = user.maildir().join("maildirsize");
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(MAILDIRSIZE_BYTES_MAX).read_to_string(&mut text));
    if read.is_err() {
        return (0, 0);
    }
    let numbers = |line: &str| -> Option<(i64, i64)> {
        let (bytes, messages) = line.trim().split_once(' ')?;
        Some((bytes.parse().ok()?, messages.trim().parse().ok()?))
    };
    text.lines()
        .skip(1)
        .filter_map(numbers)
        .fold((0, 0), |(b, m), (bytes, messages)| {
            (b.saturating_add(bytes), m.saturating_add(messages))
        })
}

/// A user for programs. Of the hash only its kind: it is of no use to them.
#[derive(Serialize)]
struct Shown {
    name: String,
    hash: String,
    uid: i32,
    gid: u32,
    flags: Vec<&'static str>,
    gecos: String,
    dir: String,
    quota: String,
    usage_bytes: i64,
    usage_messages: i64,
    active: bool,
    scram: bool,
    events: Vec<Event>,
    forwarding: Vec<String>,
    forwarded_from: Vec<String>,
}

#[derive(Serialize)]
struct Event {
    service: String,
    remote_ip: String,
    time: i64,
}

fn print_json(directory: &Directory, user: &User) -> Result<(), Exit> {
    let (usage_bytes, usage_messages) = usage(user);
    let events = directory.last_auth(user).map_err(|error| refused(&error))?;
    let aliases = directory
        .aliases(&user.name, &user.domain)
        .map_err(|error| refused(&error))?;
    let from = directory
        .aliases_to(&user.address())
        .map_err(|error| refused(&error))?;
    let shown = Shown {
        name: user.address(),
        hash: Kind::of(&user.password_hash).to_string(),
        uid: user.uid_state,
        gid: user.gid_flags,
        flags: flag_texts(user),
        gecos: user.gecos.clone(),
        dir: user.dir.display().to_string(),
        quota: user.quota.clone(),
        usage_bytes,
        usage_messages,
        active: user.active,
        scram: user.scram.is_some(),
        events: events
            .into_iter()
            .map(|event| Event {
                service: event.service,
                remote_ip: event.remote_ip,
                time: event.time,
            })
            .collect(),
        forwarding: aliases,
        forwarded_from: from
            .into_iter()
            .map(|Alias { name, domain, .. }| format!("{name}@{domain}"))
            .collect(),
    };
    let text = serde_json::to_string_pretty(&shown).map_err(|error| temporary(&error))?;
    println!("{text}");
    Ok(())
}
