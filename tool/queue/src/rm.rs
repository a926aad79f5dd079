//! qmail-rm: finds messages by their content and removes them, or makes them
//! expire (queue-and-delivery.md §9.3).
//!
//! Whatever changes something needs, and keeps, the lock of qmail-send:
//! unlike the original, that is so for all of `-r -d -X -x`. Making a message
//! expire sets the time of `info`, its birth, and nothing else.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use os::file::Lock;
use queue::Layout;
use regex::bytes::{Regex, RegexBuilder};
use run::{Exit, Home};

use crate::options::Options;
use crate::{output, queues};

pub const USAGE: &str = "usage: qmail-rm [-ei] [-p pattern] [-n bytes] [-r [-y dir]] [-d] [-X secs] [-x time [-f format]] [-q base] [-s split] [-v] [--all]
Finds messages in the queue whose text matches a pattern (default: all).
  -e  extended patterns   -i  case does not matter   -n  search so many bytes
  -r  move what matches to the trash: trash in the queue, or -y dir
  -d  remove what matches for good; without -p only with --all
  -X  make it so many seconds older, 0 for a week, so that it expires
  -x  make it as old as if queued then; -f format of time
      (default: %a %b %d %H:%M:%S %Z %Y)
  -q  parent of the queues   -s  expected split   -v  say more
qmail-send must be stopped for -r, -d, -X and -x.
Exit codes: 0 done, 100 wrong use, 111 it did not work.
";

/// A message is made this much older when nothing is said.
const OLDER_SECONDS: i64 = 604_800;
const TIME_FORMAT: &str = "%a %b %d %H:%M:%S %Z %Y";
/// Longest piece of a message that is searched at once.
const PIECE_BYTES: usize = 1 << 20;
/// How much of a piece is searched again with the next one.
const OVERLAP_BYTES: usize = 64 * 1024;

/// What is done with messages that match.
enum Action {
    List,
    Trash(Option<PathBuf>),
    Remove,
    Older(i64),
    Born(i64),
}

/// Which messages match.
struct Search {
    pattern: Regex,
    bytes_max: Option<u64>,
}

pub fn run(home: &Home, mut arguments: Vec<String>) -> Result<(), Exit> {
    let before = arguments.len();
    arguments.retain(|argument| argument != "--all");
    let is_for_all = arguments.len() < before;
    let options = Options::parse(arguments, "eip:n:ry:dX:x:f:q:s:vh", USAGE)?;
    if options.has('h') {
        return output::print(USAGE.as_bytes());
    }
    let wrong = |text: &str| Exit::new(run::PERMANENT, text.to_owned());
    if !options.rest.is_empty() {
        return Err(run::usage::misused(USAGE));
    }
    let search = search(&options)?;
    let action = action(&options)?;
    if matches!(action, Action::Remove) && !options.has('p') && !is_for_all {
        return Err(wrong(
            "-d without -p removes everything; say --all if that is meant",
        ));
    }
    let layouts = match options.value('q') {
        None => queues::all(home)?,
        Some(base) => below(Path::new(base))?,
    };
    if let Some(split) = options.value('s') {
        let is_other = |layout: &&Layout| layout.split().to_string() != split;
        if let Some(layout) = layouts.iter().find(is_other) {
            let (root, found) = (layout.root().display(), layout.split());
            return Err(wrong(&format!("{root} has split {found}, not {split}")));
        }
    }
    for layout in &layouts {
        if 1 < layouts.len() || options.has('v') {
            output::print(format!("processing queue {}\n", layout.root().display()).as_bytes())?;
        }
        one_queue(layout, &search, &action, options.has('v'))?;
        if 1 < layouts.len() {
            output::print(b"\n")?;
        }
    }
    Ok(())
}

