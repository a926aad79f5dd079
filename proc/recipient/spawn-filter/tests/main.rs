//! spawn-filter before programs that write down what they get.

use std::path::Path;
use std::process::Command;

struct Site(tempfile::TempDir);

/// How a delivery ended: exit code, report, and what reached the program.
#[derive(Debug, Eq, PartialEq)]
struct End(i32, String, String);

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let site = Self(directory);
        for name in ["bin", "control", "run", "queue"] {
            std::fs::create_dir(site.0.path().join(name)).unwrap();
        }
        site.script(
            "qmail-local",
            "cat > delivered; echo \"$@\" > arguments; echo did",
        );
        site.script(
            "qmail-remote",
            "cat > delivered; echo \"$@\" > arguments; printf 'rok\\0K\\0'",
        );
        site.script("qmail-queue", "cat > copy; cat <&1 >> copy; env > copy.env");
        site
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn script(&self, name: &str, text: &str) {
        let text = format!("#!/bin/sh\ncd {}\n{text}\n", self.root().display());
        testkit::write_script(self.root().join("bin").join(name), &text);
    }

    fn control(&self, name: &str, text: &str) {
        std::fs::write(self.root().join("control").join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        let bytes = std::fs::read(self.root().join(name)).unwrap_or_default();
        String::from_utf8(bytes).unwrap().replace('\0', "|")
    }

    fn run(&self, name: &str, variables: &[(&str, &str)]) -> End {
        let _ = std::fs::remove_file(self.root().join("delivered"));
        std::fs::write(self.root().join("message"), "Subject: x\n\nbody\n").unwrap();
        let arguments: &[&str] = match name {
            "qmail-local" => &[
                "--",
                "joe",
                "/h",
                "joe-x",
                "-",
                "x",
                "a.test",
                "ann@s.test",
                "./M/",
                "Q",
            ],
            _ => &["mx.b.test", "ann@s.test", "Q", "17", "bob@b.test"],
        };
        let output = Command::new("bash")
            .args(["-c", "exec -a \"$0\" \"$@\" < message", name])
            .arg(env!("CARGO_BIN_EXE_spawn-filter"))
            .args(arguments)
            .current_dir(self.root())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("QMAILDIR", self.root())
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let report = String::from_utf8(output.stdout).unwrap().replace('\0', "|");
        let code = output.status.code().unwrap();
        End(code, report, self.read("delivered"))
    }

    fn local(&self, variables: &[(&str, &str)]) -> End {
        self.run("qmail-local", variables)
    }

    fn remote(&self, variables: &[(&str, &str)]) -> End {
        self.run("qmail-remote", variables)
    }
}

const MESSAGE: &str = "Subject: x\n\nbody\n";

fn end(code: i32, report: &str, delivered: &str) -> End {
    End(code, report.to_owned(), delivered.to_owned())
}

#[test]
fn without_filters_the_program_gets_everything() {
    let site = Site::new();
    assert_eq!(site.local(&[]), end(0, "did\n", MESSAGE));
    assert_eq!(
        site.read("arguments"),
        "-- joe /h joe-x - x a.test ann@s.test ./M/ Q\n"
    );
    assert_eq!(site.remote(&[]), end(0, "rok|K|", MESSAGE));
    assert_eq!(
        site.read("arguments"),
        "mx.b.test ann@s.test Q 17 bob@b.test\n"
    );
    assert_eq!(site.run("something", &[]).0, 100);
}

#[test]
fn filterargs_changes_drops_refuses_or_defers() {
    let site = Site::new();
    let local = |line: &str| site.local(&[("FILTERARGS", line)]);
    let remote = |line: &str| site.remote(&[("FILTERARGS", line)]);
    assert_eq!(local("tr a-z A-Z"), end(0, "did\n", "SUBJECT: X\n\nBODY\n"));
    assert_eq!(remote("echo more; cat").2, format!("more\n{MESSAGE}"));
    assert_eq!(
        site.read("arguments"),
        "mx.b.test ann@s.test Q 22 bob@b.test\n"
    );
    assert_eq!(local("exit 2"), end(0, "", ""));
    assert_eq!(remote("exit 2"), end(0, "r|K|", ""));
    assert_eq!(local("exit 100"), end(100, "Mail Rejected (#5.7.1)\n", ""));
    assert_eq!(
        remote("exit 100"),
        end(0, "hMail Rejected (#5.7.1)\n|D|", "")
    );
    let End(code, report, delivered) = local("echo no room >&2; exit 7");
    assert!(
        (code, &delivered[..]) == (111, "") && report.contains("no room"),
        "{report}"
    );
    let End(code, report, _) = remote("exit 1");
    assert!(
        code == 0 && report.starts_with('s') && report.ends_with("|Z|"),
        "{report}"
    );
    let told = "echo $DOMAIN $_EXT $_QQEH $_SENDER $_RECIPIENT $FILTERARGS";
    assert_eq!(local(told).2, "a.test x Q ann@s.test joe-x@a.test\n");
    assert_eq!(remote(told).2, "b.test bob Q ann@s.test bob@b.test\n");
}

