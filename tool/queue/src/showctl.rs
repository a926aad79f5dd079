//! qmail-showctl: what the control files say, in words
//! (queue-and-delivery.md §9.5). The list comes from the registry of
//! settings, so a file that a program reads is never missing here.

mod more;

use std::collections::BTreeSet;
use std::time::SystemTime;

use os::account::{Account, group};
use queue::{Layout, Queues};
use run::spawner::DELIVERIES_MAX;
use run::{Exit, Home, Settings};
use settings::{Kind, Setting, secret};
use text::control;

use crate::options::Options;
use crate::output;

pub const USAGE: &str = "usage: qmail-showctl [-icCqesEa] [--json]
Explains the configuration; without options all of the classic part of it.
  -i  internals     -c  control files            -C  concurrency of each queue
  -q  queues        -e  files nobody reads       -s  variables of services
  -E  variables of the environment that count    -a  all
Passwords and keys are not shown.
Exit codes: 0 done, 100 wrong use, 111 it did not work.
";

/// Users in the order they have always been printed; `root` is the owner.
const USERS: [&str; 8] = [
    "alias", "qmaild", "qmaill", "root", "qmailp", "qmailq", "qmailr", "qmails",
];
const GROUPS: [&str; 2] = ["nofiles", "qmail"];

/// Sentences people know: the file, what is said of its value or of each of
/// its lines, and what is said when it is missing (empty: of the default).
const SENTENCES: &[(&str, &str, &str)] = &[
    ("bouncefrom", "Bounce user name is {}.", ""),
    ("bouncehost", "Bounce host name is {}.", ""),
    ("concurrencylocal", "Local concurrency is {}.", ""),
    ("concurrencyremote", "Remote concurrency is {}.", ""),
    ("databytes", "SMTP DATA limit is {} bytes.", ""),
    ("doublebouncehost", "2B recipient host: {}.", ""),
    ("doublebounceto", "2B recipient user: {}.", ""),
    ("envnoathost", "Presumed domain name is {}.", ""),
    ("helohost", "SMTP client HELO host name is {}.", ""),
    ("locals", "Messages for {} are delivered locally.", ""),
    ("me", "My name is {}.", "Undefined! Uh-oh."),
    (
        "percenthack",
        "user%host@{} is rewritten to user@host.",
        "The percent hack is not allowed.",
    ),
    (
        "queuelifetime",
        "Message lifetime in the queue is {} seconds.",
        "",
    ),
    (
        "rcpthosts",
        "SMTP clients may send messages to recipients at {}.",
        "SMTP clients may send messages to any recipient.",
    ),
    ("smtpgreeting", "SMTP greeting: 220 {}.", ""),
    ("smtproutes", "SMTP route: {}", "No artificial SMTP routes."),
    (
        "timeoutconnect",
        "SMTP client connection timeout is {} seconds.",
        "",
    ),
    (
        "timeoutremote",
        "SMTP client data timeout is {} seconds.",
        "",
    ),
    (
        "timeoutsmtpd",
        "SMTP server data timeout is {} seconds.",
        "",
    ),
    (
        "virtualdomains",
        "Virtual domain: {}",
        "No virtual domains.",
    ),
];

/// Files that are tables or made by programs, not settings.
const KNOWN_OTHERS: [&str; 2] = ["morercpthosts", "morercpthosts.cdb"];

