//! Whole notices.

use super::*;
use crate::{Action, Fate, paragraph};

const FAILURE: &[u8] = b"No such user. (#5.1.1)\n";

fn wording(form: Form) -> Wording {
    Wording {
        from: b"MAILER-DAEMON".to_vec(),
        host: b"m.example".to_vec(),
        subject: b"failure notice".to_vec(),
        double_subject: b"failure notice".to_vec(),
        form,
        ..Wording::default()
    }
}

fn report(wording: &Wording) -> Report<'_> {
    Report {
        wording,
        news: News::Failure,
        recipient: b"ann@x",
        original_sender: b"ann@x",
        bounced: b"joe@y",
        envelope_id: None,
        arrival: 812_090_000,
        copied: Copied::Message,
        text: Charset::Ascii,
        message: Charset::Ascii,
        now: 812_090_813,
        unguessable: "0123",
    }
}

fn whole(report: &Report<'_>, text: &[u8], message: &[u8]) -> Vec<u8> {
    let fate = Fate {
        recipient: b"joe@y",
        original: None,
        action: Action::Failed,
        text,
        retry_until: None,
    };
    let fields = match report.form() {
        Form::Report => fate.fields(),
        _ => Vec::new(),
    };
    [
        report.head(),
        paragraph(b"joe@y", text),
        report.after_paragraphs(),
        fields,
        report.before_message(),
        message.to_vec(),
        report.tail(false),
    ]
    .concat()
}

#[test]
fn a_single_bounce_reads_like_this() {
    let wording = wording(Form::Report);
    let id = EnvelopeId::of_text(b"QQ 1").unwrap();
    let mut report = report(&wording);
    report.envelope_id = Some(&id);
    let text = whole(&report, FAILURE, b"Subject: hi\n\nhi\n");
    assert_eq!(
        String::from_utf8(text).unwrap(),
        "Date: 26 Sep 1995 04:46:53 -0000
X-Bounced-Address: <joe@y>
From: MAILER-DAEMON@m.example
To: ann@x
Message-ID: <812090813.0123.bounce@m.example>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=\"812090813.0123\"
Subject: failure notice

--812090813.0123

Hi. This is the qmail-send program at m.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<joe@y>:
No such user. (#5.1.1)

--- Enclosed is a copy of the message.

--812090813.0123
Content-Type: message/delivery-status

Reporting-MTA: dns; m.example
Original-Envelope-Id: QQ 1
Arrival-Date: 26 Sep 1995 04:33:20 -0000

Final-Recipient: rfc822; joe@y
Action: failed
Status: 5.1.1
Diagnostic-Code: x-qmail; No such user. (#5.1.1)

--812090813.0123
Content-Type: message/rfc822

Return-Path: <ann@x>
Subject: hi

hi

--812090813.0123--
"
    );
}

#[test]
fn the_classic_form_is_a_text_alone() {
    let wording = wording(Form::Plain);
    let text = whole(&report(&wording), FAILURE, b"Subject: hi\n\nhi\n");
    let text = String::from_utf8(text).unwrap();
    let (header, body) = text.split_once("\n\n").unwrap();
    assert!(!header.contains("MIME") && header.ends_with("Subject: failure notice"));
    assert_eq!(
        body,
        "Hi. This is the qmail-send program at m.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<joe@y>:
No such user. (#5.1.1)

--- Below this line is a copy of the message.

Return-Path: <ann@x>
Subject: hi

hi
"
    );
}

#[test]
fn the_mixed_form_has_the_text_and_the_message() {
    let wording = wording(Form::Mixed);
    let text = whole(&report(&wording), FAILURE, b"Subject: hi\n\nhi\n");
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains(
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"812090813.0123\"\n\
         Subject: failure notice\n\n--812090813.0123\n\nHi. This is the"
    ));
    assert!(text.ends_with(
        "(#5.1.1)\n\n--- Enclosed is a copy of the message.\n\n--812090813.0123\n\
         Content-Type: message/rfc822\n\nReturn-Path: <ann@x>\nSubject: hi\n\nhi\n\n\
         --812090813.0123--\n"
    ));
}

#[test]
fn a_double_bounce_says_so_and_a_cut_message_too() {
    let wording = wording(Form::Report);
    let report = Report {
        news: News::DoubleFailure,
        ..report(&wording)
    };
    let head = String::from_utf8(report.head()).unwrap();
    assert!(head.ends_with(
        "Hi. This is the qmail-send program at m.example.
I tried to deliver a bounce message to this address, but the bounce bounced!\n\n"
    ));
    let tail = String::from_utf8(report.tail(true)).unwrap();
    assert_eq!(
        tail,
        "\n\n--- End of message stripped.\n\n--812090813.0123--\n"
    );
}

#[test]
fn a_header_alone_says_by_its_type_that_it_is_one() {
    let wording = wording(Form::Report);
    let report = Report {
        copied: Copied::Header,
        ..report(&wording)
    };
    let before = String::from_utf8(report.before_message()).unwrap();
    assert!(before.contains("\nContent-Type: text/rfc822-headers\n\nReturn-Path:"));
    assert_eq!(report.tail(true), b"\n--812090813.0123--\n");
}

#[test]
fn news_that_are_no_failure_are_not_taken_for_one() {
    let wording = wording(Form::Plain);
    for news in [News::Success, News::Delay { until: 0 }] {
        let report = Report {
            news,
            ..report(&wording)
        };
        let head = String::from_utf8(report.head()).unwrap();
        assert!(head.contains("multipart/report"), "{head}");
        assert!(!head.contains("Hi. This is the"), "{head}");
    }
}

#[test]
fn what_is_told_of_a_failure_can_neither_add_fields_nor_end_a_part() {
    property::holds(|u| {
        let form = *u.choose(&[Form::Report, Form::Mixed, Form::Plain])?;
        let wording = wording(form);
        let (sender, bounced, text, message): (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>) =
            u.arbitrary()?;
        let report = Report {
            recipient: &sender,
            original_sender: &sender,
            bounced: &bounced,
            text: Charset::of(&text),
            message: Charset::of(&message),
            unguessable: "a number nobody can guess",
            ..report(&wording)
        };
        let out = whole(&report, &text, &message);
        let header_end = out.windows(2).position(|pair| pair == b"\n\n").unwrap();
        let fields = out[..header_end].split(|&b| b == b'\n').count();
        let is_8bit = form == Form::Report && !(text.is_ascii() && message.is_ascii());
        let expected = match form {
            Form::Plain => 6,
            Form::Mixed | Form::Report => 8 + usize::from(is_8bit),
        };
        assert_eq!(fields, expected + usize::from(!bounced.is_empty()));
        let boundary = format!("--{}", report.boundary()).into_bytes();
        let lines = out.split(|&b| b == b'\n');
        let ends = lines.filter(|line| line.starts_with(&boundary)).count();
        let expected = match form {
            Form::Plain => 0,
            Form::Mixed => 3,
            Form::Report => 4,
        };
        assert_eq!(ends, expected);
        Ok(())
    });
}
