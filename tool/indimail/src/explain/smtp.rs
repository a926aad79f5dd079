//! `indimail explain smtp`: asks qmail-smtpd itself, with the variables and
//! the options of the service on that port, and prints what it says.

use std::io::Write;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use directory::flags;
use run::Home;
use run::envdir::{self, Unreadable};
use wire::explain::{Explanation, Question, Rule, Step, Verdict};
use wire::lookup::{Account, Reply, Request};

use crate::{Outcome, Root, site};

/// Arguments of `indimail explain smtp`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Address of the client
    #[arg(long, value_name = "IP")]
    from: IpAddr,
    /// Its name, as name servers tell it
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// The client speaks TLS
    #[arg(long)]
    tls: bool,
    /// Who logged in
    #[arg(long, value_name = "USER@DOMAIN")]
    auth: Option<String>,
    /// What the client calls itself [default: its name, else its address]
    #[arg(long, value_name = "NAME")]
    helo: Option<String>,
    /// Envelope sender; empty for a notification
    #[arg(long, value_name = "ADDRESS")]
    mail_from: String,
    /// Envelope recipient; may be repeated
    #[arg(long, value_name = "ADDRESS", required = true)]
    rcpt: Vec<String>,
    /// Size the client announces, in bytes
    #[arg(long, value_name = "BYTES")]
    size: Option<u64>,
    /// Which service: that of port 25, 587 or 465
    #[arg(long, default_value_t = 25)]
    port: u16,
    #[command(flatten)]
    root: Root,
}

/// Runs the command: 0 when the message would be taken, 1 when not even one
/// recipient gets it, 2 when some do not.
pub fn run(arguments: &Arguments) -> Outcome {
    let home = site::home(arguments.root.root.as_deref())?;
    let login = match &arguments.auth {
        Some(user) => Some(account(&home, user)?),
        None => None,
    };
    let literal = match arguments.from {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    };
    let hello = arguments.helo.clone().or(arguments.host.clone());
    let question = Question {
        ip: arguments.from.to_canonical().to_string(),
        host: arguments.host.clone(),
        tls: arguments.tls,
        login,
        hello: hello.unwrap_or(literal),
        size: arguments.size,
        sender: arguments.mail_from.clone(),
        recipients: arguments.rcpt.clone(),
    };
    let explanation = ask(&home, arguments.port, &question)?;
    match arguments.root.json {
        true => println!("{}", serde_json::to_string_pretty(&explanation)?),
        false => print!("{}", text(&explanation)),
    }
    Ok(ExitCode::from(match explanation.verdict {
        Verdict::Taken => 0,
        Verdict::TakenForSome => 2,
        Verdict::Deferred | Verdict::Refused => 1,
    }))
}

/// The user as inlookup would tell after a login.
fn account(home: &Home, user: &str) -> Result<Account, Box<dyn std::error::Error>> {
    let address = user.to_ascii_lowercase();
    let (local, domain) = address
        .rsplit_once('@')
        .ok_or_else(|| format!("--auth {user}: write user@domain"))?;
    let question = Request::User {
        local: local.to_owned(),
        domain: domain.to_owned(),
    };
    let found = match crate::logins::ask(home, &question)? {
        Reply::User(found) => found,
        Reply::Temporary(text) => return Err(format!("--auth {user}: {text}").into()),
        other => return Err(format!("inlookup answers another question: {other:?}").into()),
    };
    let user = found.ok_or_else(|| format!("--auth {user}: there is no such user"))?;
    Ok(Account {
        may_relay: user.gid_flags & flags::NO_RELAY == 0,
        address,
        maildir: String::new(),
        quota: String::new(),
        server_signature: Vec::new(),
    })
}

