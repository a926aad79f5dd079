//! 822print: a message to be read on a terminal or by more(1), bold and
//! underlined by overstriking.

use message::Line;
use run::{Exit, ProgramEnd};

use super::{Input, say};

/// What people want to see first, in this order.
const SHOWN: [&str; 6] = ["date", "from", "to", "cc", "reply-to", "subject"];
const UNDERLINED: &str = "subject";

/// The program.
pub fn print(_: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    let mut input = Input::open();
    let start = input.start()?;
    for name in SHOWN {
        for field in start.header.fields().filter(|field| field.is(name)) {
            let value = text::log::printable(&field.unfolded(), 2000);
            let value = match name {
                UNDERLINED => overstruck(&value, |c| format!("_\x08{c}")),
                _ => value,
            };
            let shown = text::log::printable(field.name, 100);
            let shown = overstruck(&shown, |c| format!("{c}\x08{c}"));
            say(format!("{shown}: {value}\n").as_bytes())?;
        }
    }
    say(b"\n")?;
    if start.end == Some(Line::Body) {
        say(&start.rest)?;
    }
    input.copy()?;
    Ok(().into())
}

fn overstruck(text: &str, how: impl Fn(char) -> String) -> String {
    text.chars()
        .map(|c| if c == ' ' { c.to_string() } else { how(c) })
        .collect()
}
