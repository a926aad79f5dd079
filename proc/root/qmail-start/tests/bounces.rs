//! What senders are told: failures in every form, and what they asked for.

use std::fs;
use std::process::Command;

use os::signal::Signal;

use crate::installation::Installation;
use testkit::write_script;

/// Local deliveries; the fourth argument is the local part.
const LOCAL: &str = r#"case "$4" in
  *fail*) echo 'No such mailbox here. (#5.1.1)'; exit 100;;
  *defer*) echo 'Come back later. (#4.2.1)'; exit 111;;
esac
cat >>"${0%/bin/local}/delivered"; echo did 1+0+0"#;
/// Remote deliveries; each recipient's mail is a file. `reports` is a server
/// that tells of success itself.
const REMOTE: &str = r#"root="${0%/bin/remote}"
echo "$X_INDIMAIL_DSN|$X_INDIMAIL_DSN_TO" >>"$root/wishes"
case "$5" in
  *fail*) printf 'hFrom: <x> RCPT: <y> 192.0.2.9 does not like recipient.\nRemote host said: 550 5.7.1 go away\n\0DGiving up on 192.0.2.9.\n\0';;
  *reports*) cat >"$root/sent.$5"; printf 'r\0K1.2.3.4 accepted message and will report.\nRemote host said: 250 ok\n\0';;
  *) cat >>"$root/sent.$5"; printf 'r\0K1.2.3.4 accepted message.\nRemote host said: 250 2.0.0 ok\n\0';;
esac"#;

/// Prints what a mail program makes of a report: its parts, and the fields
/// of each recipient.
const READ: &str = r#"
import email, sys
from email import policy
message = email.message_from_binary_file(open(sys.argv[1], "rb"), policy=policy.default)
print(message.get_content_type(), message.get_param("report-type"), message["To"], message["Subject"])
assert not message.defects, message.defects
for part in message.iter_parts():
    assert not part.defects, part.defects
    print(part.get_content_type())
    if part.get_content_type() == "message/delivery-status":
        for block in part.get_payload()[1:]:
            print(";".join(f"{name}={value}" for name, value in block.items()))
"#;

fn installation() -> Installation {
    Installation::new(LOCAL, REMOTE)
}

/// A program of the installation, a shell script.
fn script(here: &Installation, name: &str, body: &str) {
    let path = here.root().join("bin").join(name);
    write_script(&path, &format!("#!/bin/sh\n{body}\n"));
}

/// The mail a remote recipient got.
fn sent(here: &Installation, recipient: &str) -> String {
    let path = here.root().join(format!("sent.{recipient}"));
    here.wait_for(recipient, || path.exists());
    here.wait_for("empty queue", || here.queue_files().is_empty());
    fs::read_to_string(path).unwrap()
}

