//! Messages as people write them, and what becomes of their headers.

use super::*;

/// Composes a header under fixed names, time and process.
fn compose(flags: &[&str], variables: &[(&str, &str)], header: &str) -> Result<Composed, Error> {
    let directory = tempfile::tempdir().unwrap();
    let control = directory.path().join("control");
    std::fs::create_dir(&control).unwrap();
    std::fs::write(control.join("me"), "me.example\n").unwrap();
    std::fs::write(control.join("defaulthost"), "here\n").unwrap();
    std::fs::write(control.join("defaultdomain"), "example\n").unwrap();
    let settings = Settings::of_files(&run::Home::at(directory.path()));
    let user = [("USER", Some(&b"joe"[..]))];
    let more = variables.iter().map(|(n, v)| (*n, Some(v.as_bytes())));
    let settings = settings.overlaid(user.into_iter().chain(more));
    let words: Vec<Vec<u8>> = flags.iter().map(|f| f.as_bytes().to_vec()).collect();
    let options = Options::parse(&words, Style::Classic)
        .unwrap()
        .with_letters(&settings);
    let mut lines = HeaderLines::default();
    for line in header.split_inclusive('\n') {
        lines.push(line.as_bytes()).unwrap();
    }
    Composer::read(&settings, &options, 812_090_813, 42)?.compose(&lines, Given::default())
}

fn header(flags: &[&str], variables: &[(&str, &str)], old: &str) -> String {
    String::from_utf8(compose(flags, variables, old).unwrap().header).unwrap()
}

fn recipients(flags: &[&str], old: &str) -> Vec<String> {
    let recipients = compose(flags, &[], old).unwrap().recipients;
    recipients
        .into_iter()
        .map(|r| String::from_utf8(r).unwrap())
        .collect()
}

fn sender(flags: &[&str], variables: &[(&str, &str)], old: &str) -> String {
    String::from_utf8(compose(flags, variables, old).unwrap().sender).unwrap()
}

#[test]
fn what_is_missing_is_added_before_the_rest() {
    assert_eq!(
        header(&[], &[("NAME", "Joe \"J\"")], "Subject: hi\nto: ann\n"),
        "Date: 26 Sep 1995 04:46:53 -0000\n\
         Message-ID: <19950926044653.42.indimail@me.example>\n\
         From: \"Joe \\\"J\\\"\" <joe@here.example>\n\
         Subject: hi\n\
         to: ann@here.example\n"
    );
    let complete = "Date: now\nMessage-ID: <1@x.y>\nFrom: a@b.c\nTo: d@e.f\n";
    assert_eq!(header(&[], &[], complete), complete);
}

#[test]
fn arguments_leave_the_recipients_of_the_header_alone() {
    assert!(header(&["bob"], &[], "To: ann fred\nFrom: x\n").contains("To: ann fred\n"));
    assert!(header(&["bob"], &[], "From: x\n").contains("From: x@here.example\n"));
    assert!(header(&["bob"], &[], "").contains("Cc: recipient list not shown: ;\n"));
    assert_eq!(recipients(&["bob"], "To: ann\n"), ["bob@here.example"]);
    assert_eq!(
        recipients(&["-h", "bob"], "To: ann\n"),
        ["ann@here.example"]
    );
    assert_eq!(recipients(&["-a"], "To: ann\n"), [""; 0]);
    let both = recipients(&["-H", "bob"], "To: ann\nBcc: carl\n");
    assert_eq!(
        both,
        ["ann@here.example", "carl@here.example", "bob@here.example"]
    );
}

#[test]
fn what_nobody_should_see_is_deleted() {
    let old = "Bcc: carl\nContent-Length: 7\nReturn-Path: <x@y.z>\nTo: ann\nX: y\n";
    let new = header(&[], &[], old);
    assert!(new.ends_with("To: ann@here.example\nX: y\n"), "{new}");
    assert!(!new.contains("carl") && !new.contains("Return-Path"));
    assert!(!new.contains("Content-Length"));
}

#[test]
fn a_resent_message_goes_to_its_new_recipients() {
    let old = "Resent-To: bob\nTo: ann@b.c\nFrom: x@y.z\n";
    assert_eq!(recipients(&[], old), ["bob@here.example"]);
    assert_eq!(
        header(&[], &[], old),
        "Resent-Date: 26 Sep 1995 04:46:53 -0000\n\
         Resent-Message-ID: <19950926044653.42.indimail@me.example>\n\
         Resent-From: joe@here.example\n\
         Resent-To: bob@here.example\nTo: ann@b.c\nFrom: x@y.z\n"
    );
}

