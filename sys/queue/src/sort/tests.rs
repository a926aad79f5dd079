//! Real files.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use super::*;
use crate::Disk;

fn queue() -> (tempfile::TempDir, Layout) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("queue1");
    crate::create(&root, None).unwrap();
    (directory, Layout::detect(root).unwrap())
}

fn routing() -> Routing {
    let lines = |text: &[u8]| vec![text.to_vec()];
    Routing::new(b"h", &[], &lines(b"h"), &lines(b"v:joe"))
}

type Message = Sorted<<Disk as FileSystem>::File>;

fn message(layout: &Layout, id: u64, how: How) -> Result<Option<Message>, Trouble> {
    let found = sort(&Disk::new(), layout, &routing(), id, how)?;
    Ok(match found {
        Found::Message(sorted) => Some(*sorted),
        Found::Nothing | Found::Ended => None,
    })
}

fn files(layout: &Layout, id: u64) -> Result<Option<Message>, Trouble> {
    let how = How {
        is_again: true,
        ..How::default()
    };
    message(layout, id, how)
}

#[test]
fn an_envelope_becomes_three_files() {
    let (_directory, layout) = queue();
    std::fs::write(layout.mess(24), b"text").unwrap();
    let envelope = b"u7\0p8\0Fann@x\0Ta@v\0Tb@y\0Tc@h\0eX-A: 1\n\0hX-B: 2\n\0";
    std::fs::write(layout.todo(24), envelope).unwrap();
    let sorted = files(&layout, 24).unwrap().unwrap();
    assert_eq!(sorted.channels, Channels::Both);
    assert_eq!((sorted.uid, sorted.qp, sorted.bytes), (7, 8, 4));
    let read = |path| std::fs::read(path).unwrap();
    assert_eq!(read(layout.local(24)), b"Tjoe-a@v\0Tc@h\0");
    assert_eq!(read(layout.remote(24)), b"Tb@y\0");
    assert_eq!(read(layout.info(24)), b"Fann@x\0eX-A: 1\n\0hX-B: 2\n\0");
    // A second try does not trip over the first.
    assert_eq!(sorted.files.len(), 3);
    assert!(files(&layout, 24).is_ok());
}

#[test]
fn what_senders_want_to_know_follows_their_recipients() {
    let (_directory, layout) = queue();
    std::fs::write(layout.mess(24), b"text").unwrap();
    let envelope = b"Fann@x\0Ta@v\0Tb\0\
        hX-Indimail-Dsn-To: a@v NOTIFY=NEVER\nX-Indimail-Dsn-To: b NOTIFY=DELAY\n\0";
    std::fs::write(layout.todo(24), envelope).unwrap();
    files(&layout, 24).unwrap();
    let info = Info::read(&layout.info(24)).unwrap();
    let expected = "X-Indimail-Dsn-To: joe-a@v NOTIFY=NEVER\n\
        X-Indimail-Dsn-To: b@h NOTIFY=DELAY\n";
    assert_eq!(String::from_utf8(info.env_headers).unwrap(), expected);
}

#[test]
fn a_single_recipient_is_told_and_not_written() {
    let (_directory, layout) = queue();
    std::fs::write(layout.mess(24), b"text").unwrap();
    std::fs::write(layout.todo(24), b"u7\0p8\0Fann@x\0Tb@y\0hX-B: 2\n\0").unwrap();
    let room = Room {
        local: false,
        remote: true,
    };
    let how = How {
        room,
        ..How::default()
    };
    let sorted = message(&layout, 24, how).unwrap().unwrap();
    let single = sorted.single.unwrap();
    assert_eq!((single.id, single.is_remote), (24, true));
    assert_eq!(single.recipient, b"b@y");
    assert_eq!(single.env_headers, b"X-B: 2\n");
    assert!(!layout.info(24).exists() && !layout.remote(24).exists());
    std::fs::write(layout.todo(24), b"Fann@x\0Tb@y\0Tc@h\0").unwrap();
    let sorted = message(&layout, 24, how).unwrap().unwrap();
    assert!(sorted.single.is_none());
    assert_eq!(sorted.channels, Channels::Both);
    discard(&Disk::new(), &layout, 24).unwrap();
    std::fs::write(layout.todo(24), b"Fann@x\0Tc@h\0").unwrap();
    let sorted = message(&layout, 24, how).unwrap().unwrap();
    assert!(sorted.single.is_none(), "there was no room for a local one");
}

#[test]
fn a_message_put_back_keeps_its_birth_and_its_due_time() {
    let (_directory, layout) = queue();
    std::fs::write(layout.mess(24), b"text").unwrap();
    std::fs::write(layout.todo(24), b"Fann@x\0Tb@y\0").unwrap();
    let todo = File::open(layout.todo(24)).unwrap();
    os::file::set_mtime(&todo, 1_000_000).unwrap();
    let put_back = |is_done| How {
        put_back: Some(PutBack {
            id: 24,
            due: 1_000_400,
            is_done,
        }),
        ..How::default()
    };
    let mtime = |path: PathBuf| std::fs::metadata(path).unwrap().mtime();
    let sorted = message(&layout, 24, put_back(false)).unwrap();
    assert_eq!(sorted.unwrap().channels, Channels::Remote);
    assert_eq!(mtime(layout.info(24)), 1_000_000);
    assert_eq!(mtime(layout.remote(24)), 1_000_400);
    discard(&Disk::new(), &layout, 24).unwrap();
    let sorted = message(&layout, 24, put_back(true)).unwrap();
    assert_eq!(sorted.unwrap().channels, Channels::Neither);
    assert!(layout.info(24).exists() && !layout.remote(24).exists());
}

#[test]
fn an_envelope_that_went_away_meanwhile_is_no_trouble() {
    let (_directory, layout) = queue();
    assert!(files(&layout, 24).unwrap().is_none());
}

#[test]
fn what_is_not_an_envelope_leaves_nothing_behind() {
    let (_directory, layout) = queue();
    std::fs::write(layout.mess(1), b"text").unwrap();
    for bad in [&b"Ta@h\0"[..], b"Fa\0Ta@h", b"Fa\0Ta@h\0Zx\0", b""] {
        std::fs::write(layout.todo(1), bad).unwrap();
        assert!(files(&layout, 1).is_err(), "{bad:?}");
        assert!(!layout.info(1).exists() && !layout.local(1).exists());
    }
}

#[test]
fn an_envelope_without_its_text_is_that_of_a_message_that_ended() {
    let (_directory, layout) = queue();
    std::fs::write(layout.todo(1), b"Fa\0Tb@h\0").unwrap();
    let found = sort(&Disk::new(), &layout, &routing(), 1, How::default()).unwrap();
    assert!(matches!(found, Found::Ended));
    assert!(!layout.info(1).exists());
}
