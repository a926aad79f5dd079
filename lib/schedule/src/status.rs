//! What a report says to programs: the fields of RFC 3464 for one recipient.
//!
//! Reports are words for people, written by our own programs, by programs of
//! users and by other servers. What is read out of them here is a guess that
//! does no harm when it is wrong: every value is bounded and printable, and
//! the class of a status code always agrees with the action.

use std::net::IpAddr;

use wire::dsn::Original;

/// What stands before the words of another server.
const REMOTE_SAID: &str = "Remote host said: ";
/// Most bytes of a diagnostic.
const DIAGNOSTIC_BYTES_MAX: usize = 800;
/// RFC 3463 §3.5: delivery time expired.
const EXPIRED: &str = "4.4.7";

/// What became of a recipient (RFC 3464 §2.3.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// It never will be delivered.
    Failed,
    /// It is still tried.
    Delayed,
    /// It is in the mailbox.
    Delivered,
    /// Another server has it, and will say no more.
    Relayed,
    /// It went on to other addresses.
    Expanded,
}

/// One recipient of a report.
#[derive(Clone, Debug)]
pub struct Fate<'a> {
    /// The recipient as the sender may see it.
    pub recipient: &'a [u8],
    /// Whom the sender wrote to.
    pub original: Option<&'a Original>,
    /// What became of it.
    pub action: Action,
    /// The report of the last delivery.
    pub text: &'a [u8],
    /// Unix time until which it is tried.
    pub retry_until: Option<i64>,
}

impl Fate<'_> {
    /// The fields, with the empty line after them.
    pub fn fields(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(original) = self.original {
            let kind = original.kind();
            let address = String::from_utf8_lossy(original.address());
            out.extend_from_slice(format!("Original-Recipient: {kind}; {address}\n").as_bytes());
        }
        let text = String::from_utf8_lossy(self.text);
        let remote = Remote::find(&text);
        let action = match self.action {
            Action::Failed => "failed",
            Action::Delayed => "delayed",
            Action::Delivered => "delivered",
            Action::Relayed => "relayed",
            Action::Expanded => "expanded",
        };
        let recipient = typed(self.recipient);
        let status = self.status(&text, remote.as_ref());
        out.extend_from_slice(
            format!("Final-Recipient: {recipient}\nAction: {action}\nStatus: {status}\n")
                .as_bytes(),
        );
        if let Some(ip) = remote.as_ref().and_then(|remote| remote.ip) {
            out.extend_from_slice(format!("Remote-MTA: dns; [{ip}]\n").as_bytes());
        }
        let (kind, words) = match &remote {
            Some(remote) => ("smtp", remote.reply),
            None => ("x-qmail", &text[..]),
        };
        let words = one_line(words);
        let is_local_success = matches!(self.action, Action::Delivered | Action::Expanded);
        if !words.is_empty() && !is_local_success {
            out.extend_from_slice(format!("Diagnostic-Code: {kind}; {words}\n").as_bytes());
        }
        if let Some(until) = self.retry_until {
            let date = tai::header_date(until);
            out.extend_from_slice(format!("Will-Retry-Until: {date}\n").as_bytes());
        }
        out.push(b'\n');
        out
    }

    /// RFC 3463. The words of another server count more than ours about it.
    fn status(&self, text: &str, remote: Option<&Remote<'_>>) -> String {
        let classes: &[u8] = match self.action {
            Action::Failed if crate::is_final(self.text) => b"4",
            Action::Failed => b"5",
            Action::Delayed => b"4",
            Action::Delivered | Action::Relayed | Action::Expanded => b"2",
        };
        let fits = |code: &&str| classes.contains(&code.as_bytes()[0]);
        let said = remote.and_then(Remote::status).filter(fits);
        let own = || last_marked(text, fits);
        match said.or_else(own) {
            Some(code) => code.to_owned(),
            None if crate::is_final(self.text) => EXPIRED.to_owned(),
            None => format!("{}.0.0", char::from(classes[0])),
        }
    }
}

