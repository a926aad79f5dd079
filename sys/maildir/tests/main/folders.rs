//! Folders of an account.

use std::fs;

use maildir::{Access, Error, FlagSet, FolderName};

use crate::World;

fn name(text: &str) -> FolderName {
    FolderName::parse(text, '/').unwrap()
}

fn shown(names: &[FolderName]) -> Vec<String> {
    names.iter().map(|name| name.display('/')).collect()
}

#[test]
fn folders_are_made_listed_and_deleted() {
    let world = World::new();
    let account = &world.account;
    account.create(&name("B")).unwrap();
    account.create(&name("A/Sub folder")).unwrap();
    assert!(matches!(
        account.create(&name("B")),
        Err(Error::FolderExists)
    ));
    assert!(matches!(
        account.create(&name("inbox")),
        Err(Error::FolderExists)
    ));
    assert_eq!(
        shown(&account.folders().unwrap()),
        ["INBOX", "A/Sub folder", "B"]
    );
    assert!(world.root().join(".A.Sub folder/maildirfolder").exists());
    account.delete(&name("B")).unwrap();
    assert!(matches!(
        account.delete(&name("B")),
        Err(Error::NoSuchFolder)
    ));
    assert!(matches!(
        account.delete(&name("INBOX")),
        Err(Error::FolderRefused)
    ));
    assert_eq!(
        shown(&account.folders().unwrap()),
        ["INBOX", "A/Sub folder"]
    );
    let left = fs::read_dir(world.root()).unwrap().flatten();
    assert!(
        left.into_iter()
            .all(|e| !e.file_name().to_string_lossy().starts_with(".."))
    );
}

#[test]
fn first_folders_come_once() {
    let world = World::new();
    let names = [name("Drafts"), name("Sent")];
    world.account.furnish(&names).unwrap();
    let all = ["INBOX", "Drafts", "Sent"];
    assert_eq!(shown(&world.account.folders().unwrap()), all);
    assert_eq!(shown(&world.account.subscriptions().unwrap()), all);
    for name in &names {
        world.account.delete(name).unwrap();
        world.account.unsubscribe(name).unwrap();
    }
    world.account.furnish(&names).unwrap();
    assert_eq!(shown(&world.account.folders().unwrap()), ["INBOX"]);
    let other = World::new();
    other.account.create(&name("Own")).unwrap();
    other.account.furnish(&names).unwrap();
    assert_eq!(shown(&other.account.folders().unwrap()), ["INBOX", "Own"]);
}

#[test]
fn a_folder_made_again_has_another_uidvalidity() {
    let world = World::new();
    let mut seen = Vec::new();
    for _ in 0..3 {
        world.account.create(&name("A")).unwrap();
        let folder = world.account.open_folder(&name("A"), Access::ReadWrite);
        seen.push(folder.unwrap().uid_validity());
        world.account.delete(&name("A")).unwrap();
    }
    assert!(seen[0] < seen[1] && seen[1] < seen[2]);
}

#[test]
fn a_session_in_a_deleted_folder_is_told() {
    let world = World::new();
    world.account.create(&name("A")).unwrap();
    let mut folder = world
        .account
        .open_folder(&name("A"), Access::ReadWrite)
        .unwrap();
    world.account.delete(&name("A")).unwrap();
    assert!(matches!(
        folder.refresh(),
        Err(Error::NoSuchFolder | Error::Rebuilt)
    ));
    assert!(
        folder
            .append_message(b"x", FlagSet::default(), None)
            .is_err()
    );
}

#[test]
fn children_move_with_their_parent() {
    let world = World::new();
    let account = &world.account;
    for folder in ["A", "A/B", "A/B/C", "AB"] {
        account.create(&name(folder)).unwrap();
    }
    assert!(matches!(
        account.rename(&name("A"), &name("A/X")),
        Err(Error::FolderRefused)
    ));
    assert!(matches!(
        account.rename(&name("A"), &name("AB")),
        Err(Error::FolderExists)
    ));
    assert!(matches!(
        account.rename(&name("Q"), &name("R")),
        Err(Error::NoSuchFolder)
    ));
    account.rename(&name("A"), &name("Z/Y")).unwrap();
    assert_eq!(
        shown(&account.folders().unwrap()),
        ["INBOX", "AB", "Z/Y", "Z/Y/B", "Z/Y/B/C"]
    );
}

#[test]
fn renaming_the_inbox_moves_its_messages() {
    let world = World::new();
    world.deliver("1.a", "x");
    world.account.create(&name("Other")).unwrap();
    world
        .account
        .rename(&name("INBOX"), &name("Saved"))
        .unwrap();
    assert!(world.inbox().messages().is_empty());
    let saved = world
        .account
        .open_folder(&name("Saved"), Access::ReadOnly)
        .unwrap();
    assert_eq!(saved.messages().len(), 1);
    assert!(world.account.exists(&name("Other")));
}

#[test]
fn subscriptions_are_couriers() {
    let world = World::new();
    let file = world.root().join("courierimapsubscribed");
    fs::write(&file, "INBOX\nINBOX.Sent\nshared.foo\nINBOX./etc\n").unwrap();
    world.account.subscribe(&name("A/B")).unwrap();
    world.account.subscribe(&name("A/B")).unwrap();
    world.account.unsubscribe(&name("INBOX")).unwrap();
    assert_eq!(
        shown(&world.account.subscriptions().unwrap()),
        ["A/B", "Sent"]
    );
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "INBOX.A.B\nINBOX.Sent\n"
    );
}
