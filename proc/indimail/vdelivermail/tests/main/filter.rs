//! vfilter: the rules of a user and of a domain.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use directory::Directory;
use vfilter::{HeaderList, Row};

use crate::World;

const SPAM: &str = "From: x@spam.example\nTo: joe@example.com\nSubject: SPAM offer\n\nbuy\n";
const PLAIN: &str = "From: ann@example.org\nTo: joe@example.com\nSubject: hello\n\nhi\n";

struct Filtered(World);

/// `name: header comparison keyword -> folder action`.
fn rule(header: &str, comparison: i64, keyword: &str, folder: &str, action: &str) -> Row {
    let header = HeaderList::default().number(header);
    Row {
        name: "t".to_owned(),
        header: header.map_or(-1, |number| i64::try_from(number).unwrap()),
        comparison,
        keyword: keyword.to_owned(),
        destination: folder.to_owned(),
        action: action.to_owned(),
        ..Row::default()
    }
}

impl Filtered {
    fn new() -> Self {
        let world = World::new();
        fs::create_dir_all(world.path("mail/joe/Maildir")).unwrap();
        Self(world)
    }

    fn rule(&self, address: &str, rule: &Row) {
        let directory = Directory::open(&self.0.path("db/indimail.db")).unwrap();
        directory.add_filter(address, rule).unwrap().unwrap();
    }

    fn mark(&self, name: &str) {
        fs::write(self.0.path("mail/joe/Maildir").join(name), "").unwrap();
    }

    fn command(&self, message: &str) -> Command {
        fs::write(self.0.path("message"), message).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_vdelivermail"));
        command.arg0("vfilter");
        self.0.surround(&mut command, "joe");
        command
    }

    fn deliver(&self, message: &str) -> (i32, String) {
        let mut command = self.command(message);
        let output = command.args(["", "bounce-no-mailbox"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), text)
    }

    fn explain(&self, message: &str) -> String {
        let mut command = self.command(message);
        let output = command.args(["-v", "joe@example.com"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    }

    fn count(&self, folder: &str) -> usize {
        let new = self.0.path("mail/joe/Maildir").join(folder).join("new");
        fs::read_dir(new).map_or(0, Iterator::count)
    }
}

// Acceptance 27.
#[test]
fn a_rule_files_what_it_applies_to() {
    let world = Filtered::new();
    world.rule("joe@example.com", &rule("Subject", 1, "spam", "Junk", "0"));
    world.mark("vfilter");
    let told = world.explain(SPAM);
    assert_eq!(
        told,
        "joe@example.com: rule 0 (t) applies\ndelivered to the folder Junk\n"
    );
    assert_eq!(world.explain(PLAIN).lines().count(), 2);
    assert_eq!((world.count("."), world.count(".Junk")), (0, 0));
    assert_eq!(world.deliver(SPAM), (0, String::new()));
    assert_eq!((world.count("."), world.count(".Junk")), (0, 1));
    assert_eq!(world.deliver(PLAIN).0, 0);
    assert_eq!((world.count("."), world.count(".Junk")), (1, 1));
    let inbox = world.0.path("mail/joe/Maildir/new");
    let file = fs::read_dir(inbox).unwrap().next().unwrap().unwrap().path();
    let stored = fs::read_to_string(file).unwrap();
    assert!(
        stored.contains("\nX-Filter: xFilter/IndiMail Revision "),
        "{stored}"
    );
}

// Acceptance 28.
#[test]
fn what_nobody_wants_is_nowhere() {
    let world = Filtered::new();
    let nowhere = rule("Subject", 1, "spam", "/NoDeliver", "0");
    world.rule("joe@example.com", &nowhere);
    world.mark(".vfilter");
    let (code, text) = world.deliver(SPAM);
    assert_eq!((code, text.trim_end()), (0, "Mail BlackHoled"));
    assert_eq!(world.count("."), 0);
}

#[test]
fn rules_of_the_domain_stand_around_those_of_the_user() {
    let world = Filtered::new();
    let junk = |folder: &str| rule("Subject", 1, "spam", folder, "0");
    world.rule("postfilt@example.com", &junk("Last"));
    assert_eq!(world.deliver(SPAM).0, 0);
    assert_eq!(world.count(".Last"), 1, "the user has no rules");
    world.rule("joe@example.com", &junk("Own"));
    assert_eq!(world.deliver(SPAM).0, 0);
    assert_eq!(
        world.count(".Last"),
        2,
        "they do not count without the mark"
    );
    world.mark("vfilter");
    assert_eq!(world.deliver(SPAM).0, 0);
    assert_eq!(world.count(".Own"), 1);
    world.rule("prefilt@example.com", &junk("First"));
    assert_eq!(world.deliver(SPAM).0, 0);
    assert_eq!(world.count(".First"), 1);
    world.mark("noprefilt");
    assert_eq!(world.deliver(SPAM).0, 0);
    assert_eq!((world.count(".First"), world.count(".Own")), (1, 2));
}

#[test]
fn a_rejection_is_a_bounce() {
    let world = Filtered::new();
    let reject = rule("From", 4, "@spam.example", "/NoDeliver", "1");
    world.rule("joe@example.com", &reject);
    world.mark("vfilter");
    assert_eq!(world.deliver(SPAM).0, 100);
    assert_eq!(world.deliver(PLAIN).0, 0);
    assert_eq!(world.count("."), 1);
}

#[test]
fn a_program_sees_the_message_and_its_trouble_is_told() {
    let world = Filtered::new();
    let copy = world.0.path("copy");
    let pipe = format!("2|cat > {}", copy.display());
    world.rule(
        "joe@example.com",
        &rule("Subject", 0, "spam offer", "Inbox", &pipe),
    );
    world.rule(
        "joe@example.com",
        &rule("Subject", 0, "hello", "Inbox", "2|exit 111"),
    );
    world.mark("vfilter");
    assert_eq!(world.deliver(SPAM).0, 0);
    let seen = fs::read_to_string(&copy).unwrap();
    assert!(
        seen.ends_with(SPAM) && seen.contains("X-Filter: "),
        "{seen}"
    );
    assert_eq!(world.count("."), 1);
    assert_eq!(world.deliver(PLAIN).0, 111);
    assert_eq!(world.count("."), 1, "it is not stored with every try");
}

#[test]
fn a_rule_nobody_can_follow_costs_no_mail() {
    let world = Filtered::new();
    let outside = rule("Subject", 1, "spam", "../../away", "0");
    world.rule("joe@example.com", &outside);
    world.rule("joe@example.com", &rule("Subject", 7, "(", "Junk", "0"));
    world.mark("vfilter");
    assert!(world.explain(PLAIN).contains("rule 1 (t) is skipped"));
    assert_eq!(world.deliver(SPAM).0, 0);
    assert_eq!(world.deliver(PLAIN).0, 0);
    assert_eq!(world.count("."), 2);
}

#[test]
fn another_program_may_deliver() {
    let world = Filtered::new();
    world.rule("joe@example.com", &rule("Subject", 1, "spam", "Junk", "0"));
    world.mark("vfilter");
    let mut command = world.command(SPAM);
    let output = command
        .env("MDA", "echo \"folder $MAILDIRFOLDER for $EXT\"; exit 0")
        .args(["", "bounce-no-mailbox"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, b"folder Junk for joe\n");
    assert_eq!(world.count(".Junk"), 0);
}
