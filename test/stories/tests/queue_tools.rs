//! An operator looks at the queue, holds, retries and deletes messages, and
//! proves that nothing is lost.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Builder, Installation, Ran, Sink, run, wait_for};

use crate::talk::Talk;

const SOON: Duration = Duration::from_secs(90);

/// A server whose remote mail all goes to a port of ours, where nobody
/// answers.
fn with_dead_relay() -> (Installation, u16) {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let setup = Builder::new("example.org");
    setup
        .add_user("ann")
        .control("smtproutes", &format!(":127.0.0.1:{port}\n"));
    (setup.start(), port)
}

fn inject(server: &Installation, to: &[&str], subject: &str) {
    let mut inject = server.tool("qmail-inject");
    inject.args(["-f", "ann@example.org"]).args(to);
    run(
        &mut inject,
        format!("Subject: {subject}\n\nhello\n").as_bytes(),
    )
    .good();
}

fn json(server: &Installation, arguments: &[&str]) -> Value {
    let mut all = vec!["queue"];
    all.extend(arguments);
    all.push("--json");
    let ran = server.indimail(&all).good();
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.out))
}

/// The numbers of messages with such a recipient left.
fn messages(server: &Installation, to: &str) -> Vec<String> {
    let list = json(server, &["list", "--to", to]);
    let lines = list.as_array().unwrap().iter();
    lines.map(|line| line["message"].to_string()).collect()
}

/// Waits until a message is there, put off and waiting for its next try.
fn deferred(server: &Installation, to: &str) -> String {
    let mut found = None;
    wait_for("a deferred message", SOON, || {
        let list = json(server, &["list", "--to", to]);
        let line = list[0].clone();
        let is_waiting = line["remote_due"].is_i64() && line["preprocessed"] == true;
        found = is_waiting.then(|| line["message"].to_string());
        found.is_some()
    });
    found.unwrap()
}

fn queue(server: &Installation, arguments: &[&str]) -> Ran {
    let mut all = vec!["queue"];
    all.extend(arguments);
    server.indimail(&all)
}

fn why(server: &Installation, id: &str) -> Value {
    json(server, &["why", id])[0]["recipients"][0].clone()
}

#[test]
fn why_tells_the_rule_with_its_numbers_and_the_last_answer() {
    let (server, _) = with_dead_relay();
    inject(&server, &["bob@far.example"], "one");
    let id = deferred(&server, "bob@far.example");
    let told = why(&server, &id);
    assert_eq!(told["state"], "waiting", "{told}");
    let rule = told["rule"].as_str().unwrap();
    assert!(rule.contains("(0 + 20)^2 = 400 s"), "{rule}");
    let last = told["last"]["words"].as_str().unwrap();
    assert!(last.contains("wasn't able to establish"), "{told}");
    assert!(
        told["notes"][0].as_str().unwrap().contains("queuelifetime"),
        "{told}"
    );
    let text = queue(&server, &["why", &id]).good().out;
    for words in [
        "to remote bob@far.example: waiting",
        "last answer",
        "quadratic",
    ] {
        assert!(text.contains(words), "{text}");
    }
    assert!(!text.contains('\x1b'), "colour is for terminals: {text}");
    let nothing = queue(&server, &["why", "1"]);
    assert_eq!(nothing.code, 1);
    assert!(
        nothing.err.contains("no queue has message 1"),
        "{}",
        nothing.err
    );

    // The classic tools say the same.
    let qread = run(&mut server.tool("qmail-qread"), b"").good().out;
    assert!(qread.contains(&format!("#{id}  ")) && qread.contains("\tremote\tbob@far.example"));
    let bp = run(server.tool("sendmail").arg("-bp"), b"").good().out;
    assert_eq!(bp, qread);
    let qstat = run(&mut server.tool("qmail-qstat"), b"").good().out;
    let expected = "messages in queue: 1\nmessages in queue but not yet preprocessed: 0\n";
    assert_eq!(qstat, expected);
}

