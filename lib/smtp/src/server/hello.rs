//! Greeting, HELO, EHLO, HELP, QUIT.

use settings::receiving;
use text::log::printable;

use super::{Config, Hello, Moment, Peer, Reply, Session, State, Step};

/// Longest name of HELO that is kept.
const HELLO_BYTES_MAX: usize = 255;
/// Longest line of a greeting.
const GREETING_BYTES_MAX: usize = 400;

impl Session {
    /// Before the first word: perhaps a while of silence.
    pub(super) fn welcome(&mut self, now: &Moment) {
        if self.config.greet_delay.is_zero() {
            self.greet(now);
        } else {
            self.steps.push_back(Step::Listen(self.config.greet_delay));
            self.state = State::Listening;
        }
    }

    /// The silence is over; who spoke in it is no mail server.
    pub(super) fn listened(&mut self, now: &Moment) {
        if self.input.is_empty() {
            self.greet(now);
        } else {
            self.log("SMTP Protocol violation - Early Talking".to_owned());
            self.leave(Reply::EarlyTalker);
        }
    }

    fn greet(&mut self, now: &Moment) {
        if let Some(refusal) = self.peer.refusal.clone() {
            self.send_line(&refusal);
            return;
        }
        let config = self.config.clone();
        let date = tai::header_date(now.unix_seconds);
        let software = format!(" (NO UCE) ESMTP {} {date}", config.software);
        let first = greeting_line(&config, 0) + &software;
        let rest = (1..config.greeting.len()).map(|at| greeting_line(&config, at));
        self.send_lines("220", std::iter::once(first).chain(rest).collect());
    }

    /// The answer to every command of a session that was refused.
    pub(super) fn refuse(&mut self) {
        self.errors += 1;
        let refusal = self.peer.refusal.clone().unwrap_or_default();
        self.send_line(&refusal);
        if refusal.starts_with("421") || super::ERRORS_MAX < self.errors {
            self.close();
        }
    }

    /// HELO and EHLO decide first and send exactly one reply; both end a
    /// transaction.
    pub(super) fn hello(&mut self, name: &[u8], extended: bool) {
        self.forget_transaction();
        self.hello = None;
        if name.is_empty() || HELLO_BYTES_MAX < name.len() || !is_hello(name) {
            self.mistake(Reply::HelloSyntax);
            return;
        }
        let trusted = self.may_relay() || self.identity.is_some();
        if self.config.hello_needs_dot && !trusted && !name.contains(&b'.') {
            self.log(format!("non-FQDN HELO: {}", text::log::safe(name)));
            self.tell(
                &receiving::ENFORCE_FQDN_HELO,
                None,
                "the HELO name has no dot",
            );
            self.mistake(Reply::HelloNotQualified);
            return;
        }
        let with_at = [b"@", name].concat();
        let bad = (&receiving::BADHELO, &self.config.bad_hellos);
        let denied = [name, &with_at[..]]
            .iter()
            .any(|form| self.is_in(bad, form, "the HELO name is refused"));
        if denied {
            let host = self.peer.host.clone().unwrap_or_default();
            self.log(format!(
                "Invalid HELO greeting: HELO <{}> FQDN <{}>",
                text::log::safe(name),
                text::log::safe(host.as_bytes())
            ));
            self.mistake(Reply::HelloDenied);
            return;
        }
        if self.config.hello_is_not_ours && !trusted && self.is_our_name(name) {
            self.log(format!(
                "Invalid HELO greeting: HELO <{}> is our own",
                text::log::safe(name)
            ));
            self.tell(&receiving::BADHELOCHECK, None, "the HELO name is ours");
            self.mistake(Reply::HelloOurs);
            return;
        }
        self.hello_outside(name, extended);
    }

    /// Our name or address, used by somebody who is not here.
    fn is_our_name(&self, name: &[u8]) -> bool {
        let is_here = self.peer.is_loopback() || self.peer.ip == self.peer.local_ip;
        let bare = name.strip_prefix(b"[").and_then(|n| n.strip_suffix(b"]"));
        let is_ours = |own: &str| {
            !own.is_empty()
                && (name.eq_ignore_ascii_case(own.as_bytes()) || bare == Some(own.as_bytes()))
        };
        !is_here && (is_ours(&self.config.host) || is_ours(&self.peer.local_ip))
    }

