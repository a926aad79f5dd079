//! Writing to standard output, and making foreign text safe for a terminal.

use std::io::{self, Write};

use run::Exit;

/// Writes everything. A reader that went away is no error.
pub fn print(text: &[u8]) -> Result<(), Exit> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Exit::new(run::TEMPORARY, format!("cannot write: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints a value for programs.
pub fn print_json(value: &impl serde::Serialize) -> Result<(), Exit> {
    let json = serde_json::to_string_pretty(value)
        .map_err(|error| Exit::new(run::TEMPORARY, format!("cannot print JSON: {error}")))?;
    print(format!("{json}\n").as_bytes())
}

/// Unprintable bytes become `_`.
pub fn printable(text: &[u8]) -> String {
    let safe = |&b: &u8| {
        if (33..=126).contains(&b) {
            char::from(b)
        } else {
            '_'
        }
    };
    text.iter().map(safe).collect()
}
