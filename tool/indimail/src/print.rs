//! What is printed, for readers who may have had enough (`… | head`).

use std::fmt::Arguments;
use std::io::{self, BufWriter, IsTerminal, Write};

/// As `println!`, but a reader that went away ends the program in peace.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::print::line(format_args!($($text)*))
    };
}
pub(crate) use say;

/// Prints a line.
pub fn line(text: Arguments<'_>) {
    let mut out = io::stdout().lock();
    let written = out.write_fmt(text).and_then(|()| out.write_all(b"\n"));
    if let Err(error) = written {
        if error.kind() != io::ErrorKind::BrokenPipe {
            eprintln!("indimail: fatal: cannot write: {error}");
            std::process::exit(1);
        }
        std::process::exit(0);
    }
}

/// Many lines, or the elements of a JSON array: printed as they come, none
/// kept.
pub struct Listing {
    out: BufWriter<Box<dyn Write>>,
    is_watched: bool,
    is_json: bool,
    is_empty: bool,
}

impl Listing {
    /// To standard output.
    pub fn new(is_json: bool) -> Self {
        Self::to(Box::new(io::stdout()), is_json, io::stdout().is_terminal())
    }

    fn to(out: Box<dyn Write>, is_json: bool, is_watched: bool) -> Self {
        Self {
            out: BufWriter::new(out),
            is_watched,
            is_json,
            is_empty: true,
        }
    }

    /// Prints one: its JSON, or what `text` makes of it.
    pub fn push<T: serde::Serialize>(
        &mut self,
        one: &T,
        text: impl FnOnce(&T) -> String,
    ) -> io::Result<()> {
        if self.is_json {
            let before: &[u8] = if self.is_empty { b"[\n  " } else { b",\n  " };
            self.out.write_all(before)?;
            serde_json::to_writer(&mut self.out, one)?;
        } else {
            writeln!(self.out, "{}", text(one))?;
        }
        self.is_empty = false;
        match self.is_watched {
            true => self.out.flush(),
            false => Ok(()),
        }
    }

    /// There are no more.
    pub fn finish(mut self) -> io::Result<()> {
        if self.is_json {
            let end: &[u8] = if self.is_empty { b"[]\n" } else { b"\n]\n" };
            self.out.write_all(end)?;
        }
        self.out.flush()
    }
}

/// Says whether an error is a reader that went away.
pub fn is_reader_gone(error: &(dyn std::error::Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    struct Sent(mpsc::Sender<Vec<u8>>);

    impl Write for Sent {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.0.send(bytes.to_vec()) {
                Ok(()) => Ok(bytes.len()),
                Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_array_is_an_array_however_many_there_are() {
        for count in 0..3_u64 {
            let (sender, sent) = mpsc::channel();
            let mut listing = Listing::to(Box::new(Sent(sender)), true, false);
            for n in 0..count {
                listing.push(&n, |_| unreachable!()).unwrap();
            }
            listing.finish().unwrap();
            let all: Vec<u8> = sent.iter().flatten().collect();
            let read: Vec<u64> = serde_json::from_slice(&all).unwrap();
            assert_eq!(read, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn nothing_is_kept_and_a_reader_that_went_away_is_no_trouble() {
        let (sender, sent) = mpsc::channel();
        let mut listing = Listing::to(Box::new(Sent(sender)), false, false);
        for n in 0..10_000 {
            listing.push(&n, u64::to_string).unwrap();
        }
        assert!(4 < sent.try_iter().count());
        drop(sent);
        let error = (0..10_000).try_for_each(|n| listing.push(&n, u64::to_string));
        assert!(is_reader_gone(&error.unwrap_err()));
    }
}
