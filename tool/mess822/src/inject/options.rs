//! The command line of qmail-inject and the letters of `QMAILINJECT`.

use run::Settings;
use settings::injecting::QMAILINJECT;

pub const USAGE: &str = "\
usage: qmail-inject [-nNaAhHs] [-f sender] [recipient...]

Reads a message on standard input, repairs its header and queues it.
  -A         recipients are the arguments, without any those of the header
  -a -h -H   the arguments only; the header only; both
  -f sender  envelope sender; '' for none
  -n -N      print the message instead of queueing it; queue it
  -s         ignore Return-Path in the message
Exit codes: 0 done, 100 never, 111 not now.
";

pub const USAGE_NEW: &str = "\
usage: new-inject [-nNaAhHFIMRS] [-f sender] [recipient...]

Reads a message on standard input, repairs its header and queues it. Several To
or Cc fields become one, dates get a numeric zone, Envelope-Sender and
Envelope-Recipients are obeyed, host names are rewritten by control/rewrite.
  -A         recipients are the arguments, without any those of the header
  -a -h -H   the arguments only; the header only; both
  -f sender  envelope sender; '' for none
  -n -N      print the message instead of queueing it; queue it
  -F -I      make a new From; a new Message-ID
  -M -R      a sender of its own for each message; for each recipient (VERP)
  -S         ignore Return-Path in the message
Exit codes: 0 done, 100 never, 111 not now.
";

/// Where recipients come from.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RecipientsFrom {
    /// `-A`
    #[default]
    ArgumentsElseHeader,
    /// `-a`
    Arguments,
    /// `-h`
    Header,
    /// `-H`
    Both,
}

/// Which program's ways.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Style {
    /// qmail-inject.
    #[default]
    Classic,
    /// new-inject.
    New,
}

/// What to do with a message.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub style: Style,
    pub recipients_from: RecipientsFrom,
    pub recipients: Vec<Vec<u8>>,
    /// The sender of `-f`.
    pub sender: Option<Vec<u8>>,
    pub print: bool,
    pub ignore_return_path: bool,
    pub address_comment: bool,
    pub drop_from: bool,
    pub drop_message_id: bool,
    pub verp_by_recipient: bool,
    pub verp_by_message: bool,
}

impl Options {
    /// Parses arguments, flags in any grouping, up to the first that is none.
    pub fn parse(arguments: &[Vec<u8>], style: Style) -> Result<Self, String> {
        let mut options = Self {
            style,
            ..Self::default()
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.as_slice().first() {
            let Some(flags) = argument.strip_prefix(b"-").filter(|f| !f.is_empty()) else {
                break;
            };
            rest.next();
            if flags == b"-" {
                break;
            }
            for (at, flag) in flags.iter().enumerate() {
                match flag {
                    b'n' => options.print = true,
                    b'N' => options.print = false,
                    b'a' => options.recipients_from = RecipientsFrom::Arguments,
                    b'A' => options.recipients_from = RecipientsFrom::ArgumentsElseHeader,
                    b'h' => options.recipients_from = RecipientsFrom::Header,
                    b'H' => options.recipients_from = RecipientsFrom::Both,
                    letter if options.new_letter(*letter) => {}
                    b's' if style == Style::Classic => options.ignore_return_path = true,
                    b'f' => {
                        let attached = &flags[at + 1..];
                        let sender = match attached {
                            [] => rest.next().cloned(),
                            attached => Some(attached.to_vec()),
                        };
                        options.sender = Some(sender.ok_or("-f needs a sender; see --help")?);
                        break;
                    }
                    other => {
                        let flag = char::from(*other);
                        return Err(format!("unknown flag -{flag}; see --help"));
                    }
                }
            }
        }
        options.recipients = rest.cloned().collect();
        Ok(options)
    }

    /// These options and the letters of `QMAILINJECT`; unknown ones are
    /// ignored.
    pub fn with_letters(&self, settings: &Settings) -> Self {
        let mut options = self.clone();
        let letters = settings.variable(QMAILINJECT.variable).unwrap_or_default();
        for letter in letters {
            if options.new_letter(*letter) {
                continue;
            }
            match letter {
                b'c' => options.address_comment = true,
                b's' => options.ignore_return_path = true,
                b'f' => options.drop_from = true,
                b'i' => options.drop_message_id = true,
                b'r' => options.verp_by_recipient = true,
                b'm' => options.verp_by_message = true,
                b'n' => options.print = true,
                _ => {}
            }
        }
        options
    }

    /// A letter that new-inject knows as a flag and in `QMAILINJECT`.
    fn new_letter(&mut self, letter: u8) -> bool {
        let switch = match letter {
            _ if self.style == Style::Classic => return false,
            b'F' => &mut self.drop_from,
            b'I' => &mut self.drop_message_id,
            b'M' => &mut self.verp_by_message,
            b'R' => &mut self.verp_by_recipient,
            b'S' => &mut self.ignore_return_path,
            _ => return false,
        };
        *switch = true;
        true
    }

    /// Says whether address fields that name recipients are rewritten even
    /// when they do not decide who gets the message.
    pub fn rewrites_always(&self) -> bool {
        self.style == Style::New
    }

    /// Says whether recipients of the header count.
    pub fn use_header(&self) -> bool {
        match self.recipients_from {
            RecipientsFrom::ArgumentsElseHeader => self.recipients.is_empty(),
            RecipientsFrom::Arguments => false,
            RecipientsFrom::Header | RecipientsFrom::Both => true,
        }
    }

    /// Says whether the arguments count.
    pub fn use_arguments(&self) -> bool {
        self.recipients_from != RecipientsFrom::Header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<Options, String> {
        let words: Vec<Vec<u8>> = line.iter().map(|w| w.as_bytes().to_vec()).collect();
        Options::parse(&words, Style::Classic)
    }

    #[test]
    fn flags_come_before_recipients() {
        let options = parse(&["-Hn", "-fann@b", "bob", "-x"]).unwrap();
        assert_eq!(options.recipients_from, RecipientsFrom::Both);
        assert!(options.print);
        assert_eq!(options.sender.as_deref(), Some(&b"ann@b"[..]));
        assert_eq!(options.recipients, [b"bob".to_vec(), b"-x".to_vec()]);
        assert_eq!(parse(&["-a", "--", "-n"]).unwrap().recipients, [b"-n"]);
        assert_eq!(
            parse(&["-f", ""]).unwrap().sender.as_deref(),
            Some(&b""[..])
        );
        assert!(parse(&["-q"]).is_err() && parse(&["-f"]).is_err());
    }
}
