//! Several sessions, deliveries and other programs at the same time.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use maildir::{Access, FlagOperation, FlagSet, Mailbox, Only, System};

use crate::{World, uids};

#[test]
fn sessions_learn_from_each_other() {
    let world = World::new();
    world.deliver("1.a", "x");
    let (mut one, mut two) = (world.inbox(), world.inbox());
    one.refresh().unwrap();
    two.refresh().unwrap();
    one.store(&[1], FlagOperation::Add, &System::SEEN.into(), None)
        .unwrap();
    assert_eq!(two.refresh().unwrap().flags, [1]);
    assert_eq!(
        two.message(1).unwrap().modseq,
        one.message(1).unwrap().modseq
    );
    world.deliver("2.b", "y");
    assert_eq!(one.refresh().unwrap().new, [2]);
    assert_eq!(two.refresh().unwrap().new, [2]);
    assert!(one.is_recent(2) && !two.is_recent(2));
    two.expunge(&[1], Only::Any).unwrap();
    assert_eq!(one.refresh().unwrap().vanished, [1]);
    assert!(one.refresh().unwrap().is_empty());
}

#[test]
fn a_file_renamed_by_another_program_is_found() {
    let world = World::new();
    world.deliver("1.a", "text\n");
    let mut inbox = world.inbox();
    inbox.refresh().unwrap();
    let cur = world.root().join("cur");
    fs::rename(cur.join("1.a,S=5:2,"), cur.join("1.a,S=5:2,R")).unwrap();
    assert_eq!(inbox.read_message(1).unwrap(), b"text\r\n");
    fs::rename(cur.join("1.a,S=5:2,R"), cur.join("1.a,S=5:2,RF")).unwrap();
    inbox
        .store(&[1], FlagOperation::Add, &System::SEEN.into(), None)
        .unwrap();
    assert!(cur.join("1.a,S=5:2,FRS").exists());
    inbox
        .store(&[1], FlagOperation::Add, &System::TRASHED.into(), None)
        .unwrap();
    fs::rename(cur.join("1.a,S=5:2,FRST"), cur.join("1.a,S=5:2,FST")).unwrap();
    assert_eq!(inbox.expunge(&[1], Only::Trashed).unwrap(), [1]);
}

#[test]
fn a_removed_file_is_gone_for_everybody() {
    let world = World::new();
    world.deliver("1.a", "x");
    world.deliver("2.b", "x");
    let mut inbox = world.inbox();
    inbox.refresh().unwrap();
    fs::remove_file(world.root().join("cur/1.a,S=1:2,")).unwrap();
    let stored = inbox.store(&[1, 2], FlagOperation::Add, &System::SEEN.into(), None);
    assert_eq!(stored.unwrap().changed, [2]);
    let changes = inbox.refresh().unwrap();
    assert_eq!((changes.vanished, changes.flags), (vec![1], vec![]));
}

/// Follows a mailbox until it is done; every UID it ever saw with its name.
fn follow(mut mailbox: Mailbox, done: &AtomicBool) -> BTreeMap<u32, String> {
    let mut told: BTreeMap<u32, String> = uids(&mailbox).into_iter().collect();
    let mut known: Vec<u32> = told.keys().copied().collect();
    loop {
        let last = done.load(Ordering::SeqCst);
        let changes = mailbox.refresh().unwrap();
        known.retain(|uid| !changes.vanished.contains(uid));
        known.extend(&changes.new);
        // What a session is told adds up to what is there.
        let there: Vec<u32> = mailbox.messages().iter().map(|m| m.uid).collect();
        assert_eq!(known, there);
        for (uid, base) in uids(&mailbox) {
            let before = told.entry(uid).or_insert_with(|| base.clone());
            assert_eq!(*before, base, "a UID changed its meaning");
        }
        if last {
            return told;
        }
    }
}

#[test]
fn deliveries_sessions_and_readers_at_once() {
    const MESSAGES: usize = 150;
    let world = World::new();
    let done = AtomicBool::new(false);
    // Opened first, so that no index is made while nobody looks.
    let (reader, writer) = (world.open(Access::ReadOnly), world.inbox());
    thread::scope(|scope| {
        let delivering = scope.spawn(|| {
            for n in 0..MESSAGES {
                world.deliver(&format!("{}.d", 1_700_000_000 + n), "text\n");
            }
        });
        let one = scope.spawn(|| follow(reader, &done));
        let two = scope.spawn(|| follow(writer, &done));
        let flagging = [System::SEEN, System::FLAGGED].map(|flag| {
            let world = &world;
            scope.spawn(move || {
                let mut inbox = world.inbox();
                let mut seen = 0;
                while seen < MESSAGES + 20 {
                    inbox.refresh().unwrap();
                    let all: Vec<u32> = inbox.messages().iter().map(|m| m.uid).collect();
                    seen = all.len();
                    inbox
                        .store(&all, FlagOperation::Add, &flag.into(), None)
                        .unwrap();
                }
            })
        });
        let appending = scope.spawn(|| {
            let mut inbox = world.inbox();
            let mut uids = Vec::new();
            for _ in 0..20 {
                let flags = FlagSet::from(System::DRAFT);
                uids.push(inbox.append_message(b"draft", flags, None).unwrap());
            }
            uids
        });
        delivering.join().unwrap();
        let drafts = appending.join().unwrap();
        for thread in flagging {
            thread.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
        let (one, two) = (one.join().unwrap(), two.join().unwrap());
        assert_eq!(one, two);
        assert_eq!(one.len(), MESSAGES + 20);
        assert!(drafts.iter().all(|uid| one.contains_key(uid)));
    });
    let inbox = world.inbox();
    let delivered = inbox
        .messages()
        .iter()
        .filter(|m| m.name().base().ends_with(b".d,S=5"));
    for message in delivered {
        assert!(
            message
                .flags
                .system
                .contains(System::SEEN | System::FLAGGED)
        );
    }
}

#[test]
fn thousands_of_messages_open_fast() {
    const MESSAGES: usize = 5000;
    let world = World::new();
    for n in 0..MESSAGES {
        let name = format!("cur/{}.x,S=1:2,S", 1_600_000_000 + n);
        fs::write(world.root().join(name), "x").unwrap();
    }
    let first = uids(&world.inbox());
    let time = || {
        let start = std::time::Instant::now();
        assert_eq!(uids(&world.inbox()), first);
        start.elapsed()
    };
    // Far below what looking at every file would take, far above what it
    // takes here when the machine is not busy.
    assert!((0..30).any(|_| time() < std::time::Duration::from_secs(1)));
}
