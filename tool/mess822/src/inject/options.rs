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

/// What to do with a message.
#[derive(Clone, Debug, Default)]
pub struct Options {
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
    pub fn parse(arguments: &[Vec<u8>]) -> Result<Self, String> {
        let mut options = Self::default();
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
                    b's' => options.ignore_return_path = true,
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
        Options::parse(&words)
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
