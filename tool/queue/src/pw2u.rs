//! qmail-pw2u: a passwd file becomes lines for `users/assign`
//! (queue-and-delivery.md §5.4).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use run::{Exit, Home};

use crate::options::Options;
use crate::output;

pub const USAGE: &str = "usage: qmail-pw2u [-/ohHuUC] [-cchar] < passwd > assign
  -o  skip users whose home is missing or not theirs (default)
  -h  a missing home is fatal   -H  do not look at homes
  -u  allow names with upper case   -U  skip them (default)
  -cX break character X   -C  no extensions   -/  files in a .qmail- directory
Exit codes: 0 done, 100 wrong use, 111 it did not work.
";

/// Longest passwd file.
const PASSWD_BYTES_MAX: u64 = 1 << 30;

/// How homes are checked.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Homes {
    Skip,
    Fatal,
    Unchecked,
}

/// Names and homes are bytes: whoever made them may have used any character
/// set.
type Text = Vec<u8>;

/// The options, and the auxiliary files of the users directory.
struct Rules {
    homes: Homes,
    upper_case: bool,
    /// `None`: users have no extensions.
    separator: Option<u8>,
    dash: &'static str,
    include: Option<BTreeSet<Text>>,
    exclude: BTreeSet<Text>,
    mail_names: BTreeMap<Text, Vec<Text>>,
    sub_users: Vec<(Text, Text, Text)>,
    append: Text,
}

struct User {
    name: Text,
    uid: u32,
    gid: u32,
    home: Text,
}

pub fn run(home: &Home, arguments: Vec<String>) -> Result<(), Exit> {
    let options = Options::parse(arguments, "/ohHuUCc:", USAGE)?;
    if !options.rest.is_empty() {
        return Err(run::usage::misused(USAGE));
    }
    let rules = Rules::read(home, &options)?;
    let mut passwd = Vec::new();
    io::stdin()
        .take(PASSWD_BYTES_MAX)
        .read_to_end(&mut passwd)
        .map_err(|error| fatal(format!("unable to read input: {error}")))?;
    let text = rules.assign(&passwd, &home_of)?;
    output::print(&text)
}

fn fatal(text: impl Into<String>) -> Exit {
    Exit::new(run::TEMPORARY, text)
}

/// Whether a home is there and its user's own.
#[derive(Clone, Copy, Eq, PartialEq)]
enum HomeState {
    Own,
    Foreign,
    Missing,
}

/// Looks at a home. Trouble is not the same as no home: a file server that is
/// away must not take its users' mail.
fn home_of(user: &User) -> Result<HomeState, Exit> {
    let path = OsStr::from_bytes(&user.home);
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.uid() == user.uid => Ok(HomeState::Own),
        Ok(_) => Ok(HomeState::Foreign),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(HomeState::Missing)
        }
        Err(error) => Err(fatal(format!(
            "unable to look at {}: {error}",
            output::printable(&user.home)
        ))),
    }
}

