//! readproctitle: the last messages, for `ps` to see.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use run::Exit;

use crate::exec::{system, usage};

/// Dots that stay at the left.
const DOTS: usize = 3;
/// Fewest dots to begin with.
const TITLE_BYTES_MIN: usize = 5;

/// Shifts input into the last argument, byte by byte.
pub fn readproctitle(arguments: &[OsString]) -> Result<u8, Exit> {
    let title = arguments
        .last()
        .map(|last| last.as_bytes())
        .unwrap_or_default();
    if title.len() < TITLE_BYTES_MIN || title.iter().any(|&b| b != b'.') {
        return Err(usage());
    }
    let mut title = title.to_vec();
    let place = Place::of_last_argument(title.len()).map_err(system("find the title"))?;
    let mut buffer = [0; 4096];
    loop {
        let length = io::stdin()
            .lock()
            .read(&mut buffer)
            .map_err(system("read input"))?;
        if length == 0 {
            return Ok(0);
        }
        for &byte in buffer[..length].iter().filter(|&&byte| byte != 0) {
            shift(&mut title, byte);
        }
        place.write(&title).map_err(system("write the title"))?;
    }
}

fn shift(title: &mut [u8], byte: u8) {
    title[DOTS..].rotate_left(1);
    if let Some(last) = title.last_mut() {
        *last = byte;
    }
}

/// Where the kernel reads the last argument from, written like a file: no
/// pointer is needed.
struct Place {
    memory: File,
    offset: u64,
}

impl Place {
    fn of_last_argument(length: usize) -> io::Result<Self> {
        /// Number of `arg_end` in `/proc/self/stat`, counted from the field
        /// after the name, which may have blanks itself.
        const ARG_END: usize = 46;
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        let end: u64 = fields
            .split(' ')
            .nth(ARG_END)
            .and_then(|field| field.parse().ok())
            .filter(|&end| 0 < end)
            .ok_or_else(|| io::Error::other("/proc/self/stat does not tell"))?;
        let memory = File::options()
            .read(true)
            .write(true)
            .open("/proc/self/mem")?;
        // The argument and the NUL after it.
        let place = Self {
            memory,
            offset: end - 1 - length as u64,
        };
        let mut found = vec![0; length];
        place.memory.read_exact_at(&mut found, place.offset)?;
        if found.iter().all(|&byte| byte == b'.') {
            Ok(place)
        } else {
            Err(io::Error::other(
                "the last argument is not where it should be",
            ))
        }
    }

    fn write(&self, title: &[u8]) -> io::Result<()> {
        self.memory.write_all_at(title, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::shift;

    #[test]
    fn three_dots_stay() {
        let mut title = b".......".to_vec();
        b"abcdef".iter().for_each(|&byte| shift(&mut title, byte));
        assert_eq!(title, b"...cdef");
    }
}
