//! What `indimail explain smtp` asks.

use wire::explain::{Explanation, Question, Rule, Verdict};
use wire::lookup::Account;

use crate::world::{World, talk};

/// A world without name servers.
fn world() -> World {
    let world = World::new();
    world.inlookup();
    world.control("nodnscheck", "*\n");
    world
}

fn question(sender: &str, recipient: &str) -> Question {
    Question {
        ip: "192.0.2.1".into(),
        hello: "client.test".into(),
        sender: sender.into(),
        recipients: vec![recipient.into()],
        ..Question::default()
    }
}

fn ask(world: &World, question: &Question, arguments: &[&str]) -> Explanation {
    let mut command = world.command();
    command
        .args(["--explain", "--user", "root"])
        .args(arguments);
    let input = serde_json::to_string(question).unwrap();
    let (output, log, code) = talk(command, &input);
    assert_eq!(code, Some(0), "{log}");
    serde_json::from_str(&output).unwrap()
}

/// The rules that spoke about what begins like this.
fn rules<'a>(explanation: &'a Explanation, said: &str) -> &'a [Rule] {
    let mut steps = explanation.steps.iter();
    let step = steps.find(|step| step.said.starts_with(said));
    &step
        .unwrap_or_else(|| panic!("no {said}: {explanation:?}"))
        .rules
}

#[test]
fn the_line_that_refuses_is_named() {
    let world = world();
    world.control("badmailfrom", "# bad ones\n\n@evil.test\n");
    world.control("badmailpatterns", "*@isp.test\n!fred@isp.test\n");
    let told = ask(&world, &question("a@Evil.test", "info@host.test"), &[]);
    assert_eq!(told.verdict, Verdict::Refused);
    let rule = rules(&told, "MAIL").last().unwrap();
    assert_eq!(rule.setting.as_deref(), Some("badmailfrom"));
    assert!(rule.from.ends_with("control/badmailfrom"), "{rule:?}");
    assert_eq!(
        (rule.line, rule.text.as_deref()),
        (Some(3), Some("@evil.test"))
    );
    let last = told.steps.last().unwrap();
    assert!(last.reply[0].starts_with("553 5.7.1 sorry, your envelope sender"));
    assert!(last.log[0].starts_with("Invalid SENDER address"));

    let told = ask(&world, &question("joe@isp.test", "info@host.test"), &[]);
    let rule = rules(&told, "MAIL").last().unwrap();
    assert!(rule.from.ends_with("control/badmailpatterns"), "{rule:?}");
    assert_eq!(rule.line, Some(1));
    let told = ask(&world, &question("fred@isp.test", "info@host.test"), &[]);
    assert_eq!(told.verdict, Verdict::Taken);
}

#[test]
fn why_a_recipient_is_taken_or_not() {
    let world = world();
    let mut asked = question("a@b.test", "info@host.test");
    asked.recipients.push("x@other.test".into());
    asked.recipients.push("nobody@v.test".into());
    asked.recipients.push("ann@v.test".into());
    let told = ask(&world, &asked, &[]);
    assert_eq!(told.verdict, Verdict::TakenForSome);
    let rule = &rules(&told, "RCPT TO:<info@")[0];
    assert_eq!(
        (rule.line, rule.says.as_str()),
        (Some(1), "mail for the domain is taken")
    );
    let rule = &rules(&told, "RCPT TO:<x@other")[0];
    assert!(rule.from.ends_with("control/rcpthosts") && rule.line.is_none());
    assert!(
        rules(&told, "RCPT TO:<nobody@")
            .last()
            .unwrap()
            .says
            .ends_with("Absent")
    );
    assert!(
        rules(&told, "RCPT TO:<ann@")
            .last()
            .unwrap()
            .says
            .ends_with("Fine")
    );
    assert_eq!(told.steps.last().unwrap().reply, ["354 go ahead"]);
}

