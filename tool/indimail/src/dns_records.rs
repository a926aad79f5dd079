//! The DNS records to publish (operations.md §11.5), as zone text.

use crate::install::keys::{PublicKeys, SELECTOR};
use crate::site::Site;

/// Most bytes in one string of a TXT record (RFC 1035 §3.3.14).
const STRING_BYTES_MAX: usize = 255;

/// The records, one a line, copyable into a zone file.
pub fn zone(site: &Site, keys: &PublicKeys) -> String {
    let (domain, host) = (&site.domain, &site.hostname);
    let id = tai::Civil::from_unix(os::clock::unix_seconds());
    let id = format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
        id.year, id.month, id.day, id.hour, id.minute, id.second
    );
    let dkim = strings(&format!("v=DKIM1; k=rsa; p={}", keys.dkim));
    let srv = |name: &str, priority: u8, port: u16| {
        let port = site.port(port);
        format!("_{name}._tcp.{domain}. 300 IN SRV {priority} 1 {port} {host}.")
    };
    [
        "; needed: replace 192.0.2.9 by your public address, and have your provider".to_owned(),
        format!("; point its PTR record at {host}."),
        format!("{host}. 300 IN A 192.0.2.9"),
        format!("{domain}. 300 IN MX 10 {host}."),
        format!("{host}. 300 IN TXT \"v=spf1 a -all\""),
        format!("{domain}. 300 IN TXT \"v=spf1 mx ~all\""),
        format!("{SELECTOR}._domainkey.{domain}. 300 IN TXT {dkim}"),
        format!("_dmarc.{domain}. 300 IN TXT \"v=DMARC1; p=none; rua=mailto:postmaster@{domain}\""),
        "; recommended: the MTA-STS policy file must be served over HTTPS".to_owned(),
        format!("_mta-sts.{domain}. 300 IN TXT \"v=STSv1; id={id}\""),
        format!("mta-sts.{domain}. 300 IN CNAME {host}."),
        format!("_smtp._tls.{domain}. 300 IN TXT \"v=TLSRPTv1; rua=mailto:postmaster@{domain}\""),
        "; optional: mail clients find their settings".to_owned(),
        format!("autoconfig.{domain}. 300 IN CNAME {host}."),
        srv("imaps", 0, 993),
        srv("submissions", 0, 465),
        srv("submission", 10, 587),
        srv("imap", 10, 143),
        srv("pop3s", 20, 995),
        srv("pop3", 30, 110),
    ]
    .join("\n")
}

/// A TXT value as quoted strings short enough for a record.
fn strings(value: &str) -> String {
    value
        .as_bytes()
        .chunks(STRING_BYTES_MAX)
        .map(|piece| format!("\"{}\"", String::from_utf8_lossy(piece)))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::strings;

    #[test]
    fn a_long_value_is_cut_into_strings_a_record_can_hold() {
        let text = strings(&"k".repeat(300));
        assert_eq!(
            text,
            format!("\"{}\" \"{}\"", "k".repeat(255), "k".repeat(45))
        );
    }
}
