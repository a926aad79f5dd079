//! The acceptance ideas of the specification for the queue program, by their
//! numbers (queue-and-delivery.md §12).

use std::os::unix::fs::MetadataExt;

use crate::Site;

const MESSAGE: &[u8] = b"hi\n";

#[test]
fn acceptance_1_one_message_is_one_text_and_one_envelope_named_by_its_inode() {
    let site = Site::new();
    assert_eq!(site.queue(MESSAGE, b"Fa@x\0Tb@y\0\0", &[]), Some(0));
    assert_eq!((site.files("mess"), site.files("todo")), (1, 1));
    assert_eq!(site.files("pid"), 0);
    let id = site.messages()[0];
    let mess = std::fs::metadata(site.layout().mess(id)).unwrap();
    assert_eq!(mess.ino(), id);
    assert_eq!(mess.mode() & 0o7777, 0o644);
    let text = std::fs::read_to_string(site.layout().mess(id)).unwrap();
    let (received, rest) = text.split_once('\n').unwrap();
    assert!(received.starts_with("Received: (indimail "), "{received}");
    assert_eq!(rest.as_bytes(), MESSAGE);
}

#[test]
fn acceptance_2_without_the_last_nul_nothing_is_queued() {
    let site = Site::new();
    for envelope in [&b"Fa@x\0Tb@y\0"[..], b"Fa@x\0Tb@y", b"Fa@x\0", b"F", b""] {
        assert_eq!(site.queue(MESSAGE, envelope, &[]), Some(54));
        assert!(site.is_empty());
    }
}

#[test]
fn acceptance_3_a_malformed_envelope_is_79_and_an_address_ends_at_1002_bytes() {
    let site = Site::new();
    assert_eq!(site.queue(MESSAGE, b"Xa@x\0Tb@y\0\0", &[]), Some(79));
    let local = |length: usize| vec![b'a'; length - b"@x.example".len()];
    let address = |length| [&local(length)[..], b"@x.example"].concat();
    let as_sender = |length| [b"F", &address(length)[..], b"\0Tb@y\0\0"].concat();
    let as_recipient = |length| [b"Fa@x\0T", &address(length)[..], b"\0\0"].concat();
    for envelope in [as_sender(1003), as_recipient(1003), as_recipient(5000)] {
        assert_eq!(site.queue(MESSAGE, &envelope, &[]), Some(11));
    }
    assert!(site.is_empty());
    for envelope in [as_sender(1002), as_recipient(1002)] {
        assert_eq!(site.queue(MESSAGE, &envelope, &[]), Some(0));
    }
    assert_eq!(site.messages().len(), 2);
}

#[test]
fn acceptance_4_no_recipients_are_accepted() {
    let site = Site::new();
    assert_eq!(site.queue(b"", b"F\0\0", &[]), Some(0));
    assert_eq!(site.messages().len(), 1);
}

#[test]
fn acceptance_5_the_envelope_is_u_p_f_t_and_e_when_there_are_extra_lines() {
    let site = Site::new();
    let trace = ("X_INDIMAIL_TRACE", "0123456789abcdef");
    assert_eq!(site.queue(MESSAGE, b"Fa@x\0Tb@y\0\0", &[trace]), Some(0));
    let extra = [trace, ("QQEH", "X-A: 1")];
    assert_eq!(site.queue(MESSAGE, b"Fa@x\0Tb@y\0\0", &extra), Some(0));
    let uid = os::account::real_uid();
    let shape = |id: &u64| {
        let envelope = site.envelope(*id);
        let pid = envelope.split('\0').nth(1).unwrap().to_owned();
        assert!(pid.strip_prefix('p').unwrap().parse::<u32>().is_ok());
        envelope.replacen(&format!("{pid}\0"), "", 1)
    };
    let mut shapes: Vec<String> = site.messages().iter().map(shape).collect();
    shapes.sort();
    let trace = "hX-Indimail-Trace: 0123456789abcdef\n\0";
    assert_eq!(
        shapes,
        [
            format!("u{uid}\0Fa@x\0Tb@y\0eX-A: 1\n\0{trace}"),
            format!("u{uid}\0Fa@x\0Tb@y\0{trace}"),
        ]
    );
}

#[test]
fn acceptance_14_less_space_than_min_free_is_53() {
    let site = Site::new();
    for min_free in ["9000000000000000000", "8000000000G"] {
        let variables = [("MIN_FREE", min_free)];
        assert_eq!(site.queue(MESSAGE, b"Fa@x\0Tb@y\0\0", &variables), Some(53));
        assert!(site.is_empty());
    }
    let variables = [("MIN_FREE", "1K")];
    assert_eq!(site.queue(MESSAGE, b"Fa@x\0Tb@y\0\0", &variables), Some(0));
}