#[test]
fn where_a_relay_client_is_from_is_told() {
    let world = world();
    world.control("relayclients", "10.:\n192.0.2.:\n");
    let told = ask(&world, &question("a@b.test", "x@other.test"), &[]);
    assert_eq!(told.verdict, Verdict::Taken);
    let rule = &rules(&told, "RCPT")[0];
    assert!(rule.from.ends_with("control/relayclients"), "{rule:?}");
    assert_eq!(rule.line, Some(2));

    world.rules("192.0.2.:allow,RELAYCLIENT=\"\",DATABYTES=\"10\"\n");
    let mut asked = question("a@b.test", "x@other.test");
    asked.size = Some(11);
    let told = ask(&world, &asked, &[]);
    let connection = &rules(&told, "")[0];
    assert!(connection.from.ends_with("etc/tcp.smtp.cdb"));
    assert_eq!(connection.text.as_deref(), Some("192.0.2.:"));
    let rule = rules(&told, "MAIL").last().unwrap();
    assert!(
        rule.from.starts_with("variable DATABYTES, from "),
        "{rule:?}"
    );
    assert_eq!(rule.text.as_deref(), Some("10"));

    world.rules("192.0.2.:deny\n");
    let told = ask(&world, &question("a@b.test", "x@other.test"), &[]);
    assert_eq!((told.verdict, told.steps.len()), (Verdict::Refused, 1));
}

#[test]
fn a_rule_for_the_sender_is_told_with_what_it_changes() {
    let world = world();
    let lines = "*@big.test:DATABYTES=50\na@big.test:REQUIREAUTH=1\n";
    world.control("from.envrules", lines);
    let told = ask(&world, &question("a@big.test", "info@host.test"), &[]);
    let found = rules(&told, "MAIL");
    let lines: Vec<_> = found.iter().map(|rule| rule.line).collect();
    assert_eq!(&lines[..2], [Some(1), Some(2)]);
    let last = found.last().unwrap();
    assert_eq!(
        last.from,
        "variable REQUIREAUTH, from control/from.envrules"
    );
    assert_eq!(told.verdict, Verdict::Refused);
}

#[test]
fn who_logged_in_is_assumed_and_nothing_is_queued() {
    let world = world();
    world.queue_writer(0);
    let mut asked = question("ann@v.test", "x@other.test");
    let told = ask(&world, &asked, &["--submission"]);
    assert_eq!(rules(&told, "MAIL").last().unwrap().from, "--submission");
    asked.login = Some(Account {
        address: "ann@v.test".into(),
        maildir: String::new(),
        quota: String::new(),
        may_relay: true,
        server_signature: Vec::new(),
    });
    let told = ask(&world, &asked, &["--submission"]);
    assert_eq!(told.verdict, Verdict::Taken, "{told:?}");
    asked.sender = "bob@v.test".into();
    let told = ask(&world, &asked, &["--submission"]);
    let rule = rules(&told, "MAIL").last().unwrap();
    assert_eq!(rule.setting.as_deref(), Some("MASQUERADE"));
    assert!(world.queued.lock().unwrap().is_empty());
}

#[test]
fn an_outage_is_no_refusal_for_good() {
    let world = World::new();
    let told = ask(&world, &question("a@b.test", "ann@v.test"), &[]);
    assert_eq!(told.verdict, Verdict::Deferred);
    world.control("nodnscheck", "*\n");
    let told = ask(&world, &question("a@b.test", "ann@v.test"), &[]);
    assert_eq!(told.verdict, Verdict::Deferred);
    assert!(
        rules(&told, "RCPT")
            .last()
            .unwrap()
            .says
            .contains("inlookup")
    );
}

#[test]
fn what_is_no_question_is_refused() {
    let world = world();
    let mut command = world.command();
    command.args(["--explain", "--user", "root"]);
    let (output, log, code) = talk(command, "EHLO x\r\n");
    assert_eq!((output.as_str(), code), ("", Some(100)));
    assert!(log.contains("indimail explain smtp"), "{log}");
}
