//! qmail-multi, qmail-nullqueue and qmail-qmqpc.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use crate::installation::Installation;

pub const ENVELOPE: &[u8] = b"Fann@b.c\0Tbob@b.c\0Tcarl@b.c\0\0";

impl Installation {
    /// Runs a front-end: message on 0, envelope on 1; exit code and stderr.
    pub fn front(
        &self,
        line: &[&str],
        variables: &[(&str, &str)],
        message: &[u8],
        envelope: &[u8],
    ) -> (Option<i32>, String) {
        std::fs::write(self.root().join("in"), message).unwrap();
        std::fs::write(self.root().join("in.envelope"), envelope).unwrap();
        let output = Command::new("bash")
            .args(["-c", "exec -a \"$0\" \"$@\" <in 1<in.envelope"])
            .args([line[0], env!("CARGO_BIN_EXE_mess822-tools")])
            .args(&line[1..])
            .current_dir(self.root())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("QMAILDIR", self.root())
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said)
    }

    /// As [`Self::front`] with qmail-multi; the code, and the message and
    /// envelope that reached the queue.
    fn multi(&self, variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
        for name in ["message", "envelope"] {
            let _ = std::fs::remove_file(self.root().join(name));
        }
        let (code, _) = self.front(&["qmail-multi"], variables, b"a\nb\n", ENVELOPE);
        (code, self.read("message"), self.read("envelope"))
    }
}

pub fn with_queue() -> Installation {
    let here = Installation::new();
    here.queue_program("printf %s \"$QUEUEDIR\" > chosen; printf %s \"$QQEH\" > extra");
    std::fs::create_dir_all(here.root().join("queue/queue1")).unwrap();
    here
}

pub const PASSED: &str = "Fann@b.c|Tbob@b.c|Tcarl@b.c||";

#[test]
fn multi_chooses_a_queue_of_the_collection() {
    let here = with_queue();
    let (code, message, envelope) = here.multi(&[("QUEUE_START", "7"), ("QUEUE_COUNT", "2")]);
    assert_eq!(
        (code, &message[..], &envelope[..]),
        (Some(0), "a\nb\n", PASSED)
    );
    let chosen = here.read("chosen");
    assert!(chosen.ends_with("queue/queue7") || chosen.ends_with("queue/queue8"));
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        here.multi(&[("QUEUE_COUNT", "2")]);
        seen.insert(here.read("chosen"));
    }
    assert_eq!(seen.len(), 2, "a burst spreads");
    assert_eq!(here.multi(&[("QUEUEDIR", "elsewhere")]).0, Some(0));
    assert!(here.read("chosen").ends_with("/elsewhere"));
    for wrong in ["0", "-3"] {
        assert_eq!(here.multi(&[("QUEUE_COUNT", wrong)]).0, Some(55));
    }
}

#[test]
fn acceptance_14_multi_demands_free_space() {
    let here = with_queue();
    assert_eq!(here.multi(&[("MIN_FREE", "9000000T")]).0, Some(0));
    let (code, message, _) = here.multi(&[("MIN_FREE", "8000000000G")]);
    assert_eq!((code, &message[..]), (Some(53), ""));
    let gone = [("MIN_FREE", "1K"), ("QUEUEDIR", "missing")];
    assert_eq!(here.multi(&gone).0, Some(55));
}

#[test]
fn multi_becomes_queueprog_with_its_arguments() {
    let here = with_queue();
    here.program(
        "other",
        "echo \"$@\" > arguments; cat >/dev/null; cat <&1 >/dev/null",
    );
    let next = [("QUEUEPROG", "bin/other 'one two'")];
    assert_eq!(
        here.front(&["qmail-multi", "three"], &next, b"", ENVELOPE)
            .0,
        Some(0)
    );
    assert_eq!(here.read("arguments"), "one two three\n");
    let missing = [("QUEUEPROG", "no-such-program")];
    assert_eq!(here.multi(&missing).0, Some(120));
    assert_eq!(here.multi(&[("QUEUEPROG", "'open")]).0, Some(87));
}

