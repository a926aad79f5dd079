//! qscanq, qscanq-stdin, qmail-spamfilter and qmail-qfilter; bogofilter and
//! clamscan as they are installed.

use std::process::Command;

use crate::front::{ENVELOPE, PASSED, with_queue};
use crate::installation::Installation;

const EXECUTABLE: &str = "From: a@b.c\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n\
    see below\n--b\nContent-Type: application/octet-stream\n\
    Content-Disposition: attachment; filename=\"A.exe\"\n\nnot really\n--b--\n";

/// With the programs of this family below `bin`.
fn with_programs() -> Installation {
    let here = with_queue();
    for name in ["qmail-multi", "qmail-spamfilter", "qscanq", "qscanq-stdin"] {
        let path = here.root().join("bin").join(name);
        testkit::copy_program(env!("CARGO_BIN_EXE_mess822-tools"), &path);
    }
    std::fs::create_dir_all(here.root().join("qscanq/root/scanq")).unwrap();
    here
}

fn queued(here: &Installation, line: &[&str], variables: &[(&str, &str)], message: &str) -> i32 {
    for name in ["message", "envelope"] {
        let _ = std::fs::remove_file(here.root().join(name));
    }
    let (code, said) = here.front(line, variables, message.as_bytes(), ENVELOPE);
    let expected = ["", PASSED][usize::from(code == Some(0))];
    assert_eq!(here.read("envelope"), expected, "{said}");
    let left = std::fs::read_dir(here.root().join("qscanq/root/scanq")).unwrap();
    assert_eq!(left.count(), 0, "something was left");
    code.unwrap()
}

#[test]
fn acceptance_45_attachments_are_refused_by_name() {
    let here = with_programs();
    std::fs::write(here.root().join("control/badext"), "# these\n.exe\n").unwrap();
    let names = [("VIRUSCHECK", "7")];
    let run = |message: &str| queued(&here, &["qmail-multi"], &names, message);
    assert_eq!(run(EXECUTABLE), 34);
    assert_eq!(run(&EXECUTABLE.replace("A.exe", "a.txt")), 0);
    assert_eq!(here.read("message"), EXECUTABLE.replace("A.exe", "a.txt"));
    assert_eq!(run(&EXECUTABLE.replace("A.exe", "a.txt\x07")), 34);
    // What it is, not only what it is called.
    let hidden = EXECUTABLE
        .replace("A.exe", "a.txt")
        .replace("not really", "MZ\x01 program");
    assert_eq!(run(&hidden), 34);
    std::fs::write(
        here.root().join("control/badextpatterns"),
        "*.t?t\n!a.txt\n",
    )
    .unwrap();
    assert_eq!(run(&EXECUTABLE.replace("A.exe", "b.txt")), 34);
    assert_eq!(run(&EXECUTABLE.replace("A.exe", "a.txt")), 0);
    let other = [("VIRUSCHECK", "attach"), ("BADEXT", "other")];
    assert_eq!(queued(&here, &["qmail-multi"], &other, EXECUTABLE), 0);
    // Numbers that do not ask for names.
    for value in ["", "1", "0", "6"] {
        let off = [("VIRUSCHECK", value), ("SCANCMD", "true")];
        assert_eq!(queued(&here, &["qmail-multi"], &off, EXECUTABLE), 0);
    }
}