#[test]
fn what_is_held_waits_over_a_restart_and_goes_when_it_is_released() {
    let (mut server, port) = with_dead_relay();
    inject(&server, &["bob@far.example"], "held");
    inject(&server, &["eve@far.example"], "free");
    let (held, free) = (
        deferred(&server, "bob@far.example"),
        deferred(&server, "eve@far.example"),
    );
    let ran = queue(&server, &["hold", &held, "--reason", "they asked"]).good();
    assert!(ran.out.contains("held"), "{}", ran.out);
    assert_eq!(why(&server, &held)["state"], "held");
    assert_eq!(why(&server, &free)["state"], "waiting");
    server.restart();
    assert_eq!(why(&server, &held)["state"], "held");
    let rule = why(&server, &held)["rule"].to_string();
    assert!(rule.contains("they asked"), "{rule}");

    let sink = Sink::on(port);
    let ran = queue(&server, &["retry-now", "--all"]).good();
    assert!(ran.out.contains("due now, but held"), "{}", ran.out);
    wait_for("the free one", SOON, || {
        messages(&server, "eve@*").is_empty()
    });
    assert_eq!(messages(&server, "bob@*"), [held.as_str()]);
    queue(&server, &["release", &held]).good();
    wait_for("the released one", SOON, || {
        messages(&server, "*").is_empty()
    });
    assert_eq!(sink.messages().len(), 2);
    server.indimail(&["ledger"]).good();
}

#[test]
fn a_domain_and_a_channel_can_be_held_without_a_restart() {
    let (server, port) = with_dead_relay();
    let sink = Sink::on(port);
    queue(&server, &["hold", "@held.example", "local"]).good();
    inject(&server, &["bob@held.example", "eve@free.example"], "two");
    inject(&server, &["ann@example.org"], "local");
    wait_for("the free domain", SOON, || sink.messages().len() == 1);
    let held = messages(&server, "bob@held.example").remove(0);
    wait_for("the rest of it", SOON, || {
        json(&server, &["show", &held])[0]["recipients_left"] == 1
    });
    assert_eq!(why(&server, &held)["state"], "held");
    let qread = run(&mut server.tool("qmail-qread"), b"").good().out;
    let halves = "  done\tremote\teve@free.example\n";
    assert!(
        qread.contains(halves) && qread.contains("\n\tremote\tbob@held.example\n"),
        "{qread}"
    );
    let local = messages(&server, "*ann@example.org").remove(0);
    let told = why(&server, &local);
    assert_eq!(
        (&told["state"], &told["channel"]),
        (&"held".into(), &"local".into())
    );
    let log = server.log("deliver.25");
    assert!(log.contains("local deliveries temporarily held"));
    assert!(log.contains(" (held) remote "), "{log}");
    assert!(server.messages("ann").is_empty());
    queue(&server, &["release", "local", "@held.example"]).good();
    server.wait_for_messages("ann", 1);
    wait_for("the held domain", SOON, || sink.messages().len() == 2);
    wait_for("an empty queue", SOON, || messages(&server, "*").is_empty());
    server.indimail(&["ledger"]).good();
}

#[test]
fn only_the_chosen_are_retried_and_deleted_while_mail_flows() {
    let (server, port) = with_dead_relay();
    for n in 0..6 {
        inject(&server, &[&format!("u{n}@far.example")], "x");
    }
    let ids: Vec<String> = (0..6)
        .map(|n| deferred(&server, &format!("u{n}@far.example")))
        .collect();
    let sink = Sink::on(port);
    let ran = queue(&server, &["delete", &ids[0], &ids[1]]).good();
    assert_eq!(ran.out.matches(": deleted").count(), 2, "{}", ran.out);
    assert_eq!(queue(&server, &["delete", &ids[0]]).code, 1, "it is gone");
    queue(&server, &["retry-now", "--to", "u2@*"]).good();
    wait_for("the one that was chosen", SOON, || {
        sink.messages().len() == 1
    });
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(sink.messages().len(), 1, "nobody else is tried");
    let left = messages(&server, "*");
    assert_eq!(left.len(), 3, "{left:?}");
    wait_for("the texts to go", SOON, || {
        let qstat = run(&mut server.tool("qmail-qstat"), b"").good().out;
        qstat.starts_with("messages in queue: 3\n")
    });

    // Without qmail-send the lock is taken instead.
    server.svc("-d", "qmail-send.25");
    wait_for("qmail-send to end", SOON, || {
        !server.root().join("queue/queue1/hold/socket").exists() || {
            queue(&server, &["list"])
                .err
                .contains("qmail-send is not running")
        }
    });
    let ran = queue(&server, &["delete", &left[0]]).good();
    assert!(ran.out.contains(": deleted"), "{}", ran.out);
    let told = json(&server, &["why", &left[1]])[0].clone();
    assert!(
        told["notes"][0].as_str().unwrap().contains("not running"),
        "{told}"
    );
    assert_eq!(queue(&server, &["retry-now", &left[1]]).code, 1);
    let removed = run(
        server.tool("qmail-rm").args(["-p", "hello", "-n", "1"]),
        b"",
    )
    .good()
    .out;
    assert!(removed.ends_with("0 file(s) match\n"), "{removed}");
    let removed = run(server.tool("qmail-rm").args(["-p", "^hello", "-r"]), b"")
        .good()
        .out;
    assert!(removed.ends_with("2 file(s) match\n"), "{removed}");
    let queue1 = server.root().join("queue/queue1");
    assert_eq!(fs::read_dir(queue1.join("trash")).unwrap().count(), 6);
    server.svc("-u", "qmail-send.25");
}