#[test]
fn a_spam_filter_judges_what_strangers_send() {
    let here = with_queue();
    here.program("judge", "cat > seen; exit ${1:-0}");
    let judge = here.root().join("bin/judge").display().to_string();
    let run = |code: &str, more: &[(&str, &str)]| {
        let filter = [("SPAMFILTER", &judge[..]), ("SPAMFILTERARGS", code)];
        here.multi(&[&filter[..], more].concat())
    };
    let passed = (Some(0), "a\nb\n".to_owned(), PASSED.to_owned());
    let nothing = |code| (Some(code), String::new(), String::new());
    assert_eq!(run("0", &[]), passed);
    assert_eq!(run("2", &[]), passed);
    assert_eq!(run("9", &[]), nothing(76));
    let spam = ("SPAMEXITCODE", "0");
    assert_eq!(run("0", &[spam]), passed);
    assert_eq!(run("0", &[spam, ("REJECTSPAM", "1")]), nothing(32));
    assert_eq!(run("0", &[spam, ("REJECTSPAM", "2")]), nothing(0));
    let redirected = |code| (Some(code), "a\nb\n".to_owned(), "F|Tspam@b.c||".to_owned());
    let redirect = ("SPAMREDIRECT", "spam@b.c");
    assert_eq!(run("0", &[spam, redirect]), redirected(0));
    assert_eq!(
        run("0", &[spam, redirect, ("REJECTSPAM", "1")]),
        redirected(32)
    );
    let relaying = [("RELAYCLIENT", ""), spam, ("REJECTSPAM", "1")];
    std::fs::remove_file(here.root().join("seen")).unwrap();
    assert_eq!(run("0", &relaying), passed);
    assert!(!here.root().join("seen").exists());
    let missing = [("SPAMFILTER", "/no/such/program")];
    assert_eq!(here.multi(&missing).0, Some(75));
}

#[test]
fn filterargs_rewrites_refuses_or_throws_away() {
    let here = with_queue();
    let run = |line: &str| here.multi(&[("FILTERARGS", line)]);
    assert_eq!(run("tr a-z A-Z").1, "A\nB\n");
    assert_eq!(run("cat; test -z \"$FILTERARGS\"").0, Some(0));
    assert_eq!(run("exit 100").0, Some(31));
    assert_eq!(run("exit 3").0, Some(71));
    for quiet in ["exit 2", "exit 99"] {
        assert_eq!(run(quiet), (Some(0), String::new(), String::new()));
    }
    let custom = [("FILTERARGS", "echo 'Dnot today (#5.7.1)' >&2; exit 88")];
    let (code, said) = here.front(&["qmail-multi"], &custom, b"x\n", ENVELOPE);
    assert_eq!((code, &said[..]), (Some(88), "Dnot today (#5.7.1)\n"));
}

