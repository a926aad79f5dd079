//! What a newcomer reads first: addresses, logins, DNS, what to type next.

use crate::install::keys::PublicKeys;
use crate::site::{Mode, Site};

/// The page, as printed and as kept in `doc/first-steps.txt`.
pub fn page(site: &Site, keys: &PublicKeys) -> String {
    let (domain, host) = (&site.domain, &site.hostname);
    let root = site.home.root().display();
    let bin = site.home.bin();
    let bin = bin.display();
    let port = |standard| site.port(standard);
    let users = match site.mode {
        Mode::Separated => "Each service runs as its own system user.".to_owned(),
        Mode::SingleUser => {
            let uid = os::account::real_uid();
            format!("Not started by root: every service runs as the same user (uid {uid}).")
        }
    };
    let address = host.as_str();
    format!(
        "\
IndiMail for {domain}, in {root}
{users}

Mail client settings (host {address}, or localhost on this machine)
  user name     postmaster@{domain}
  incoming      IMAP {imap} (STARTTLS) or {imaps} (TLS); POP3 {pop} or {pops}
  outgoing      SMTP {submission} (STARTTLS) or {submissions} (TLS), with the same login
  other servers SMTP {smtp}
The certificate is self-signed until you put your own (chain and key in one PEM
file, owned by the user of certs/) in {root}/certs/servercert.pem.

DNS records to publish
{zone}

Type next
  {bin}/vadduser ann@{domain}
  {bin}/indimail status --root {root}
  echo 'Subject: hello' | {bin}/sendmail -v postmaster@{domain}
",
        imap = port(143),
        imaps = port(993),
        pop = port(110),
        pops = port(995),
        submission = port(587),
        submissions = port(465),
        smtp = port(25),
        zone = crate::dns_records::zone(site, keys),
    )
}
