//! splogger: hands lines to syslog (queue-and-delivery.md §9.9).

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;

use run::Exit;
use tai::Civil;

use crate::exec::{system, usage};

/// Where syslog listens.
const SOCKET: &str = "/dev/log";
/// Most bytes of a line in one message; the rest follows in further ones.
const CHUNK_BYTES: usize = 800;
const READ_BYTES: usize = 64 * 1024;
/// LOG_MAIL of syslog(3), by its number.
const FACILITY_DEFAULT: u8 = 2;
/// LOG_LOCAL7.
const FACILITY_MAX: u8 = 23;

/// How urgent a line is (syslog(3)).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Priority {
    Alert = 1,
    Warning = 4,
    Info = 6,
}

/// `splogger [TAG [FACILITY]]`.
pub fn splogger(arguments: &[OsString]) -> Result<u8, Exit> {
    let (tag, facility) = match arguments {
        [] => ("splogger".into(), FACILITY_DEFAULT),
        [tag] => (tag.to_string_lossy(), FACILITY_DEFAULT),
        [tag, facility] => {
            let number = facility.to_str().and_then(|text| text.parse().ok());
            let number = number.filter(|number| *number <= FACILITY_MAX);
            (tag.to_string_lossy(), number.ok_or_else(usage)?)
        }
        _ => return Err(usage()),
    };
    let mut log = Log::new(Path::new(SOCKET));
    let mut lines = Lines::default();
    let mut input = io::stdin().lock();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let length = input.read(&mut buffer).map_err(system("read input"))?;
        let (seconds, nanoseconds) = os::clock::now();
        let stamp = format!("{seconds}.{:06}", nanoseconds / 1000);
        let date = date(seconds + os::clock::local_offset(seconds));
        let chunks = match length {
            0 => lines.end(&stamp),
            _ => lines.take(&buffer[..length], &stamp),
        };
        for (priority, text) in chunks {
            let number = u32::from(facility) * 8 + priority as u32;
            log.send(format!("<{number}>{date} {tag}: {text}").as_bytes());
        }
        if length == 0 {
            return Ok(0);
        }
    }
}

/// As RFC 3164 §4.1.2 has it.
fn date(local_seconds: i64) -> String {
    let c = Civil::from_unix(local_seconds);
    format!(
        "{} {:2} {:02}:{:02}:{:02}",
        c.month_name(),
        c.day,
        c.hour,
        c.minute,
        c.second
    )
}

/// Lines as they are cut into messages.
#[derive(Debug, Default)]
struct Lines {
    chunk: String,
    /// Stamp and urgency of the line whose beginning is out already.
    continued: Option<(String, Priority)>,
}

impl Lines {
    fn take(&mut self, bytes: &[u8], stamp: &str) -> Vec<(Priority, String)> {
        let mut chunks = Vec::new();
        for &byte in bytes {
            if byte == b'\n' {
                chunks.extend(self.flush(stamp));
                self.continued = None;
                continue;
            }
            if self.chunk.len() == CHUNK_BYTES {
                chunks.extend(self.flush(stamp));
            }
            self.chunk.push(match byte {
                b' '..=b'~' => char::from(byte),
                _ => '?',
            });
        }
        chunks
    }

    /// The last line may lack its newline.
    fn end(&mut self, stamp: &str) -> Vec<(Priority, String)> {
        self.flush(stamp).into_iter().collect()
    }

    fn flush(&mut self, stamp: &str) -> Option<(Priority, String)> {
        let chunk = std::mem::take(&mut self.chunk);
        if chunk.is_empty() {
            return None;
        }
        if let Some((stamp, priority)) = &self.continued {
            return Some((*priority, format!("{stamp}+{chunk}")));
        }
        let priority = if chunk.starts_with("alert:") {
            Priority::Alert
        } else if chunk.starts_with("warning:") {
            Priority::Warning
        } else {
            Priority::Info
        };
        self.continued = Some((stamp.to_owned(), priority));
        Some((priority, format!("{stamp} {chunk}")))
    }
}