#[test]
fn a_scanner_sees_a_file_and_its_verdict_travels() {
    let here = with_queue();
    here.program(
        "scan",
        "test \"$(cat \"$2\")\" = \"$(printf 'a\\nb')\" || exit 9; exit $1",
    );
    let scan = here.root().join("bin/scan").display().to_string();
    let run = |code: &str, more: &[(&str, &str)]| {
        let line = format!("{scan} {code} %s");
        let (code, _, envelope) = here.multi(&[&[("QHPSI", &line[..])], more].concat());
        (code, envelope)
    };
    let keep = [("REJECTVIRUS", "0")];
    assert_eq!(run("0", &[]), (Some(0), PASSED.to_owned()));
    assert_eq!(here.read("extra"), "X-QHPSI: clean\n");
    assert_eq!(run("1", &keep), (Some(0), PASSED.to_owned()));
    assert_eq!(here.read("extra"), "X-QHPSI: Virus found\n");
    assert_eq!(run("1", &[]), (Some(33), String::new()));
    assert_eq!(run("1", &[("REJECTVIRUS", "2")]), (Some(0), String::new()));
    assert_eq!(run("7", &[]), (Some(77), String::new()));
    let jail = [
        ("QHPSIFORWARD", "jail@b.c"),
        ("REJECTVIRUS", "2"),
        ("QQEH", "X-A: 1"),
    ];
    assert_eq!(
        run("1", &jail),
        (Some(0), "Fann@b.c|Tjail@b.c||".to_owned())
    );
    assert_eq!(
        here.read("extra"),
        "X-QHPSI: Virus found\nX-Quarantine-ID: jail@b.c,bob@b.c,carl@b.c\nX-A: 1"
    );
    assert_eq!(
        run("1", &[("QHPSIMINSIZE", "100")]),
        (Some(0), PASSED.to_owned())
    );
    assert_eq!(
        run("1", &[("QHPSIMAXSIZE", "3")]),
        (Some(0), PASSED.to_owned())
    );
    assert_eq!(here.multi(&[("QHPSI", "plugin:x.so")]).0, Some(87));
}

#[test]
fn an_unfinished_envelope_is_54_even_when_nothing_is_queued() {
    let here = with_queue();
    let spam = [("FILTERARGS", "exit 99")];
    let (code, _) = here.front(&["qmail-multi"], &spam, b"x\n", b"Fa@b\0Tc@d\0");
    assert_eq!(code, Some(54));
}

#[test]
fn nullqueue_reads_everything_and_keeps_nothing() {
    let here = Installation::new();
    let line = &["qmail-nullqueue"];
    let (code, said) = here.front(line, &[], &vec![b'x'; 1 << 20], ENVELOPE);
    assert_eq!(code, Some(0));
    assert!(said.contains("<ann@b.c> to 2 recipients"), "{said}");
    assert_eq!(here.front(line, &[], b"", b"Fa@b\0Tc@d\0").0, Some(54));
}

/// A server that answers one client; what it was sent.
fn qmqp_server(answer: &'static str) -> (String, std::thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut input = Vec::new();
        let mut buffer = [0; 4096];
        while text::netstring::take(&input, 1 << 20).unwrap().is_none() {
            let length = stream.read(&mut buffer).unwrap();
            input.extend_from_slice(&buffer[..length]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        input
    });
    (address, server)
}

#[test]
fn qmqpc_hands_over_the_message_byte_for_byte() {
    let here = Installation::new();
    let run = |server: &str| {
        let (code, said) = here.front(&["qmail-qmqpc", server], &[], b"a\0\xffb", ENVELOPE);
        (code, said)
    };
    for (answer, expected) in [
        ("3:Kok,", 0),
        ("7:Dno way,", 31),
        ("6:Zlater,", 71),
        ("x", 74),
    ] {
        let (address, server) = qmqp_server(answer);
        let (code, said) = run(&address);
        assert_eq!(code, Some(expected), "{said}");
        let sent = server.join().unwrap();
        assert_eq!(sent, b"38:4:a\0\xffb,7:ann@b.c,7:bob@b.c,8:carl@b.c,,");
        assert_eq!(said.contains("no way"), expected == 31);
    }
    let (address, server) = qmqp_server("3:Kok,");
    std::fs::write(
        here.root().join("control/qmqpservers"),
        format!("127.0.0.1:1\n{address}\n"),
    )
    .unwrap();
    let (code, _) = here.front(&["qmail-qmqpc"], &[], b"x", ENVELOPE);
    assert_eq!(code, Some(0), "the first that connects gets it");
    server.join().unwrap();
    assert_eq!(run("127.0.0.1:1").0, Some(73));
    assert_eq!(run("not-an-ip").0, Some(55));
    // One that takes the connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let patience = [("TIMEOUTREMOTE", "1")];
    let (code, _) = here.front(&["qmail-qmqpc", &address], &patience, b"x", ENVELOPE);
    assert_eq!(code, Some(72));
}
