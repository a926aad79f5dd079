//! The TRANSACTION state: listing, reading, marking.

use super::{Session, State, Step};
use crate::command::Command;
use crate::maildrop::{Entry, Maildrop};

impl Session {
    pub(super) fn transaction(&mut self, command: Command, mut maildrop: Maildrop) -> Step {
        const ABSENT: &str = "-ERR no such message";
        let mut retrieve = None;
        let reply = match command {
            Command::Quit => {
                self.state = State::Updating;
                return Step::Update(maildrop.update());
            }
            Command::Capa => {
                self.state = State::Transaction(maildrop);
                return Step::Send(self.capabilities());
            }
            Command::Noop => "+OK".to_owned(),
            Command::Rset => {
                maildrop.reset();
                "+OK".to_owned()
            }
            Command::Stat => {
                let (count, bytes) = maildrop.total();
                format!("+OK {count} {bytes}")
            }
            Command::Dele(number) if maildrop.delete(number) => "+OK Deleted.".to_owned(),
            Command::List(Some(number)) => match maildrop.entry(number) {
                Some(entry) => format!("+OK {number} {}", entry.size),
                None => ABSENT.to_owned(),
            },
            Command::Uidl(Some(number)) => match maildrop.entry(number) {
                Some(entry) => format!("+OK {number} {}", entry.unique_id),
                None => ABSENT.to_owned(),
            },
            Command::List(None) => listing(&maildrop, |entry| entry.size.to_string()),
            Command::Uidl(None) => listing(&maildrop, |entry| entry.unique_id.clone()),
            Command::Retr(number) => {
                retrieve = maildrop.position(number).map(|at| (at, None));
                ABSENT.to_owned()
            }
            Command::Top(number, lines) => {
                retrieve = maildrop.position(number).map(|at| (at, Some(lines)));
                ABSENT.to_owned()
            }
            Command::Dele(_) => ABSENT.to_owned(),
            Command::User(_) | Command::Pass(_) | Command::Auth(..) | Command::AuthList => {
                "-ERR logged in already".to_owned()
            }
            Command::Stls | Command::Utf8 => "-ERR not after login".to_owned(),
        };
        if let Some((at, lines)) = retrieve {
            self.state = State::Retrieving {
                maildrop,
                at,
                lines,
            };
            return Step::Retrieve { at, lines };
        }
        self.say(State::Transaction(maildrop), &reply)
    }
}

fn listing(maildrop: &Maildrop, value: impl Fn(&Entry) -> String) -> String {
    let mut text = "+OK\r\n".to_owned();
    for (number, entry) in maildrop.present() {
        text.push_str(&format!("{number} {}\r\n", value(entry)));
    }
    text.push('.');
    text
}
