//! Where a new password comes from, and what is stored for it.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;

use base64::Engine as _;
use clap::Args;
use directory::password::{self, Method};
use directory::secret::{self, Keep};
use nix::sys::termios::{self, LocalFlags, SetArg};
use run::Exit;
use serde::{Deserialize, Serialize};
use settings::users;
use zeroize::Zeroizing;

use crate::site::{Site, file, permanent, refused};

/// Longest line that is read as a password.
const INPUT_BYTES_MAX: u64 = 4096;

/// Options that all commands have which set a password.
#[derive(Args, Debug)]
pub struct PasswordOptions {
    /// Generate a password of this many characters (at least 12) and print it
    #[arg(short = 'r', value_name = "LEN")]
    pub random: Option<usize>,
    /// Read the password from the first line of a file
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Read the password from the first line of standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// Hash: argon2id (default), sha-512, yescrypt
    #[arg(short = 'h', value_name = "HASH")]
    pub hash: Option<String>,
    /// SCRAM mechanism to store keys for
    #[arg(short = 'm', value_name = "MECHANISM", default_value = "SCRAM-SHA-256")]
    pub mechanism: String,
    /// Store the clear text too, for CRAM-MD5; needs control/cram_md5
    #[arg(short = 'C')]
    pub clear_text: bool,
    /// Salt for SCRAM in base64; random without
    #[arg(short = 'S', value_name = "SALT")]
    pub salt: Option<String>,
    /// Iterations for SCRAM
    #[arg(short = 'I', value_name = "N", default_value_t = secret::ITERATIONS_DEFAULT)]
    pub iterations: u32,
}

/// What is stored for a password.
#[derive(Deserialize, Serialize)]
pub struct Stored {
    /// The crypt string.
    pub hash: String,
    /// Column `scram`.
    pub scram: Option<String>,
}

impl PasswordOptions {
    /// The password: given, generated (and printed), from a file, from
    /// standard input, or asked for.
    pub fn password(&self, given: Option<&str>) -> Result<Zeroizing<String>, Exit> {
        let password = if let Some(chars) = self.random {
            let password = password::generate(chars);
            println!("Password is {}", *password);
            password
        } else if let Some(path) = &self.password_file {
            let content = std::fs::File::open(path).map_err(|error| file(path, &error))?;
            first_line(content)?
        } else if let Some(given) = given {
            Zeroizing::new(given.to_owned())
        } else if self.password_stdin || !std::io::stdin().is_terminal() {
            first_line(std::io::stdin())?
        } else {
            ask_twice()?
        };
        password::check_new(password.as_bytes()).map_err(|error| refused(&error))?;
        Ok(password)
    }

    /// What is stored for a password.
    pub fn stored(&self, site: &Site, password: &str) -> Result<Stored, Exit> {
        let hash = password::hash(password.as_bytes(), self.method(site)?)
            .map_err(|error| refused(&error))?;
        if self.mechanism != "SCRAM-SHA-256" {
            return Err(permanent(
                "-m: SCRAM-SHA-256 is the only mechanism keys are made for",
            ));
        }
        let allowed = site.is_on(&users::CRAM_MD5)?;
        if self.clear_text && !allowed {
            return Err(permanent(
                "-C: clear text is stored only when control/cram_md5 is 1",
            ));
        }
        let keep = if allowed { Keep::ClearText } else { Keep::Keys };
        let salt = match &self.salt {
            Some(text) => Some(
                base64::engine::general_purpose::STANDARD
                    .decode(text)
                    .map_err(|_| permanent("-S: the salt is not base64"))?,
            ),
            None => None,
        };
        let column = secret::column(password.as_bytes(), salt.as_deref(), self.iterations, keep)
            .map_err(|error| refused(&error))?;
        Ok(Stored {
            hash,
            scram: Some(column.to_string()),
        })
    }

    /// What is stored for the password of a new account: of the one that is
    /// given, encrypted already or not, or else of what [`Self::password`]
    /// finds.
    pub fn of_new(
        &self,
        site: &Site,
        given: Option<&str>,
        is_encrypted: bool,
    ) -> Result<Stored, Exit> {
        match (given, is_encrypted) {
            (Some(hash), true) => Self::encrypted(hash),
            (None, true) => Err(permanent("-e needs a password")),
            (given, false) => {
                let password = self.password(given)?;
                self.stored(site, &password)
            }
        }
    }

    /// A password somebody else has encrypted; only known kinds are taken.
    pub fn encrypted(text: &str) -> Result<Stored, Exit> {
        if password::Kind::of(text) == password::Kind::Unknown {
            return Err(permanent(
                "-e: this is no hash I can check passwords against",
            ));
        }
        Ok(Stored {
            hash: text.to_owned(),
            scram: None,
        })
    }

    fn method(&self, site: &Site) -> Result<Method, Exit> {
        let name = match &self.hash {
            Some(name) => name.clone(),
            None => site.text(&users::HASH_METHOD)?,
        };
        if Method::is_obsolete_name(&name) {
            eprintln!("warning: {name} is too weak for new passwords; I use argon2id");
            return Ok(Method::default());
        }
        Method::parse(&name).ok_or_else(|| {
            permanent(format!(
                "unknown hash {name}: argon2id, sha-512 or yescrypt"
            ))
        })
    }
}

/// The first line of standard input.
pub fn read_password() -> Result<Zeroizing<String>, Exit> {
    first_line(std::io::stdin())
}

fn first_line(input: impl Read) -> Result<Zeroizing<String>, Exit> {
    let mut line = Zeroizing::new(String::new());
    std::io::BufReader::new(input.take(INPUT_BYTES_MAX))
        .read_line(&mut line)
        .map_err(|error| permanent(format!("cannot read the password: {error}")))?;
    let end = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(end);
    Ok(line)
}

/// Asks on the terminal, without echo.
fn ask_twice() -> Result<Zeroizing<String>, Exit> {
    let first = ask("Please enter password: ")?;
    let second = ask("Please enter password again: ")?;
    if *first == *second {
        Ok(first)
    } else {
        Err(permanent("the two passwords differ"))
    }
}

fn ask(prompt: &str) -> Result<Zeroizing<String>, Exit> {
    let stdin = std::io::stdin();
    let failed = |error: &dyn std::error::Error| permanent(format!("cannot ask: {error}"));
    eprint!("{prompt}");
    let _ = std::io::stderr().flush();
    let before = termios::tcgetattr(stdin.as_fd()).map_err(|error| failed(&error))?;
    let mut silent = before.clone();
    silent.local_flags.remove(LocalFlags::ECHO);
    termios::tcsetattr(stdin.as_fd(), SetArg::TCSAFLUSH, &silent)
        .map_err(|error| failed(&error))?;
    let mut line = Zeroizing::new(String::new());
    let read = stdin.lock().read_line(&mut line);
    let _ = termios::tcsetattr(stdin.as_fd(), SetArg::TCSAFLUSH, &before);
    eprintln!();
    read.map_err(|error| failed(&error))?;
    let end = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(end);
    Ok(line)
}
