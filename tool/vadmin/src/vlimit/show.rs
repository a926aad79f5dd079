//! How limits are shown.

use directory::limits::{Limits, UNLIMITED};
use run::Exit;
use serde_json::json;

/// Width of labels.
const LABEL_WIDTH: usize = 20;

/// Each flag: when it is not set, and when it is.
const FLAG_WORDS: [(&str, &str); 7] = [
    ("POP3", "NO_POP"),
    ("IMAP", "NO_IMAP"),
    ("DIALUP", "NO_DIALUP"),
    ("PASSWD_CHNG", "NO_PASSWD_CHNG"),
    ("WEBMAIL", "NO_WEBMAIL"),
    ("RELAY", "NO_RELAY"),
    ("SMTP", "NO_SMTP"),
];

/// What rights are about, with column and place of their three bits.
const RIGHTS: [(&str, usize, u32); 9] = [
    ("pop account", 0, 0),
    ("alias", 1, 0),
    ("forward", 2, 0),
    ("autoresponder", 3, 0),
    ("mailing list", 4, 0),
    ("mailing list users", 4, 3),
    ("mailing list moderators", 4, 6),
    ("domain quota", 5, 0),
    ("default quota", 6, 0),
];

/// Prints limits for people.
pub fn print(limits: &Limits) {
    println!("Domain Expiry   Date : {}", date(limits.domain_expiry));
    println!("Password Expiry Date : {}", date(limits.password_expiry));
    line("Max Domain Quota", size(limits.disk_quota));
    line("Max Domain Messages", size(limits.messages));
    line("Default User Quota", size(limits.default_quota));
    line("Default User Messages", size(limits.default_messages));
    line("Max Pop Accounts", count(limits.accounts));
    line("Max Aliases", count(limits.aliases));
    line("Max Forwards", count(limits.forwards));
    line("Max Autoresponders", count(limits.autoresponders));
    line("Max Mailinglists", count(limits.mailing_lists));
    println!("GID Flags:");
    for (is_set, (free, denied)) in limits.disabled.iter().zip(FLAG_WORDS) {
        println!("  {}", if *is_set { denied } else { free });
    }
    println!("Flags for non postmaster accounts:");
    for (what, column, shift) in RIGHTS {
        let bits = limits.permissions[column] >> shift;
        let word = |bit: i64, name: &str| match bits & bit {
            0 => format!("ALLOW_{name}"),
            _ => format!("DENY_{name}"),
        };
        println!(
            "  {what:<24}: {:<13} {:<13} {}",
            word(1, "CREATE"),
            word(2, "MODIFY"),
            word(4, "DELETE")
        );
    }
}

fn line(label: &str, value: String) {
    println!("{label:<LABEL_WIDTH$} : {value}");
}

fn date(time: i64) -> String {
    match time {
        UNLIMITED => "Never Expires".to_owned(),
        time => tai::mbox_date(time),
    }
}

fn size(number: i64) -> String {
    match number {
        0 => "   unlimited".to_owned(),
        number => number.to_string(),
    }
}

fn count(number: i64) -> String {
    match number {
        UNLIMITED => "   unlimited".to_owned(),
        number => number.to_string(),
    }
}

/// Prints limits for programs.
pub fn print_json(key: &str, limits: &Limits) -> Result<(), Exit> {
    let flags: Vec<&str> = limits
        .disabled
        .iter()
        .zip(FLAG_WORDS)
        .filter_map(|(is_set, (_, denied))| is_set.then_some(denied))
        .collect();
    let rights: serde_json::Map<_, _> = RIGHTS
        .iter()
        .map(|(what, column, shift)| {
            let bits = limits.permissions[*column] >> shift & 7;
            ((*what).to_owned(), bits.into())
        })
        .collect();
    crate::show::json(&json!({
        "name": key,
        "domain_expiry": limits.domain_expiry,
        "password_expiry": limits.password_expiry,
        "disk_quota": limits.disk_quota,
        "messages": limits.messages,
        "default_quota": limits.default_quota,
        "default_messages": limits.default_messages,
        "accounts": limits.accounts,
        "aliases": limits.aliases,
        "forwards": limits.forwards,
        "autoresponders": limits.autoresponders,
        "mailing_lists": limits.mailing_lists,
        "flags": flags,
        "denied": rights,
    }))
}