/// Puts the question to the program, as its service runs it.
fn ask(
    home: &Home,
    port: u16,
    question: &Question,
) -> Result<Explanation, Box<dyn std::error::Error>> {
    let service = home.service().join(format!("qmail-smtpd.{port}"));
    let mut command = Command::new(home.bin().join("qmail-smtpd"));
    command
        .arg("--explain")
        .args(options(&service)?)
        .env_clear()
        .env("QMAILDIR", home.root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let variables = service.join("variables");
    for (name, value) in envdir::read(&variables, Unreadable::Refused)? {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let cannot = |error: std::io::Error| format!("cannot run qmail-smtpd: {error}");
    let mut child = command.spawn().map_err(cannot)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ended says why.
        let _ = stdin.write_all(serde_json::to_string(question)?.as_bytes());
    }
    let output = child.wait_with_output().map_err(cannot)?;
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout)?),
        false => Err("qmail-smtpd could not tell; see above".into()),
    }
}

/// What the service's run script gives the program, as far as it decides
/// about mail.
fn options(service: &Path) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let path = service.join("run");
    let script = std::fs::read_to_string(&path).map_err(|error| {
        let path = path.display();
        format!("{path}: {error}; is this a port of SMTP? Try --port 25, 587 or 465")
    })?;
    let mut words = script
        .split_whitespace()
        .map(|word| word.trim_matches(['\'', '"']))
        .skip_while(|word| !word.ends_with("qmail-smtpd"));
    let mut options = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "--submission" | "--auth" => options.push(word.to_owned()),
            "--user" | "--rules" => {
                options.push(word.to_owned());
                options.extend(words.next().map(str::to_owned));
            }
            _ => {}
        }
    }
    Ok(options)
}

fn text(explanation: &Explanation) -> String {
    let steps: String = explanation.steps.iter().map(step).collect();
    let verdict = match explanation.verdict {
        Verdict::Taken => "The message may come.",
        Verdict::TakenForSome => "The message may come, but not to all recipients.",
        Verdict::Deferred => "The message may not come now.",
        Verdict::Refused => "The message may not come.",
    };
    format!("{steps}\n{verdict}\n")
}

fn step(step: &Step) -> String {
    let mut out = match step.said.as_str() {
        "" => "The client connects.\n".to_owned(),
        said => format!("{}\n", printable(said)),
    };
    for rule in &step.rules {
        out += &format!("    {}\n", words(rule));
    }
    if 0 < step.waits_seconds {
        out += &format!("    waits {} s\n", step.waits_seconds);
    }
    for line in &step.log {
        out += &format!("    log: {}\n", printable(line));
    }
    for line in &step.reply {
        out += &format!("  {}\n", printable(line));
    }
    out
}

/// A rule in one line: where, what, and what follows.
fn words(rule: &Rule) -> String {
    let number = rule.line.map_or(String::new(), |line| format!(":{line}"));
    let text = rule.text.as_deref().filter(|text| !text.is_empty());
    let text = text.map_or(String::new(), |text| format!(", {text}"));
    let setting = match &rule.setting {
        Some(setting) if !rule.from.contains(setting.as_str()) => format!(" ({setting})"),
        _ => String::new(),
    };
    printable(&format!(
        "{}{number}{setting}{text}: {}",
        rule.from, rule.says
    ))
}

/// Nothing a terminal would obey.
fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '?' } else { c };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_the_service_are_used() {
        let directory = tempfile::tempdir().unwrap();
        let script = "#!/bin/sh\nexec envdir ./variables sh -c 'exec /x/qmail-smtpd --listen \
            \"$LOCALIP:$PORT\" --tls starttls --user qmaild --submission'\n";
        std::fs::write(directory.path().join("run"), script).unwrap();
        let found = options(directory.path()).unwrap();
        assert_eq!(found, ["--user", "qmaild", "--submission"]);
    }

    #[test]
    fn a_rule_is_told_in_one_line() {
        let rule = Rule {
            setting: Some("badmailfrom".into()),
            from: "/x/control/badmailfrom".into(),
            line: Some(3),
            text: Some("@evil\x1b.test".into()),
            says: "the sender is refused".into(),
        };
        let told = "/x/control/badmailfrom:3, @evil?.test: the sender is refused";
        assert_eq!(words(&rule), told);
    }
}