impl Rules {
    fn read(home: &Home, options: &Options) -> Result<Self, Exit> {
        let file = |name: &str| match std::fs::read(home.users().join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fatal(format!("unable to read users/{name}: {error}"))),
            Ok(text) => Ok(Some(text)),
        };
        let set = |text: Text| lines(&text).map(<[u8]>::to_vec).collect();
        let mut rules = Self {
            homes: Homes::Skip,
            upper_case: false,
            separator: Some(b'-'),
            dash: if options.has('/') { "-/" } else { "-" },
            include: file("include")?.map(set),
            exclude: file("exclude")?.map(set).unwrap_or_default(),
            mail_names: BTreeMap::new(),
            sub_users: Vec::new(),
            append: file("append")?.unwrap_or_default(),
        };
        for line in lines(&file("mailnames")?.unwrap_or_default()) {
            let mut names = line.split(|&b| b == b':').map(<[u8]>::to_vec);
            if let Some(user) = names.next() {
                let names = names.filter(|name| !name.is_empty()).collect();
                rules.mail_names.insert(user, names);
            }
        }
        for line in lines(&file("subusers")?.unwrap_or_default()) {
            if let [sub, user, pre, ..] = line.split(|&b| b == b':').collect::<Vec<_>>()[..] {
                let sub_user = (sub.to_vec(), user.to_vec(), pre.to_vec());
                rules.sub_users.push(sub_user);
            }
        }
        if !rules.append.is_empty() && !rules.append.ends_with(b"\n") {
            rules.append.push(b'\n');
        }
        for (letter, value) in &options.letters {
            match letter {
                'o' => rules.homes = Homes::Skip,
                'h' => rules.homes = Homes::Fatal,
                'H' => rules.homes = Homes::Unchecked,
                'u' => rules.upper_case = true,
                'U' => rules.upper_case = false,
                'C' => rules.separator = None,
                'c' => rules.separator = value.as_ref().and_then(|v| v.bytes().next()),
                _ => {}
            }
        }
        Ok(rules)
    }

    fn assign(
        &self,
        passwd: &[u8],
        home: &dyn Fn(&User) -> Result<HomeState, Exit>,
    ) -> Result<Text, Exit> {
        let mut out = Vec::new();
        let mut users = BTreeMap::new();
        for line in lines(passwd) {
            // What is no user is left out: passwd files have lines for other
            // services, too.
            let Some(user) = parse(line) else { continue };
            if self.is_skipped(&user, home)? {
                continue;
            }
            self.user(&user, &mut out);
            users.insert(user.name.clone(), user);
        }
        if !users.contains_key(&b"alias"[..]) {
            return Err(fatal("unable to find alias user"));
        }
        for (sub, name, pre) in &self.sub_users {
            let user = users.get(name).ok_or_else(|| {
                let name = output::printable(name);
                fatal(format!("unable to find {name} of users/subusers"))
            })?;
            let dash = self.dash.as_bytes();
            line(&mut out, b'=', sub, user, dash, pre);
            if let Some(c) = self.separator {
                let (prefix, pre) = ([&sub[..], &[c]].concat(), [&pre[..], b"-"].concat());
                line(&mut out, b'+', &prefix, user, dash, &pre);
            }
        }
        out.extend_from_slice(&self.append);
        out.extend_from_slice(b".\n");
        Ok(out)
    }

    fn is_skipped(
        &self,
        user: &User,
        home: &dyn Fn(&User) -> Result<HomeState, Exit>,
    ) -> Result<bool, Exit> {
        let name = &user.name;
        let is_chosen = self.include.as_ref().is_none_or(|list| list.contains(name));
        if user.uid == 0 || !is_chosen || self.exclude.contains(name) {
            return Ok(true);
        }
        if !self.upper_case && name.iter().any(u8::is_ascii_uppercase) {
            return Ok(true);
        }
        if self.homes == Homes::Unchecked {
            return Ok(false);
        }
        match (self.homes, home(user)?) {
            (_, HomeState::Own) => Ok(false),
            (Homes::Fatal, HomeState::Missing) => {
                let name = output::printable(name);
                Err(fatal(format!("unable to find home of {name}")))
            }
            _ => Ok(true),
        }
    }

    fn user(&self, user: &User, out: &mut Text) {
        let dash = self.dash.as_bytes();
        if user.name == b"alias" {
            line(out, b'+', b"", user, dash, b"");
        }
        let own = vec![user.name.clone()];
        for name in self.mail_names.get(&user.name).unwrap_or(&own) {
            line(out, b'=', name, user, b"", b"");
            if let Some(c) = self.separator {
                line(out, b'+', &[&name[..], &[c]].concat(), user, dash, b"");
            }
        }
    }
}

/// One line of `users/assign`.
fn line(out: &mut Text, kind: u8, address: &[u8], user: &User, dash: &[u8], ext: &[u8]) {
    let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
    out.push(kind);
    for field in [
        address,
        &user.name,
        uid.as_bytes(),
        gid.as_bytes(),
        &user.home,
        dash,
        ext,
    ] {
        out.extend_from_slice(field);
        out.push(b':');
    }
    out.push(b'\n');
}

/// Lines without blanks at their ends; empty ones are left out.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&b| b == b'\n')
        .map(<[u8]>::trim_ascii_end)
        .filter(|line| !line.is_empty())
}

