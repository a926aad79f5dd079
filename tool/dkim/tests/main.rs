//! qmail-dkim with a queue that writes down what it gets, another
//! implementation of DKIM, and a name server that knows what a test says.

use std::path::Path;
use std::process::{Command, Stdio};

use testkit::Dns;

const MESSAGE: &str = "From: Ann <ann@a.test>\nTo: bob@b.test\nSubject: hello\n\nhello there\n";

struct Site {
    directory: tempfile::TempDir,
    public: String,
}

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for name in ["bin", "control/domainkeys/a.test"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        std::fs::write(root.join("control/me"), "mx.test\n").unwrap();
        // Nobody answers there.
        std::fs::write(root.join("control/dnsresolver"), "127.0.0.1:1\n").unwrap();
        let queue = "#!/bin/sh\ncat > message; cat <&1 > envelope; echo \"$@\" > arguments\n";
        for name in ["qmail-multi", "other"] {
            testkit::write_script(root.join("bin").join(name), queue);
        }
        let key = root.join("control/domainkeys/a.test/default");
        openssl(&["genrsa", "-out", key.to_str().unwrap(), "2048"]);
        let der = openssl(&["rsa", "-in", key.to_str().unwrap(), "-pubout"]);
        let public = String::from_utf8(der).unwrap();
        let public = public
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect();
        Self { directory, public }
    }

    fn root(&self) -> &Path {
        self.directory.path()
    }

    fn run(&self, message: &str, variables: &[(&str, &str)]) -> (i32, String, String) {
        self.run_with(&[], message, variables)
    }

    /// Code, what it said, and the message that reached the queue.
    fn run_with(
        &self,
        arguments: &[&str],
        message: &str,
        variables: &[(&str, &str)],
    ) -> (i32, String, String) {
        std::fs::write(self.root().join("in"), message).unwrap();
        std::fs::write(
            self.root().join("in.envelope"),
            "Fann@a.test\0Tbob@b.test\0\0",
        )
        .unwrap();
        let _ = std::fs::remove_file(self.root().join("message"));
        let output = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" <in 1<in.envelope"])
            .arg(env!("CARGO_BIN_EXE_qmail-dkim"))
            .args(arguments)
            .current_dir(self.root())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("QMAILDIR", self.root())
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), said, self.read("message"))
    }

    fn read(&self, name: &str) -> String {
        let bytes = std::fs::read(self.root().join(name)).unwrap_or_default();
        String::from_utf8(bytes).unwrap()
    }

    /// A name server with the key.
    fn dns(&self) -> Dns {
        // Strings of a TXT record have an end.
        let (one, two) = self.public.split_at(200);
        let record = format!("txt-record=default._domainkey.a.test,v=DKIM1; k=rsa; p={one},{two}");
        let revoked = "txt-record=gone._domainkey.a.test,v=DKIM1; p=";
        let dns = Dns::start(&[&record, revoked]);
        let resolver = format!("127.0.0.1:{}\n", dns.port);
        std::fs::write(self.root().join("control/dnsresolver"), resolver).unwrap();
        dns
    }

    fn signed(&self) -> String {
        let (code, said, message) = self.run(MESSAGE, &[("DKIMSIGN", "domainkeys/%/default")]);
        assert_eq!(code, 0, "{said}");
        message
    }
}

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl")
        .args(arguments)
        .stderr(Stdio::null())
        .output()
        .expect("openssl is installed");
    assert!(output.status.success(), "{arguments:?}");
    output.stdout
}

/// What python3-dkim says about a message, with this key in its DNS.
fn is_verified_elsewhere(site: &Site, message: &str) -> bool {
    let script = "import sys, dkim\n\
        record = ('v=DKIM1; k=rsa; p=' + sys.argv[1]).encode()\n\
        text = sys.stdin.buffer.read().replace(b'\\n', b'\\r\\n')\n\
        sys.exit(0 if dkim.verify(text, dnsfunc=lambda name, timeout=5: record) else 1)\n";
    std::fs::write(site.root().join("verify.in"), message).unwrap();
    let input = std::fs::File::open(site.root().join("verify.in")).unwrap();
    let status = Command::new("/usr/bin/python3")
        .args(["-c", script, &site.public])
        .stdin(input)
        .status();
    status.expect("python3-dkim is installed").success()
}

