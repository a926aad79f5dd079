//! svstat: what the status file says.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::Path;

use run::Exit;
use tai::Label;

use crate::control::is_without_reader;
use crate::exec::usage;

/// Bytes every version of the status file has.
const STATUS_BYTES_MIN: usize = 18;
/// Where later releases say that the service is up.
const UP_BYTE: usize = 20;

/// Exit codes, for the last service named.
const RUNNING: u8 = 0;
const DOWN: u8 = 1;
const NO_SUPERVISE: u8 = 2;
const PAUSED: u8 = 3;
const DOWN_WANTS_UP: u8 = 4;
const UP_WANTS_DOWN: u8 = 5;
const BAD_STATUS: u8 = 100;
const SYSTEM_ERROR: u8 = 111;

/// The state of one service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Status {
    /// Unix second of the last change.
    since: i64,
    /// 0 while it is down.
    pid: u32,
    paused: bool,
    want: u8,
}

/// Prints a line for each service.
pub fn svstat(arguments: &[OsString]) -> Result<u8, Exit> {
    if arguments.is_empty() {
        return Err(usage());
    }
    let mut code = RUNNING;
    for argument in arguments {
        let directory = Path::new(argument);
        let (line, its_code) = describe(directory, os::clock::unix_seconds());
        println!("{}: {line}", directory.display());
        code = its_code;
    }
    Ok(code)
}

fn describe(directory: &Path, now: i64) -> (String, u8) {
    if let Err(error) = std::fs::metadata(directory) {
        return (format!("unable to chdir: {error}"), SYSTEM_ERROR);
    }
    match os::file::open_fifo_write(&directory.join("supervise/ok")) {
        Ok(_) => {}
        Err(error) if is_without_reader(&error) => {
            return ("supervise not running".to_owned(), NO_SUPERVISE);
        }
        Err(error) => {
            return (
                format!("unable to open supervise/ok: {error}"),
                SYSTEM_ERROR,
            );
        }
    }
    match std::fs::read(directory.join("supervise/status")) {
        Ok(bytes) => match Status::parse(&bytes) {
            Some(status) => status.describe(directory.join("down").exists(), now),
            None => (
                "unable to read supervise/status: bad format".to_owned(),
                BAD_STATUS,
            ),
        },
        Err(error) => (
            format!("unable to open supervise/status: {error}"),
            SYSTEM_ERROR,
        ),
    }
}

impl Status {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes18 = bytes.first_chunk::<STATUS_BYTES_MIN>()?;
        let label: [u8; 12] = *bytes18.first_chunk()?;
        let pid = u32::from_le_bytes([bytes18[12], bytes18[13], bytes18[14], bytes18[15]]);
        // Later releases name supervise's own process while it is down.
        let is_up = bytes.get(UP_BYTE).is_none_or(|&up| up == 1);
        Some(Self {
            since: Label::from_bytes(label).0.seconds,
            pid: if is_up { pid } else { 0 },
            paused: bytes18[16] != 0,
            want: bytes18[17],
        })
    }

    fn describe(&self, has_down_file: bool, now: i64) -> (String, u8) {
        let seconds = now.saturating_sub(self.since).max(0);
        let is_up = self.pid != 0;
        let mut line = match is_up {
            true => format!("up (pid {}) {seconds} seconds", self.pid),
            false => format!("down {seconds} seconds"),
        };
        let mut add = |condition: bool, text: &str| {
            if condition {
                let _ = write!(line, ", {text}");
            }
        };
        add(is_up && has_down_file, "normally down");
        add(!is_up && !has_down_file, "normally up");
        add(is_up && self.paused, "paused");
        add(!is_up && self.want == b'u', "want up");
        add(is_up && self.want == b'd', "want down");
        let code = match (is_up, self.want) {
            (true, _) if self.paused => PAUSED,
            (true, b'd') => UP_WANTS_DOWN,
            (true, _) => RUNNING,
            (false, b'u') => DOWN_WANTS_UP,
            (false, _) => DOWN,
        };
        (line, code)
    }
}

#[cfg(test)]
mod tests {
    use tai::UnixTime;

    use super::*;

    fn file(pid: u32, paused: u8, want: u8, rest: &[u8]) -> Vec<u8> {
        let time = UnixTime {
            seconds: 1000,
            nanoseconds: 5,
        };
        let mut bytes = Label(time).to_bytes().to_vec();
        bytes.extend(pid.to_le_bytes());
        bytes.extend([paused, want]);
        bytes.extend(rest);
        bytes
    }

    fn line(bytes: &[u8], has_down_file: bool) -> (String, u8) {
        Status::parse(bytes)
            .unwrap()
            .describe(has_down_file, 23_230)
    }

    #[test]
    fn the_lines_of_the_guide() {
        let expected = ("up (pid 1838) 22230 seconds".to_owned(), RUNNING);
        assert_eq!(line(&file(1838, 0, b'u', b""), false), expected);
        let expected = ("down 22230 seconds, normally up".to_owned(), DOWN);
        assert_eq!(line(&file(0, 0, b'd', b""), false), expected);
    }

    #[test]
    fn wishes_that_are_not_fulfilled_are_told() {
        let (text, code) = line(&file(7, 1, b'd', b""), true);
        assert_eq!(
            text,
            "up (pid 7) 22230 seconds, normally down, paused, want down"
        );
        assert_eq!(code, PAUSED);
        let (text, code) = line(&file(0, 0, b'u', b""), true);
        assert_eq!(
            (text.as_str(), code),
            ("down 22230 seconds, want up", DOWN_WANTS_UP)
        );
    }

    #[test]
    fn the_longer_file_of_later_releases_is_understood() {
        assert_eq!(line(&file(7, 0, b'd', &[0, 0, 0]), true).1, DOWN);
        assert_eq!(line(&file(7, 0, b'u', &[0, 0, 1]), false).1, RUNNING);
        assert_eq!(Status::parse(&file(7, 0, b'u', b"")[..17]), None);
    }

    #[test]
    fn a_stamp_in_the_future_is_now() {
        let status = Status::parse(&file(7, 0, b'u', b"")).unwrap();
        assert_eq!(status.describe(false, 0).0, "up (pid 7) 0 seconds");
    }

    #[test]
    fn what_is_written_is_read() {
        property::holds(|u| {
            let (pid, paused, want) = u.arbitrary()?;
            let later = *u.choose(&[&b""[..], &[0, 0], &[0, 0, 1, 7]])?;
            let status = Status::parse(&file(pid, paused, want, later)).unwrap();
            let expected = Status {
                since: 1000,
                pid,
                paused: paused != 0,
                want,
            };
            assert_eq!(status, expected);
            Ok(())
        });
    }
}
