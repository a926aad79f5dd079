//! A program that was started: given up, it is killed.

use std::io;
use std::process::Command;

use os::child::Setup;
use os::signal::Signal;

/// Runs until it is collected, or until this value is dropped; then it is
/// killed with everything it started, for whoever is given up must not do
/// half an hour later what was done again meanwhile.
#[derive(Debug)]
pub struct Child {
    pid: u32,
    is_collected: bool,
}

impl Child {
    /// Starts a program.
    pub fn start(mut command: Command, setup: Setup) -> io::Result<Self> {
        let setup = Setup {
            // The group to be killed.
            new_session: true,
            ..setup
        };
        os::child::prepare(&mut command, setup);
        Ok(Self {
            pid: command.spawn()?.id(),
            is_collected: false,
        })
    }

    /// Says whether the child that was collected is this one.
    pub fn collected(&mut self, pid: u32) -> bool {
        self.is_collected |= pid == self.pid;
        pid == self.pid
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.is_collected {
            // It is collected as any other, and nobody asks how it ended.
            let _ = os::signal::send_to_group(self.pid, Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use os::signal::Interest;

    use super::*;

    #[test]
    fn who_is_given_up_is_killed_with_all_it_started() {
        let (read, write) = os::fd::pipe().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "sleep 1000 & echo; sleep 1000"]);
        let setup = Setup {
            descriptors: vec![(1, write)],
            ..Setup::default()
        };
        let child = Child::start(command, setup).unwrap();
        let read = std::fs::File::from(read);
        let mut line = [0; 2];
        assert_eq!(io::Read::read(&mut &read, &mut line).unwrap(), 1);
        drop(child);
        // The pipe ends when the last that has it is gone.
        let waits = [(std::os::fd::AsFd::as_fd(&read), Interest::Read)];
        let ready = os::signal::poll(&waits, Some(Duration::from_secs(300))).unwrap();
        assert_eq!(ready, [true]);
        assert_eq!(io::Read::read(&mut &read, &mut line).unwrap(), 0);
    }

    #[test]
    fn who_was_collected_is_left_alone() {
        let mut child = Child::start(Command::new("/bin/true"), Setup::default()).unwrap();
        let pid = child.pid;
        assert!(!child.collected(pid + 1) && !child.is_collected);
        assert!(child.collected(pid) && child.is_collected);
    }
}
