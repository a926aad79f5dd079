//! An index file with any bytes: the mailbox opens, and every message has one
//! UID.
#![no_main]

use std::collections::BTreeSet;
use std::fs;

use libfuzzer_sys::fuzz_target;
use maildir::{Access, Account, FolderName};

fuzz_target!(|input: &[u8]| {
    let directory = tempfile::tempdir().expect("room for a test");
    let root = directory.path().join("Maildir");
    let account = Account::open_or_create(&root).expect("a new account");
    for name in ["1.a.host:2,", "2.b.host:2,S"] {
        fs::write(root.join("cur").join(name), "Subject: x\n\nx\n").expect("room for a test");
    }
    let open = || account.open_folder(&FolderName::inbox(), Access::ReadWrite);
    drop(open().expect("a good mailbox"));
    // The input replaces what stands behind its first byte's position.
    let path = root.join("indimail.index");
    let mut index = fs::read(&path).expect("an index");
    if let Some((&at, bytes)) = input.split_first() {
        index.truncate(usize::from(at));
        index.extend_from_slice(bytes);
        fs::write(&path, index).expect("room for a test");
    }
    if let Ok(mailbox) = open() {
        let uids: BTreeSet<u32> = mailbox.messages().iter().map(|m| m.uid).collect();
        assert_eq!(uids.len(), mailbox.messages().len());
    }
});