fn search(options: &Options) -> Result<Search, Exit> {
    let wrong = |text: String| Exit::new(run::PERMANENT, text);
    let given = options.value('p').unwrap_or_default();
    let pattern = match options.has('e') {
        true => given.to_owned(),
        false => extended(given),
    };
    let pattern = RegexBuilder::new(&pattern)
        .case_insensitive(options.has('i'))
        .multi_line(true)
        .unicode(false)
        .build()
        .map_err(|error| wrong(format!("pattern {given:?}: {error}")))?;
    let number = |text: &str| {
        text.parse()
            .map_err(|_| wrong(format!("{text:?} is no number")))
    };
    let bytes_max = options.value('n').map(number).transpose()?;
    Ok(Search { pattern, bytes_max })
}

fn action(options: &Options) -> Result<Action, Exit> {
    let wanted = ['r', 'd', 'X', 'x']
        .into_iter()
        .filter(|letter| options.has(*letter));
    if 1 < wanted.count() {
        return Err(run::usage::misused(USAGE));
    }
    let wrong = |text: String| Exit::new(run::PERMANENT, text);
    if options.has('r') {
        return Ok(Action::Trash(options.value('y').map(PathBuf::from)));
    }
    if options.has('d') {
        return Ok(Action::Remove);
    }
    if let Some(text) = options.value('X') {
        let seconds = text
            .parse()
            .map_err(|_| wrong(format!("{text:?} is no number")))?;
        return Ok(Action::Older(if seconds == 0 {
            OLDER_SECONDS
        } else {
            seconds
        }));
    }
    if let Some(text) = options.value('x') {
        let format = options.value('f').unwrap_or(TIME_FORMAT);
        let time = os::clock::parse(text, format);
        return time
            .map(Action::Born)
            .ok_or_else(|| wrong(format!("{text:?} is no time of the form {format:?}")));
    }
    Ok(Action::List)
}

/// A basic regular expression as an extended one: there `\(`, `\{`, `\+`,
/// `\?` and `\|` are special, and the same without backslash are not.
fn extended(basic: &str) -> String {
    let mut out = String::new();
    let mut characters = basic.chars().peekable();
    let mut in_brackets = false;
    while let Some(c) = characters.next() {
        match c {
            _ if in_brackets => {
                in_brackets = c != ']';
                out.push(c);
            }
            '[' => {
                in_brackets = true;
                out.push(c);
                // A bracket that comes first is one of the set.
                for first in ['^', ']'] {
                    if characters.peek() == Some(&first) {
                        characters.next();
                        out.push_str(if first == ']' { "\\]" } else { "^" });
                    }
                }
            }
            '\\' => match characters.next() {
                Some(special @ ('(' | ')' | '{' | '}' | '+' | '?' | '|')) => out.push(special),
                Some(other) => out.extend(['\\', other]),
                None => out.push_str("\\\\"),
            },
            '(' | ')' | '{' | '}' | '+' | '?' | '|' => out.extend(['\\', c]),
            '*' if out.is_empty() => out.push_str("\\*"),
            _ => out.push(c),
        }
    }
    out
}

fn below(base: &Path) -> Result<Vec<Layout>, Exit> {
    let fatal = |error: &dyn std::fmt::Display| {
        Exit::new(
            run::TEMPORARY,
            format!("cannot use {}: {error}", base.display()),
        )
    };
    if base.join("mess").is_dir() {
        return Ok(vec![Layout::detect(base).map_err(|error| fatal(&error))?]);
    }
    let entries = fs::read_dir(base).map_err(|error| fatal(&error))?;
    let mut roots: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    roots.retain(|root| root.join("mess").is_dir());
    roots.sort();
    let layouts = roots.into_iter().map(Layout::detect);
    layouts
        .collect::<Result<_, _>>()
        .map_err(|error| fatal(&error))
}

fn one_queue(layout: &Layout, search: &Search, action: &Action, verbose: bool) -> Result<(), Exit> {
    let _lock = match action {
        Action::List => None,
        _ => Some(lock(layout)?),
    };
    let fatal = |path: &Path, error: io::Error| {
        Exit::new(run::TEMPORARY, format!("{}: {error}", path.display()))
    };
    let mut count = 0;
    for id in queues::ids(layout, "mess")? {
        let path = layout.mess(id);
        let is_match = match matches(&path, search) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            result => result.map_err(|error| fatal(&path, error))?,
        };
        if !is_match {
            if verbose {
                output::print(format!("{}: no\n", path.display()).as_bytes())?;
            }
            continue;
        }
        count += 1;
        output::print(format!("{}: yes\n", path.display()).as_bytes())?;
        act(layout, id, action).map_err(|error| fatal(&path, error))?;
    }
    output::print(format!("{count} file(s) match\n").as_bytes())
}

