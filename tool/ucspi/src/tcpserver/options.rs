//! The command line.

use std::time::Duration;

use run::{Exit, PERMANENT};

use crate::letters::{self, Letters};

/// How much is said.
#[derive(Clone, Copy, Debug, Eq, PartialEq, PartialOrd)]
pub enum Verbosity {
    Silent,
    Errors,
    Everything,
}

/// Most programs at once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Limit {
    Number(usize),
    /// A control file.
    File(String),
}

/// Whose rights are kept.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    pub user: Option<String>,
    pub groups: Vec<String>,
    /// `-U`.
    pub of_environment: bool,
}

/// What the command line says.
#[derive(Debug)]
pub struct Options<'a> {
    pub verbosity: Verbosity,
    pub limit: Limit,
    pub per_host: usize,
    pub rules: Option<&'a str>,
    pub rules_may_be_missing: bool,
    pub banner: &'a str,
    pub rights: Rights,
    pub prints_port: bool,
    pub backlog: i32,
    pub delays: bool,
    pub finds_name: bool,
    pub confirms_name: bool,
    pub local_name: Option<&'a str>,
    pub ident: Option<Duration>,
    pub host: &'a str,
    pub port: &'a str,
    pub program: &'a [String],
}

impl<'a> Options<'a> {
    /// Reads the words after the program's name.
    pub fn parse(words: &'a [String], usage: &str) -> Result<Self, Exit> {
        let mut letters = Letters::new(words);
        let mut options = Self {
            verbosity: Verbosity::Errors,
            limit: Limit::Number(40),
            per_host: 20,
            rules: None,
            rules_may_be_missing: false,
            banner: "",
            rights: Rights::default(),
            prints_port: false,
            backlog: 20,
            delays: true,
            finds_name: true,
            confirms_name: false,
            local_name: None,
            ident: Some(Duration::from_secs(26)),
            host: "",
            port: "",
            program: &[],
        };
        let mut ident_limit = Duration::from_secs(26);
        let mut asks_ident = true;
        // MAXPERIP of our own environment is the general limit; -C is
        // stronger.
        if let Some(number) = std::env::var("MAXPERIP").ok().and_then(|n| n.parse().ok()) {
            options.per_host = number;
        }
        while let Some(letter) = letters.next() {
            match letter {
                'q' => options.verbosity = Verbosity::Silent,
                'Q' => options.verbosity = Verbosity::Errors,
                'v' => options.verbosity = Verbosity::Everything,
                'c' => {
                    let value = letters.value('c')?;
                    options.limit = match value.parse() {
                        Ok(number) => Limit::Number(number),
                        Err(_) => Limit::File(value.to_owned()),
                    };
                }
                'C' => options.per_host = letters.number('C')? as usize,
                'x' => options.rules = Some(letters.value('x')?),
                'X' => options.rules_may_be_missing = true,
                'B' => options.banner = letters.value('B')?,
                'u' => options.rights.user = Some(letters.value('u')?.to_owned()),
                'g' => {
                    let groups = letters.value('g')?.split(',');
                    options.rights.groups = groups.map(str::to_owned).collect();
                }
                'U' => options.rights.of_environment = true,
                '1' => options.prints_port = true,
                'b' => options.backlog = i32::try_from(letters.number('b')?).unwrap_or(i32::MAX),
                'd' => options.delays = true,
                'D' => options.delays = false,
                'h' => options.finds_name = true,
                'H' => options.finds_name = false,
                'p' => options.confirms_name = true,
                'P' => options.confirms_name = false,
                'l' => options.local_name = Some(letters.value('l')?),
                'r' => asks_ident = true,
                'R' => asks_ident = false,
                't' => ident_limit = Duration::from_secs(letters.number('t')?),
                'o' | 'O' | '4' | '6' => {}
                other => return Err(letters::unknown("tcpserver", other)),
            }
        }
        options.ident = asks_ident.then_some(ident_limit);
        let [host, port, program @ ..] = letters.others() else {
            return Err(run::usage::misused(usage));
        };
        if program.is_empty() {
            return Err(run::usage::misused(usage));
        }
        if options.backlog == 0 {
            return Err(Exit::new(PERMANENT, "-b needs a number above 0"));
        }
        (options.host, options.port, options.program) = (host, port, program);
        Ok(options)
    }

    /// Says something about every connection.
    pub fn status(&self, text: &str) {
        if self.verbosity == Verbosity::Everything {
            eprintln!("tcpserver: {text}");
        }
    }

    /// Says that something is wrong.
    pub fn warn(&self, text: &str) {
        if Verbosity::Errors <= self.verbosity {
            eprintln!("tcpserver: warning: {text}");
        }
    }
}