/// Files below a directory of the queue.
fn found(server: &Installation, directory: &str) -> usize {
    let path = server.root().join("queue/queue1").join(directory);
    let found = run(Command::new("find").arg(path).args(["-type", "f"]), b"")
        .good()
        .out;
    found.lines().count()
}

#[test]
fn a_copied_queue_is_mended_and_everything_in_it_is_delivered_once() {
    let (server, port) = with_dead_relay();
    for n in 0..5 {
        inject(
            &server,
            &[&format!("u{n}@far.example"), "v@far.example"],
            &format!("old{n}"),
        );
    }
    for n in 0..5 {
        deferred(&server, &format!("u{n}@far.example"));
    }
    server.svc("-d", "qmail-send.25");
    wait_for("qmail-send to end", SOON, || {
        queue(&server, &["list"])
            .err
            .contains("qmail-send is not running")
    });
    for n in 0..5 {
        inject(&server, &[&format!("w{n}@far.example")], &format!("new{n}"));
    }
    let qstat = run(&mut server.tool("qmail-qstat"), b"").good().out;
    assert_eq!(
        qstat,
        format!(
            "messages in queue: {}\nmessages in queue but not yet preprocessed: {}\n",
            found(&server, "mess"),
            found(&server, "todo")
        )
    );
    let queue1 = server.root().join("queue/queue1");
    let copy = server.root().join("queue/copy");
    run(Command::new("cp").arg("-a").arg(&queue1).arg(&copy), b"").good();
    fs::remove_dir_all(&queue1).unwrap();
    fs::rename(&copy, &queue1).unwrap();
    let fix = |arguments: &[&str]| run(server.tool("queue-fix").args(arguments), b"");
    assert_eq!(fix(&["-N"]).code, 111);
    let mended = fix(&["-s", "151", "-b", "1"]).good().out;
    assert!(mended.contains("rename "), "{mended}");
    assert_eq!(fix(&[]).good().out, "", "the second run prints nothing");
    let sink = Sink::on(port);
    server.svc("-u", "qmail-send.25");
    wait_for("qmail-send to start", SOON, || {
        queue(&server, &["list"]).err.is_empty()
    });
    queue(&server, &["retry-now", "--all"]);
    wait_for("an empty queue", SOON, || messages(&server, "*").is_empty());
    let mut subjects: Vec<String> = sink
        .messages()
        .iter()
        .filter_map(|m| {
            m.lines()
                .find_map(|l| l.strip_prefix("Subject: "))
                .map(str::to_owned)
        })
        .collect();
    subjects.sort();
    let expected: Vec<String> = (0..5)
        .map(|n| format!("new{n}"))
        .chain((0..10).map(|n| format!("old{}", n / 2)))
        .collect();
    assert_eq!(subjects, expected, "each recipient once");
}

#[test]
fn a_host_that_is_down_is_listed_until_it_is_forgotten() {
    let (server, _) = with_dead_relay();
    inject(&server, &["bob@far.example"], "x");
    let id = deferred(&server, "bob@far.example");
    let tcpto = |arguments: &[&str]| {
        run(server.tool("qmail-tcpto").args(arguments), b"")
            .good()
            .out
    };
    let line = tcpto(&[]);
    assert!(line.starts_with("127.0.0.1 ipv4 timed out "), "{line}");
    assert!(line.ends_with("; # recent timeouts: 1\n"), "{line}");
    // Two failures more than two minutes apart, in the table's own words.
    let table = server.root().join("queue/queue1/lock/tcpto");
    let mut bytes = fs::read(&table).unwrap();
    let record = bytes.chunks(32).position(|record| record[4] == 1).unwrap() * 32;
    bytes[record + 4] = 2;
    fs::write(&table, &bytes).unwrap();
    let notes = why(&server, &id)["notes"].to_string();
    assert!(notes.contains("127.0.0.1 failed 2 times"), "{notes}");
    let listed: Value = serde_json::from_str(&tcpto(&["--json"])).unwrap();
    assert_eq!(listed[0]["timeouts"], 2);
    run(&mut server.tool("qmail-tcpok"), b"").good();
    assert_eq!(tcpto(&[]), "");
    let ipme = run(&mut server.tool("ipmeprint"), b"").good().out;
    assert!(ipme.contains("ipv4 -> 127.0.0.1\n"), "{ipme}");
}

