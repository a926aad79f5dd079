//! What others have got wrong before: the traps of smtp-receiving.md §9 that
//! no test beside this one has.

use crate::acceptance::Site;
use crate::descriptors::checked;
use crate::world::World;

/// Replies that begin so.
fn count(output: &str, start: &str) -> usize {
    output
        .lines()
        .filter(|line| line.starts_with(start))
        .count()
}

#[test]
fn trap_4_who_logged_in_stays_so_after_rules_for_a_sender() {
    let world = World::new();
    world.control("from.envrules", "*@example.com:DATABYTES=5000\n");
    let login = "EHLO x\r\nAUTH PLAIN AHVzZXJAZXhhbXBsZS5jb20AcGFzcw==\r\n";
    let transaction = "MAIL FROM:<user@example.com>\r\nRCPT TO:<x@other.test>\r\nRSET\r\n";
    let input = format!("{login}{transaction}{transaction}{transaction}QUIT\r\n");
    let (output, log) = checked(&world, "exit 0", &input);
    assert_eq!(count(&output, "250 2.1.5 ok"), 3, "{output} {log}");
}

#[test]
fn trap_5_one_command_has_one_reply() {
    let site = Site::new();
    site.control("badhelo", "evil.test\n");
    let lines = [
        "HELO evil.test",
        "EHLO",
        "MAIL FROM:<a@b.test>",
        "RCPT TO:<x@other.test>",
        "RCPT TO:<a@local.test>",
        "VRFY a",
        "EXPN a",
        "NOOP x",
        "HELP",
        "ETRN",
        "STARTTLS x",
        "AUTH",
        "XYZZY",
        "",
    ];
    let said = site.lines(&[], &lines);
    let replies = said
        .output
        .lines()
        .filter(|line| line.as_bytes()[3] == b' ');
    // Beside those of the greeting, HELO and QUIT.
    assert_eq!(replies.count(), lines.len() + 3, "{}", said.output);
}

#[test]
fn trap_8_a_client_without_a_name_may_still_say_its_own() {
    let site = Site::new();
    for host in ["", "unknown"] {
        let strict = [("ENFORCE_FQDN_HELO", "1"), ("TCPREMOTEHOST", host)];
        let said = site.lines(&strict, &["MAIL FROM:<a@b.test>"]);
        assert!(said.output.starts_with("220 "), "{}", said.output);
        said.has("250 2.1.0 ok");
    }
}

#[test]
fn trap_10_auth_on_mail_makes_nobody() {
    let site = Site::new();
    let lines = [
        "MAIL FROM:<boss@local.test> AUTH=<boss@local.test>",
        "RCPT TO:<x@other.test>",
    ];
    site.lines(&[], &lines).has("553 5.7.1 ");
    let lines = ["MAIL FROM:<boss@local.test> AUTH=boss@local.test"];
    site.lines(&[("REQUIREAUTH", "")], &lines).has("530 5.7.1 ");
}

#[test]
fn trap_11_who_goes_after_the_message_has_sent_it() {
    let site = Site::new();
    let said = site.say(
        &[],
        "HELO x.test\r\nMAIL FROM:<x@y.test>\r\nRCPT TO:<a@local.test>\r\nDATA\r\nhi\r\n.\r\n",
    );
    assert_eq!(said.envelope, "Fx@y.test\0Ta@local.test\0\0");
    said.has("250 2.0.0 ok ");
}

#[test]
fn trap_13_what_a_rule_set_is_forgotten_with_its_sender() {
    let site = Site::new();
    site.control("from.envrules", "a@few.test:MAXRECIPIENTS=1,QREGEX=1\n");
    site.control("badmailfrom", "^[0-9]+@\n");
    let (one, two) = ("RCPT TO:<a@local.test>", "RCPT TO:<b@local.test>");
    let many = ["MAIL FROM:<a@few.test>", one, two, "RSET"];
    let others = ["MAIL FROM:<12@else.test>", one, two];
    let said = site.lines(&[], &[&many[..], &others].concat());
    assert_eq!(count(&said.output, "452 4.5.3"), 1, "{}", said.output);
    assert_eq!(count(&said.output, "250 2.1.5 ok"), 3, "{}", said.output);
}