fn lock(layout: &Layout) -> Result<Lock, Exit> {
    let found = queue::lock_out_senders(layout)
        .map_err(|error| Exit::new(run::TEMPORARY, run::chain(&error)))?;
    found.ok_or_else(|| {
        let root = layout.root().display();
        let text = format!("alert: cannot start: qmail-send with queue {root} is already running");
        Exit::new(run::TEMPORARY, text)
    })
}

/// Searches a file piece by piece.
fn matches(path: &Path, search: &Search) -> io::Result<bool> {
    let file = File::open(path)?;
    let mut input = file.take(search.bytes_max.unwrap_or(u64::MAX));
    let mut piece = Vec::new();
    loop {
        let before = piece.len();
        let length = input
            .by_ref()
            .take(PIECE_BYTES as u64)
            .read_to_end(&mut piece)?;
        if search.pattern.is_match(&piece) {
            return Ok(true);
        }
        if length == 0 || piece.len() == before {
            return Ok(false);
        }
        let keep = piece.len().saturating_sub(OVERLAP_BYTES);
        // From the start of a line, so that ^ means the same.
        let line = piece[keep..]
            .iter()
            .position(|&b| b == b'\n')
            .map_or(keep, |at| keep + at + 1);
        piece.drain(..line);
    }
}

fn act(layout: &Layout, id: u64, action: &Action) -> io::Result<()> {
    match action {
        Action::List => Ok(()),
        Action::Trash(directory) => trash(layout, id, directory.as_deref()),
        Action::Remove => files(layout, id)
            .iter()
            .try_for_each(|(_, path)| gone(fs::remove_file(path))),
        Action::Older(seconds) => set_birth(layout, id, |birth| birth - seconds),
        Action::Born(time) => set_birth(layout, id, |_| *time),
    }
}

/// The files of a message, the text last: without it they are strays.
fn files(layout: &Layout, id: u64) -> [(&'static str, PathBuf); 7] {
    [
        ("bounce", layout.bounce(id)),
        ("local", layout.local(id)),
        ("remote", layout.remote(id)),
        ("info", layout.info(id)),
        ("intd", layout.intd(id)),
        ("todo", layout.todo(id)),
        ("mess", layout.mess(id)),
    ]
}

fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Moves all files of a message, named after where they were.
fn trash(layout: &Layout, id: u64, directory: Option<&Path>) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let default = layout.root().join("trash");
    let directory = directory.unwrap_or(&default);
    match fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for (name, path) in files(layout, id) {
        gone(fs::rename(&path, directory.join(format!("{name}.{id}"))))?;
    }
    os::file::sync_directory(directory)
}

