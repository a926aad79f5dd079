//! Plays text files of `C:` and `S:` lines.
//!
//! `C:` lines are sent with CRLF; `C(` ... without a line end when they end
//! in `\`. `S:` lines must come in this order; `*` in them stands for
//! anything. `!` lines do something to the mailbox behind the session's back.

use imap::{Answer, Config, Question, Security, Session, Step};

use crate::memory::Store;

/// What sessions of dialogues are told.
pub const CONFIG: Config = Config {
    security: Security::StartTls,
    plaintext_passwords: true,
    cram_md5: false,
    scram_sha_256: false,
    message_bytes_max: 1000,
};

/// Everything the client of a dialogue says.
pub fn input(text: &str) -> Vec<u8> {
    text.lines()
        .filter_map(|line| line.strip_prefix("C: ").or(line.strip_prefix("C:")))
        .flat_map(|line| format!("{line}\r\n").into_bytes())
        .collect()
}

/// What a session sends when it receives these pieces.
pub fn talk(pieces: &[&[u8]]) -> Vec<u8> {
    talk_with(CONFIG, pieces)
}

/// The same of a session that was told something else.
pub fn talk_with(config: Config, pieces: &[&[u8]]) -> Vec<u8> {
    let mut player = Player {
        session: Session::new(config),
        ..Player::new()
    };
    let mut sent = player.run();
    for piece in pieces {
        if player.over {
            break;
        }
        player.session.receive(piece);
        sent.extend(player.run());
    }
    sent
}

/// Plays a dialogue; panics where the session says something else.
pub fn play(name: &str, text: &str) {
    let mut player = Player::new();
    let mut sent: Vec<u8> = player.run();
    let lines = text.lines().enumerate();
    for (number, line) in lines {
        let place = format!("{name}:{}", number + 1);
        if let Some(said) = line.strip_prefix("C: ").or(line.strip_prefix("C:")) {
            assert_eq!(
                String::from_utf8_lossy(&sent),
                "",
                "{place}: nothing more is said"
            );
            player.session.receive(format!("{said}\r\n").as_bytes());
            sent = player.run();
        } else if let Some(expected) = line.strip_prefix("S: ").or(line.strip_prefix("S:")) {
            let end = sent.iter().position(|&b| b == b'\n');
            let end = end.unwrap_or_else(|| panic!("{place}: nothing is said: {expected}"));
            let said: Vec<u8> = sent.drain(..=end).collect();
            let said = String::from_utf8_lossy(&said);
            let said = said.trim_end_matches(['\r', '\n']);
            assert!(
                matches(expected, said),
                "{place}: expected {expected}\nsaid {said}"
            );
        } else if let Some(deed) = line.strip_prefix("! ") {
            player.store.outside(deed);
            player.session.changed();
            sent.extend(player.run());
        } else if line == "END" {
            assert!(player.over, "{place}: the connection ends");
        }
    }
    assert_eq!(
        String::from_utf8_lossy(&sent),
        "",
        "{name}: nothing more is said"
    );
}

struct Player {
    session: Session,
    store: Store,
    over: bool,
}

impl Player {
    fn new() -> Self {
        Self {
            session: Session::new(CONFIG),
            store: Store::default(),
            over: false,
        }
    }

    fn run(&mut self) -> Vec<u8> {
        let mut sent = Vec::new();
        loop {
            match self.session.step(1_000_000_000) {
                Step::Send(bytes) => sent.extend(bytes),
                Step::Ask(Question::Failed { .. }) => self.session.answer(Answer::Done(Ok(()))),
                Step::Ask(question) => {
                    let answer = self.store.answer(question);
                    self.session.answer(answer);
                }
                Step::StartTls => self.session.tls_started(),
                Step::Wait => return sent,
                Step::Close(_) => {
                    self.over = true;
                    return sent;
                }
            }
        }
    }
}

fn matches(expected: &str, said: &str) -> bool {
    let mut pieces = expected.split('*');
    // A line that begins with `* ` begins so in truth.
    let Some(rest) = said.strip_prefix(match expected.strip_prefix("* ") {
        Some(_) => {
            pieces.next();
            "*"
        }
        None => "",
    }) else {
        return false;
    };
    let mut rest = rest;
    let first = pieces.next().unwrap_or_default();
    let Some(tail) = rest.strip_prefix(first) else {
        return false;
    };
    rest = tail;
    let mut last_is_open = false;
    for piece in pieces {
        let Some(at) = rest.find(piece) else {
            return false;
        };
        rest = &rest[at + piece.len()..];
        last_is_open = piece.is_empty();
    }
    rest.is_empty() || last_is_open
}