#[test]
fn trap_16_a_list_without_lines_is_not_a_missing_one() {
    let site = Site::new();
    let to = ["MAIL FROM:<x@y.test>", "RCPT TO:<a@local.test>"];
    site.lines(&[], &to).has("250 2.1.5 ok");
    site.control("rcpthosts", "");
    site.lines(&[], &to).has("553 5.7.1 ");
}

#[test]
fn trap_17_the_postmaster_needs_no_domain() {
    let site = Site::new();
    for (list, name) in [("local.test\n", "postmaster"), ("", "Postmaster")] {
        site.control("rcpthosts", list);
        let to = format!("RCPT TO:<{name}>");
        site.lines(&[], &["MAIL FROM:<x@y.test>", &to])
            .has("250 2.1.5 ok");
    }
}

#[test]
fn trap_18_bounces_come_in_but_where_a_login_is_demanded() {
    let site = Site::new();
    site.control("badmailfrom", "@y.test\nx@\n");
    let bounce = ["MAIL FROM:<>", "RCPT TO:<a@local.test>"];
    for variables in [
        &[("PARANOID", "1")][..],
        &[("MASQUERADE", "")],
        &[("CUGMAIL", "1")],
        &[("NODNSCHECK", "")],
    ] {
        site.lines(variables, &bounce).has("250 2.1.5 ok");
    }
    site.lines(&[("REQUIREAUTH", "")], &bounce)
        .has("530 5.7.1 ");
}

#[test]
fn trap_19_qregex_is_a_number() {
    let site = Site::new();
    site.control("badmailpatterns", "*@isp.test\n");
    let lines = ["MAIL FROM:<joe@isp.test>"];
    for off in ["", "0"] {
        site.lines(&[("QREGEX", off)], &lines).has("553 5.7.1 ");
    }
}

#[test]
fn trap_33_what_ident_says_is_no_login() {
    let site = Site::new();
    let ident = [("TCPREMOTEINFO", "boss@local.test"), ("REQUIREAUTH", "")];
    site.lines(&ident, &["MAIL FROM:<boss@local.test>"])
        .has("530 5.7.1 ");
    let lines = ["MAIL FROM:<boss@local.test>", "RCPT TO:<x@other.test>"];
    site.lines(&ident[..1], &lines).has("553 5.7.1 ");
}

#[test]
fn trap_35_a_queue_program_that_talks_a_lot_is_not_blocked() {
    let site = Site::new();
    let directory = site.0.directory.path().display().to_string();
    let script = format!(
        "#!/bin/sh\nhead -c 300000 /dev/zero | tr '\\0' x >&2\ncat >{directory}/message\n\
         cat <&1 >{directory}/envelope\nhead -c 300000 /dev/zero | tr '\\0' y >&2\nexit 0\n"
    );
    testkit::write_script(site.0.path("stub"), &script);
    let said = site.mail(&[], "x@y.test", &["a@local.test"], "hi");
    assert_eq!(said.envelope, "Fx@y.test\0Ta@local.test\0\0");
    said.has("250 2.0.0 ok ");
}

#[test]
fn trap_50_what_a_client_says_of_itself_is_one_clean_line() {
    let site = Site::new();
    let variables = [
        ("TCPREMOTEHOST", "a\x1b[1m\nX-Evil: 1"),
        ("TCPREMOTEINFO", "j\r\noe"),
    ];
    let said = site.mail(&variables, "x@y.test", &["a@local.test"], "hi");
    assert!(!said.message.contains('\x1b'), "{:?}", said.message);
    assert!(!said.message.contains("\nX-Evil"), "{:?}", said.message);
    assert!(
        !said.log.contains('\x1b') && !said.log.contains("\nX-Evil"),
        "{:?}",
        said.log
    );
}
