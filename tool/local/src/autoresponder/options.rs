//! The options of autoresponder.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use run::Exit;
use tai::Civil;

use crate::usage;

/// What the options say.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub attach: bool,
    pub quiet: bool,
    pub unaddressed: bool,
    pub links: bool,
    pub print: bool,
    pub replies_max: usize,
    /// `None`: for ever.
    pub window_seconds: Option<i64>,
    pub content_type: Option<Vec<u8>>,
    pub prefix: Vec<u8>,
    pub subject: Option<Vec<u8>>,
    pub begin: Option<String>,
    pub end: Option<String>,
    pub from: Option<Vec<u8>>,
    pub text: PathBuf,
    pub directory: PathBuf,
}

impl Options {
    /// Reads letters, alone or together, and their values, glued or apart.
    pub(super) fn parse(arguments: &[OsString]) -> Result<Self, Exit> {
        // 111 for a wrong call: mail waits until the line is mended.
        let wrong = || Exit::new(run::TEMPORARY, usage("autoresponder").text);
        let mut options = Self {
            attach: false,
            quiet: false,
            unaddressed: false,
            links: true,
            print: false,
            replies_max: 1,
            window_seconds: Some(604_800),
            content_type: None,
            prefix: b"Autoreply: Re: ".to_vec(),
            subject: None,
            begin: None,
            end: None,
            from: None,
            text: PathBuf::new(),
            directory: PathBuf::new(),
        };
        let mut rest = arguments.iter();
        let mut positional = Vec::new();
        while let Some(argument) = rest.next() {
            let bytes = argument.as_bytes();
            let Some(letters) = bytes.strip_prefix(b"-").filter(|l| !l.is_empty()) else {
                positional.push(argument);
                continue;
            };
            if letters == b"-" {
                positional.extend(rest.by_ref());
                break;
            }
            for (at, letter) in letters.iter().enumerate() {
                if options.switch(*letter) {
                    continue;
                }
                let glued = &letters[at + 1..];
                let value = match glued {
                    [] => rest.next().ok_or_else(wrong)?.clone(),
                    glued => OsStr::from_bytes(glued).to_owned(),
                };
                options.value(*letter, value).ok_or_else(wrong)?;
                break;
            }
        }
        let [text, directory] = positional[..] else {
            return Err(wrong());
        };
        options.text = text.into();
        options.directory = directory.into();
        Ok(options)
    }

    fn switch(&mut self, letter: u8) -> bool {
        match letter {
            b'c' => self.attach = true,
            b'q' => self.quiet = true,
            b'l' => self.unaddressed = true,
            b'L' => self.links = false,
            b'N' => self.print = true,
            _ => return false,
        }
        true
    }

    /// `None`: there is no such letter, or it does not take such a value.
    fn value(&mut self, letter: u8, value: OsString) -> Option<()> {
        let number = || value.to_str()?.parse::<i64>().ok();
        match letter {
            b'n' => self.replies_max = usize::try_from(number()?).ok()?,
            b't' => self.window_seconds = Some(number()?).filter(|seconds| 0 <= *seconds),
            b'T' => self.content_type = Some(content_type(value)?),
            b's' => self.prefix = value.into_vec(),
            b'S' => self.subject = Some(value.into_vec()),
            b'b' => self.begin = Some(date(&value)?),
            b'e' => self.end = Some(date(&value)?),
            b'f' => self.from = Some(value.into_vec()),
            _ => return None,
        }
        Some(())
    }

    /// Says whether now is between `-b` and `-e`.
    pub(super) fn is_time(&self, now: i64) -> bool {
        let now = Civil::from_unix(now + os::clock::local_offset(now));
        let now = format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            now.year, now.month, now.day, now.hour, now.minute, now.second
        );
        self.begin.as_ref().is_none_or(|begin| *begin <= now)
            && self.end.as_ref().is_none_or(|end| now <= *end)
    }
}

/// `YYYY-mm-dd HH:MM:SS`, which sorts as time does.
fn date(value: &OsStr) -> Option<String> {
    let text = value.to_str()?;
    let shape = b"dddd-dd-dd dd:dd:dd";
    let fits = text.len() == shape.len()
        && text.bytes().zip(shape).all(|(byte, &wanted)| match wanted {
            b'd' => byte.is_ascii_digit(),
            wanted => byte == wanted,
        });
    fits.then(|| text.to_owned())
}

/// A content type, or a file that starts with one.
fn content_type(value: OsString) -> Option<Vec<u8>> {
    match std::fs::read(&value) {
        Ok(content) => Some(text::control::line(&content)?.to_vec()),
        Err(_) => Some(value.into_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, Exit> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        Options::parse(&words)
    }

    #[test]
    fn letters_may_be_glued() {
        let options = parse(&["-cqn3", "-t", "-1", "-sRe: ", "text", "dir"]).unwrap();
        assert!(options.attach && options.quiet && options.links);
        assert_eq!((options.replies_max, options.window_seconds), (3, None));
        assert_eq!(options.prefix, b"Re: ");
        assert_eq!(options.directory, PathBuf::from("dir"));
    }

    #[test]
    fn a_wrong_call_defers() {
        for wrong in [
            &["text"][..],
            &["-x", "text", "dir"],
            &["-n", "many", "text", "dir"],
            &["-b", "tomorrow", "text", "dir"],
            &["text", "dir", "-n"],
        ] {
            assert_eq!(parse(wrong).unwrap_err().code, run::TEMPORARY, "{wrong:?}");
        }
    }

    #[test]
    fn only_between_begin_and_end() {
        let at = |words: &[&str]| {
            let words = [words, &["text", "dir"]].concat();
            parse(&words).unwrap().is_time(1_000_000_000)
        };
        assert!(at(&[]));
        assert!(at(&[
            "-b",
            "2001-09-01 00:00:00",
            "-e",
            "2001-10-01 00:00:00"
        ]));
        assert!(!at(&["-b", "2001-10-01 00:00:00"]));
        assert!(!at(&["-e", "2001-09-01 00:00:00"]));
    }
}