/// The way to syslog, which may be started again at any time.
#[derive(Debug)]
struct Log<'a> {
    socket: &'a Path,
    connection: Option<Connection>,
    is_away: bool,
}

#[derive(Debug)]
enum Connection {
    Datagrams(UnixDatagram),
    Stream(UnixStream),
}

impl<'a> Log<'a> {
    fn new(socket: &'a Path) -> Self {
        Self {
            socket,
            connection: None,
            is_away: false,
        }
    }

    /// Sends a message; says so once when nobody takes them.
    fn send(&mut self, message: &[u8]) {
        let sent = self.try_send(message).or_else(|_| {
            self.connection = None;
            self.try_send(message)
        });
        if let Err(error) = &sent
            && !self.is_away
        {
            let socket = self.socket.display();
            run::warn("splogger", &format!("no syslog at {socket}: {error}"));
        }
        self.is_away = sent.is_err();
    }

    fn try_send(&mut self, message: &[u8]) -> io::Result<()> {
        if self.connection.is_none() {
            self.connection = Some(Connection::open(self.socket)?);
        }
        match &mut self.connection {
            Some(Connection::Datagrams(socket)) => socket.send(message).map(drop),
            Some(Connection::Stream(stream)) => stream.write_all(&[message, b"\0"].concat()),
            None => Ok(()),
        }
    }
}

impl Connection {
    fn open(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        match socket.connect(path) {
            Ok(()) => Ok(Self::Datagrams(socket)),
            // The wrong kind of socket.
            Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EPROTOTYPE as i32) => {
                UnixStream::connect(path).map(Self::Stream)
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn lines_become_messages_wherever_they_are_cut() {
        let input = b"one\nwarning: t\xffw\to\n\nalert: three\nend";
        let whole = {
            let mut lines = Lines::default();
            let mut all = lines.take(input, "7.000001");
            all.extend(lines.end("7.000001"));
            all
        };
        let expected = [
            (Priority::Info, "7.000001 one"),
            (Priority::Warning, "7.000001 warning: t?w?o"),
            (Priority::Alert, "7.000001 alert: three"),
            (Priority::Info, "7.000001 end"),
        ];
        let expected = expected.map(|(priority, text)| (priority, text.to_owned()));
        assert_eq!(whole, expected);
        for cut in 0..input.len() {
            let mut lines = Lines::default();
            let mut all = lines.take(&input[..cut], "7.000001");
            all.extend(lines.take(&input[cut..], "7.000001"));
            all.extend(lines.end("7.000001"));
            assert_eq!(all, expected, "{cut}");
        }
    }

    #[test]
    fn a_long_line_goes_on_with_a_plus_and_the_stamp_of_its_start() {
        let mut lines = Lines::default();
        let line = format!("warning: {}", "x".repeat(1600));
        let mut all = lines.take(&line.as_bytes()[..700], "1.000000");
        all.extend(lines.take(&line.as_bytes()[700..], "1.000000"));
        all.extend(lines.take(b"\nnext\n", "2.000000"));
        assert_eq!(all.len(), 4);
        assert!(all[..3].iter().all(|(p, _)| *p == Priority::Warning));
        assert_eq!(all[0].1.len(), "1.000000 ".len() + CHUNK_BYTES);
        assert!(all[1].1.starts_with("1.000000+x") && all[2].1.starts_with("1.000000+x"));
        assert_eq!(all[3], (Priority::Info, "2.000000 next".to_owned()));
    }

    #[test]
    fn both_kinds_of_syslog_are_spoken_to_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = Log::new(&path);
        log.send(b"nobody hears this");
        for _ in 0..2 {
            let server = UnixDatagram::bind(&path).unwrap();
            log.send(b"<22>x");
            let mut buffer = [0; 100];
            let length = server.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"<22>x");
            drop(server);
            std::fs::remove_file(&path).unwrap();
        }
        let server = UnixListener::bind(&path).unwrap();
        log.send(b"<22>x");
        drop(log);
        let (mut stream, _) = server.accept().unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text, "<22>x\0");
    }

    #[test]
    fn days_are_padded_as_syslog_has_them() {
        assert_eq!(date(952_364_710), "Mar  6 17:45:10");
    }
}