#[test]
fn acceptance_47_signatures_are_good_elsewhere() {
    let site = Site::new();
    let message = site.signed();
    assert_eq!(message.matches("DKIM-Signature:").count(), 1, "{message}");
    let tags: String = message
        .split("\nFrom:")
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    assert!(
        tags.contains(";s=default;d=a.test;") && tags.contains(";x="),
        "{tags}"
    );
    assert!(message.ends_with(MESSAGE));
    assert!(is_verified_elsewhere(&site, &message));
    assert!(!is_verified_elsewhere(
        &site,
        &message.replace("hello there", "pay me")
    ));
    assert!(!is_verified_elsewhere(
        &site,
        &format!("From: eve@a.test\n{message}")
    ));
    let options = [
        ("DKIMSIGN", "domainkeys/a.test/default"),
        ("DKIMSIGNOPTIONS", "-z 2 -c s -x - -i ann@a.test"),
    ];
    let (_, _, message) = site.run(MESSAGE, &options);
    assert!(message.contains("c=simple/simple") && message.contains("i=ann@a.test"));
    assert!(!message.contains(" x="), "{message}");
    assert!(is_verified_elsewhere(&site, &message));
}

#[test]
fn acceptance_47_a_key_that_is_missing_or_bad() {
    let site = Site::new();
    let sign = |key: &str| {
        let (code, said, message) = site.run(MESSAGE, &[("DKIMSIGN", key)]);
        (code, said.trim_end().to_owned(), message)
    };
    assert_eq!(sign("no/such").0, 35);
    let (code, _, message) = sign("no/%/such");
    assert_eq!((code, &message[..]), (0, MESSAGE));
    std::fs::write(site.root().join("control/bad"), "no key\n").unwrap();
    let unreadable = "ZUnable to read private key. (#4.3.0)".to_owned();
    assert_eq!(sign("bad"), (88, unreadable.clone(), String::new()));
    // A directory cannot be read either.
    assert_eq!(sign("domainkeys").0, 88);
    // Without the domain where there is none with it.
    std::fs::rename(
        site.root().join("control/domainkeys/a.test/default"),
        site.root().join("control/domainkeys/default"),
    )
    .unwrap();
    assert!(
        sign("domainkeys/%/default")
            .2
            .starts_with("DKIM-Signature: ")
    );
    openssl(&[
        "genrsa",
        "-out",
        site.root().join("control/short").to_str().unwrap(),
        "512",
    ]);
    let (code, said, message) = sign("short");
    assert_eq!((code, &message[..]), (0, MESSAGE), "{said}");
    let other = [("DKIMSIGN", "bad"), ("ERROR_FD", "-1")];
    assert_eq!(site.run(MESSAGE, &other).1, "");
}

#[test]
fn an_ed25519_key_signs_too() {
    let site = Site::new();
    let key = site.root().join("control/ed");
    openssl(&[
        "genpkey",
        "-algorithm",
        "ed25519",
        "-out",
        key.to_str().unwrap(),
    ]);
    let (_, _, message) = site.run(MESSAGE, &[("DKIMSIGN", "ed")]);
    assert!(
        message.contains("a=ed25519-sha256; s=ed; d=a.test;"),
        "{message}"
    );
}

#[test]
fn who_may_relay_signs_and_others_are_verified() {
    let site = Site::new();
    let (_, _, message) = site.run(MESSAGE, &[("RELAYCLIENT", "")]);
    assert!(message.starts_with("DKIM-Signature: "), "{message}");
    let (_, _, message) = site.run(MESSAGE, &[]);
    assert!(
        message.starts_with("DKIM-Status: no signatures\n"),
        "{message}"
    );
    let other = MESSAGE.replace("a.test", "c.test");
    let (_, _, message) = site.run(&other, &[("AUTHINFO", "x")]);
    assert!(message.starts_with("DKIM-Status: "), "{message}");
    let named = [
        ("RELAYCLIENT", ""),
        ("DKIMDOMAIN", "x@a.test"),
        ("DKIMSIGN", "domainkeys/%/default"),
    ];
    assert!(site.run(&other, &named).2.contains("d=a.test;"));
}

