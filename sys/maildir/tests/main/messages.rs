//! Reading, flags, append, copy, expunge.

use std::fs;
use std::io::Write;

use maildir::{Access, Error, FlagOperation, FlagSet, FolderName, Only, System};

use crate::{World, uids};

#[test]
fn uids_follow_arrival_and_stay() {
    let world = World::new();
    world.deliver("1700000002.b", "two\n");
    world.deliver("1700000001.a", "one\n");
    let first = uids(&world.inbox());
    assert_eq!(first[0], (1, "1700000001.a,S=4".to_owned()));
    world.deliver("1600000000.late", "three\n");
    let second = uids(&world.inbox());
    assert_eq!(second[..2], first[..]);
    assert_eq!(second[2].0, 3);
}

#[test]
fn size_and_date_come_from_the_name() {
    let world = World::new();
    // The name lies; whoever looked at the file would know.
    fs::write(world.root().join("cur/1700000000.x,S=999,W=1001:2,FS"), "a").unwrap();
    let inbox = world.inbox();
    let message = &inbox.messages()[0];
    assert_eq!((message.size, message.wire_size), (999, Some(1001)));
    assert_eq!(message.internal_date, 1_700_000_000);
    assert_eq!(message.flags.system, System::FLAGGED | System::SEEN);
}

#[test]
fn a_message_is_recent_for_one_session() {
    let world = World::new();
    world.deliver("1700000001.a", "x");
    let looking = world.open(Access::ReadOnly);
    assert!(looking.is_recent(1));
    let (first, second) = (world.inbox(), world.inbox());
    assert!(first.is_recent(1) && !second.is_recent(1));
    assert!(world.root().join("cur/1700000001.a,S=1:2,").exists());
}

#[test]
fn a_message_put_into_a_folder_is_recent_too() {
    let world = World::new();
    let mut writer = world.open(Access::ReadOnly);
    let seen = FlagSet::from(System::SEEN);
    writer.append_message(b"x\n", seen.clone(), None).unwrap();
    let looking = world.open(Access::ReadOnly);
    assert!(looking.is_recent(1));
    let (mut first, mut second) = (world.inbox(), world.inbox());
    assert!(first.is_recent(1) && !second.is_recent(1));
    writer.append_message(b"y\n", seen, None).unwrap();
    assert_eq!(second.refresh().unwrap().new, [2]);
    assert_eq!(first.refresh().unwrap().new, [2]);
    assert!(second.is_recent(2) && !first.is_recent(2));
    assert!(!world.open(Access::ReadOnly).is_recent(2));
}

#[test]
fn flags_and_keywords_are_in_the_file_name() {
    let world = World::new();
    world.deliver("1.a", "x");
    let mut inbox = world.inbox();
    let set = FlagSet {
        system: System::SEEN,
        keywords: vec!["$Junk".to_owned(), "work".to_owned()],
    };
    let stored = inbox
        .store(&[1, 77], FlagOperation::Add, &set, None)
        .unwrap();
    assert_eq!(stored.changed, [1]);
    assert!(world.root().join("cur/1.a,S=1:2,Sab").exists());
    let again = inbox.store(&[1], FlagOperation::Add, &set, None).unwrap();
    assert!(again.changed.is_empty(), "nothing is different");
    // Another server, or an index that was lost, finds them again.
    drop(inbox);
    fs::remove_file(world.index()).unwrap();
    let inbox = world.inbox();
    let bits = inbox.messages()[0].flags.keywords;
    let names: Vec<&str> = inbox.keyword_names(bits).collect();
    assert_eq!(names, ["$Junk", "work"]);
}

