//! batv: makes and reads the tags of bounce addresses (smtp-receiving.md
//! §2.11).

use std::io::Write;

use policy::batv::{self, Tag};
use run::{Exit, ProgramEnd, TEMPORARY};

const HELP: &str = "\
usage: batv -k KEY [-t DAYS] -s ADDRESS | -v ADDRESS

-s prints ADDRESS with a tag made with KEY today, -v the address without its
tag, when KEY made it and it is not older than DAYS (7).
Exit codes: 0 done, 1 there is no tag, 2 it is not ours, 3 it is too old, 100
wrong use, 111 trouble.";
const DAYS: u16 = 7;
const CODE_NONE: u8 = 1;
const CODE_BAD: u8 = 2;
const CODE_EXPIRED: u8 = 3;

/// The program.
pub fn main(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    if matches!(arguments, [only] if only == b"--help") {
        println!("{HELP}");
        return Ok(().into());
    }
    let wrong = || run::usage::misused(HELP);
    let (mut key, mut days_max, mut asked) = (None, DAYS, None);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(wrong)?;
        match &word[..] {
            b"-k" if !value.is_empty() => key = Some(value.clone()),
            b"-t" => {
                let text = std::str::from_utf8(value).ok();
                days_max = text.and_then(|t| t.parse().ok()).ok_or_else(wrong)?;
            }
            b"-s" | b"-v" if asked.is_none() => asked = Some((word[1], value)),
            _ => return Err(wrong()),
        }
    }
    let (Some(key), Some((what, address))) = (key, asked) else {
        return Err(wrong());
    };
    let today = batv::day(os::clock::unix_seconds());
    let failed = |code, text: &str| Err(Exit::new(code, text));
    let result = match what {
        // As qmail-remote has it: this prefix asks for no tag.
        b's' => match address.strip_prefix(b"sb*-") {
            Some(plain) => plain.to_vec(),
            None => batv::sign(&key, today, address),
        },
        _ => match batv::verify(&[key], today, days_max, address) {
            Tag::Good(original) => original,
            Tag::None => return failed(CODE_NONE, "the address has no tag"),
            Tag::Bad => return failed(CODE_BAD, "the tag was not made with this key"),
            Tag::Expired => return failed(CODE_EXPIRED, "the tag is too old"),
        },
    };
    std::io::stdout()
        .write_all(&[&result[..], b"\n"].concat())
        .map_err(|error| Exit::new(TEMPORARY, format!("cannot write: {error}")))?;
    Ok(().into())
}
