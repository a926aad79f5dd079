//! BATV: senders of ours get a tag, so that we know our own bounces
//! (smtp-receiving.md §2.11).

use policy::{Hosts, batv};
use run::{SettingError, Settings};
use settings::{Setting, receiving};

/// The sender as it goes out to this host.
pub fn tagged(
    settings: &Settings,
    host: &str,
    sender: &[u8],
    unix_seconds: i64,
) -> Result<Vec<u8>, SettingError> {
    let unchanged = || Ok(sender.to_vec());
    let Some(key) = either(settings, &receiving::BATVKEY, &receiving::SIGNKEY)? else {
        return unchanged();
    };
    let Some(at) = sender.iter().rposition(|&b| b == b'@') else {
        return unchanged();
    };
    let domain = &sender[at + 1..];
    // Only who takes its bounces can tell a tag.
    let ours = settings.list(&receiving::RCPTHOSTS)?.unwrap_or_default();
    let ours = Hosts::new(ours, settings.file("morercpthosts.cdb")?);
    let free_hosts = lines(
        settings,
        &receiving::BATVNOSIGNREMOTE,
        &receiving::NOSIGNHOSTS,
    )?;
    let free_domains = lines(
        settings,
        &receiving::BATVNOSIGNLOCALS,
        &receiving::NOSIGNMYDOMS,
    )?;
    let has =
        |lines: &[Vec<u8>], name: &[u8]| lines.iter().any(|line| line.eq_ignore_ascii_case(name));
    if !ours.contains(domain) || has(&free_hosts, host.as_bytes()) || has(&free_domains, domain) {
        return unchanged();
    }
    // Who puts this before a sender wants it to go out without a tag.
    if let Some(plain) = sender.strip_prefix(b"sb*-") {
        return Ok(plain.to_vec());
    }
    Ok(batv::sign(&key, batv::day(unix_seconds), sender))
}

fn either(
    settings: &Settings,
    new: &Setting,
    old: &Setting,
) -> Result<Option<Vec<u8>>, SettingError> {
    let found = settings.line(new)?.filter(|line| !line.is_empty());
    match found {
        Some(line) => Ok(Some(line)),
        None => Ok(settings.line(old)?.filter(|line| !line.is_empty())),
    }
}

fn lines(settings: &Settings, new: &Setting, old: &Setting) -> Result<Vec<Vec<u8>>, SettingError> {
    match settings.list(new)? {
        Some(lines) => Ok(lines),
        None => Ok(settings.list(old)?.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use run::Home;

    use super::*;

    #[test]
    fn only_our_own_senders_get_a_tag() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("control")).unwrap();
        let control = |name: &str, text: &str| {
            std::fs::write(directory.path().join("control").join(name), text).unwrap();
        };
        let tag = |host: &str, sender: &str| {
            let settings = Settings::of_files(&Home::at(directory.path()));
            let tagged = tagged(&settings, host, sender.as_bytes(), 123 * 86_400).unwrap();
            String::from_utf8(tagged).unwrap()
        };
        control("rcpthosts", "example.com\nfree.test\n");
        let (sender, with_tag) = ("user@example.com", "prvs=01230e4237=user@example.com");
        assert_eq!(tag("far.test", sender), sender);
        control("signkey", "secret\n");
        control("batvnosignremote", "old.test\n");
        control("nosignmydoms", "free.test\n");
        assert_eq!(tag("far.test", sender), with_tag);
        assert_eq!(tag("far.test", with_tag), with_tag);
        for (host, sender) in [
            ("old.test", sender),
            ("far.test", "a@free.test"),
            ("far.test", "a@elsewhere.test"),
            ("far.test", ""),
        ] {
            assert_eq!(tag(host, sender), sender, "{host}");
        }
        assert_eq!(tag("far.test", "sb*-list@example.com"), "list@example.com");
    }
}