pub fn run(home: &Home, arguments: Vec<String>) -> Result<(), Exit> {
    let mut arguments = arguments;
    if crate::options::take_json(&mut arguments) {
        if !arguments.is_empty() {
            return Err(run::usage::misused(USAGE));
        }
        return more::json(home);
    }
    let options = Options::parse(arguments, "icCqesEa", USAGE)?;
    let is_plain = options.letters.is_empty();
    let wants = |letter| options.has(letter) || options.has('a');
    let mut out = String::new();
    if is_plain || wants('i') {
        out += &internals(home);
    }
    if is_plain || wants('c') {
        let settings = Settings::of_files(home);
        let mut seen = BTreeSet::new();
        let mut all: Vec<_> = settings::all()
            .filter(|setting| !setting.file.is_empty() && seen.insert(setting.file))
            .collect();
        all.sort_by_key(|setting| setting.file);
        for setting in all {
            out += &format!("\n{}: {}", setting.file, explain(setting, &settings)?);
        }
        out += &format!("\nmorercpthosts.cdb: {}\n", morercpthosts(home));
    }
    if is_plain || wants('e') {
        out += &unknown(home)?;
    }
    if wants('q') {
        out += &more::queues(home)?;
    }
    if wants('C') {
        out += &more::concurrency(home)?;
    }
    if wants('s') {
        out += &more::services(home);
    }
    if wants('E') {
        out += &more::environment();
    }
    output::print(out.as_bytes())
}

fn internals(home: &Home) -> String {
    let settings = Settings::of_process(home);
    let queue = Queues::configured(home, &settings).ok();
    let layout = queue.and_then(|queues| Layout::detect(queues.first()).ok());
    let split = layout.map_or_else(|| "unknown".to_owned(), |layout| layout.split().to_string());
    let number = |result: Result<u32, _>| match result {
        Ok(number) => number.to_string(),
        Err::<_, os::account::AccountError>(_) => "none".to_owned(),
    };
    let users = USERS.map(|name| number(Account::by_name(name).map(|a| a.identity.uid)));
    let groups = GROUPS.map(|name| number(group(name)));
    format!(
        "qmail home directory: {}.\nuser-ext delimiter: -.\npaternalism (in decimal): 18.\n\
         silent concurrency limit: {DELIVERIES_MAX}.\nsubdirectory split: {split}.\n\
         user ids: {}.\ngroup ids: {}.\n",
        home.root().display(),
        users.join(", "),
        groups.join(", ")
    )
}

/// One or more lines about a setting, each with its newline.
fn explain(setting: &Setting, settings: &Settings) -> Result<String, Exit> {
    let fatal = |error: run::SettingError| Exit::new(run::TEMPORARY, error.to_string());
    let content = settings.file(setting.file).map_err(fatal)?;
    let sentence = SENTENCES.iter().find(|(file, ..)| *file == setting.file);
    let is_secret = secret::is_secret(setting.file);
    let mark = if content.is_none() { "(Default.) " } else { "" };
    let say = |value: &[u8]| match sentence {
        Some((_, words, _)) => words.replace("{}", &shown(setting.file, value)),
        None => shown(setting.file, value),
    };
    if is_secret {
        let state = if content.is_some() {
            "Set; not shown."
        } else {
            "Not set."
        };
        return Ok(format!("{mark}{state}\n"));
    }
    if let (None, Some((.., missing))) = (&content, sentence)
        && !missing.is_empty()
    {
        return Ok(format!("{mark}{missing}\n"));
    }
    let values: Vec<Vec<u8>> = match setting.kind {
        Kind::Line | Kind::LineOrMe => settings.line(setting).map_err(fatal)?.into_iter().collect(),
        Kind::Integer if content.is_none() && setting.default.is_none() => Vec::new(),
        Kind::Integer => vec![
            settings
                .integer(setting)
                .map_err(fatal)?
                .to_string()
                .into_bytes(),
        ],
        Kind::List | Kind::ListOrMe => settings.list(setting).map_err(fatal)?.unwrap_or_default(),
        Kind::Presence => return Ok(format!("{mark}{}\n", setting.meaning)),
        Kind::Native => control::list(content.as_deref().unwrap_or_default())
            .map(<[u8]>::to_vec)
            .collect(),
    };
    let is_list = matches!(setting.kind, Kind::List | Kind::ListOrMe | Kind::Native);
    Ok(match (&values[..], is_list) {
        ([], _) => format!("{mark}Not set. {}\n", setting.meaning),
        ([value], false) => format!("{mark}{}\n", say(value)),
        (values, _) => {
            let lines: Vec<String> = values.iter().map(|value| say(value)).collect();
            format!("{mark}\n{}\n", lines.join("\n"))
        }
    })
}

