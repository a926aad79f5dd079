//! qmail-pw2u: a passwd file becomes lines for `users/assign`
//! (queue-and-delivery.md §5.4).

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
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

/// How homes are checked.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Homes {
    Skip,
    Fatal,
    Unchecked,
}

/// The options, and the auxiliary files of the users directory.
struct Rules {
    homes: Homes,
    upper_case: bool,
    /// `None`: users have no extensions.
    separator: Option<char>,
    dash: &'static str,
    include: Option<BTreeSet<String>>,
    exclude: BTreeSet<String>,
    mail_names: BTreeMap<String, Vec<String>>,
    sub_users: Vec<(String, String, String)>,
    append: String,
}

struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

pub fn run(home: &Home, arguments: Vec<String>) -> Result<(), Exit> {
    let options = Options::parse(arguments, "/ohHuUCc:", USAGE)?;
    let rules = Rules::read(home, &options)?;
    let mut passwd = String::new();
    std::io::stdin()
        .read_to_string(&mut passwd)
        .map_err(|error| Exit::new(run::TEMPORARY, format!("unable to read input: {error}")))?;
    let text = rules.assign(&passwd, &|user| home_of(user))?;
    output::print(text.as_bytes())
}

/// Whether a home is there and its user's own.
#[derive(Clone, Copy, Eq, PartialEq)]
enum HomeState {
    Own,
    Foreign,
    Missing,
}

fn home_of(user: &User) -> HomeState {
    match std::fs::metadata(&user.home) {
        Ok(metadata) if metadata.uid() == user.uid => HomeState::Own,
        Ok(_) => HomeState::Foreign,
        Err(_) => HomeState::Missing,
    }
}

impl Rules {
    fn read(home: &Home, options: &Options) -> Result<Self, Exit> {
        let file = |name: &str| match std::fs::read_to_string(home.users().join(name)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Exit::new(
                run::TEMPORARY,
                format!("unable to read users/{name}: {error}"),
            )),
            Ok(text) => Ok(Some(text)),
        };
        let lines = |text: String| text.lines().map(|l| l.trim_end().to_owned()).collect();
        let mut rules = Self {
            homes: Homes::Skip,
            upper_case: false,
            separator: Some('-'),
            dash: if options.has('/') { "-/" } else { "-" },
            include: file("include")?.map(lines),
            exclude: file("exclude")?.map(lines).unwrap_or_default(),
            mail_names: BTreeMap::new(),
            sub_users: Vec::new(),
            append: file("append")?.unwrap_or_default(),
        };
        for line in file("mailnames")?.unwrap_or_default().lines() {
            let mut names = line.trim_end().split(':').map(str::to_owned);
            if let Some(user) = names.next() {
                rules
                    .mail_names
                    .insert(user, names.filter(|n| !n.is_empty()).collect());
            }
        }
        for line in file("subusers")?.unwrap_or_default().lines() {
            if let [sub, user, pre, ..] = line.split(':').collect::<Vec<_>>()[..] {
                rules
                    .sub_users
                    .push((sub.to_owned(), user.to_owned(), pre.to_owned()));
            }
        }
        for (letter, value) in &options.letters {
            match letter {
                'o' => rules.homes = Homes::Skip,
                'h' => rules.homes = Homes::Fatal,
                'H' => rules.homes = Homes::Unchecked,
                'u' => rules.upper_case = true,
                'U' => rules.upper_case = false,
                'C' => rules.separator = None,
                'c' => rules.separator = value.as_deref().and_then(|v| v.chars().next()),
                _ => {}
            }
        }
        Ok(rules)
    }

    fn assign(&self, passwd: &str, home: &dyn Fn(&User) -> HomeState) -> Result<String, Exit> {
        let fatal = |text: String| Exit::new(run::TEMPORARY, text);
        let mut out = String::new();
        let mut users = BTreeMap::new();
        for line in passwd.lines() {
            let Some(user) = parse(line) else {
                return Err(fatal(format!("bad passwd line: {line}")));
            };
            if self.is_skipped(&user, home).map_err(fatal)? {
                continue;
            }
            self.user(&user, &mut out);
            users.insert(user.name.clone(), user);
        }
        if !users.contains_key("alias") {
            return Err(fatal("unable to find alias user".to_owned()));
        }
        for (sub, name, pre) in &self.sub_users {
            let user = users
                .get(name)
                .ok_or_else(|| fatal(format!("unable to find {name} of users/subusers")))?;
            let (fields, dash) = (fields(user), self.dash);
            out += &format!("={sub}:{fields}:{dash}:{pre}:\n");
            if let Some(c) = self.separator {
                out += &format!("+{sub}{c}:{fields}:{dash}:{pre}-:\n");
            }
        }
        Ok(out + &self.append + ".\n")
    }

    fn is_skipped(&self, user: &User, home: &dyn Fn(&User) -> HomeState) -> Result<bool, String> {
        let name = &user.name;
        let is_chosen = self.include.as_ref().is_none_or(|list| list.contains(name));
        if user.uid == 0 || !is_chosen || self.exclude.contains(name) {
            return Ok(true);
        }
        if !self.upper_case && name.chars().any(|c| c.is_ascii_uppercase()) {
            return Ok(true);
        }
        match (self.homes, home(user)) {
            (Homes::Unchecked, _) | (_, HomeState::Own) => Ok(false),
            (Homes::Fatal, HomeState::Missing) => Err(format!("unable to find home of {name}")),
            _ => Ok(true),
        }
    }

    fn user(&self, user: &User, out: &mut String) {
        let (fields, dash) = (fields(user), self.dash);
        if user.name == "alias" {
            *out += &format!("+:{fields}:{dash}::\n");
        }
        let own = vec![user.name.clone()];
        for name in self.mail_names.get(&user.name).unwrap_or(&own) {
            *out += &format!("={name}:{fields}:::\n");
            if let Some(c) = self.separator {
                *out += &format!("+{name}{c}:{fields}:{dash}::\n");
            }
        }
    }
}

