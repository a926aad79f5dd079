//! Every fixed reply of the server: code, enhanced code, text.
//!
//! The texts are the guide's, with their code in brackets at the end; because
//! the session claims ENHANCEDSTATUSCODES, the same code also stands at the
//! start, where RFC 2034 §4 wants it. `{}` is the one place for a detail.

/// A reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reply {
    /// NOOP.
    Fine,
    /// RSET.
    Flushed,
    /// MAIL taken.
    SenderFine,
    /// RCPT taken.
    RecipientFine,
    /// DATA may come.
    GoAhead,
    /// A chunk arrived whole; the detail is its size.
    ChunkFine,
    /// TLS handshake may come.
    ReadyForTls,
    /// VRFY.
    CannotVerify,
    /// AUTH succeeded.
    Authenticated,
    /// Nobody spoke for too long.
    Timeout,
    /// We are going down.
    ShuttingDown,
    /// More mistakes than a session may make.
    TooManyErrors,
    /// More wrong addresses than a session may ask for.
    TooManyInvalid,
    /// More wrong passwords than a session may try.
    TooManyFailures,
    /// The client spoke before the greeting.
    EarlyTalker,
    /// A command longer than its limit.
    CommandTooLong,
    /// A NUL, a bare CR or another byte no command has.
    CommandBytes,
    /// Not a command.
    Unknown,
    /// A command we do not have.
    Unimplemented,
    /// An argument where none may be.
    NoArgument,
    /// STARTTLS with an argument.
    NoTlsArgument,
    /// An address that cannot be parsed.
    AddressSyntax,
    /// A MAIL or RCPT parameter we did not offer; the detail names it.
    Parameter,
    /// A parameter with a bad value.
    ParameterValue,
    /// Not ASCII, and SMTPUTF8 was not asked for.
    NeedsUtf8,
    /// HELO or EHLO without a name, or with nonsense.
    HelloSyntax,
    /// The settings cannot be read.
    NoControls,
    /// A HELO name without a dot.
    HelloNotQualified,
    /// A HELO name in badhelo.
    HelloDenied,
    /// A HELO name that is ours, from elsewhere.
    HelloOurs,
    /// A HELO name that does not exist.
    HelloUnknown,
    /// DNS does not answer.
    DnsTemporary,
    /// MAIL before HELO.
    HelloFirst,
    /// RCPT or DATA before MAIL.
    MailFirst,
    /// DATA before RCPT.
    RecipientFirst,
    /// MAIL within a transaction.
    NestedMail,
    /// DATA, RCPT or MAIL after a BDAT.
    ChunksOpen,
    /// BDAT after one that failed.
    ChunkFailed,
    /// BDAT without a number.
    ChunkSyntax,
    /// TLS is required.
    TlsFirst,
    /// AUTH is required.
    AuthFirst,
    /// A local sender must authenticate.
    LocalAuthFirst,
    /// AUTH is not offered.
    NoAuth,
    /// AUTH twice.
    AuthTwice,
    /// AUTH within a transaction.
    AuthInMail,
    /// A mechanism we do not offer.
    AuthMechanism,
    /// A mechanism that needs TLS.
    AuthNeedsTls,
    /// `*`.
    AuthCancelled,
    /// Bad base64, or not what the mechanism prescribes.
    AuthMalformed,
    /// Wrong user or password.
    AuthFailed,
    /// The account may not send; the detail is its text.
    AuthForbidden,
    /// inlookup cannot be asked.
    AuthTemporary,
    /// hostaccess.
    HostDenied,
    /// accesslist.
    AccessDenied,
    /// badmailfrom.
    SenderDenied,
    /// A sender without a domain.
    SenderNoDomain,
    /// A sender whose domain does not exist.
    SenderUnknown,
    /// CUGMAIL.
    ClosedGroup,
    /// An SRS address that is not ours, or too old.
    NotReturned,
    /// BATV: a bounce of nothing we sent.
    BounceUntagged,
    /// BATV: a tag that is not ours.
    BounceTag,
    /// BATV: a tag of long ago.
    BounceExpired,
    /// SPF; the detail is the domain's explanation.
    SpfRefused,
    /// SPF cannot be found out.
    SpfTemporary,
    /// The greylisting server says: come again.
    GreyDeferred,
    /// The greylisting server says nothing.
    GreyTemporary,
    /// The owner of the author's domain wants it refused; the detail is the
    /// domain.
    Dmarc,
    /// Name servers do not tell whether the owner of the author's domain
    /// disowns the message.
    DmarcTemporary,
    /// The header does not end, or names nobody or a crowd as authors.
    NoAuthor,
    /// Somebody else's address.
    Masquerading,
    /// BOUNCEMAIL; the detail is its value.
    BounceMail,
    /// Bigger than databytes.
    TooBig,
    /// badrcptto.
    RecipientDenied,
    /// `%`, `!` or a second `@`.
    RelayProbe,
    /// Not in rcpthosts.
    NoRelaying,
    /// No such mailbox.
    Absent,
    /// The mailbox is switched off.
    Inactive,
    /// The mailbox is full.
    OverQuota,
    /// It cannot be found out whether the mailbox exists.
    RecipientTemporary,
    /// maxrecipients.
    TooManyRecipients,
    /// A notification for several.
    BounceRecipients,
    /// CR or LF alone.
    BareNewline,
    /// signatures or bodycheck; the first line of two.
    Content,
    /// The second; the detail is what was found.
    ContentIs,
    /// Too many Received lines.
    Looping,
    /// The queue writer cannot be reached.
    QueueAway,
    /// It cannot be found out whether the sender read mail.
    RelayTemporary,
    /// ETRN or ATRN within a transaction.
    TurnInMail,
    /// ETRN for a node that may not; the detail names it.
    EtrnRefused,
    /// ETRN, and nothing is held; the detail names the node.
    EtrnNothing,
    /// ATRN for domains that may not.
    AtrnRefused,
    /// ATRN for domains some of which may not.
    AtrnPartly,
    /// ATRN, and nothing is held; the detail names the domains.
    AtrnNothing,
    /// What is held cannot be sent.
    TurnTrouble,
}

