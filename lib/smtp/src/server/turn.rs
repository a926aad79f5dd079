//! ETRN and ATRN: hosts that fetch their mail (RFC 1985, RFC 2645,
//! smtp-receiving.md §6).

use text::log::safe;

use super::{Commands, Held, Reply, Session, State, Step};

/// Longest list of domains in a reply or a log line.
const SHOWN_BYTES_MAX: usize = 300;

/// Who asked whether mail is held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Turn {
    /// ETRN: mail shall be sent to where these domains are.
    Elsewhere,
    /// ATRN: it shall be sent over this connection.
    Here,
}

impl Session {
    pub(super) fn etrn(&mut self, argument: &[u8]) {
        if let Some(reply) = self.turn_out_of_order() {
            self.mistake(reply);
            return;
        }
        if argument.is_empty() {
            self.mistake(Reply::AddressSyntax);
            return;
        }
        let node = argument.strip_prefix(b"@").unwrap_or(argument);
        let node = node.strip_prefix(b"#").unwrap_or(node);
        let node = node.to_ascii_lowercase();
        if !is_name(&node) {
            self.mistake(Reply::NoArgument);
            return;
        }
        let shown = safe(&node);
        if !self.may_fetch(&node) {
            self.log(format!("ETRN {shown} ETRN Rejected"));
            self.mistake_with(Reply::EtrnRefused, shown.as_bytes());
            return;
        }
        self.log(format!("ETRN {shown}"));
        self.steps.push_back(Step::AskHeld(vec![node.clone()]));
        self.state = State::AskingHeld(Turn::Elsewhere, vec![node]);
    }

    pub(super) fn atrn(&mut self, argument: &[u8]) {
        let Some(identity) = &self.identity else {
            self.mistake(Reply::AuthFirst);
            return;
        };
        if let Some(reply) = self.turn_out_of_order() {
            self.mistake(reply);
            return;
        }
        let user = identity.account.address.to_ascii_lowercase();
        let own = self.config.fetchers.iter().find(|(name, _)| *name == user);
        let own: Vec<Vec<u8>> = own.map_or(Vec::new(), |(_, domains)| domains.clone());
        let mut asked: Vec<Vec<u8>> = argument
            .split(|b| matches!(b, b',' | b' '))
            .filter(|word| !word.is_empty())
            .map(<[u8]>::to_ascii_lowercase)
            .collect();
        if !asked.iter().all(|name| is_name(name)) {
            self.mistake(Reply::NoArgument);
            return;
        }
        if asked.is_empty() {
            asked.clone_from(&own);
        }
        let all = asked.len();
        asked.retain(|name| own.contains(name) && self.may_fetch(name));
        if asked.len() < all || asked.is_empty() {
            let (words, reply) = match asked.is_empty() {
                true => ("Rejected", Reply::AtrnRefused),
                false => ("Rejected in part", Reply::AtrnPartly),
            };
            self.log(format!("ATRN {} ATRN {words}", safe(user.as_bytes())));
            self.mistake(reply);
            return;
        }
        self.steps.push_back(Step::AskHeld(asked.clone()));
        self.state = State::AskingHeld(Turn::Here, asked);
    }

    /// Takes the answer to [`Step::AskHeld`].
    pub(super) fn held_answered(&mut self, turn: Turn, nodes: &[Vec<u8>], held: Held) {
        let mut shown = safe(&nodes.join(&b","[..]));
        shown.truncate(SHOWN_BYTES_MAX);
        let reply = match (held, turn) {
            (Held::Nothing, Turn::Elsewhere) => Reply::EtrnNothing,
            (Held::Nothing, Turn::Here) => Reply::AtrnNothing,
            (Held::Unreachable, _) => {
                let name = match turn {
                    Turn::Elsewhere => "ETRN",
                    Turn::Here => "ATRN",
                };
                self.log(format!("{name} {shown} {name} Error"));
                Reply::TurnTrouble
            }
        };
        self.idle_commands += 1;
        match self.idle_commands <= super::IDLE_COMMANDS_MAX {
            true => self.reply_with(reply, shown.as_bytes()),
            false => self.leave(Reply::TooManyErrors),
        }
    }

    /// Says whether this port has ETRN.
    pub(super) fn has_etrn(&self) -> bool {
        self.peer.commands != Commands::Submission
    }

    fn turn_out_of_order(&self) -> Option<Reply> {
        match (&self.hello, &self.transaction) {
            (None, _) => Some(Reply::HelloFirst),
            (_, Some(_)) => Some(Reply::TurnInMail),
            _ => None,
        }
    }

    /// etrnhosts and rcpthosts. That both name a domain says more than any
    /// name server could.
    fn may_fetch(&self, node: &[u8]) -> bool {
        self.config.etrn_hosts.contains(node) && self.config.rcpthosts.contains(node)
    }
}

/// A host name: labels of letters, digits and hyphens. It becomes the name of
/// a directory.
fn is_name(name: &[u8]) -> bool {
    /// RFC 1035 §2.3.4.
    const NAME_BYTES_MAX: usize = 253;
    let label = |label: &[u8]| {
        !label.is_empty()
            && !label.starts_with(b"-")
            && label
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || *b == b'-')
    };
    name.len() <= NAME_BYTES_MAX && name.contains(&b'.') && name.split(|&b| b == b'.').all(label)
}