fn parse(line: &[u8]) -> Option<User> {
    let fields: Vec<&[u8]> = line.split(|&b| b == b':').collect();
    let [name, _, uid, gid, _, home, ..] = fields[..] else {
        return None;
    };
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
    if name.is_empty() || line.contains(&0) {
        return None;
    }
    Some(User {
        name: name.to_vec(),
        uid: number(uid)?,
        gid: number(gid)?,
        home: home.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] =
        b"root:x:0:0::/root:/bin/sh\nalias:x:7:8::/alias:\nann:x:9:9:J\xf6rg:/h/ann:\n\
          +::::::\n\nnonsense\nBob:x:10:10::/h/bob:\ngone:x:11:11::/none:\n\
          eve:x:12:12::/h/foreign:\n";

    /// What comes of the options and of files in the users directory.
    fn assign_with(arguments: &[&str], files: &[(&str, &str)]) -> Result<String, Exit> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("users")).unwrap();
        for (name, text) in files {
            std::fs::write(root.path().join("users").join(name), text).unwrap();
        }
        let arguments = arguments.iter().map(|a| (*a).to_owned()).collect();
        let options = Options::parse(arguments, "/ohHuUCc:", USAGE)?;
        let rules = Rules::read(&Home::at(root.path()), &options)?;
        let text = rules.assign(PASSWD, &|user| match &user.name[..] {
            b"gone" => Ok(HomeState::Missing),
            b"eve" => Ok(HomeState::Foreign),
            _ => Ok(HomeState::Own),
        })?;
        Ok(String::from_utf8(text).unwrap())
    }

    fn assign(arguments: &[&str]) -> Result<String, Exit> {
        assign_with(arguments, &[])
    }

    const ALIAS: &str = "+:alias:7:8:/alias:-::\n=alias:alias:7:8:/alias:::\n\
                         +alias-:alias:7:8:/alias:-::\n";
    const ANN: &str = "=ann:ann:9:9:/h/ann:::\n+ann-:ann:9:9:/h/ann:-::\n";

    #[test]
    fn users_get_an_exact_line_and_one_for_extensions() {
        assert_eq!(assign(&[]).unwrap(), format!("{ALIAS}{ANN}.\n"));
        assert_eq!(assign(&["-U", "-o"]).unwrap(), assign(&[]).unwrap());
    }

    #[test]
    fn letters_change_who_and_how() {
        let text = assign(&["-u", "-H", "-c+", "-/"]).unwrap();
        assert!(text.contains("+Bob+:Bob:10:10:/h/bob:-/::\n"));
        assert!(text.contains("=gone:") && text.contains("=eve:"));
        let without = assign(&["-C"]).unwrap();
        assert!(!without.contains("+ann") && without.contains("+:alias:"));
        let error = assign(&["-h"]).unwrap_err();
        assert_eq!(error.text, "unable to find home of gone");
        assert!(
            !assign_with(&["-h"], &[("exclude", "gone\n")])
                .unwrap()
                .contains("=eve")
        );
    }

    #[test]
    fn include_and_exclude_choose_users() {
        let only = assign_with(&["-H"], &[("include", "alias\ngone \n")]).unwrap();
        assert!(only.contains("=gone:") && !only.contains("=ann:"));
        let without = assign_with(&["-H"], &[("exclude", "ann\n")]).unwrap();
        assert!(without.contains("=gone:") && !without.contains("=ann:"));
        let error = assign_with(&[], &[("include", "ann\n")]).unwrap_err();
        assert_eq!(error.text, "unable to find alias user");
    }

    #[test]
    fn mailnames_take_the_place_of_a_name() {
        let files = [("mailnames", "ann:annie:a.b\nnobody:x\n")];
        let text = assign_with(&[], &files).unwrap();
        let lines = "=annie:ann:9:9:/h/ann:::\n+annie-:ann:9:9:/h/ann:-::\n\
                     =a.b:ann:9:9:/h/ann:::\n+a.b-:ann:9:9:/h/ann:-::\n";
        assert_eq!(text, format!("{ALIAS}{lines}.\n"));
    }

    #[test]
    fn subusers_are_parts_of_users() {
        let text = assign_with(&[], &[("subusers", "info:ann:i:\n")]).unwrap();
        let lines = "=info:ann:9:9:/h/ann:-:i:\n+info-:ann:9:9:/h/ann:-:i-:\n";
        assert_eq!(text, format!("{ALIAS}{ANN}{lines}.\n"));
        let error = assign_with(&[], &[("subusers", "info:joe:i:\n")]).unwrap_err();
        assert_eq!(error.text, "unable to find joe of users/subusers");
    }

    #[test]
    fn append_comes_last_but_for_the_dot() {
        let line = "=x:ann:9:9:/h/ann:-:x:";
        let text = assign_with(&[], &[("append", line)]).unwrap();
        assert_eq!(text, format!("{ALIAS}{ANN}{line}\n.\n"));
    }

    #[test]
    fn whatever_passwd_says_newu_can_read_the_result() {
        property::holds(|u| {
            let alphabet = b"ab:0 1\n/\xffA.";
            let letters = property::bytes(u)?;
            let mut passwd: Vec<u8> = letters
                .iter()
                .map(|b| alphabet[usize::from(*b) % alphabet.len()])
                .collect();
            passwd.extend_from_slice(b"\nalias:x:7:8::/alias:\n");
            let options = Options::parse(vec!["-H".to_owned()], "/ohHuUCc:", USAGE).unwrap();
            let rules = Rules::read(&Home::at("/nowhere"), &options).unwrap();
            let text = rules.assign(&passwd, &home_of).unwrap();
            assert!(crate::newu::build(&text).is_ok(), "{}", text.escape_ascii());
            Ok(())
        });
    }
}