#[test]
fn control_files_choose_by_domain_and_direction() {
    let site = Site::new();
    site.control(
        "filterargs",
        "# first that fits\na.test:remote:exit 100\na.*:local:exit 2\n*:remote:tr a-z A-Z\n",
    );
    assert_eq!(site.local(&[]), end(0, "", ""));
    assert_eq!(site.remote(&[]).2, "SUBJECT: X\n\nBODY\n");
    // The variable counts before the file, and nothing is a value, too.
    assert_eq!(site.local(&[("FILTERARGS", "")]).2, MESSAGE);
    site.control("filterargs", "");
    site.control("spamfilter", "*:false\n");
    site.control("rejectspam", "b.test:2\n*:1\n");
    let spam = [("SPAMEXITCODE", "1")];
    let refused = "SPAM or junk mail threshold exceeded (#5.7.1)\n";
    assert_eq!(site.local(&spam), end(100, refused, ""));
    assert_eq!(site.remote(&spam), end(0, "r|K|", ""));
    site.control("spamignore", "@s.test\n");
    assert_eq!(site.local(&spam).2, MESSAGE);
}

#[test]
fn a_spam_filter_judges_and_copies_go_elsewhere() {
    let site = Site::new();
    let run = |filter: &str, more: &[(&str, &str)]| {
        let filter = [("SPAMFILTER", filter), ("SPAMEXITCODE", "0")];
        site.local(&[&filter[..], more].concat())
    };
    let refused = "SPAM or junk mail threshold exceeded (#5.7.1)\n";
    assert_eq!(run("true", &[]).2, MESSAGE);
    assert_eq!(
        run("sed 's/^S/X-A: 1\\nS/'", &[]).2,
        format!("X-A: 1\n{MESSAGE}")
    );
    assert_eq!(run("true", &[("REJECTSPAM", "1")]), end(100, refused, ""));
    assert_eq!(run("true", &[("REJECTSPAM", "2")]), end(0, "", ""));
    assert_eq!(run("false", &[("REJECTSPAM", "1")]).2, MESSAGE);
    assert_eq!(run("sh -c 'exit 9'", &[]).0, 111);
    assert_eq!(run("/no/such", &[]).0, 111);
    let both = [("REJECTSPAM", "1"), ("SPAMREDIRECT", "spam@a.test")];
    assert_eq!(run("true", &both), end(100, refused, ""));
    assert_eq!(site.read("copy"), format!("{MESSAGE}F|Tspam@a.test||"));
    std::fs::create_dir(site.root().join("queue/nqueue")).unwrap();
    run("true", &both);
    let variables = site.read("copy.env");
    assert!(variables.contains("/queue/nqueue\n") && !variables.contains("SPAMFILTER"));
}

#[test]
fn rules_of_sender_and_recipient_set_variables() {
    let site = Site::new();
    site.control(
        "fromd.envrules",
        "*@s.test:FILTERARGS=tr a-z A-Z,DATABYTES=99\n",
    );
    assert_eq!(site.local(&[]).2, "SUBJECT: X\n\nBODY\n");
    site.control("rcpt.envrules", "joe-x@a.test:FILTERARGS=,DATABYTES=5\n");
    let text = "sorry, that message size exceeds my databytes limit (#5.3.4)\n";
    assert_eq!(site.local(&[]), end(100, text, ""));
    assert_eq!(site.remote(&[]).2, "SUBJECT: X\n\nBODY\n");
    site.control("rcpt.envrules", "*:PATH=/tmp\n");
    assert_eq!(site.local(&[]).0, 111);
    let other = [("RCPTRULES", "other"), ("FROMRULES", "other")];
    assert_eq!(site.local(&other).2, MESSAGE);
    assert_eq!(site.local(&[("DATABYTES", "5"), other[0], other[1]]).0, 100);
}

#[test]
fn what_a_filter_says_on_255_goes_to_the_fifo() {
    let site = Site::new();
    let fifo = site.root().join("fifo");
    os::file::make_fifo(&fifo, 0o600).unwrap();
    let name = fifo.to_str().unwrap();
    let variables = [
        ("SPAMFILTER", "bash -c 'echo X-Bogosity: Ham >&255'"),
        ("LOGFILTER", name),
    ];
    assert_eq!(site.local(&variables).2, MESSAGE, "nobody reads");
    let mut reader = os::file::open_fifo_read(&fifo).unwrap();
    assert_eq!(site.local(&variables).2, MESSAGE);
    let mut line = String::new();
    std::io::Read::read_to_string(&mut reader, &mut line).unwrap();
    let rest = " MAIL from <ann@s.test> RCPT <joe-x@a.test> Size: 17 X-Bogosity: Ham\n";
    assert!(
        line.starts_with("qmail-local: pid ") && line.ends_with(rest),
        "{line}"
    );
    std::fs::remove_file(&fifo).unwrap();
    let End(code, report, _) = site.local(&variables);
    assert!(code == 111 && report.starts_with("Unable to queue messages (#4.3.0)"));
}