#[test]
fn keywords_beyond_the_alphabet_are_kept_too() {
    let world = World::new();
    world.deliver("1.a", "x");
    let keywords: Vec<String> = (0..40).map(|n| format!("k{n}")).collect();
    let set = FlagSet {
        system: System::default(),
        keywords: keywords.clone(),
    };
    let mut inbox = world.inbox();
    inbox
        .store(&[1], FlagOperation::Replace, &set, None)
        .unwrap();
    let gone = FlagSet {
        system: System::default(),
        keywords: vec!["K3".to_owned(), "k39".to_owned(), "never".to_owned()],
    };
    inbox
        .store(&[1], FlagOperation::Remove, &gone, None)
        .unwrap();
    let inbox = world.inbox();
    let names: Vec<&str> = inbox
        .keyword_names(inbox.messages()[0].flags.keywords)
        .collect();
    assert_eq!(names.len(), 38);
    assert!(!names.contains(&"k3") && !names.contains(&"k39") && names.contains(&"k38"));
    let mut inbox = world.inbox();
    let many = FlagSet {
        system: System::default(),
        keywords: (0..60).map(|n| format!("more{n}")).collect(),
    };
    let error = inbox.store(&[1], FlagOperation::Add, &many, None);
    assert!(matches!(error, Err(Error::Keyword)));
}

#[test]
fn store_unless_changed_since() {
    let world = World::new();
    world.deliver("1.a", "x");
    let mut inbox = world.inbox();
    let before = inbox.messages()[0].modseq;
    let seen = FlagSet::from(System::SEEN);
    inbox
        .store(&[1], FlagOperation::Add, &seen, Some(before))
        .unwrap();
    assert!(before < inbox.messages()[0].modseq);
    assert_eq!(inbox.highest_modseq(), inbox.messages()[0].modseq);
    let stored = inbox
        .store(&[1], FlagOperation::Remove, &seen, Some(before))
        .unwrap();
    assert_eq!(stored.refused, [1]);
    assert_eq!(inbox.messages()[0].flags.system, System::SEEN);
}

#[test]
fn what_is_appended_is_read() {
    let world = World::new();
    let mut inbox = world.inbox();
    let flags = FlagSet::from(System::DRAFT);
    let uid = inbox
        .append_message(b"A: b\r\n\r\ntext\r\n", flags, Some(1_000_000_000))
        .unwrap();
    let message = inbox.message(uid).unwrap().clone();
    assert_eq!((message.size, message.wire_size), (11, Some(14)));
    assert_eq!(message.internal_date, 1_000_000_000);
    assert_eq!(inbox.read_message(uid).unwrap(), b"A: b\r\n\r\ntext\r\n");
    assert_eq!(inbox.refresh().unwrap().new, [uid]);
    assert!(inbox.refresh().unwrap().is_empty());
    // The date survives the index.
    fs::remove_file(world.index()).unwrap();
    assert_eq!(world.inbox().messages()[0].internal_date, 1_000_000_000);
}

#[test]
fn an_append_that_is_given_up_leaves_nothing() {
    let world = World::new();
    let mut inbox = world.inbox();
    let mut staged = inbox.stage(FlagSet::default(), None).unwrap();
    staged.write_all(b"half").unwrap();
    drop(staged);
    assert!(inbox.refresh().unwrap().is_empty());
    assert_eq!(fs::read_dir(world.root().join("tmp")).unwrap().count(), 0);
}

#[test]
fn many_are_appended_or_none() {
    let world = World::new();
    let mut inbox = world.inbox();
    let good = inbox.stage(FlagSet::default(), None).unwrap();
    let bad = inbox.stage(
        FlagSet {
            system: System::default(),
            keywords: vec!["not an atom".to_owned()],
        },
        None,
    );
    assert!(inbox.commit(vec![good, bad.unwrap()]).is_err());
    inbox.refresh().unwrap();
    assert!(inbox.messages().is_empty());
}

