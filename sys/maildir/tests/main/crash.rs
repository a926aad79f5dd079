//! What becomes of an index that was cut or damaged (attacks.md row 30).

use std::collections::BTreeMap;
use std::fs;

use maildir::{FlagOperation, FlagSet, Only, System};

use crate::{World, uids};

/// A folder with a history; the UIDs that were ever told, by base name.
fn with_history(world: &World) -> BTreeMap<u32, String> {
    let mut told = BTreeMap::new();
    for round in 0..4 {
        world.deliver(&format!("170000000{round}.a"), "x");
        world.deliver(&format!("170000000{round}.b"), "y");
        let mut inbox = world.inbox();
        told.extend(uids(&inbox));
        let seen = FlagSet {
            system: System::SEEN,
            keywords: vec!["k".to_owned()],
        };
        inbox.store(&[1], FlagOperation::Add, &seen, None).unwrap();
        if round == 2 {
            inbox.expunge(&[2, 3], Only::Any).unwrap();
        }
    }
    told
}

/// Damages the index and checks that no UID changes its meaning: within one
/// UIDVALIDITY a UID that was told belongs to its message or to none.
fn survives(world: &World, told: &BTreeMap<u32, String>, uid_validity: u32, damaged: &[u8]) {
    fs::write(world.index(), damaged).unwrap();
    world.deliver("1800000000.late", "late");
    let inbox = world.inbox();
    assert_eq!(inbox.messages().len(), 7, "no message is lost");
    if inbox.uid_validity() == uid_validity {
        for (uid, base) in uids(&inbox) {
            assert!(
                told.get(&uid).is_none_or(|known| *known == base),
                "UID {uid} means {base}"
            );
        }
    } else {
        assert!(uid_validity < inbox.uid_validity());
    }
    // And what was repaired stays as it is.
    assert_eq!(uids(&world.inbox()), uids(&inbox));
    let late = inbox
        .messages()
        .iter()
        .find(|m| m.name().base().starts_with(b"18"))
        .unwrap();
    fs::remove_file(late.name().path(world.root())).unwrap();
}

#[test]
fn an_intact_index_keeps_every_uid() {
    let world = World::new();
    let told = with_history(&world);
    let inbox = world.inbox();
    for (uid, base) in uids(&inbox) {
        assert_eq!(told[&uid], base);
    }
    assert_eq!(inbox.uid_next(), 9);
}

#[test]
fn an_index_cut_anywhere_gives_no_uid_twice() {
    let world = World::new();
    let told = with_history(&world);
    let whole = fs::read(world.index()).unwrap();
    let uid_validity = world.inbox().uid_validity();
    for cut in 0..whole.len() {
        // A crash cannot take what was synced; this does, so only the cut in
        // the middle of a record can be noticed.
        let mut torn = whole[..cut].to_vec();
        torn.resize(whole.len(), 0);
        survives(&world, &told, uid_validity, &torn);
    }
}

#[test]
fn a_record_that_was_not_written_to_its_end_is_ignored() {
    let world = World::new();
    with_history(&world);
    let whole = fs::read(world.index()).unwrap();
    let before = uids(&world.inbox());
    for cut in [1, 5, 20] {
        let mut torn = whole.clone();
        torn.extend(&whole[36..36 + cut]);
        fs::write(world.index(), &torn).unwrap();
        assert_eq!(uids(&world.inbox()), before);
        world.deliver(&format!("18{cut}.new"), "x");
        let inbox = world.inbox();
        assert_eq!(uids(&inbox)[..before.len()], before[..]);
        let late = inbox.messages().last().unwrap();
        assert!(9 <= late.uid);
        fs::remove_file(late.name().path(world.root())).unwrap();
    }
}

#[test]
fn a_damaged_byte_gives_no_uid_twice() {
    let world = World::new();
    let told = with_history(&world);
    let whole = fs::read(world.index()).unwrap();
    let uid_validity = world.inbox().uid_validity();
    for at in (0..whole.len()).step_by(3) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x41;
        survives(&world, &told, uid_validity, &damaged);
    }
}

#[test]
fn without_the_index_everything_is_there_under_a_new_uidvalidity() {
    let world = World::new();
    with_history(&world);
    let before = world.inbox().uid_validity();
    fs::remove_file(world.index()).unwrap();
    let inbox = world.inbox();
    assert!(before < inbox.uid_validity());
    assert_eq!(inbox.messages().len(), 6);
    assert_eq!(inbox.messages()[0].flags.system, System::SEEN);
}

/// Append writes `tmp`, renames, appends to the index. A crash may come after
/// each; whatever it leaves is one whole message or none.
#[test]
fn every_state_a_crash_can_leave_of_an_append_is_understood() {
    let world = World::new();
    world.deliver("1.a", "x");
    let before = uids(&world.inbox());
    // After the first step: nobody sees what is in `tmp`.
    fs::write(world.root().join("tmp/5.half"), "hal").unwrap();
    assert_eq!(uids(&world.inbox()), before);
    // After the second: the message has no UID yet, and gets one.
    let index = fs::read(world.index()).unwrap();
    let flags = FlagSet::from(System::DRAFT);
    let uid = world.inbox().append_message(b"whole", flags, None).unwrap();
    let after = fs::read(world.index()).unwrap();
    for kept in index.len()..=after.len() {
        fs::write(world.index(), &after[..kept]).unwrap();
        let mut inbox = world.inbox();
        assert_eq!(inbox.messages().len(), 2);
        let message = inbox.messages()[1].clone();
        assert!(uid <= message.uid);
        assert_eq!(message.flags.system, System::DRAFT);
        assert_eq!(inbox.read_message(message.uid).unwrap(), b"whole");
    }
}

#[test]
fn a_session_whose_index_is_lost_must_begin_anew() {
    let world = World::new();
    world.deliver("1.a", "x");
    let mut old = world.inbox();
    fs::remove_file(world.index()).unwrap();
    assert!(matches!(old.refresh(), Err(maildir::Error::Rebuilt)));
    let new = world.inbox();
    assert!(old.uid_validity() < new.uid_validity());
    let seen = System::SEEN.into();
    let stored = old.store(&[1], FlagOperation::Add, &seen, None);
    assert!(matches!(stored, Err(maildir::Error::Rebuilt)));
}

#[test]
fn the_index_does_not_grow_for_ever() {
    let world = World::new();
    world.deliver("1.a", "x");
    let mut inbox = world.inbox();
    for round in 0..6000 {
        let operation = if round % 2 == 0 {
            FlagOperation::Add
        } else {
            FlagOperation::Remove
        };
        inbox
            .store(&[1], operation, &System::SEEN.into(), None)
            .unwrap();
    }
    assert!(fs::metadata(world.index()).unwrap().len() < 300_000);
    assert_eq!(uids(&world.inbox()), uids(&inbox));
}