/// What Python's email package makes of it.
fn read(here: &Installation, recipient: &str) -> Vec<String> {
    sent(here, recipient);
    let path = here.root().join(format!("sent.{recipient}"));
    let output = Command::new("python3")
        .args(["-c", READ])
        .arg(path)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The recipients a reader of QSBMF finds.
fn qsbmf(body: &str) -> Vec<&str> {
    assert!(body.starts_with("Hi. This is the "), "{body}");
    let paragraphs = body.split("\n\n").skip(1);
    paragraphs
        .take_while(|paragraph| !paragraph.starts_with('-'))
        .map(|paragraph| {
            let first = paragraph.lines().next().unwrap();
            first.strip_prefix('<').unwrap().strip_suffix(">:").unwrap()
        })
        .collect()
}

fn queue(here: &Installation, recipients: &[&str], wishes: &str) -> u64 {
    let text = "Subject: q\n\nthe body\n";
    here.queue_wishing(&here.layout, text, "ann@there.example", recipients, wishes)
}

#[test]
fn a_bounce_is_read_by_programs_old_and_new() {
    let mut here = installation();
    here.control("virtualdomains", "v.example:joe\n");
    here.start_writer();
    here.start();
    queue(&here, &["a-fail@v.example", "b-fail@there.example"], "");
    let text = sent(&here, "ann@there.example");
    let (_, body) = text.split_once("\n\n--").unwrap();
    let (_, body) = body.split_once("\n\n").unwrap();
    let mut recipients = qsbmf(body);
    recipients.sort_unstable();
    assert_eq!(recipients, ["a-fail@v.example", "b-fail@there.example"]);
    let mut lines = read(&here, "ann@there.example");
    assert_eq!(
        lines[0],
        "multipart/report delivery-status ann@there.example failure notice"
    );
    lines[3..5].sort_unstable();
    assert_eq!(
        lines[1..],
        [
            "text/plain",
            "message/delivery-status",
            "Final-Recipient=rfc822; a-fail@v.example;Action=failed;Status=5.1.1;\
             Diagnostic-Code=x-qmail; No such mailbox here. (#5.1.1)",
            "Final-Recipient=rfc822; b-fail@there.example;Action=failed;Status=5.7.1;\
             Remote-MTA=dns; [192.0.2.9];Diagnostic-Code=smtp; 550 5.7.1 go away",
            "message/rfc822",
        ]
    );
    assert!(here.log().contains(" from <> qp "), "{}", here.log());
}

#[test]
fn the_classic_forms_are_there_for_who_wants_them() {
    for form in ["plain", "mixed"] {
        let mut here = installation();
        here.control("bounceformat", &format!("{form}\n"));
        here.start_writer();
        here.start();
        queue(&here, &["a-fail@here.example"], "");
        let text = sent(&here, "ann@there.example");
        let body = match form {
            "plain" => text.split_once("\n\n").unwrap().1,
            _ => {
                text.split_once("\n\n--")
                    .unwrap()
                    .1
                    .split_once("\n\n")
                    .unwrap()
                    .1
            }
        };
        assert_eq!(qsbmf(body), ["a-fail@here.example"]);
        let kind = read(&here, "ann@there.example").remove(0);
        let expected = match form {
            "plain" => "text/plain None",
            _ => "multipart/mixed None",
        };
        assert!(kind.starts_with(expected), "{kind}");
    }
}

#[test]
fn a_double_bounce_may_be_unwanted() {
    for unwanted in ["@\n", "\n"] {
        let mut here = installation();
        here.control("doublebounceto", unwanted);
        here.start_writer();
        here.start();
        let id = here.queue("q\n", "", &["a-fail@here.example"]);
        here.wait_for_line(&format!("double bounce: discarding bounce/{id}"));
        here.wait_for("empty queue", || here.queue_files().is_empty());
        assert!(!here.log().contains("bounce msg "), "{}", here.log());
    }
}

#[test]
fn a_long_message_is_cut_and_a_short_one_not() {
    let mut here = installation();
    here.control("bouncemaxbytes", "100\n");
    here.start_writer();
    here.start();
    let header = "Subject: s\n\n";
    let exact = format!("{header}{}\n", "x".repeat(99 - header.len()));
    assert_eq!(exact.len(), 100);
    here.queue(&exact, "short@there.example", &["a-fail@here.example"]);
    let long = format!("{header}{}", "yyyyyyyyy\n".repeat(100_000));
    here.queue(&long, "long@there.example", &["a-fail@here.example"]);
    let stripped = "\n\n--- End of message stripped.\n";
    let short = sent(&here, "short@there.example");
    assert!(
        short.contains(&exact) && !short.contains(stripped),
        "{short}"
    );
    let long_bounce = sent(&here, "long@there.example");
    assert!(long_bounce.contains(stripped), "{long_bounce}");
    assert!(long_bounce.contains(&long[..100]) && !long_bounce.contains(&long[..101]));
}

#[test]
fn a_rule_may_change_how_some_senders_hear_of_it() {
    let mut here = installation();
    fs::create_dir(here.root().join("other")).unwrap();
    fs::write(here.root().join("other/bouncefrom"), "list-bounces\n").unwrap();
    fs::write(here.root().join("other/bouncehost"), "lists.example\n").unwrap();
    script(
        &here,
        "keep",
        "cat >\"$QMAILDIR/kept.text\"\ncat <&1 >\"$QMAILDIR/kept.envelope\"\n\
         echo \"$COLOUR\" >\"$QMAILDIR/kept.colour\"",
    );
    here.control(
        "bounce.envrules",
        "*@there.example:CONTROLDIR=other,BOUNCEQUEUE=bin/keep,COLOUR=red\n",
    );
    here.start_writer();
    here.start();
    let id = queue(&here, &["a-fail@here.example"], "");
    here.wait_for_line(&format!("end msg {id}"));
    let read = |name| fs::read_to_string(here.root().join(name)).unwrap();
    let text = read("kept.text");
    assert!(
        text.contains("\nFrom: list-bounces@lists.example\n"),
        "{text}"
    );
    assert_eq!(read("kept.envelope"), "F\0Tann@there.example\0\0");
    assert_eq!(read("kept.colour"), "red\n");
    here.queue("q\n", "ann@else.example", &["a-fail@here.example"]);
    let usual = sent(&here, "ann@else.example");
    assert!(
        usual.contains("\nFrom: MAILER-DAEMON@here.example\n"),
        "{usual}"
    );
}

#[test]
fn who_wants_to_hear_nothing_hears_nothing() {
    let mut here = installation();
    here.start_writer();
    here.start();
    let never = "X-Indimail-Dsn-To: a-fail@here.example NOTIFY=NEVER\n";
    let id = queue(&here, &["a-fail@here.example"], never);
    here.wait_for_line(&format!("end msg {id}"));
    here.wait_for("empty queue", || here.queue_files().is_empty());
    assert!(!here.log().contains("bounce msg "), "{}", here.log());
    // Of several, only the others are told.
    let never = "X-Indimail-Dsn: NOTIFY=NEVER\n\
         X-Indimail-Dsn-To: b-fail@here.example NOTIFY=FAILURE ORCPT=rfc822;b@first.example\n";
    queue(
        &here,
        &["a-fail@here.example", "b-fail@here.example"],
        never,
    );
    let lines = read(&here, "ann@there.example");
    let told = lines.iter().filter(|line| line.contains("Final-Recipient"));
    let expected = "Original-Recipient=rfc822; b@first.example;\
         Final-Recipient=rfc822; b-fail@here.example;Action=failed;Status=5.1.1;\
         Diagnostic-Code=x-qmail; No such mailbox here. (#5.1.1)";
    assert_eq!(told.collect::<Vec<_>>(), [expected]);
}

#[test]
fn success_is_told_to_who_asked() {
    let mut here = installation();
    here.control("virtualdomains", "v.example:joe\n");
    here.start_writer();
    here.start();
    let wishes = "X-Indimail-Dsn: RET=FULL ENVID=QQ+2B1 NOTIFY=SUCCESS\n";
    let id = queue(&here, &["x@v.example"], wishes);
    here.wait_for("notice", || {
        here.log().contains(&format!("notice msg {id} qp "))
    });
    let text = sent(&here, "ann@there.example");
    assert!(text.contains("\nOriginal-Envelope-Id: QQ+1\n"), "{text}");
    assert!(
        !text.contains("Hi. This is the") && !text.contains("the body"),
        "{text}"
    );
    let lines = read(&here, "ann@there.example");
    assert_eq!(
        lines,
        [
            "multipart/report delivery-status ann@there.example success notice",
            "text/plain",
            "message/delivery-status",
            "Final-Recipient=rfc822; x@v.example;Action=delivered;Status=2.0.0",
            "text/rfc822-headers",
        ]
    );
}

#[test]
fn a_server_that_says_nothing_more_is_told_about_and_one_that_does_is_not() {
    let mut here = installation();
    here.start_writer();
    here.start();
    let wishes = "X-Indimail-Dsn: ENVID=7\n\
         X-Indimail-Dsn-To: x@there.example NOTIFY=SUCCESS\n\
         X-Indimail-Dsn-To: reports@there.example NOTIFY=SUCCESS\n";
    queue(&here, &["x@there.example", "reports@there.example"], wishes);
    let lines = read(&here, "ann@there.example");
    let told: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("Action="))
        .collect();
    assert_eq!(told.len(), 1, "{lines:?}");
    assert!(
        told[0].contains("x@there.example;Action=relayed;Status=2.0.0"),
        "{told:?}"
    );
    // Programs of deliveries hear what is meant for their recipient.
    let heard = fs::read_to_string(here.root().join("wishes")).unwrap();
    assert!(
        heard.contains("ENVID=7|x@there.example NOTIFY=SUCCESS\n"),
        "{heard}"
    );
    assert!(
        heard.contains("ENVID=7|reports@there.example NOTIFY=SUCCESS\n"),
        "{heard}"
    );
}