#[test]
fn the_sender_is_the_flag_then_the_return_path_then_the_user() {
    assert_eq!(sender(&[], &[], "To: a\n"), "joe@here.example");
    let user = [
        ("QMAILUSER", "u"),
        ("QMAILHOST", "h.i"),
        ("QMAILSUSER", "s"),
    ];
    assert_eq!(sender(&[], &user, "To: a\n"), "s@h.i");
    assert_eq!(
        sender(&[], &[], "Return-Path: <x>\nTo: a\n"),
        "x@here.example"
    );
    assert_eq!(sender(&[], &[], "Return-Path: <>\nTo: a\n"), "");
    let ignore = [("QMAILINJECT", "s")];
    assert_eq!(
        sender(&[], &ignore, "Return-Path: <x>\n"),
        "joe@here.example"
    );
    assert_eq!(
        sender(&["-f", "y@z"], &[], "Return-Path: <x>\n"),
        "y@z.example"
    );
    assert_eq!(sender(&["-f", ""], &[], "To: a\n"), "");
    assert_eq!(sender(&["-f", "#@[]"], &[], "To: a\n"), "#@[]");
}

#[test]
fn verp_marks_the_sender() {
    let both = [("QMAILINJECT", "rm"), ("QMAILHOST", "h.i")];
    assert_eq!(sender(&[], &both, ""), "joe-812090813.42-@h.i-@[]");
    let recipient = [("QMAILINJECT", "r")];
    assert_eq!(
        sender(&[], &recipient, "Return-Path: <x@y.z>\n"),
        "x@y.z-@[]"
    );
    assert_eq!(sender(&["-f", "x@y.z"], &recipient, ""), "x@y.z");
}

#[test]
fn letters_drop_and_shape_fields() {
    let letters = [("QMAILINJECT", "cfi"), ("NAME", "J (x)")];
    let new = header(
        &[],
        &letters,
        "From: old@x.y\nMessage-ID: <1@x>\nTo: a@b.c\n",
    );
    assert!(
        new.contains("From: joe@here.example (J \\(x\\))\n"),
        "{new}"
    );
    assert!(!new.contains("old@x.y") && !new.contains("<1@x>"));
}

#[test]
fn lists_are_followed_up() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lists");
    std::fs::write(&file, "LIST@x.y\n").unwrap();
    let mft = [("QMAILMFTFILE", file.to_str().unwrap())];
    let new = header(&[], &mft, "To: list@x.y\nCc: Bob <bob>\n");
    assert!(
        new.contains("Mail-Followup-To: list@x.y,\n  bob@here.example\n"),
        "{new}"
    );
    assert!(!header(&[], &mft, "To: bob@x.y\n").contains("Followup"));
}

// Attack 11.
#[test]
fn variables_and_lines_cannot_add_fields() {
    let name = [("NAME", "x\nBcc: evil@x.y")];
    assert!(!header(&[], &name, "To: a\n").contains("\nBcc"));
    let error = compose(&[], &[], "To: \"a\n").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("unable to parse this line: To: ")
    );
    assert!(error.is_permanent());
}

#[test]
fn any_header_is_composed_or_refused_and_composing_again_changes_nothing() {
    let alphabet: [&[u8]; 14] = [
        b"To",
        b"Cc",
        b"Bcc",
        b"From",
        b"Date",
        b"Resent-To",
        b":",
        b" ",
        b"\n",
        b",",
        b"ann",
        b"<b@c>",
        b";",
        b"(\xff)",
    ];
    property::holds(|u| {
        let letters = property::bytes(u)?;
        let pieces = letters
            .iter()
            .map(|b| alphabet[usize::from(*b) % alphabet.len()]);
        let text: Vec<u8> = pieces.flatten().copied().collect();
        let Ok(once) = compose_bytes(&text) else {
            return Ok(());
        };
        let seen = String::from_utf8_lossy(&once.header).to_lowercase();
        let name = |line: &str| line.split(':').next().unwrap_or_default().trim_end() == "bcc";
        assert!(!seen.lines().any(name), "{seen}");
        let again = compose_bytes(&once.header).unwrap();
        assert_eq!(String::from_utf8_lossy(&again.header).to_lowercase(), seen);
        Ok(())
    });
}

fn compose_bytes(text: &[u8]) -> Result<Composed, Error> {
    let settings = Settings::of_files(&run::Home::at("/nonexistent"));
    let settings = settings.overlaid([
        ("USER", Some(&b"joe"[..])),
        ("QMAILDEFAULTHOST", Some(b"here.example")),
        ("QMAILDEFAULTDOMAIN", Some(b"example")),
        ("QMAILPLUSDOMAIN", Some(b"plus.example")),
        ("QMAILIDHOST", Some(b"me.example")),
    ]);
    let options = Options::default();
    let mut header = HeaderLines::default();
    for line in text.split_inclusive(|&b| b == b'\n') {
        if header.push(line)? != message::Line::Header {
            break;
        }
    }
    Composer::read(&settings, &options, 812_090_813, 42)?.compose(&header, Given::default())
}