    /// All checks are passed.
    pub(super) fn hello_fine(&mut self, name: &[u8], extended: bool) {
        self.hello = Some(Hello {
            name: name.to_vec(),
            extended,
        });
        self.idle_commands += 1;
        if super::IDLE_COMMANDS_MAX < self.idle_commands {
            self.leave(Reply::TooManyErrors);
            return;
        }
        let lines = match extended {
            true => self.capabilities(),
            false => (0..self.config.greeting.len())
                .map(|at| greeting_line(&self.config, at))
                .collect(),
        };
        self.send_lines("250", lines);
    }

    /// The lines of EHLO, in the guide's order.
    fn capabilities(&self) -> Vec<String> {
        let config = &self.config;
        let mut lines = vec![greeting_line(config, 0)];
        let mechanisms = self.offered_mechanisms();
        if !mechanisms.is_empty() {
            let names: Vec<&str> = mechanisms.iter().map(|m| m.name()).collect();
            lines.push(format!("AUTH {}", names.join(" ")));
            if config.old_client {
                lines.push(format!("AUTH={}", names.join(" ")));
            }
        }
        if self.peer.commands == super::Commands::OnDemand {
            lines.push("ATRN".into());
        }
        lines.push("PIPELINING".into());
        lines.push("8BITMIME".into());
        lines.push(match config.message_bytes_max {
            0 => "SIZE".into(),
            max => format!("SIZE {max}"),
        });
        if self.has_etrn() {
            lines.push("ETRN".into());
        }
        if self.peer.starttls && self.tls.is_none() {
            lines.push("STARTTLS".into());
        }
        lines.push("SMTPUTF8".into());
        lines.push("CHUNKING".into());
        lines.push("ENHANCEDSTATUSCODES".into());
        lines.push("DSN".into());
        // RFC 8689 §2: only where there is TLS already.
        if self.tls.is_some() {
            lines.push("REQUIRETLS".into());
        }
        // RFC 9422.
        lines.push(format!("LIMITS RCPTMAX={}", config.recipients_most()));
        lines.push("HELP".into());
        lines
    }

    pub(super) fn help(&mut self) {
        self.idle_commands += 1;
        let lines = vec![
            format!("2.0.0 This is {}", self.config.software),
            "2.0.0 Commands: HELO EHLO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT AUTH STARTTLS ETRN"
                .to_owned(),
        ];
        self.send_lines("214", lines);
    }

    pub(super) fn quit(&mut self) {
        self.has_quit = true;
        let host = printable(&self.greeting_word(), GREETING_BYTES_MAX);
        self.send_line(&format!("221 2.0.0 {host} closing connection"));
        self.close();
    }

    /// The first word of the greeting: our name.
    pub(super) fn greeting_word(&self) -> Vec<u8> {
        let line = greeting_line(&self.config, 0);
        line.split(' ')
            .next()
            .unwrap_or_default()
            .as_bytes()
            .to_vec()
    }

    /// A reply of several lines (RFC 5321 §4.2.1).
    fn send_lines(&mut self, code: &str, lines: Vec<String>) {
        let last = lines.len().saturating_sub(1);
        for (at, line) in lines.iter().enumerate() {
            let divider = if at == last { ' ' } else { '-' };
            self.send_line(&format!("{code}{divider}{line}"));
        }
    }
}

impl Peer {
    /// The client's name as far as it is known.
    pub(super) fn host_or_unknown(&self) -> &str {
        self.host.as_deref().unwrap_or("unknown")
    }
}

fn greeting_line(config: &Config, at: usize) -> String {
    match config.greeting.get(at) {
        Some(line) => printable(line, GREETING_BYTES_MAX),
        None => config.host.clone(),
    }
}

/// What may name a client: no blanks, nothing that is not printed.
fn is_hello(name: &[u8]) -> bool {
    name.iter().all(|&b| b.is_ascii_graphic() || !b.is_ascii())
}