#[test]
fn a_delay_is_told_once() {
    let mut here = installation();
    here.control("delaynotice", "0\n");
    here.start_writer();
    here.start();
    let wishes = "X-Indimail-Dsn-To: a-defer@here.example NOTIFY=DELAY,FAILURE\n";
    let recipients = ["a-defer@here.example", "b-defer@here.example"];
    let id = queue(&here, &recipients, wishes);
    let path = here.root().join("sent.ann@there.example");
    here.wait_for("notice", || path.exists());
    let mail = || fs::read_to_string(&path).unwrap();
    here.wait_for("recipient", || {
        mail().contains("Final-Recipient: rfc822; a-defer")
    });
    // The mail may arrive before the writer's answer that it is queued.
    here.wait_for("line", || here.log().contains("notice msg "));
    for tries in [4, 6] {
        here.signal(Signal::SIGALRM);
        let deferrals = || here.log().matches(": deferral: ").count();
        here.wait_for("another try", || tries <= deferrals());
    }
    assert_eq!(
        here.log().matches("notice msg ").count(),
        1,
        "{}",
        here.log()
    );
    let mail = mail();
    assert!(
        mail.contains("\nAction: delayed\nStatus: 4.2.1\n"),
        "{mail}"
    );
    assert!(mail.contains("\nWill-Retry-Until: "), "{mail}");
    assert!(!mail.contains("b-defer"), "{mail}");
    assert!(here.layout.info(id).exists());
}