#[test]
fn acceptance_45_a_scanner_sees_files_and_no_variables() {
    let here = with_programs();
    let seen = here.root().join("seen");
    let scanner = here.root().join("bin/scan");
    here.program(
        "scan",
        &format!(
            "[ -z \"$QMAILDIR$VIRUSCHECK\" ] || exit 9\n\
             {{ env; cat \"$1\"; cat ./*A.exe; }} > {}\nexit $2",
            seen.display()
        ),
    );
    let run = |code: &str| {
        let line = format!("{} %s {code}", scanner.display());
        let variables = [("VIRUSCHECK", "6"), ("SCANCMD", &line[..])];
        queued(&here, &["qmail-multi"], &variables, EXECUTABLE)
    };
    assert_eq!(run("0"), 0);
    let seen = here.read("seen");
    assert!(
        seen.contains(EXECUTABLE) && seen.ends_with("not really"),
        "{seen}"
    );
    assert!(!seen.contains("VIRUSCHECK="), "{seen}");
    assert_eq!((run("1"), run("3"), run("2"), run("50")), (33, 34, 71, 71));
    let missing = [("VIRUSCHECK", "6"), ("SCANCMD", "/no/such")];
    assert_eq!(queued(&here, &["qmail-multi"], &missing, EXECUTABLE), 71);
    let nowhere = [("VIRUSCHECK", "6"), ("SCANDIR", "/no/such")];
    assert_eq!(queued(&here, &["qmail-multi"], &nowhere, EXECUTABLE), 71);
}

#[test]
fn front_ends_run_in_the_order_of_a_chain() {
    let here = with_programs();
    here.program("judge", "echo judged >> order; cat");
    here.program(
        "last",
        "echo \"$SPAMFILTER$VIRUSCHECK\" >> order; cat > message; cat <&1 > envelope",
    );
    let judge = here.root().join("bin/judge").display().to_string();
    let variables = [
        ("SPAMFILTER", &judge[..]),
        ("VIRUSCHECK", "6"),
        ("SCANCMD", "true"),
    ];
    let line = ["qmail-spamfilter", "qmail-multi", "x"];
    assert_eq!(queued(&here, &line, &variables, "a\n"), 0);
    assert_eq!(here.read("order"), "judged\n", "once");
    let line = ["qmail-spamfilter", "bin/last"];
    assert_eq!(queued(&here, &line, &variables, "a\n"), 0);
    assert_eq!(here.read("order"), "judged\njudged\n\n");
    assert_eq!(queued(&here, &["qmail-spamfilter"], &variables, "a\n"), 0);
    assert_eq!(here.read("order"), "judged\njudged\n\njudged\n");
    let line = ["qscanq", "bin/last"];
    assert_eq!(queued(&here, &line, &variables, "a\n"), 0);
    assert!(here.read("order").ends_with(&format!("{judge}\n")));
}

#[test]
fn qfilter_changes_message_and_envelope() {
    let here = with_queue();
    let run = |line: &[&str], variables: &[(&str, &str)]| {
        for name in ["message", "envelope"] {
            let _ = std::fs::remove_file(here.root().join(name));
        }
        let line = [&["qmail-qfilter"], line].concat();
        let (code, _) = here.front(&line, variables, b"a\nb\n", ENVELOPE);
        (code.unwrap(), here.read("message"), here.read("envelope"))
    };
    let passed = |message: &str| (0, message.to_owned(), PASSED.to_owned());
    assert_eq!(run(&["tr", "a-z", "A-Z"], &[]), passed("A\nB\n"));
    assert_eq!(run(&["true", "--", "tr", "a", "c"], &[]), passed("c\nb\n"));
    let shell = |script: &str| run(&["sh", "-c", script], &[("QMAILNAME", "x")]);
    assert_eq!(shell("tr b z <&3 >&4").2, "Fann@z.c|Tzoz@z.c|Tcarl@z.c||");
    let told = "echo $QMAILUSER,$QMAILHOST,$NUMRCPTS,$ENVSIZE,$MSGSIZE,$QMAILRCPTS,$QMAILNAME";
    assert_eq!(shell(told).1, "ann,b.c,2,29,4,bob@b.c carl@b.c ,\n");
    let nothing = |code| (code, String::new(), String::new());
    for (script, code) in [
        ("exit 99", 0),
        ("exit 2", 0),
        ("exit 31", 31),
        ("exit 100", 31),
        ("exit 71", 71),
        ("exit 111", 71),
        ("exit 88", 88),
        ("exit 5", 5),
        ("kill -9 $$", 123),
    ] {
        assert_eq!(shell(script), nothing(code), "{script}");
    }
    here.program("other", "cat > other.message; cat <&1 > /dev/null");
    let other = [("QQF_QMAILQUEUE", "bin/other")];
    assert_eq!(run(&["true"], &other), nothing(0));
    assert_eq!(here.read("other.message"), "a\nb\n");
    assert_eq!(shell("echo bin/other >&5"), nothing(0));
    assert_eq!(run(&["/no/such"], &[]), nothing(75));
    assert_eq!(run(&["true", "--"], &[]), nothing(87));
    assert_eq!(
        here.front(&["qmail-qfilter", "true"], &[], b"x", b"Fa@b\0Tc@d\0")
            .0,
        Some(54)
    );
}