#[test]
fn copies_and_moves_keep_flags_keywords_and_date() {
    let world = World::new();
    let name = FolderName::parse("Work/Old", '/').unwrap();
    world.account.create(&name).unwrap();
    world.deliver("1700000000.a", "one\n");
    world.deliver("1700000001.b", "two\n");
    let mut inbox = world.inbox();
    let mut target = world.account.open_folder(&name, Access::ReadWrite).unwrap();
    let set = FlagSet {
        system: System::FLAGGED,
        keywords: vec!["x".to_owned()],
    };
    target
        .append_message(
            b"first",
            FlagSet {
                keywords: vec!["y".into()],
                ..FlagSet::default()
            },
            None,
        )
        .unwrap();
    inbox.store(&[2], FlagOperation::Add, &set, None).unwrap();
    let pairs = inbox.move_to(&[2, 9], &mut target).unwrap();
    assert_eq!(pairs, [(2, 2)]);
    assert_eq!(inbox.messages().len(), 1);
    let copy = target.message(2).unwrap().clone();
    assert_eq!(copy.flags.system, System::FLAGGED);
    assert_eq!(copy.internal_date, 1_700_000_001);
    assert_eq!(
        target
            .keyword_names(copy.flags.keywords)
            .collect::<Vec<_>>(),
        ["x"]
    );
    assert_eq!(target.read_message(2).unwrap(), b"two\r\n");
    // Within one folder as well, by two views of it.
    let mut other = world.inbox();
    assert_eq!(inbox.copy_to(&[1], &mut other).unwrap(), [(1, 3)]);
    assert_eq!(inbox.refresh().unwrap().new, [3]);
}

#[test]
fn only_trashed_messages_are_expunged() {
    let world = World::new();
    world.deliver("1.a", "x");
    world.deliver("2.b", "x");
    let mut inbox = world.inbox();
    let trashed = FlagSet::from(System::TRASHED);
    inbox
        .store(&[2], FlagOperation::Add, &trashed, None)
        .unwrap();
    let before = inbox.highest_modseq();
    assert_eq!(inbox.expunge(&[1, 2], Only::Trashed).unwrap(), [2]);
    assert_eq!(inbox.refresh().unwrap().vanished, [0u32; 0], "told already");
    assert_eq!(inbox.vanished_since(before), Some(vec![2]));
    assert_eq!(inbox.vanished_since(1), None, "before all memory");
    assert_eq!(world.inbox().vanished_since(before), Some(vec![2]));
    assert_eq!(inbox.uid_next(), 3);
}

#[test]
fn a_reader_changes_nothing() {
    let world = World::new();
    world.deliver("1.a", "x");
    let mut inbox = world.open(Access::ReadOnly);
    let seen = FlagSet::from(System::SEEN);
    let stored = inbox.store(&[1], FlagOperation::Add, &seen, None);
    assert!(matches!(stored, Err(Error::ReadOnly)));
    assert!(matches!(
        inbox.expunge(&[1], Only::Any),
        Err(Error::ReadOnly)
    ));
    assert!(world.root().join("new/1.a,S=1").exists());
}

#[test]
fn wire_sizes_are_counted_once() {
    let world = World::new();
    world.deliver("1.a", "a\nb\r\nc\n");
    let mut inbox = world.inbox();
    assert_eq!(inbox.wire_size(1).unwrap(), 9);
    let known = world.inbox().messages()[0].wire_size;
    assert_eq!(known, Some(9));
}

#[test]
fn uids_of_courier_are_taken_over() {
    let world = World::new();
    world.deliver("1.a", "x");
    world.deliver("2.b", "x");
    let list = "1 1234567890 40\n17 2.b,S=1\n39 9.gone\n";
    fs::write(world.root().join("courierimapuiddb"), list).unwrap();
    let inbox = world.inbox();
    assert_eq!(inbox.uid_validity(), 1_234_567_890);
    let expected = [(17, "2.b,S=1".to_owned()), (40, "1.a,S=1".to_owned())];
    assert_eq!(uids(&inbox), expected);
}

#[test]
fn links_in_a_maildir_lead_nowhere() {
    let world = World::new();
    let secret = world.outside().join("secret");
    fs::write(&secret, "secret").unwrap();
    std::os::unix::fs::symlink(&secret, world.root().join("cur/1.a:2,")).unwrap();
    std::os::unix::fs::symlink(world.outside(), world.root().join(".Link")).unwrap();
    assert!(world.inbox().messages().is_empty());
    assert_eq!(world.account.folders().unwrap(), [FolderName::inbox()]);
    // A file that becomes a link after it was listed.
    world.deliver("2.b", "x");
    let mut inbox = world.inbox();
    let path = world.root().join("cur/2.b,S=1:2,");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&secret, &path).unwrap();
    assert!(inbox.read_message(1).is_err());
}
