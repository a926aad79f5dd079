//! A machine that ran C software: its queue, its control files, its users and
//! their .qmail files are taken as they are, and everything is delivered.

use std::fs::{self, FileTimes};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::deliveries::REMOTE;
use crate::installation::Installation;

/// How long the messages have been in the queue.
const AGE: Duration = Duration::from_secs(3600);

fn write(path: PathBuf, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// `users/cdb` as qmail-newu of C software makes it.
fn users_cdb(lines: &[(&[u8], [String; 6])], wildcards: &[u8]) -> Vec<u8> {
    let mut builder = cdb::Builder::default();
    for (key, fields) in lines {
        builder.add(key, fields.join("\0").as_bytes()).unwrap();
    }
    builder.add(b"", wildcards).unwrap();
    builder.finish().unwrap()
}

fn maildir(path: &Path) {
    for name in ["tmp", "new", "cur"] {
        fs::create_dir_all(path.join(name)).unwrap();
    }
}

/// Everything that a maildir or an mbox got.
fn mail(path: &Path) -> String {
    let new = path.join("new");
    if !new.is_dir() {
        return fs::read_to_string(path).unwrap_or_default();
    }
    let files = fs::read_dir(new).unwrap();
    files
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect()
}

fn machine() -> Installation {
    let mut here = Installation::new("exit 111", REMOTE);
    here.make_classic();
    let root = here.root().to_owned();
    for (name, content) in [
        ("locals", "here.example\n# a comment\nlocalhost\n"),
        ("rcpthosts", "here.example\nvirtual.example\n"),
        ("virtualdomains", "virtual.example:ann-v\n"),
        ("defaultdomain", "example\n"),
        ("concurrencyremote", "20\n"),
        ("bouncefrom", "MAILER-DAEMON\n"),
        ("plusdomain", "example\n"),
        ("queuelifetime", "604800\n"),
    ] {
        here.control(name, content);
    }
    let (ann, bob) = (root.join("home/ann"), root.join("home/bob"));
    for (file, content) in [
        (ann.join(".qmail"), "# mine\n./Maildir/\n"),
        (ann.join(".qmail-v-default"), "./v/\n"),
        (
            ann.join(".qmail-list"),
            "&bob@here.example\nfar@there.example",
        ),
        (ann.join(".qmail-list-owner"), "./owner/\n"),
        (bob.join(".qmail"), "|cat >> piped; exit 99\n./never/\n"),
        (root.join("alias/.qmail-postmaster"), "&ann@here.example\n"),
        (
            root.join("alias/.qmail-default"),
            "| echo unknown; exit 100\n",
        ),
    ] {
        write(file, content);
    }
    for name in ["Maildir", "v", "owner"] {
        maildir(&ann.join(name));
    }
    let (uid, gid) = (here.user().uid.to_string(), here.user().gid.to_string());
    let fields = |user: &str, home: &Path, dash: &str| {
        let home = home.display().to_string();
        [user, &uid, &gid, &home, dash, ""].map(str::to_owned)
    };
    let alias = root.join("alias");
    let lines: [(&[u8], _); 5] = [
        (b"!ann\0", fields("ann", &ann, "")),
        (b"!ann-", fields("ann", &ann, "-")),
        (b"!bob\0", fields("bob", &bob, "")),
        (b"!carl\0", fields("carl", &root.join("home/carl"), "")),
        (b"!", fields("alias", &alias, "-")),
    ];
    maildir(&root.join("home/carl/Maildir"));
    write(root.join("users/cdb"), users_cdb(&lines, b"-"));
    write(root.join("users/assign"), "kept for people\n.\n");
    for name in ["home", "alias", "users", "control"] {
        here.own_all(name);
    }
    here
}

/// Writes a text as C software does; its number.
fn text(here: &Installation, content: &str) -> u64 {
    let new = here.layout.root().join("pid/1.2.3");
    fs::write(&new, content).unwrap();
    let id = fs::metadata(&new).unwrap().ino();
    fs::rename(&new, here.layout.mess(id)).unwrap();
    id
}

/// Writes a file of the queue that is an hour old.
fn old(path: PathBuf, content: &str) {
    let then = SystemTime::now() - AGE;
    fs::write(&path, content).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_times(FileTimes::new().set_modified(then)).unwrap();
}

#[test]
fn the_tree_of_a_classic_installation_is_taken_over_as_it_is() {
    let mut here = machine();
    let root = here.root().to_owned();
    let layout = here.layout.clone();
    // Queued, not preprocessed yet, with what C software leaves beside it.
    let first = text(
        &here,
        "Received: (qmail 7 invoked by uid 5); date\nSubject: first\n\none\n",
    );
    let recipients = [
        "ann@here.example",
        "Bob@HERE.example",
        "carl@localhost",
        "any.body@virtual.example",
        "postmaster@here.example",
        "ann-list@here.example",
        "far@there.example",
    ];
    let recipients: String = recipients.map(|to| format!("T{to}\0")).concat();
    let envelope = format!("u5\0p7\0Fsender@there.example\0{recipients}");
    fs::write(layout.intd(first), &envelope).unwrap();
    fs::hard_link(layout.intd(first), layout.todo(first)).unwrap();
    // Half delivered, with a failure noted and both channels due.
    let second = text(
        &here,
        "Received: (qmail 8 invoked by uid 5); date\nSubject: second\n\ntwo\n",
    );
    old(layout.info(second), "Fann-list-owner@here.example\0");
    let local = "Dann@here.example\0Tcarl@here.example\0";
    old(layout.local(second), local);
    old(layout.remote(second), "Tfar2@there.example\0");
    let failed = "<gone@there.example>:\n1.2.3.4 does not like recipient.\n\n";
    old(layout.bounce(second), failed);
    here.own_all("queue");

    here.start_writer();
    here.start();
    for id in [first, second] {
        here.wait_for_line(&format!("end msg {id}"));
    }
    let home = |path: &str| mail(&root.join("home").join(path));
    here.wait_for("the forwards and the bounce", || {
        let forwarded = home("ann/Maildir").matches("Subject: first").count() == 2
            && home("bob/piped").matches("Subject: first").count() == 2;
        forwarded && mail(&root.join("sent")).matches("Subject: first").count() == 2
    });
    assert!(home("ann/v").contains("Delivered-To: ann-v-any.body@virtual.example\n"));
    // Without .qmail the default of qmail-start holds.
    let carl = home("carl/Maildir");
    assert!(carl.contains("Subject: first") && carl.contains("Subject: second"));
    let sent = mail(&root.join("sent"));
    assert!(sent.contains("to far@there.example") && sent.contains("to far2@there.example"));
    // The list's forwards come from its owner.
    assert!(sent.contains("Delivered-To: ann-list@here.example\n"));
    assert!(
        !home("ann/Maildir").contains("Subject: second"),
        "D is done"
    );
    // What had failed before is in the bounce, which the list's owner gets.
    here.wait_for("the bounce", || {
        home("ann/owner").contains("gone@there.example")
    });
    here.wait_for("an empty queue", || here.queue_files().is_empty());
}
