//! Who may send what to whom.

use std::time::Duration;

use policy::{AddressList, Hosts};
use qmtp::Report;
use reception::{Domains, Level, Lists, Recipients, Whose, local_mailbox, mailbox_of_reply};
use run::{Exit, Home, Link, PERMANENT, SettingError, Settings, TEMPORARY};
use settings::{receiving, site};
use text::log::safe;
use wire::lookup::{Reply, Request, VERSION};

use reception::Mailbox;

/// How long inlookup may take for an answer.
const LOOKUP_MAX: Duration = Duration::from_secs(30);

/// What the control files and variables say.
pub struct Rules {
    /// Our name.
    pub host: String,
    home: Home,
    rcpthosts: Hosts,
    /// RELAYCLIENT.
    suffix: Option<Vec<u8>>,
    bad_senders: AddressList,
    bad_recipients: AddressList,
    good_recipients: AddressList,
    domains: Domains,
    recipients: Recipients,
    /// inlookup, once it was asked.
    lookup: Option<Link>,
}

impl Rules {
    /// Reads them.
    pub fn read(home: &Home, settings: &Settings) -> Result<Self, Exit> {
        let wrong = |error: SettingError| Exit::new(TEMPORARY, run::chain(&error));
        let lists = Lists::new(settings).map_err(wrong)?;
        let list = |names, patterns| {
            let list = lists.read(names, patterns);
            list.map_err(|error| Exit::new(TEMPORARY, run::chain(&error)))
        };
        let rcpthosts = settings.list(&receiving::RCPTHOSTS).map_err(wrong)?;
        let rcpthosts = rcpthosts.ok_or_else(|| {
            let text = "no control/rcpthosts: everybody could relay; write the domains you take \
                        mail for into it, one a line (an empty file takes none)";
            Exit::new(PERMANENT, text)
        })?;
        let more = settings.file("morercpthosts.cdb").map_err(wrong)?;
        let me = settings.line(&site::ME).map_err(wrong)?.unwrap_or_default();
        let has_domains = settings.list(&receiving::CHKRCPTDOMAINS).map_err(wrong)?;
        Ok(Self {
            host: text::log::printable(&me, 255),
            home: home.clone(),
            rcpthosts: Hosts::new(rcpthosts, more),
            suffix: settings
                .variable(receiving::RELAYCLIENT.variable)
                .map(<[u8]>::to_vec),
            bad_senders: list(&receiving::BADMAILFROM, Some(&receiving::BADMAILPATTERNS))?,
            bad_recipients: list(&receiving::BADRCPTTO, Some(&receiving::BADRCPTPATTERNS))?,
            good_recipients: list(&receiving::GOODRCPTTO, Some(&receiving::GOODRCPTPATTERNS))?,
            domains: Domains::read(home, settings).map_err(wrong)?,
            recipients: Recipients {
                level: Level::parse(settings.variable(receiving::CHECKRECIPIENT.variable)),
                domains: match has_domains {
                    Some(_) => Some(list(&receiving::CHKRCPTDOMAINS, None)?),
                    None => None,
                },
            },
            lookup: None,
        })
    }

    /// Why this sender may not write.
    pub fn sender(&self, sender: &[u8]) -> Option<Report> {
        self.bad_senders.matching(sender)?;
        let text = "sorry, your envelope sender is in my badmailfrom list (#5.7.1)";
        Some(Report::Never(text.to_owned()))
    }

    /// Where mail for this recipient goes, or why nowhere.
    pub fn recipient(&mut self, mut address: Vec<u8>) -> Result<Vec<u8>, Report> {
        let never = |text: &str| Err(Report::Never(text.to_owned()));
        let is_good = self.good_recipients.matching(&address).is_some();
        if !is_good && self.bad_recipients.matching(&address).is_some() {
            return never("sorry, your envelope recipient is in my badrcptto list (#5.7.1)");
        }
        let is_ours = self.rcpthosts.allow(&address);
        if !is_ours && self.suffix.is_none() {
            return never("sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)");
        }
        if is_ours && !is_good && address.contains(&b'@') {
            let shown = safe(&address);
            match self.mailbox(&address) {
                Mailbox::Fine => {}
                Mailbox::Absent => {
                    let text =
                        format!("sorry, mailbox <{shown}> is absent on this domain (#5.1.1)");
                    return never(&text);
                }
                Mailbox::Inactive => {
                    return never(&format!("sorry, mailbox <{shown}> is inactive (#5.2.1)"));
                }
                Mailbox::OverQuota => {
                    let text = format!("sorry, mailbox <{shown}> is overquota (#4.2.2)");
                    return Err(Report::Later(text));
                }
                Mailbox::Temporary(why) => {
                    run::warn(crate::PROGRAM, &format!("cannot check {shown}: {why}"));
                    let text = "unable to check recipients (#4.3.2)";
                    return Err(Report::Later(text.to_owned()));
                }
            }
        }
        address.extend_from_slice(self.suffix.as_deref().unwrap_or_default());
        Ok(address)
    }

    fn mailbox(&mut self, address: &[u8]) -> Mailbox {
        if let Some(answer) = self.recipients.answer(&self.home, address) {
            return answer;
        }
        match self.domains.whose(address) {
            Whose::Elsewhere => Mailbox::Fine,
            Whose::Local => {
                let at = address.iter().rposition(|&b| b == b'@');
                local_mailbox(&self.home, &address[..at.unwrap_or(address.len())])
            }
            Whose::Virtual => {
                let address = address.to_vec();
                mailbox_of_reply(self.ask(&Request::Recipient { address }))
            }
        }
    }

    fn ask(&mut self, request: &Request) -> Reply {
        let link = match self.lookup.take() {
            Some(link) => Ok(link),
            None => Link::connect(&self.home.socket("inlookup"), VERSION, LOOKUP_MAX),
        };
        let answer = link.and_then(|mut link| {
            let answer = link.ask(request)?;
            self.lookup = Some(link);
            Ok(answer)
        });
        answer.unwrap_or_else(|error| Reply::Temporary(run::chain(&error)))
    }
}
