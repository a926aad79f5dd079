//! Whoever was told 250 was told the truth, or the ledger says so.

use std::fs;
use std::io::Write;

use testkit::Installation;

/// Adds a line to a log behind multilog's back, as if the message of its last
/// line that fits had been somebody else's.
fn forge(
    server: &Installation,
    name: &str,
    fits: impl Fn(&&str) -> bool,
    changes: &[(&str, &str)],
) {
    let path = server.root().join("log").join(name).join("current");
    let text = fs::read_to_string(&path).unwrap();
    let mut line = text.lines().rev().find(fits).unwrap().to_owned() + "\n";
    for (old, new) in changes {
        assert!(line.contains(old), "{line}");
        line = line.replace(old, new);
    }
    let mut file = fs::File::options().append(true).open(path).unwrap();
    file.write_all(line.as_bytes()).unwrap();
}

#[test]
fn a_250_without_a_message_is_named_whichever_log_has_it() {
    let server = Installation::start("example.org");
    let send = |name| crate::killed::send(server.port(25), name, &["ann@example.org"]);
    assert!(send("first"));
    // What the logs begin with may have its beginning in older ones.
    std::thread::sleep(std::time::Duration::from_secs(21));
    assert!(send("second") && send("third"));
    server.wait_for_messages("ann", 3);
    server.wait_for_log("trace", "\"ended\"");
    server.indimail(&["ledger"]).good();

    let taken = |line: &&str| line.contains(" HELO <") && line.contains("> Size: ");
    let changes = [
        ("MAIL from <ann@example.org>", "MAIL from <gone@x.y>"),
        ("Size: ", "Size: 9"),
    ];
    forge(&server, "smtpd.25", taken, &changes);
    let ran = server.indimail(&["ledger"]);
    assert_eq!(ran.code, 1, "{}", ran.out);
    let worst = "from <gone@x.y>, accepted ";
    assert!(ran.out.contains(worst), "{}", ran.out);
    assert_eq!(
        ran.out.matches("LOST: 127.0.0.1 was told").count(),
        1,
        "{}",
        ran.out
    );

    let told = |line: &&str| line.contains("\"received\"");
    let changes = [
        ("ann@example.org", "lost@x.y"),
        ("\"trace\":\"", "\"trace\":\"0"),
    ];
    let text = fs::read_to_string(server.root().join("log/trace/current")).unwrap();
    let line = text.lines().rev().find(told).unwrap();
    let (_, rest) = line.split_once("\"trace\":\"").unwrap();
    let trace = format!("0{}", &rest[..15]);
    let last = rest[15..16].to_owned();
    let end = [
        changes[0],
        changes[1],
        (&*format!("{last}\",\"time\""), "\",\"time\""),
    ];
    forge(&server, "trace", told, &end);
    let ran = server.indimail(&["ledger"]);
    assert_eq!(
        ran.out.matches("LOST: 127.0.0.1 was told").count(),
        2,
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains(&format!("({trace}) from <lost@x.y>")),
        "{}",
        ran.out
    );
}