/// Without what is secret.
fn shown(name: &str, value: &[u8]) -> String {
    printable(&secret::shown(name, value))
}

fn printable(value: &[u8]) -> String {
    text::log::printable(value, usize::MAX)
}

fn morercpthosts(home: &Home) -> &'static str {
    let changed = |name: &str| -> Option<SystemTime> {
        std::fs::metadata(home.control().join(name))
            .ok()?
            .modified()
            .ok()
    };
    match (changed("morercpthosts"), changed("morercpthosts.cdb")) {
        (None, None) => "(Default.) No effect.",
        (None, Some(_)) => "Oops! morercpthosts.cdb exists but morercpthosts doesn't.",
        (Some(_), None) => "Oops! morercpthosts exists but morercpthosts.cdb doesn't.",
        (Some(list), Some(table)) if table < list => {
            "Oops! morercpthosts.cdb is older than morercpthosts."
        }
        _ => "Modified recently enough; hopefully up to date.",
    }
}

/// Files of the control directory that nobody reads: mostly misspellings.
fn unknown(home: &Home) -> Result<String, Exit> {
    let control = home.control();
    let entries = std::fs::read_dir(control).map_err(|error| {
        Exit::new(
            run::TEMPORARY,
            format!("cannot read {}: {error}", control.display()),
        )
    })?;
    let known: BTreeSet<&str> = settings::all().map(|setting| setting.file).collect();
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| {
            let base = name.strip_suffix(".cdb").unwrap_or(name);
            let is_per_queue =
                base.starts_with("concurrencyl.") || base.starts_with("concurrencyr.");
            !(known.contains(base) || KNOWN_OTHERS.contains(&base) || is_per_queue)
        })
        .collect();
    names.sort();
    let line = |name: &String| {
        let name = printable(name.as_bytes());
        format!("\n{name}: I have no idea what this file does.\n")
    };
    Ok(names.iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use settings::sending::{CONCURRENCYREMOTE, LOCALS, QUEUELIFETIME, VIRTUALDOMAINS};

    #[test]
    fn the_sentences_are_those_people_know() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("control")).unwrap();
        let home = Home::at(directory.path());
        let settings = Settings::of_files(&home);
        let explain = |setting| explain(setting, &settings).unwrap();
        assert_eq!(
            explain(&CONCURRENCYREMOTE),
            "(Default.) Remote concurrency is 20.\n"
        );
        assert_eq!(explain(&VIRTUALDOMAINS), "(Default.) No virtual domains.\n");
        std::fs::write(home.control().join("queuelifetime"), "99\n").unwrap();
        assert_eq!(
            explain(&QUEUELIFETIME),
            "Message lifetime in the queue is 99 seconds.\n"
        );
        std::fs::write(home.control().join("locals"), "a.example\nb.example\n").unwrap();
        assert_eq!(
            explain(&LOCALS),
            "\nMessages for a.example are delivered locally.\n\
             Messages for b.example are delivered locally.\n"
        );
    }

    #[test]
    fn misspelt_files_are_named() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("control")).unwrap();
        let home = Home::at(directory.path());
        for name in [
            "locals",
            "lokals",
            "concurrencyr.queue1",
            "morercpthosts.cdb",
        ] {
            std::fs::write(home.control().join(name), "").unwrap();
        }
        assert_eq!(
            unknown(&home).unwrap(),
            "\nlokals: I have no idea what this file does.\n"
        );
        let oops = "Oops! morercpthosts.cdb exists but morercpthosts doesn't.";
        assert_eq!(morercpthosts(&home), oops);
    }
}