#[test]
fn acceptance_47_results_have_letters_that_refuse() {
    let site = Site::new();
    let _dns = site.dns();
    let signed = site.signed();
    let verify = |message: &str, letters: &str| site.run(message, &[("DKIMVERIFY", letters)]);
    let status = |message: &str, text: &str| {
        let (code, said, got) = verify(message, "");
        assert_eq!(code, 0, "{said}");
        assert!(got.starts_with(&format!("DKIM-Status: {text}\n")), "{got}");
        got
    };
    let good = status(&signed, "good");
    assert!(good.contains("Authentication-Results: mx.test"), "{good}");
    assert!(
        good.contains("dkim=pass") && good.ends_with(&signed),
        "{good}"
    );
    let body = signed.replace("hello there", "pay me");
    status(&body, "body hash mismatch");
    let header = signed.replace("Subject: hello", "Subject: pay me");
    status(&header, "RSA verify failed");
    status(MESSAGE, "no signatures");
    status(
        &signed.replace("s=default", "s=gone"),
        "key revoked (p= empty)",
    );
    status(
        &signed.replace("s=default", "s=nowhere"),
        "selector DNS permanent failure",
    );
    let other_author = signed.replace("From: Ann <ann@a.test>", "From: x@c.test");
    status(&other_author, "RSA verify failed");
    let (code, said, got) = verify(&header, "FGHI");
    assert_eq!(
        (code, &said[..], &got[..]),
        (88, "DRSA verify failed (#5.7.1)\n", "")
    );
    let (code, said, _) = verify(&body, "Iu");
    assert_eq!((code, &said[..]), (88, "Zbody hash mismatch (#4.7.1)\n"));
    assert_eq!(verify(&signed, "FGHIKLMNOQRTUVWjp").0, 0);
}

#[test]
fn files_of_domains_change_the_result() {
    let site = Site::new();
    let _dns = site.dns();
    let verify = |message: &str| site.run(message, &[("DKIMVERIFY", "G")]);
    std::fs::write(site.root().join("control/signaturedomains"), "A.test\n").unwrap();
    let (code, said, _) = verify(MESSAGE);
    assert_eq!((code, &said[..]), (88, "Dverification failed (#5.7.1)\n"));
    assert_eq!(verify(&site.signed()).0, 0);
    std::fs::write(site.root().join("control/nosignaturedomains"), "*\n").unwrap();
    let (_, _, message) = verify(&MESSAGE.replace("a.test", "c.test"));
    let lines = "DKIM-Status: neutral (not suspicious)\n\t(old=no signatures:-13)\n";
    assert!(message.starts_with(lines), "{message}");
    let none = [("DKIMVERIFY", "G"), ("SIGN_PRACTICE", "none")];
    assert_eq!(site.run(MESSAGE, &none).0, 0);
}

#[test]
fn the_next_program_is_named_by_variable_or_arguments() {
    let site = Site::new();
    let (code, ..) = site.run_with(&["bin/other", "one"], MESSAGE, &[("DKIMVERIFY", "")]);
    assert_eq!((code, &site.read("arguments")[..]), (0, "one\n"));
    let named = [("DKIMVERIFY", ""), ("DKIMQUEUE", "bin/other 'x y'")];
    site.run_with(&["two"], MESSAGE, &named);
    assert_eq!(site.read("arguments"), "x y two\n");
    assert_eq!(site.read("envelope"), "Fann@a.test\0Tbob@b.test\0\0");
    assert_eq!(
        site.run_with(&["/no/such"], MESSAGE, &[("DKIMVERIFY", "")])
            .0,
        120
    );
}