#[test]
fn another_user_is_told_what_to_do() {
    let (server, _) = with_dead_relay();
    let mut other = Command::new("setpriv");
    other
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(server.root().join("bin/indimail"))
        .args(["queue", "list", "--root"])
        .arg(server.root());
    let ran = run(&mut other, b"");
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("run this as root or as the owner"),
        "{}",
        ran.err
    );
}

/// Sends one message as a stranger; says whether it was answered 250.
fn send(port: u16, to: &[&str]) -> bool {
    if std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        return false;
    }
    let attempt = std::panic::catch_unwind(|| {
        let mut talk = Talk::to(port);
        let mut is_good = talk.say("EHLO x.example").starts_with("250")
            && talk
                .say("MAIL FROM:<bob@foreign.example>")
                .starts_with("250");
        for to in to {
            is_good = is_good && talk.say(&format!("RCPT TO:<{to}>")).starts_with("250");
        }
        is_good
            && talk.say("DATA").starts_with("354")
            && talk.say("Subject: x\r\n\r\nhello\r\n.").starts_with("250")
    });
    attempt.unwrap_or(false)
}

#[test]
fn the_books_balance_over_forwards_bounces_deferrals_and_killed_processes() {
    let (server, _) = with_dead_relay();
    for (name, line) in [
        ("far", "&eve@far.example\n"),
        ("fail", "|bouncesaying no\n"),
    ] {
        let path = server.root().join("alias").join(format!(".qmail-{name}"));
        fs::write(&path, line).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    }
    let port = server.port(25);
    let mut accepted = 0;
    for round in 0..4 {
        for _ in 0..15 {
            accepted += usize::from(send(port, &["ann@example.org"]));
            accepted += usize::from(send(port, &["ann@example.org", "postmaster@example.org"]));
        }
        for to in [
            &["far@mx.example.org"][..],
            &["fail@mx.example.org", "ann@example.org"],
        ] {
            let mut inject = server.tool("qmail-inject");
            inject.args(["-f", "ann@example.org"]).args(to);
            accepted += usize::from(run(&mut inject, b"Subject: x\n\nhello\n").code == 0);
        }
        let victim = ["qmail-send", "vdeliverd", "qmail-queued", "qmail-lspawn"][round];
        let running = crate::killed::processes(&server);
        for pid in running.get(victim).into_iter().flatten() {
            run(Command::new("kill").args(["-9", &pid.to_string()]), b"");
        }
        std::thread::sleep(Duration::from_secs(2));
    }
    assert!(60 < accepted, "{accepted}");
    let balance = || -> Value {
        let ran = server.indimail(&["ledger", "--json"]);
        serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err))
    };
    let mut found = balance();
    // The four for eve stay. What is deferred because a process was killed
    // would wait 100 s.
    let is_settled =
        |found: &Value| found["queued"].as_u64().unwrap() <= 4 && found["differences"][0].is_null();
    let deadline = Instant::now() + Duration::from_secs(90);
    while !is_settled(&found) && Instant::now() < deadline {
        server.svc("-a", "qmail-send.25");
        std::thread::sleep(Duration::from_secs(2));
        found = balance();
    }
    assert!(
        is_settled(&found),
        "{found}\n{}",
        queue(&server, &["list"]).out
    );
    let sum = |name: &str| found[name].as_u64().unwrap();
    assert!(accepted as u64 <= sum("accepted"), "{found}");
    assert_eq!(
        sum("accepted"),
        sum("delivered") + sum("bounced") + sum("discarded") + sum("queued"),
        "{found}"
    );
    assert!(3 <= sum("bounced") && 3 <= sum("queued"), "{found}");

    // Something is taken away by hand.
    server.svc("-d", "qmail-send.25");
    let id = messages(&server, "eve@far.example").remove(0);
    let number: u64 = id.parse().unwrap();
    let info = server
        .root()
        .join(format!("queue/queue1/info/{}/{id}", number % 23));
    fs::remove_file(&info).unwrap();
    let ran = server.indimail(&["ledger"]);
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.out.contains(&format!("queue1/{id} (")), "{}", ran.out);
    server.svc("-u", "qmail-send.25");
}
