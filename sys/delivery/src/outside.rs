//! Programs run by another process, outside the sandbox of this one.
//!
//! A service that must not start programs keeps a companion that may: same
//! user, started before the sandbox closed, reachable only through one end of
//! a socket pair. Each job brings the socket its answer goes to, so answers
//! need no order and a broken companion is a temporary failure.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::channel::{self, Receiver};
use crate::program::{Direct, Finished, Job, Programs};

/// Version of the protocol between the two.
const VERSION: u8 = 1;
/// Most programs at once.
const PROGRAMS_MAX: usize = 512;

/// What came of a job: its end, or the number of the error that kept it from
/// starting.
type Answer = Result<Finished, i32>;

/// Runs programs through the companion.
pub struct Outside {
    companion: Mutex<UnixStream>,
}

impl Outside {
    /// Talks to the companion behind this socket.
    pub fn new(companion: UnixStream) -> Self {
        Self {
            companion: Mutex::new(companion),
        }
    }
}

impl Programs for Outside {
    fn run(&self, job: &Job, descriptors: Vec<(i32, OwnedFd)>) -> io::Result<Finished> {
        let (here, there) = UnixStream::pair()?;
        let numbers: Vec<i32> = descriptors.iter().map(|(number, _)| *number).collect();
        let given = descriptors.iter().map(|(_, fd)| fd.as_fd());
        let fds: Vec<BorrowedFd<'_>> = std::iter::once(there.as_fd()).chain(given).collect();
        {
            let companion = self
                .companion
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            channel::send(&companion, VERSION, &(job, numbers), &fds)?;
        }
        drop(there);
        drop(descriptors);
        match Receiver::new(here, VERSION).receive::<Answer>()? {
            Some(Ok(finished)) => Ok(finished),
            Some(Err(number)) => Err(io::Error::from_raw_os_error(number)),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

/// What the companion does until the other side is gone.
pub fn serve(stream: UnixStream) -> io::Result<()> {
    let mut receiver = Receiver::new(stream, VERSION);
    let running = Arc::new(AtomicUsize::new(0));
    while let Some((job, numbers)) = receiver.receive::<(Job, Vec<i32>)>()? {
        let reply = receiver.take_fd().ok_or(io::ErrorKind::InvalidData)?;
        let mut descriptors = Vec::new();
        for number in numbers {
            let fd = receiver.take_fd().ok_or(io::ErrorKind::InvalidData)?;
            descriptors.push((number, fd));
        }
        let running = Arc::clone(&running);
        running.fetch_add(1, Ordering::Relaxed);
        std::thread::spawn(move || {
            let answer: Answer = if PROGRAMS_MAX < running.load(Ordering::Relaxed) {
                Err(nix::libc::EAGAIN)
            } else {
                let result = Direct.run(&job, descriptors);
                result.map_err(|error| error.raw_os_error().unwrap_or(nix::libc::EIO))
            };
            running.fetch_sub(1, Ordering::Relaxed);
            // Who asked may be gone; then nobody needs the answer.
            let _ = channel::send(&UnixStream::from(reply), VERSION, &answer, &[]);
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{Captured, Ending};

    fn job(program: &str, text: &str) -> Job {
        Job {
            program: program.as_bytes().to_vec(),
            arguments: vec![b"-c".to_vec(), text.as_bytes().to_vec()],
            directory: b"/".to_vec(),
            environment: Vec::new(),
            captured: Captured::OutputAndErrors,
        }
    }

    #[test]
    fn many_jobs_each_get_their_own_answer() {
        let (here, there) = UnixStream::pair().unwrap();
        let companion = std::thread::spawn(move || serve(there));
        let outside = Outside::new(here);
        std::thread::scope(|scope| {
            for n in 0..10 {
                let outside = &outside;
                scope.spawn(move || {
                    let stdin = crate::memory_file(format!("in {n}").as_bytes()).unwrap();
                    let job = job("/bin/sh", &format!("cat; exit {n}"));
                    let done = outside.run(&job, vec![(0, stdin.into())]).unwrap();
                    assert_eq!(done.ending, Ending::Code(n));
                    assert_eq!(done.output, format!("in {n}").into_bytes());
                });
            }
        });
        let error = outside
            .run(&job("/does/not/exist", ""), Vec::new())
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        drop(outside);
        companion.join().unwrap().unwrap();
    }
}
