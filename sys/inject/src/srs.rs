//! The sender rewriting scheme as the control files want it.

use ::srs::{Separator, Srs};
use run::{SettingError, Settings};
use settings::injecting::{
    SRS_ALWAYSREWRITE, SRS_DOMAIN, SRS_HASHLENGTH, SRS_HASHMIN, SRS_MAXAGE, SRS_SECRETS,
    SRS_SEPARATOR,
};

/// Reads the control files; `None` without `srs_domain` and `srs_secrets`,
/// then nobody's sender is rewritten.
pub fn configured(settings: &Settings) -> Result<Option<Srs>, SettingError> {
    let Some(domain) = settings.line(&SRS_DOMAIN)?.filter(|line| !line.is_empty()) else {
        return Ok(None);
    };
    let secrets = settings.list(&SRS_SECRETS)?.unwrap_or_default();
    if secrets.is_empty() {
        return Ok(None);
    }
    let length = |setting| -> Result<usize, SettingError> {
        Ok(usize::try_from(settings.integer(setting)?).unwrap_or(1))
    };
    let separator = settings.line(&SRS_SEPARATOR)?.unwrap_or_default();
    Ok(Some(Srs {
        domain,
        secrets,
        days_max: settings.integer(&SRS_MAXAGE)?,
        hash_bytes: length(&SRS_HASHLENGTH)?,
        hash_bytes_min: length(&SRS_HASHMIN)?,
        separator: Separator::parse(&separator).unwrap_or_default(),
        always: settings.integer(&SRS_ALWAYSREWRITE)? != 0,
    }))
}

/// The sender to forward under; now, and the old one where nothing is to be
/// rewritten.
pub fn forward_sender(srs: Option<&Srs>, sender: &[u8]) -> Vec<u8> {
    let now = os::clock::unix_seconds();
    let new = srs.and_then(|srs| srs.forward(sender, now));
    new.unwrap_or_else(|| sender.to_vec())
}

/// Whom a sender of ours stands for; any other is itself.
pub fn origin(srs: Option<&Srs>, sender: &[u8]) -> Vec<u8> {
    let now = os::clock::unix_seconds();
    match srs.and_then(|srs| srs.reverse(sender, now)) {
        Some(Ok(origin)) => origin,
        // Who takes mail for it says what is wrong with it.
        Some(Err(_)) | None => sender.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use run::Home;

    #[test]
    fn nothing_is_rewritten_without_a_domain_and_a_secret() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        std::fs::create_dir(home.control()).unwrap();
        let srs = || configured(&Settings::of_files(&home)).unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(home.control().join(name), text).unwrap();
        };
        assert!(srs().is_none());
        write("srs_domain", "fwd.example\n");
        assert!(srs().is_none());
        write("srs_secrets", "# a comment\none\ntwo\n");
        write("srs_separator", "+\n");
        let srs = srs().unwrap();
        assert_eq!(
            (srs.secrets.len(), srs.days_max, srs.hash_bytes),
            (2, 21, 4)
        );
        let new = forward_sender(Some(&srs), b"ann@a.example");
        assert!(new.starts_with(b"SRS0+") && new.ends_with(b"@fwd.example"));
        assert_eq!(origin(Some(&srs), &new), b"ann@a.example");
        assert_eq!(forward_sender(None, b"ann@a.example"), b"ann@a.example");
        assert_eq!(origin(None, &new), new);
    }
}