/// Changes when a message was born; one that is not preprocessed is born when
/// its envelope was written.
fn set_birth(layout: &Layout, id: u64, change: impl Fn(i64) -> i64) -> io::Result<()> {
    for path in [layout.todo(id), layout.info(id)] {
        let file = match File::options().append(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file?,
        };
        let birth = file.metadata()?.modified()?.duration_since(UNIX_EPOCH);
        let birth = birth.unwrap_or(Duration::ZERO).as_secs();
        let birth = change(i64::try_from(birth).unwrap_or(i64::MAX)).max(0);
        os::file::set_mtime(&file, birth)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn queue() -> (tempfile::TempDir, Layout) {
        let (directory, layout) = testkit::new_queue();
        for (id, text) in [
            (7, "Subject: spam\n\nbuy\n"),
            (8, "Subject: mail\n\nspam\n"),
        ] {
            std::fs::write(layout.mess(id), text).unwrap();
            std::fs::write(layout.info(id), "Fx\0").unwrap();
            std::fs::write(layout.remote(id), "Tx\0").unwrap();
        }
        (directory, layout)
    }

    fn call(layout: &Layout, arguments: &[&str]) -> Result<(), Exit> {
        let home = Home::at("/nonexistent");
        let base = layout.root().to_str().unwrap();
        let all = ["-q", base]
            .iter()
            .chain(arguments)
            .map(|a| (*a).to_owned())
            .collect();
        run(&home, all)
    }

    #[test]
    fn basic_patterns_mean_what_they_mean_elsewhere() {
        for (basic, text, expected) in [
            ("a+b", "a+b", true),
            ("a+b", "aab", false),
            ("a\\+b", "aab", true),
            ("\\(ab\\)*c", "ababc", true),
            ("(x)", "(x)", true),
            ("[+(]", "(", true),
            ("[]x]y", "]y", true),
            ("*a", "*a", true),
            ("^b", "a\nb", true),
            ("a\\.b", "a.b", true),
            ("a\\.b", "axb", false),
            ("", "anything", true),
        ] {
            let pattern = RegexBuilder::new(&extended(basic))
                .multi_line(true)
                .build()
                .unwrap();
            assert_eq!(
                pattern.is_match(text.as_bytes()),
                expected,
                "{basic} {text}"
            );
        }
    }

    #[test]
    fn what_matches_goes_to_the_trash_with_all_its_files() {
        let (_directory, layout) = queue();
        call(&layout, &["-p", "^Subject: spam"]).unwrap();
        assert!(layout.mess(7).exists(), "it only lists");
        call(&layout, &["-p", "^Subject: SPAM", "-i", "-r"]).unwrap();
        assert!(!layout.mess(7).exists() && !layout.info(7).exists() && layout.mess(8).exists());
        for name in ["mess.7", "info.7", "remote.7"] {
            assert!(layout.root().join("trash").join(name).exists(), "{name}");
        }
        call(&layout, &["-p", "spam", "-n", "10", "-d"]).unwrap();
        assert!(layout.mess(8).exists(), "the first ten bytes do not match");
        assert!(call(&layout, &["-d"]).is_err(), "everything must be meant");
        call(&layout, &["-d", "--all"]).unwrap();
        assert!(!layout.mess(8).exists() && !layout.remote(8).exists());
    }

    #[test]
    fn only_the_birth_makes_a_message_older() {
        let (_directory, layout) = queue();
        let times = || {
            let paths = [layout.info(7), layout.remote(7), layout.mess(7)];
            paths.map(|path| path.metadata().unwrap().mtime())
        };
        let before = times();
        call(&layout, &["-p", "buy", "-X", "0"]).unwrap();
        let [info, remote, mess] = times();
        assert_eq!(info, before[0] - OLDER_SECONDS);
        assert_eq!([remote, mess], before[1..]);
        let time = "Tue Sep 26 04:46:53 GMT 1995";
        call(&layout, &["-p", "buy", "-x", time]).unwrap();
        assert_eq!(times()[0], 812_090_813);
    }

    #[test]
    fn nothing_is_changed_under_a_running_daemon() {
        let (_directory, layout) = queue();
        let _held = queue::lock_out_senders(&layout).unwrap().unwrap();
        call(&layout, &["-p", "spam"]).unwrap();
        for change in [&["-r"][..], &["-d", "--all"], &["-X", "0"]] {
            let error = call(&layout, change).unwrap_err().to_string();
            assert!(error.contains("is already running"), "{error}");
        }
        assert!(layout.mess(7).exists());
    }

    #[test]
    fn a_match_across_two_pieces_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("m");
        let mut text = "x\n".repeat(PIECE_BYTES / 2 - 2);
        text += "needle in hay\n";
        text += &"y\n".repeat(PIECE_BYTES);
        std::fs::write(&path, text).unwrap();
        let pattern = Regex::new("(?m)^needle in hay$").unwrap();
        let bytes_max = None;
        assert!(matches(&path, &Search { pattern, bytes_max }).unwrap());
    }
}