/// Debian's bogofilter, taught by a few messages.
#[test]
fn bogofilter_judges_what_it_was_taught() {
    let here = with_programs();
    let words = here.root().join("words");
    std::fs::create_dir(&words).unwrap();
    let teach = |kind: &str, text: &str| {
        for number in 0..20 {
            let file = here.root().join("taught");
            std::fs::write(&file, format!("Subject: {number}\n\n{text}\n")).unwrap();
            let taught = Command::new("bogofilter")
                .arg(kind)
                .arg("-d")
                .arg(&words)
                .stdin(std::fs::File::open(file).unwrap())
                .status();
            assert!(taught.expect("bogofilter is installed").success());
        }
    };
    teach("-s", "cheap pills lottery winner millions casino");
    teach("-n", "minutes of the meeting about compilers and queues");
    let filter = format!("bogofilter -p -d {}", words.display());
    let run = |text: &str, reject: &str| {
        let variables = [
            ("SPAMFILTER", &filter[..]),
            ("SPAMEXITCODE", "0"),
            ("REJECTSPAM", reject),
        ];
        let message = format!("Subject: x\n\n{text}\n");
        let code = queued_or_not(&here, &variables, &message);
        (code, here.read("message"))
    };
    let spam = "lottery winner: cheap pills";
    assert_eq!(run(spam, "1").0, 32);
    assert_eq!(run(spam, "2"), (0, String::new()));
    let (code, message) = run(spam, "0");
    assert!(
        code == 0 && message.contains("X-Bogosity: Spam"),
        "{message}"
    );
    let (code, message) = run("the compilers meeting", "1");
    assert!(
        code == 0 && message.contains("X-Bogosity: Ham"),
        "{message}"
    );
}

fn queued_or_not(here: &Installation, variables: &[(&str, &str)], message: &str) -> i32 {
    for name in ["message", "envelope"] {
        let _ = std::fs::remove_file(here.root().join(name));
    }
    let (code, said) = here.front(&["qmail-multi"], variables, message.as_bytes(), ENVELOPE);
    code.unwrap_or_else(|| panic!("{said}"))
}

/// ClamAV's clamscan, with a database that knows one virus: ours.
#[test]
fn clamscan_finds_what_its_database_knows() {
    let here = with_programs();
    let database = here.root().join("ours.ndb");
    let virus = "THIS-IS-OUR-HARMLESS-VIRUS-42";
    let hexadecimal: String = virus.bytes().map(|b| format!("{b:02x}")).collect();
    std::fs::write(&database, format!("Ours.Harmless:0:*:{hexadecimal}\n")).unwrap();
    let scanner = format!("clamscan --quiet -r -d {} ./", database.display());
    let run = |text: &str| {
        let variables = [("VIRUSCHECK", "external"), ("SCANCMD", &scanner[..])];
        queued(&here, &["qmail-multi"], &variables, text)
    };
    assert_eq!(run(EXECUTABLE), 0);
    // In base64, so that only who unpacks it can see it.
    let packed = "Content-Type: x/y; name=a.bin\nContent-Transfer-Encoding: base64\n\n\
        VEhJUy1JUy1PVVItSEFSTUxFU1MtVklSVVMtNDI=\n";
    assert_eq!(run(packed), 33);
}