fn fields(user: &User) -> String {
    format!("{}:{}:{}:{}", user.name, user.uid, user.gid, user.home)
}

fn parse(line: &str) -> Option<User> {
    let [name, _, uid, gid, _, home, ..] = line.split(':').collect::<Vec<_>>()[..] else {
        return None;
    };
    Some(User {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: home.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nalias:x:7:8::/alias:\nann:x:9:9::/h/ann:\n\
                          Bob:x:10:10::/h/bob:\ngone:x:11:11::/none:\n";

    fn assign(arguments: &[&str]) -> Result<String, Exit> {
        let arguments = arguments.iter().map(|a| (*a).to_owned()).collect();
        let options = Options::parse(arguments, "/ohHuUCc:", USAGE)?;
        let rules = Rules::read(&Home::at("/nowhere"), &options)?;
        rules.assign(PASSWD, &|user| match user.name.as_str() {
            "gone" => HomeState::Missing,
            _ => HomeState::Own,
        })
    }

    #[test]
    fn users_get_an_exact_line_and_one_for_extensions() {
        assert_eq!(
            assign(&[]).unwrap(),
            "+:alias:7:8:/alias:-::\n=alias:alias:7:8:/alias:::\n+alias-:alias:7:8:/alias:-::\n\
             =ann:ann:9:9:/h/ann:::\n+ann-:ann:9:9:/h/ann:-::\n.\n"
        );
    }

    #[test]
    fn letters_change_who_and_how() {
        let text = assign(&["-u", "-H", "-c+", "-/"]).unwrap();
        assert!(text.contains("+Bob+:Bob:10:10:/h/bob:-/::\n"));
        assert!(text.contains("=gone:"));
        assert!(!assign(&["-C"]).unwrap().contains("+ann"));
        assert!(assign(&["-h"]).is_err());
    }
}
