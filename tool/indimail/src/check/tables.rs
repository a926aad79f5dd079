//! Tables made from text, and lists that must agree: who gets which domain.

use std::collections::BTreeSet;
use std::fs;

use run::Home;
use text::control;

use super::Findings;
use super::files::is_older;

/// Checks them all.
pub fn check(home: &Home, findings: &mut Findings) {
    users(home, findings);
    rules(home, findings);
    domains(home, findings);
}

/// `users/cdb` must say what `users/assign` says.
fn users(home: &Home, findings: &mut Findings) {
    let assign = home.users().join("assign");
    let table = home.users().join("cdb");
    let mend = format!("run {}/qmail-newu", home.bin().display());
    let text = match fs::read(&assign) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !table.exists() => return,
        Err(error) => {
            return findings.add(
                assign.display(),
                format!("cannot be read: {error}"),
                "restore it; indimail quickstart makes an empty one",
            );
        }
    };
    let compiled = match directory::assign::compile(&text) {
        Ok(compiled) => compiled,
        Err(error) => {
            return findings.add(assign.display(), error, "correct the line, then qmail-newu");
        }
    };
    let problem = match fs::read(&table) {
        Err(error) => format!("cannot be read: {error}; local mail waits"),
        Ok(found) if found == compiled => return,
        Ok(found) if cdb::Reader::new(&found).is_err() => "is damaged; local mail waits".to_owned(),
        Ok(_) if is_older(&table, &assign) => "is older than users/assign".to_owned(),
        Ok(_) => "does not say what users/assign says".to_owned(),
    };
    findings.add(table.display(), problem, mend);
}

fn rules(home: &Home, findings: &mut Findings) {
    let text = home.etc().join("tcp.smtp");
    let table = home.etc().join("tcp.smtp.cdb");
    if !text.exists() {
        return;
    }
    let problem = match fs::read(&table) {
        Err(error) => format!("cannot be read: {error}"),
        Ok(found) if cdb::Reader::new(&found).is_err() => {
            "is damaged: no client is let in".to_owned()
        }
        Ok(_) if is_older(&table, &text) => "is older than etc/tcp.smtp".to_owned(),
        Ok(_) => return,
    };
    let (bin, etc) = (home.bin(), home.etc());
    let (bin, etc) = (bin.display(), etc.display());
    findings.add(
        table.display(),
        problem,
        format!("run {bin}/tcprules {etc}/tcp.smtp.cdb {etc}/tcp.smtp.tmp < {etc}/tcp.smtp"),
    );
}

/// A virtual domain needs its line in three files; with one missing its mail
/// is refused, or looked for among the host's users.
fn domains(home: &Home, findings: &mut Findings) {
    let read = |path: std::path::PathBuf| fs::read(path).unwrap_or_default();
    let control = |name: &str| read(home.control().join(name));
    let lower = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_lowercase();
    let list = |content: &[u8]| control::list(content).map(lower).collect::<BTreeSet<_>>();
    let assigned: BTreeSet<String> = lower(&read(home.users().join("assign")))
        .lines()
        .filter_map(|line| Some(line.strip_prefix('+')?.split_once("-:")?.0.to_owned()))
        .collect();
    let mut received = list(&control("rcpthosts"));
    received.extend(list(&control("morercpthosts")));
    let locals = list(&control("locals"));
    let mut mapped = BTreeSet::new();
    let vadddomain = format!("{}/vadddomain", home.bin().display());
    for line in list(&control("virtualdomains")) {
        let Some((domain, prefix)) = line.split_once(':') else {
            findings.add(
                home.control().join("virtualdomains").display(),
                format!("line {line:?} has no colon and means nothing"),
                "write domain:prefix",
            );
            continue;
        };
        let host = domain.rsplit('@').next().unwrap_or(domain);
        if prefix.is_empty() {
            continue;
        }
        mapped.insert(prefix.to_owned());
        if !assigned.is_empty() && host == prefix && !assigned.contains(prefix) {
            findings.add(
                domain,
                "is in control/virtualdomains, but users/assign has no line +DOMAIN-: for it",
                format!("{vadddomain} {domain}, or take it out of virtualdomains"),
            );
        }
        if !host.is_empty() && !is_received(host, &received) {
            findings.add(
                domain,
                "is in control/virtualdomains, but not in control/rcpthosts: its mail is refused",
                "add it to control/rcpthosts",
            );
        }
        if locals.contains(domain) {
            findings.add(
                domain,
                "is in control/locals and control/virtualdomains: locals wins, its users get \
                 nothing",
                "take it out of one of them, then svc -h qmail-send.25",
            );
        }
    }
    for domain in assigned.iter().filter(|name| name.contains('.')) {
        if !mapped.contains(domain) {
            findings.add(
                domain,
                "is in users/assign, but not in control/virtualdomains: its users get nothing",
                format!(
                    "add {domain}:{domain} to control/virtualdomains, then svc -h qmail-send.25"
                ),
            );
        }
    }
}

/// As qmail-smtpd looks in `rcpthosts`: the name, then its suffixes.
fn is_received(host: &str, received: &BTreeSet<String>) -> bool {
    received.contains(host)
        || host
            .match_indices('.')
            .any(|(at, _)| received.contains(&host[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_disagree_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        for name in ["control", "users", "etc"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let lines = "a.test:a.test\nb.test:b.test\nc.test:c.test\nl.test:a.test\nbad\n";
        for (path, content) in [
            ("control/virtualdomains", lines),
            ("control/rcpthosts", "a.test\nb.test\nl.test\n"),
            ("control/locals", "l.test\n"),
            (
                "users/assign",
                "+a.test-:a.test:1:1:/a:-::\n+c.test-:c.test:1:1:/c:-::\n\
                 +d.test-:d.test:1:1:/d:-::\n.\n",
            ),
        ] {
            fs::write(directory.path().join(path), content).unwrap();
        }
        let mut findings = Findings::default();
        domains(&home, &mut findings);
        let found: Vec<String> = findings
            .findings
            .iter()
            .map(|finding| format!("{} {}", finding.subject, finding.problem))
            .collect();
        for (subject, word) in [
            ("b.test", "users/assign has no line"),
            ("c.test", "control/rcpthosts"),
            ("d.test", "not in control/virtualdomains"),
            ("l.test", "locals wins"),
            ("", "no colon"),
        ] {
            let said = found
                .iter()
                .any(|line| line.starts_with(subject) && line.contains(word));
            assert!(said, "{subject} {word}: {found:?}");
        }
        assert_eq!(found.len(), 5, "{found:?}");
    }
}
