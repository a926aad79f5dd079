//! One command line.

use sasl::Mechanism;

/// Longest command line with its end (RFC 5321 §4.5.3.1.4 asks for 512, the
/// extensions add to it).
pub const COMMAND_BYTES_MAX: usize = 2048;
/// Longest line of AUTH and its responses (RFC 4954 §4).
pub const AUTH_BYTES_MAX: usize = 12_288;

/// What a client asks for; arguments as they came.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Command<'a> {
    Helo(&'a [u8]),
    Ehlo(&'a [u8]),
    /// After `FROM:`.
    Mail(&'a [u8]),
    /// After `TO:`.
    Rcpt(&'a [u8]),
    Data,
    Bdat(&'a [u8]),
    Rset,
    Noop,
    Vrfy,
    Help,
    Quit,
    /// Of which node.
    Etrn(&'a [u8]),
    /// Of which domains.
    Atrn(&'a [u8]),
    StartTls(&'a [u8]),
    /// Mechanism (`None`: not ours) and initial response.
    Auth(Option<Mechanism>, Option<&'a [u8]>),
    /// An argument where none may be.
    NoArgument,
    /// MAIL or RCPT without their keyword.
    NoKeyword,
    /// A verb of the standard that we do not have.
    Unimplemented,
    Unknown,
}

impl<'a> Command<'a> {
    /// Reads a line without its end.
    pub(super) fn parse(line: &'a [u8]) -> Self {
        let end = line.iter().position(|&b| b == b' ').unwrap_or(line.len());
        let verb = line[..end].to_ascii_uppercase();
        let argument = line[end..].trim_ascii();
        let alone = |command| match argument {
            [] => command,
            _ => Self::NoArgument,
        };
        match &verb[..] {
            b"HELO" => Self::Helo(argument),
            b"EHLO" => Self::Ehlo(argument),
            b"MAIL" => keyword(argument, b"FROM:").map_or(Self::NoKeyword, Self::Mail),
            b"RCPT" => keyword(argument, b"TO:").map_or(Self::NoKeyword, Self::Rcpt),
            b"DATA" => alone(Self::Data),
            b"BDAT" => Self::Bdat(argument),
            b"RSET" => alone(Self::Rset),
            b"NOOP" => Self::Noop,
            b"VRFY" => Self::Vrfy,
            b"HELP" => Self::Help,
            b"QUIT" => alone(Self::Quit),
            b"STARTTLS" => Self::StartTls(argument),
            b"AUTH" => Self::auth(argument),
            b"ETRN" => Self::Etrn(argument),
            b"ATRN" => Self::Atrn(argument),
            b"EXPN" | b"SEND" | b"SOML" | b"SAML" | b"TURN" => Self::Unimplemented,
            _ => Self::Unknown,
        }
    }

    fn auth(argument: &'a [u8]) -> Self {
        let end = argument
            .iter()
            .position(|&b| b == b' ')
            .unwrap_or(argument.len());
        let initial = Some(argument[end..].trim_ascii()).filter(|rest| !rest.is_empty());
        Self::Auth(Mechanism::parse(&argument[..end]), initial)
    }
}

fn keyword<'a>(argument: &'a [u8], keyword: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = argument.split_at_checked(keyword.len())?;
    head.eq_ignore_ascii_case(keyword).then_some(rest)
}

/// Says whether this line, complete or not, may be as long as AUTH's.
pub(super) fn is_auth(line: &[u8]) -> bool {
    line.get(..5)
        .is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_read_in_any_case_and_need_their_keyword() {
        assert_eq!(Command::parse(b"mail from:<a@b>"), Command::Mail(b"<a@b>"));
        assert_eq!(Command::parse(b"MAIL <a@b>"), Command::NoKeyword);
        assert_eq!(Command::parse(b"RCPT FROM:<a@b>"), Command::NoKeyword);
        assert_eq!(Command::parse(b"RSET x"), Command::NoArgument);
        assert_eq!(Command::parse(b"quit "), Command::Quit);
        // RFC 5321 §4.1.1.10 has no argument.
        assert_eq!(Command::parse(b"QUIT x"), Command::NoArgument);
        assert_eq!(Command::parse(b""), Command::Unknown);
        assert_eq!(
            Command::parse(b"AUTH plain AGE="),
            Command::Auth(Some(Mechanism::Plain), Some(b"AGE="))
        );
    }
}