#[test]
fn the_header_alone_comes_back_to_who_wants_no_more() {
    let mut here = installation();
    here.start_writer();
    here.start();
    queue(
        &here,
        &["a-fail@here.example"],
        "X-Indimail-Dsn: RET=HDRS\n",
    );
    let text = sent(&here, "ann@there.example");
    assert!(
        text.contains("Subject: q") && !text.contains("the body"),
        "{text}"
    );
    let lines = read(&here, "ann@there.example");
    assert_eq!(lines.last().unwrap(), "text/rfc822-headers");
}

#[test]
fn a_bounce_of_forwarded_mail_goes_to_its_first_sender() {
    let mut here = installation();
    here.control("srs_domain", "fwd.example\n");
    here.control("srs_secrets", "secret\n");
    let rewritten = srs::Srs {
        domain: b"fwd.example".to_vec(),
        secrets: vec![b"secret".to_vec()],
        days_max: 21,
        hash_bytes: 4,
        hash_bytes_min: 4,
        separator: srs::Separator::default(),
        always: false,
    };
    let now = os::clock::unix_seconds();
    let sender = rewritten.forward(b"ann@far.example", now).unwrap();
    here.start_writer();
    here.start();
    here.queue(
        "Subject: x\n\nhi\n",
        std::str::from_utf8(&sender).unwrap(),
        &["fail@here.example"],
    );
    let bounce = sent(&here, "ann@far.example");
    assert!(bounce.contains("To: ann@far.example\n"), "{bounce}");
}

#[test]
fn a_bounce_processor_drops_a_bounce_or_makes_it_wait() {
    let mut here = installation();
    let program = here.root().join("bin/judge");
    let script = "#!/bin/sh\necho \"$4|$5|$6\" >>\"$QMAILDIR/judged\"\n\
                  case \"$5\" in *later*) exit 5;; *) exit 1;; esac\n";
    write_script(&program, script);
    here.start_with("BOUNCEPROCESSOR", "bin/judge");
    let id = here.queue("q\n", "ann@there.example", &["a-fail@here.example"]);
    let lines = here.wait_for_line(&format!("end msg {id}"));
    let dropped = format!("bounce processor: discarding bounce/{id}");
    assert!(lines.contains(&dropped), "{lines:?}");
    let judged = lines
        .iter()
        .find(|line| line.starts_with("bounce processor sender"));
    assert!(judged.unwrap().ends_with(" exit=1"), "{judged:?}");
    let id = here.queue("q\n", "ann@there.example", &["later-fail@here.example"]);
    here.wait_for("trouble", || {
        here.log().contains("trouble injecting bounce message")
    });
    assert!(here.layout.bounce(id).exists() && here.layout.info(id).exists());
    let judged = fs::read_to_string(here.root().join("judged")).unwrap();
    // The sender of the bounce, who failed, who gets it.
    let expected = "|a-fail@here.example|ann@there.example\n";
    assert!(judged.starts_with(expected), "{judged}");
}

#[test]
fn a_channel_on_hold_keeps_no_bounce_and_no_end_back() {
    let mut here = installation();
    here.control("holdlocal", "1\n");
    here.start_writer();
    here.start();
    let id = here.queue("q\n", "ann@here.example", &["x-fail@there.example"]);
    here.wait_for_line(&format!("end msg {id}"));
    assert!(here.log().contains(&format!("bounce msg {id} qp ")));
    // The bounce itself is for a user here, and waits.
    here.wait_for("the bounce", || here.log().contains(" from <> qp "));
    assert!(!here.log().contains(" to local "), "{}", here.log());
    here.control("holdlocal", "0\n");
    here.signal(Signal::SIGHUP);
    here.wait_for("its delivery", || {
        here.log().contains(" to local ann@here.example")
    });
}

#[test]
fn each_copy_of_a_list_has_a_sender_of_its_own_and_its_bounce_none() {
    let mut here = crate::deliveries::installation();
    here.control("virtualdomains", "v.example:joe\n");
    here.start_writer();
    here.start();
    let to = ["bob@v.example", "x@there.example", "y-fail@there.example"];
    here.queue("q\n", "list-@here.example-@[]", &to);
    let read = |name| fs::read_to_string(here.root().join(name)).unwrap_or_default();
    // The member as it subscribed, though the queue has `joe` in front.
    here.wait_for("the local copy", || {
        read("delivered").contains(" joe-bob for list-bob=v.example@here.example by ")
    });
    here.wait_for("the bounce", || {
        here.log().contains(" to local list-@here.example\n")
    });
}
