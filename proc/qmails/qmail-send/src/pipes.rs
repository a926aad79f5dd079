//! The pipes to the other processes of the queue, none of which is waited
//! for once the two-byte greeting of the spawners is read.

use std::fs::File;
use std::io::{self, Read, Write};

use schedule::Channel;

const READ_BYTES: usize = 16 * 1024;
/// What qmail-send takes from one peer before it looks at the others.
const TURN_BYTES_MAX: usize = 256 * 1024;
/// Longest message; a peer that sends a longer one is out of its mind.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// One pair of pipes.
#[derive(Debug)]
pub struct Pipe {
    write: File,
    read: File,
    output: Vec<u8>,
    /// The other side takes nothing at the moment.
    is_full: bool,
    input: Vec<u8>,
    /// What it is called in the log.
    pub name: &'static str,
    /// It is still there.
    pub is_open: bool,
}

/// All of them.
#[derive(Debug)]
pub struct Pipes {
    /// qmail-lspawn and qmail-rspawn.
    pub spawn: [Pipe; 2],
    /// qmail-clean.
    pub clean: Pipe,
    /// qmail-todo.
    pub todo: Pipe,
}

/// Takes the log and the pipes over from descriptors 0 to 8.
pub fn take() -> io::Result<(File, Pipes)> {
    let mut taken = os::fd::take_over(&[0, 1, 2, 3, 4, 5, 6, 7, 8])?.into_iter();
    let mut next = || {
        let closed = || io::Error::from(io::ErrorKind::NotConnected);
        taken.next().flatten().map(File::from).ok_or_else(closed)
    };
    let log = next()?;
    os::fd::redirect_stderr(&log)?;
    let mut pipe = |name| {
        Ok::<_, io::Error>(Pipe {
            write: next()?,
            read: next()?,
            output: Vec::new(),
            is_full: false,
            input: Vec::new(),
            name,
            is_open: true,
        })
    };
    let pipes = Pipes {
        spawn: [pipe("spawn")?, pipe("spawn")?],
        clean: pipe("qmail-clean")?,
        todo: pipe("qmail-todo")?,
    };
    Ok((log, pipes))
}

impl Pipes {
    /// All four, always in the same order.
    pub fn all(&self) -> [&Pipe; 4] {
        let [local, remote] = &self.spawn;
        [local, remote, &self.clean, &self.todo]
    }

    /// As [`Pipes::all`].
    pub fn all_mut(&mut self) -> [&mut Pipe; 4] {
        let [local, remote] = &mut self.spawn;
        [local, remote, &mut self.clean, &mut self.todo]
    }

    /// Writes what the turn collected. qmail-clean comes last, and waits for
    /// qmail-todo: when a number is free to be given away, qmail-todo knows.
    pub fn write_all(&mut self) {
        for pipe in self.spawn.iter_mut().chain([&mut self.todo]) {
            pipe.write_on();
        }
        if self.todo.output.is_empty() {
            self.clean.write_on();
        }
    }

    /// Reads how many deliveries each spawner runs at once; afterwards no
    /// pipe waits any more.
    pub fn read_limits(&mut self) -> Result<[usize; 2], String> {
        let mut limits = [0; 2];
        for channel in Channel::ALL {
            let mut limit = [0; 2];
            self.spawn[channel.index()]
                .read
                .read_exact(&mut limit)
                .map_err(|_| "hath the daemon spawn no fire?".to_owned())?;
            limits[channel.index()] = usize::from(u16::from_le_bytes(limit));
        }
        for pipe in self.all() {
            for file in [&pipe.write, &pipe.read] {
                os::fd::set_nonblocking(file, true).map_err(|error| error.to_string())?;
            }
        }
        Ok(limits)
    }
}

impl Pipe {
    /// Where to wait for bytes, while it is open.
    pub fn reader(&self) -> Option<&File> {
        self.is_open.then_some(&self.read)
    }

    /// Where to wait for room, while there is none.
    pub fn writer(&self) -> Option<&File> {
        (self.is_open && self.is_full).then_some(&self.write)
    }

    /// The other side is behind.
    pub fn is_congested(&self) -> bool {
        self.is_full
    }

    /// Collects bytes for the other side; [`Pipes::write_all`] writes them.
    pub fn send(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Writes as much of what was collected as the other side takes now.
    fn write_on(&mut self) {
        self.is_full = false;
        while self.is_open && !self.output.is_empty() {
            match self.write.write(&self.output) {
                Ok(length) => {
                    self.output.drain(..length);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_full = true;
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.is_open = false,
            }
        }
        if !self.is_open {
            self.output.clear();
        }
    }

    /// Reads what is there, up to a limit: a peer that goes on sending is read
    /// on in the next turn.
    pub fn read_on(&mut self) {
        let mut buffer = [0; READ_BYTES];
        let end = self.input.len() + TURN_BYTES_MAX;
        while self.is_open && self.input.len() < end {
            match self.read.read(&mut buffer) {
                Ok(0) => self.is_open = false,
                Ok(length) => {
                    self.input.extend_from_slice(&buffer[..length]);
                    if length < READ_BYTES {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.is_open = false,
            }
        }
    }

    /// Takes messages off the input while `take` finds one.
    pub fn take_all<T>(&mut self, take: impl Fn(&[u8]) -> Option<(T, usize)>) -> Vec<T> {
        let (mut messages, mut used) = (Vec::new(), 0);
        while let Some((message, length)) = take(&self.input[used..]) {
            used += length;
            messages.push(message);
        }
        self.input.drain(..used);
        // What is left is one message without an end.
        if MESSAGE_BYTES_MAX <= self.input.len() {
            self.is_open = false;
            self.input = Vec::new();
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe of qmail-send, and what the other side reads.
    fn pipe(name: &'static str) -> (Pipe, File) {
        let (there, write) = os::fd::pipe().unwrap();
        let (read, _) = os::fd::pipe().unwrap();
        for file in [&write, &there] {
            os::fd::set_nonblocking(file, true).unwrap();
        }
        let pipe = Pipe {
            write: write.into(),
            read: read.into(),
            output: Vec::new(),
            is_full: false,
            input: Vec::new(),
            name,
            is_open: true,
        };
        (pipe, there.into())
    }

    fn read(mut from: &File) -> usize {
        let (mut buffer, mut total) = ([0; 4096], 0);
        while let Ok(length) = from.read(&mut buffer) {
            total += length;
        }
        total
    }

    #[test]
    fn qmail_clean_hears_nothing_before_all_for_qmail_todo_is_written() {
        let [(local, _local), (remote, _remote)] = [pipe("spawn"), pipe("spawn")];
        let ((clean, to_clean), (todo, to_todo)) = (pipe("qmail-clean"), pipe("qmail-todo"));
        let mut pipes = Pipes {
            spawn: [local, remote],
            clean,
            todo,
        };
        let orders = vec![b'x'; 1 << 20];
        pipes.todo.send(&orders);
        pipes.clean.send(b"foop/1\0");
        pipes.write_all();
        assert!(pipes.todo.is_congested() && pipes.todo.writer().is_some());
        let mut heard = 0;
        while pipes.todo.is_congested() {
            assert_eq!(read(&to_clean), 0, "after {heard} bytes");
            heard += read(&to_todo);
            pipes.write_all();
        }
        heard += read(&to_todo);
        assert_eq!((heard, read(&to_clean)), (orders.len(), 7));
    }
}