/// What another server said.
struct Remote<'a> {
    ip: Option<IpAddr>,
    reply: &'a str,
}

impl<'a> Remote<'a> {
    fn find(text: &'a str) -> Option<Self> {
        let at = text.find(REMOTE_SAID)?;
        let (before, reply) = (&text[..at], &text[at + REMOTE_SAID.len()..]);
        let before = before.strip_suffix('\n').unwrap_or(before);
        let line = before.rsplit('\n').next().unwrap_or_default();
        // Addresses of people stand before the server's.
        let ip = line
            .rsplit(' ')
            .find_map(|word| word.trim_end_matches(['.', ',']).parse().ok());
        // What follows the reply begins with no reply code.
        let end = reply_end(reply);
        Some(Self {
            ip,
            reply: &reply[..end],
        })
    }

    /// The enhanced status code, when it agrees with the reply code
    /// (RFC 2034 §4).
    fn status(&self) -> Option<&'a str> {
        let mut words = self.reply.split([' ', '-', '\n']);
        let code = words.next().filter(|code| code.len() == 3)?;
        let status = words.next().filter(|word| is_status(word))?;
        (status.as_bytes()[0] == code.as_bytes()[0]).then_some(status)
    }
}

/// Where the lines with a reply code end.
fn reply_end(reply: &str) -> usize {
    let has_code = |line: &str| {
        line.get(..3)
            .is_some_and(|code| code.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut end = 0;
    for (at, line) in reply.split_inclusive('\n').enumerate() {
        if at != 0 && !has_code(line) {
            break;
        }
        end += line.len();
    }
    end
}

/// The last `#x.y.z` that will do.
fn last_marked(text: &str, fits: impl Fn(&&str) -> bool) -> Option<&str> {
    text.rmatch_indices('#').find_map(|(at, _)| {
        let code = &text[at + 1..];
        let end = code.find(|c: char| !c.is_ascii_digit() && c != '.');
        let code = code[..end.unwrap_or(code.len())].trim_end_matches('.');
        Some(code).filter(|code| is_status(code)).filter(&fits)
    })
}

/// RFC 3463 §2.
fn is_status(text: &str) -> bool {
    let mut numbers = text.split('.');
    let class = numbers.next().unwrap_or_default();
    let rest: Vec<&str> = numbers.collect();
    let number = |n: &&str| (1..=3).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit());
    matches!(class, "2" | "4" | "5") && rest.len() == 2 && rest.iter().all(number)
}

/// An address with its type: what is beyond ASCII as RFC 6533 §3 writes it.
fn typed(address: &[u8]) -> String {
    let text = String::from_utf8_lossy(address);
    let kind = if text.is_ascii() { "rfc822" } else { "utf-8" };
    let mut out = format!("{kind}; ");
    for c in text.chars() {
        match c {
            c if c.is_ascii_control() => out.push('_'),
            c if c.is_ascii() => out.push(c),
            c => out += &format!("\\x{{{:X}}}", u32::from(c)),
        }
    }
    out
}

/// Printable ASCII, without line ends.
fn one_line(words: &str) -> String {
    let words: Vec<&str> = words.split_ascii_whitespace().collect();
    let line = words.join(" ");
    let safe = |c: char| match c {
        ' '..='~' => c,
        _ => '?',
    };
    line.chars().take(DIAGNOSTIC_BYTES_MAX).map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(action: Action, text: &str) -> String {
        let fate = Fate {
            recipient: b"joe@y",
            original: None,
            action,
            text: text.as_bytes(),
            retry_until: None,
        };
        String::from_utf8(fate.fields()).unwrap()
    }

    #[test]
    fn the_words_of_another_server_are_told_apart_from_ours() {
        let text = "From: <a@b> RCPT: <joe@y> 192.0.2.1 does not like recipient.\n\
            Remote host said: 550-5.1.1 no such\n550 5.1.1 user\nGiving up on 192.0.2.1.\n";
        assert_eq!(
            fields(Action::Failed, text),
            "Final-Recipient: rfc822; joe@y\nAction: failed\nStatus: 5.1.1\n\
             Remote-MTA: dns; [192.0.2.1]\n\
             Diagnostic-Code: smtp; 550-5.1.1 no such 550 5.1.1 user\n\n"
        );
        let text = "Sorry, no mailbox here by that name. (#5.1.1)\n";
        assert_eq!(
            fields(Action::Failed, text),
            "Final-Recipient: rfc822; joe@y\nAction: failed\nStatus: 5.1.1\n\
             Diagnostic-Code: x-qmail; Sorry, no mailbox here by that name. (#5.1.1)\n\n"
        );
    }

    #[test]
    fn the_class_of_a_status_agrees_with_the_action() {
        let status = |action, text: &str| {
            let fields = fields(action, text);
            let line = fields.lines().find(|line| line.starts_with("Status: "));
            line.unwrap()["Status: ".len()..].to_owned()
        };
        assert_eq!(status(Action::Failed, "strange"), "5.0.0");
        assert_eq!(status(Action::Failed, "later (#4.4.1)"), "5.0.0");
        assert_eq!(status(Action::Failed, "#5.7.1 #5.1.x (#5.1234.1)"), "5.7.1");
        assert_eq!(status(Action::Delayed, "busy (#4.4.1)"), "4.4.1");
        assert_eq!(status(Action::Delivered, "did 1+0+0\n"), "2.0.0");
        let lying = "x.\nRemote host said: 550 4.1.1 what";
        assert_eq!(status(Action::Failed, lying), "5.0.0");
        let ok = "1.2.3.4 accepted message.\nRemote host said: 250 2.1.5 ok";
        assert_eq!(status(Action::Relayed, ok), "2.1.5");
        let old = |text: &[u8]| String::from_utf8(crate::final_report(text)).unwrap();
        assert_eq!(status(Action::Failed, &old(b"busy (#4.4.1)")), "4.4.1");
        assert_eq!(status(Action::Failed, &old(b"busy")), "4.4.7");
    }

    #[test]
    fn who_was_written_to_is_told_back() {
        let original = Original::parse(b"rfc822;jim@z").unwrap();
        let fate = Fate {
            recipient: "jürgen@y".as_bytes(),
            original: Some(&original),
            action: Action::Delayed,
            text: b"",
            retry_until: Some(0),
        };
        let expected = "Original-Recipient: rfc822; jim@z\n\
            Final-Recipient: utf-8; j\\x{FC}rgen@y\nAction: delayed\nStatus: 4.0.0\n\
            Will-Retry-Until: 1 Jan 1970 00:00:00 -0000\n\n";
        assert_eq!(String::from_utf8(fate.fields()).unwrap(), expected);
    }

    #[test]
    fn whatever_is_reported_the_fields_are_one_block_of_printable_lines() {
        property::holds(|u| {
            // No host takes a longer one (RFC 5321 section 4.5.3.1).
            let mut recipient = property::bytes(u)?;
            recipient.truncate(1000);
            let mut text: Vec<u8> = Vec::new();
            for _ in 0..u.int_in_range(0..=6)? {
                match u.int_in_range(0..=3)? {
                    0 => text.extend_from_slice(b"\nRemote host said: "),
                    1 => text.extend_from_slice(b"550 5.1.1 "),
                    2 => text.extend_from_slice(b"(#5.7.1)\n"),
                    _ => text.extend_from_slice(u.arbitrary()?),
                }
            }
            let fate = Fate {
                recipient: &recipient,
                original: None,
                action: *u.choose(&[Action::Failed, Action::Delayed, Action::Relayed])?,
                text: &text,
                retry_until: None,
            };
            let fields = fate.fields();
            assert!(fields.iter().all(|b| matches!(b, b'\n' | b' '..=b'~')));
            assert!(fields.ends_with(b"\n\n"));
            let inner = &fields[..fields.len() - 1];
            assert!(!inner.windows(2).any(|pair| pair == b"\n\n"));
            assert!(inner.split(|&b| b == b'\n').all(|line| line.len() < 10_000));
            Ok(())
        });
    }
}
