//! tai64n, tai64nlocal, tai64nunix: time stamps of lines.

use std::ffi::OsString;
use std::io::{self, BufRead, Read, Write};

use run::Exit;
use tai::{Civil, Label, UnixTime};

use crate::exec::{system, usage};

/// A stamp in text.
const LABEL_BYTES: usize = 25;
const READ_BYTES: usize = 64 * 1024;

/// Puts a stamp before each line, as its first byte arrives.
pub fn tai64n(arguments: &[OsString]) -> Result<u8, Exit> {
    no_arguments(arguments)?;
    let mut buffer = vec![0; READ_BYTES];
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut at_start = true;
    loop {
        let length = input.read(&mut buffer).map_err(system("read input"))?;
        if length == 0 {
            return Ok(0);
        }
        let mut out = Vec::with_capacity(length + LABEL_BYTES);
        for line in buffer[..length].split_inclusive(|&b| b == b'\n') {
            if at_start {
                let (seconds, nanoseconds) = os::clock::now();
                let label = Label(UnixTime {
                    seconds,
                    nanoseconds,
                });
                out.extend_from_slice(format!("{label} ").as_bytes());
            }
            out.extend_from_slice(line);
            at_start = line.ends_with(b"\n");
        }
        output
            .write_all(&out)
            .and_then(|()| output.flush())
            .map_err(system("write output"))?;
    }
}

/// Replaces the stamp at the start of a line by local time.
pub fn tai64nlocal(arguments: &[OsString]) -> Result<u8, Exit> {
    no_arguments(arguments)?;
    replace(|time| local(time, os::clock::local_offset(time.seconds)))
}

/// Replaces the stamp at the start of a line by Unix seconds.
pub fn tai64nunix(arguments: &[OsString]) -> Result<u8, Exit> {
    no_arguments(arguments)?;
    replace(|time| format!("{}.{:09}", time.seconds, time.nanoseconds))
}

fn no_arguments(arguments: &[OsString]) -> Result<(), Exit> {
    if arguments.is_empty() {
        Ok(())
    } else {
        Err(usage())
    }
}

fn local(time: UnixTime, offset: i64) -> String {
    let c = Civil::from_unix(time.seconds.saturating_add(offset));
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:09}",
        c.year, c.month, c.day, c.hour, c.minute, c.second, time.nanoseconds
    )
}

/// Copies lines; what has no stamp passes unchanged, and so does the rest of
/// a line that is longer than memory should hold.
fn replace(print: impl Fn(UnixTime) -> String) -> Result<u8, Exit> {
    let mut input = io::BufReader::with_capacity(READ_BYTES, io::stdin().lock());
    let mut output = io::stdout().lock();
    let mut line = Vec::new();
    let mut at_start = true;
    loop {
        line.clear();
        let mut limited = input.by_ref().take(READ_BYTES as u64);
        if limited
            .read_until(b'\n', &mut line)
            .map_err(system("read input"))?
            == 0
        {
            return Ok(0);
        }
        let label = if at_start {
            Label::parse(&line).ok()
        } else {
            None
        };
        let out = match label {
            Some(Label(time)) => [print(time).as_bytes(), &line[LABEL_BYTES..]].concat(),
            None => line.clone(),
        };
        at_start = line.ends_with(b"\n");
        output
            .write_all(&out)
            .and_then(|()| output.flush())
            .map_err(system("write output"))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_golden_stamp_of_the_guide() {
        let Label(time) = Label::parse(b"@4000000038c3eeb027f41c7c").unwrap();
        assert_eq!(local(time, 0), "2000-03-06 17:45:10.670309500");
        assert_eq!(
            local(time, 5 * 3600 + 1800),
            "2000-03-06 23:15:10.670309500"
        );
    }
}
