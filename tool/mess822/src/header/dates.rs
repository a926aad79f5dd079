//! 822date and 822received.

use message::{Date, Field};
use run::{Exit, PERMANENT, ProgramEnd};

use super::{Input, is_one_of, say, verdict};

/// `822date [field]`: a date in its own zone, in UTC and in local time.
pub fn date(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    let default = b"date".to_vec();
    let name = match arguments {
        [] => &default,
        [name] => name,
        _ => return Err(Exit::new(PERMANENT, "one field only; see --help")),
    };
    let names = std::slice::from_ref(name);
    let start = Input::open().start()?;
    let mut found = false;
    for field in start.header.fields().filter(|f| is_one_of(f, names)) {
        let Some(date) = Date::parse(field.value) else {
            continue;
        };
        found = true;
        let utc = Date {
            zone: Some(0),
            ..date
        };
        let local = tai::mbox_date(date.unix + os::clock::local_offset(date.unix));
        say(format!("{}\n{}\n{local}\n", date.to_iso(), utc.to_iso()).as_bytes())?;
    }
    Ok(verdict(found))
}

/// `822received`: the way of the message, oldest step first.
pub fn received(_: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    let start = Input::open().start()?;
    let fields: Vec<Field<'_>> = start.header.fields().filter(|f| f.is("received")).collect();
    let mut before: Option<i64> = None;
    for field in fields.iter().rev() {
        let value = field.unfolded();
        let semicolon = value.iter().rposition(|&b| b == b';');
        let (what, when) = value.split_at(semicolon.unwrap_or(value.len()));
        let date = Date::parse(when.strip_prefix(b";").unwrap_or(when));
        let (shown, step) = match date {
            None => ("no date                  ".to_owned(), String::new()),
            Some(date) => {
                let step = before.map_or(String::new(), |then| format!("{:+}", date.unix - then));
                before = Some(date.unix);
                let utc = Date {
                    zone: Some(0),
                    ..date
                };
                (utc.to_iso(), step)
            }
        };
        let what = text::log::printable(what.trim_ascii(), 400);
        say(format!("{shown} {step:>6}s {what}\n")
            .replace("      s ", "        ")
            .as_bytes())?;
    }
    Ok(verdict(!fields.is_empty()))
}