impl Reply {
    /// Code, enhanced code (may be empty) and text.
    const fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Fine => (250, "2.0.0", "ok"),
            Self::Flushed => (250, "2.0.0", "flushed"),
            Self::SenderFine => (250, "2.1.0", "ok"),
            Self::RecipientFine => (250, "2.1.5", "ok"),
            Self::GoAhead => (354, "", "go ahead"),
            Self::ChunkFine => (250, "2.0.0", "{} octets received"),
            Self::ReadyForTls => (220, "2.0.0", "ready for tls"),
            Self::CannotVerify => (
                252,
                "2.7.0",
                "Cannot VRFY user, but will accept message and attempt delivery (#2.7.0)",
            ),
            Self::Authenticated => (235, "2.7.0", "ok, go ahead (#2.0.0)"),
            Self::Timeout => (451, "4.4.2", "timeout (#4.4.2)"),
            Self::ShuttingDown => (
                421,
                "4.3.2",
                "{} Service not available, closing transmission channel (#4.3.2)",
            ),
            Self::TooManyErrors => (421, "4.7.0", "too many errors, goodbye (#4.7.0)"),
            Self::TooManyInvalid => (421, "4.7.1", "too many invalid addresses, goodbye (#4.7.1)"),
            Self::TooManyFailures => (
                421,
                "4.7.0",
                "too many failed authentications, goodbye (#4.7.0)",
            ),
            Self::EarlyTalker => (
                554,
                "5.7.1",
                "SMTP protocol violation. Polite people say hello after the server greets them (#5.7.1)",
            ),
            Self::CommandTooLong => (
                500,
                "5.5.2",
                "sorry, the given command is too long! (#5.5.2)",
            ),
            Self::CommandBytes => (500, "5.5.2", "control characters in command (#5.5.2)"),
            Self::Unknown => (500, "5.5.1", "command not recognized (#5.5.1)"),
            Self::Unimplemented => (502, "5.5.1", "unimplemented (#5.5.1)"),
            Self::NoArgument => (501, "5.5.4", "invalid parameter syntax (#5.3.2)"),
            Self::NoTlsArgument => (
                501,
                "5.5.4",
                "Syntax error (no parameters allowed) (#5.5.4)",
            ),
            Self::AddressSyntax => (555, "5.1.3", "syntax error in address (#5.1.3)"),
            Self::Parameter => (555, "5.5.4", "parameter {} not supported (#5.5.4)"),
            Self::ParameterValue => (501, "5.5.4", "bad value of parameter {} (#5.5.4)"),
            Self::NeedsUtf8 => (
                553,
                "5.6.7",
                "address is not ASCII; ask for SMTPUTF8 (#5.6.7)",
            ),
            Self::HelloSyntax => (501, "5.5.4", "HELO and EHLO need a host name (#5.5.4)"),
            Self::NoControls => (
                451,
                "4.3.0",
                "Requested action aborted: unable to read controls (#4.3.0)",
            ),
            Self::HelloNotQualified => (451, "4.3.0", "unable to accept non-FQDN HELO (#4.3.0)"),
            Self::HelloDenied => (
                553,
                "5.7.1",
                "sorry, your HELO/EHLO greeting is in my badhelo list (#5.7.1)",
            ),
            Self::HelloOurs => (550, "5.7.1", "invalid HELO greeting for local (#5.7.1)"),
            Self::HelloUnknown => (553, "5.1.8", "sorry, helo domain must exist (#5.1.8)"),
            Self::DnsTemporary => (
                451,
                "4.4.3",
                "Requested action aborted: DNS temporary failure (#4.4.3)",
            ),
            Self::SenderUnknown => (553, "5.1.8", "Bad sender's system address (#5.1.8)"),
            Self::ClosedGroup => (
                553,
                "5.7.1",
                "sorry, this MTA is a closed user group system (#5.7.1)",
            ),
            Self::NotReturned => (550, "5.1.1", "sorry, <{}> is no valid SRS address (#5.1.1)"),
            Self::BounceUntagged => (553, "5.7.1", "Not our message (#5.7.1)"),
            Self::BounceTag => (553, "5.7.1", "message format wrong (#5.7.1)"),
            Self::BounceExpired => (553, "5.7.1", "message expired (#5.7.1)"),
            Self::SpfRefused => (550, "5.7.1", "{} (#5.7.1)"),
            Self::SpfTemporary => (451, "4.3.0", "SPF lookup failure (#4.3.0)"),
            Self::GreyDeferred => (450, "4.3.0", "try again later (#4.3.0)"),
            Self::GreyTemporary => (
                451,
                "4.3.0",
                "greylist temporary failure - Timeout (#4.3.0)",
            ),
            Self::DmarcTemporary => (451, "4.7.1", "DMARC policy cannot be checked now (#4.7.1)"),
            Self::NoAuthor => (
                554,
                "5.7.1",
                "nobody can tell who wrote your message (#5.7.1)",
            ),
            Self::Dmarc => (550, "5.7.1", "refused by the DMARC policy of {} (#5.7.1)"),
            Self::HelloFirst => (503, "5.5.4", "Polite people say hello first (#5.5.4)"),
            Self::MailFirst => (503, "5.5.1", "MAIL first (#5.5.1)"),
            Self::RecipientFirst => (503, "5.5.1", "RCPT first (#5.5.1)"),
            Self::NestedMail => (503, "5.5.1", "sender already given, RSET first (#5.5.1)"),
            Self::ChunksOpen => (
                503,
                "5.5.1",
                "a message is arriving by BDAT, finish it or RSET (#5.5.1)",
            ),
            Self::ChunkFailed => (503, "5.5.1", "an earlier BDAT failed, RSET first (#5.5.1)"),
            Self::ChunkSyntax => (501, "5.5.4", "BDAT needs a size (#5.5.4)"),
            Self::TlsFirst => (530, "5.7.0", "must issue STARTTLS first (#5.7.0)"),
            Self::AuthFirst => (530, "5.7.1", "authentication required (#5.7.1)"),
            Self::LocalAuthFirst => (
                530,
                "5.7.1",
                "authentication required for local users (#5.7.1)",
            ),
            Self::NoAuth => (503, "5.3.3", "auth not available (#5.3.3)"),
            Self::AuthTwice => (503, "5.5.0", "you're already authenticated (#5.5.0)"),
            Self::AuthInMail => (503, "5.5.0", "no auth during mail transaction (#5.5.0)"),
            Self::AuthMechanism => (504, "5.5.4", "auth type unimplemented (#5.5.1)"),
            Self::AuthNeedsTls => (
                538,
                "5.7.11",
                "Encryption required for requested authentication mechanism (#5.7.11)",
            ),
            Self::AuthCancelled => (501, "5.0.0", "auth exchange cancelled (#5.0.0)"),
            Self::AuthMalformed => (501, "5.5.4", "malformed auth input (#5.5.4)"),
            Self::AuthFailed => (535, "5.7.8", "authorization failed (#5.7.0)"),
            Self::AuthForbidden => (535, "5.7.8", "authorization failed: {} (#5.7.0)"),
            Self::AuthTemporary => (454, "4.7.0", "temporary authentication failure (#4.3.0)"),
            Self::HostDenied => (553, "5.7.1", "sorry, your host has been denied (#5.7.1)"),
            Self::AccessDenied => (
                553,
                "5.7.1",
                "sorry, sites access list denies transaction (#5.7.1)",
            ),
            Self::SenderDenied => (
                553,
                "5.7.1",
                "sorry, your envelope sender is in my badmailfrom list (#5.7.1)",
            ),
            Self::SenderNoDomain => (
                553,
                "5.1.8",
                "Invalid mail address, must have a domain part (#5.1.8)",
            ),
            Self::Masquerading => (
                553,
                "5.7.1",
                "sorry, that domain isn't allowed to be relayed thru this MTA with masquerading (#5.7.1)",
            ),
            Self::BounceMail => (553, "5.7.1", "{} (#5.7.1)"),
            Self::TooBig => (
                552,
                "5.3.4",
                "sorry, that message size exceeds my databytes limit (#5.3.4)",
            ),
            Self::RecipientDenied => (
                553,
                "5.7.1",
                "sorry, your envelope recipient is in my badrcptto list (#5.7.1)",
            ),
            Self::RelayProbe => (553, "5.7.1", "we don't relay (#5.7.1)"),
            Self::NoRelaying => (
                553,
                "5.7.1",
                "sorry, that domain isn't allowed to be relayed thru this MTA without authentication (#5.7.1)",
            ),
            Self::Absent => (
                550,
                "5.1.1",
                "sorry, mailbox <{}> is absent on this domain (#5.1.1)",
            ),
            Self::Inactive => (550, "5.2.1", "sorry, mailbox <{}> is inactive (#5.2.1)"),
            Self::OverQuota => (452, "4.2.2", "sorry, mailbox <{}> is overquota (#4.2.2)"),
            Self::RecipientTemporary => (451, "4.3.2", "unable to check recipients (#4.3.2)"),
            Self::TooManyRecipients => (452, "4.5.3", "sorry, too many recipients (#4.5.3)"),
            Self::BounceRecipients => (
                550,
                "5.7.1",
                "sorry, bounce messages should have a single envelope recipient (#5.7.1)",
            ),
            Self::BareNewline => (
                554,
                "5.6.0",
                "CR or LF without the other in your message (#5.6.0)",
            ),
            Self::Content => (
                552,
                "5.3.4",
                "we don't accept email with the below content (#5.3.4)",
            ),
            Self::ContentIs => (552, "5.3.4", "Further Information: {}"),
            Self::Looping => (
                554,
                "5.4.6",
                "too many hops, this message is looping (#5.4.6)",
            ),
            Self::RelayTemporary => (
                451,
                "4.3.2",
                "Requested action aborted: database error (#4.3.2)",
            ),
            Self::TurnInMail => (503, "5.5.0", "no ETRN during mail transaction (#5.5.0)"),
            Self::EtrnRefused => (553, "5.7.1", "<{}>: etrn service unavailable (#5.7.1)"),
            Self::EtrnNothing => (250, "2.0.0", "OK, No message waiting for node <{}>"),
            Self::AtrnRefused => (553, "5.7.1", "atrn service unavailable (#5.7.1)"),
            Self::AtrnPartly => (450, "4.7.1", "atrn service unavailable (#5.7.1)"),
            Self::AtrnNothing => (453, "4.0.0", "No message waiting for node(s) <{}>"),
            Self::TurnTrouble => (451, "4.3.0", "Unable to queue messages (#4.3.0)"),
            Self::QueueAway => (
                451,
                "4.3.0",
                "Requested action aborted: qqt failure (#4.3.0)",
            ),
        }
    }

    /// Says whether the client may try the same again later.
    pub fn is_temporary(self) -> bool {
        self.row().0 / 100 == 4
    }

    /// The line without its end; the detail is made printable.
    pub fn line(self, detail: &[u8]) -> String {
        /// Longest foreign text in a reply.
        const DETAIL_BYTES_MAX: usize = 300;
        let (code, enhanced, text) = self.row();
        let detail = text::log::printable(detail, DETAIL_BYTES_MAX);
        let text = text.replace("{}", &detail);
        match enhanced {
            "" => format!("{code} {text}"),
            enhanced => format!("{code} {enhanced} {text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_cannot_start_a_line_of_its_own() {
        let line = Reply::Absent.line(b"a\r\n250 ok\x1b@b");
        assert_eq!(
            line,
            "550 5.1.1 sorry, mailbox <a??250 ok?@b> is absent on this domain (#5.1.1)"
        );
    }
}
