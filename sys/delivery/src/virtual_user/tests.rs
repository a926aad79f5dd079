//! Deliveries to virtual users, with a directory made for the purpose.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use dotqmail::Facts;
use run::{Home, Tracer};

use super::{Job, Options};
use crate::outcome::Outcome;
use crate::site::Site;
use crate::users::{User, Users, UsersError};

#[derive(Default)]
struct Fake {
    users: RefCell<HashMap<String, User>>,
    aliases: HashMap<String, Vec<String>>,
    filters: HashMap<String, Vec<vfilter::Row>>,
    broken: bool,
}

impl Fake {
    fn answer<T>(&self, value: T) -> Result<T, UsersError> {
        match self.broken {
            true => Err(UsersError("disk I/O error".to_owned())),
            false => Ok(value),
        }
    }
}

impl Users for Fake {
    fn find_user(&self, local: &str, domain: &str) -> Result<Option<User>, UsersError> {
        let key = format!("{local}@{domain}");
        self.answer(self.users.borrow().get(&key).cloned())
    }

    fn aliases(&self, local: &str, domain: &str) -> Result<Vec<String>, UsersError> {
        let key = format!("{local}@{domain}");
        self.answer(self.aliases.get(&key).cloned().unwrap_or_default())
    }

    fn filters(&self, local: &str, domain: &str) -> Result<Vec<vfilter::Row>, UsersError> {
        let key = format!("{local}@{domain}");
        self.answer(self.filters.get(&key).cloned().unwrap_or_default())
    }

    fn real_domain(&self, domain: &str) -> Result<Option<String>, UsersError> {
        self.answer(match domain {
            "example.com" | "example.net" => Some("example.com".to_owned()),
            _ => None,
        })
    }

    fn set_over_quota(&self, user: &User, usage: Option<u64>) -> Result<(), UsersError> {
        let mut users = self.users.borrow_mut();
        let flags = &mut users.get_mut(&user.address()).unwrap().gid_flags;
        match usage {
            Some(_) => *flags |= User::BOUNCE_MAIL,
            None => *flags &= !User::BOUNCE_MAIL,
        }
        self.answer(())
    }

    fn record_delivery(&self, _: &User) -> Result<(), UsersError> {
        self.answer(())
    }
}

struct World {
    directory: tempfile::TempDir,
    site: Site,
    users: Fake,
    options: Options,
    default: String,
    sender: String,
}

/// Another process writes it: while this one has it open a test beside this
/// one may fork, and then the file is busy and cannot be run.
fn write_script(path: &Path, text: &str) {
    let mut child = std::process::Command::new("sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, text.as_bytes()).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["control", "bin", "queued"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let queue = format!(
            "#!/bin/sh\ncat > {0}/message && cat <&1 > {0}/envelope 2>&1\n",
            directory.path().join("queued").display()
        );
        let program = directory.path().join("bin/qmail-queue");
        write_script(&program, &queue);
        let home = Home::at(directory.path());
        let mut site = Site::open("test", home.clone()).unwrap();
        site.settings = run::Settings::of_files(&home);
        let world = Self {
            directory,
            site,
            users: Fake::default(),
            options: Options::default(),
            default: "bounce-no-mailbox".to_owned(),
            sender: "ann@example.org".to_owned(),
        };
        world.add("joe", "");
        world
    }

    fn add(&self, name: &str, quota: &str) {
        let user = User {
            name: name.to_owned(),
            domain: "example.com".to_owned(),
            dir: self.path("mail").join(name),
            quota: quota.to_owned(),
            active: true,
            ..User::default()
        };
        self.users.users.borrow_mut().insert(user.address(), user);
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut User)) {
        let mut users = self.users.users.borrow_mut();
        change(users.get_mut(&format!("{name}@example.com")).unwrap());
    }

    fn set(&mut self, name: &str, value: &str) {
        let settings = self
            .site
            .settings
            .overlaid([(name, Some(value.as_bytes()))]);
        self.site.settings = settings;
    }

    fn alias(&mut self, name: &str, lines: &[&str]) {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        self.users
            .aliases
            .insert(format!("{name}@example.com"), lines);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn deliver(&self, ext: &str, message: &str) -> Outcome {
        let file = crate::memory_file(message.as_bytes()).unwrap();
        self.deliver_file(ext, "example.com", &file)
    }

    fn deliver_file(&self, ext: &str, domain: &str, message: &File) -> Outcome {
        let facts = Facts {
            user: domain.as_bytes().to_vec(),
            home: self.directory.path().to_str().unwrap().into(),
            local: format!("{domain}-{ext}").into_bytes(),
            domain: domain.as_bytes().to_vec(),
            ext: ext.as_bytes().to_vec(),
            sender: self.sender.clone().into_bytes(),
            ..Facts::default()
        };
        super::deliver(&Job {
            site: &self.site,
            users: &self.users,
            facts: &facts,
            default: self.default.as_bytes(),
            options: &self.options,
            message,
            trace: Tracer::new_id(),
        })
    }

    fn messages(&self, maildir: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(maildir).join("new")) else {
            return Vec::new();
        };
        entries
            .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
            .collect()
    }

    fn envelope(&self) -> String {
        fs::read_to_string(self.path("queued/envelope")).unwrap_or_default()
    }
}

fn text(outcome: &Outcome) -> String {
    String::from_utf8(outcome.output.clone()).unwrap()
}

#[test]
fn a_mailbox_that_lost_a_part_gets_it_again() {
    let world = World::new();
    for part in ["new", "tmp"] {
        assert_eq!(world.deliver("Joe", "hi\n").code, 0);
        fs::remove_dir_all(world.path("mail/joe/Maildir").join(part)).unwrap();
    }
    assert_eq!(world.deliver("Joe", "hi\n").code, 0);
    assert_eq!(world.messages("mail/joe/Maildir").len(), 2);
}

#[test]
fn a_user_gets_mail_and_a_home() {
    let world = World::new();
    assert_eq!(world.deliver("Joe", "Subject: x\n\nhi\n").code, 0);
    let messages = world.messages("mail/joe/Maildir");
    let lines: Vec<&str> = messages[0].lines().collect();
    assert_eq!(lines[0], "Return-Path: <ann@example.org>");
    assert_eq!(lines[1], "Delivered-To: example.com-Joe@example.com");
    assert_eq!(lines[2], "X-Filter: None");
    assert!(lines[3].starts_with("Received: indimail-virtual "));
    assert_eq!(&lines[4..], ["Subject: x", "", "hi"]);
    let inbox = world.path("mail/joe/Maildir");
    let read = |name: &str| fs::read_to_string(inbox.join(name)).unwrap();
    assert_eq!(read("domain"), "example.com\n");
    assert_eq!(read("BulkMail"), "");
    assert_eq!(fs::metadata(&inbox).unwrap().mode() & 0o777, 0o750);
    let size = messages[0].len();
    assert_eq!(read("maildirsize"), format!("0S\n{size} 1\n"));
    assert_eq!(world.deliver("joe", "x\n").code, 0);
    assert_eq!(read("maildirsize").lines().count(), 3);
}

#[test]
fn an_alias_domain_is_the_real_one() {
    let world = World::new();
    let message = crate::memory_file(b"x\n").unwrap();
    assert_eq!(world.deliver_file("joe", "EXAMPLE.net", &message).code, 0);
    assert_eq!(world.messages("mail/joe/Maildir").len(), 1);
    assert_eq!(world.deliver_file("joe", "other.org", &message).code, 100);
}

#[test]
fn an_extension_falls_back_to_its_user() {
    let mut world = World::new();
    assert_eq!(world.deliver("joe-list", "x\n").code, 0);
    assert_eq!(world.messages("mail/joe/Maildir").len(), 1);
    world.set("QMAIL_EXT", "0");
    assert_eq!(world.deliver("joe-list", "x\n").code, 100);
}

#[test]
fn unknown_users_are_the_domains_choice() {
    let mut world = World::new();
    let ended = world.deliver("nobody", "x\n");
    assert_eq!(ended.code, 100);
    assert_eq!(
        text(&ended),
        "no account nobody@example.com here by that name. indimail (#5.1.5)\n"
    );
    world.default = "delete".to_owned();
    assert_eq!(world.deliver("nobody", "x\n"), Outcome::success());
    world.default = "joe@example.org".to_owned();
    let ended = world.deliver("nobody", "x\n");
    assert_eq!(ended.code, 0);
    assert!(text(&ended).starts_with(
        "no account nobody@example.com - delivering to joe@example.org. indimail (#5.1.6)\n"
    ));
    assert_eq!(world.envelope(), "Fann@example.org\0Tjoe@example.org\0\0");
    for part in ["new", "tmp", "cur"] {
        fs::create_dir_all(world.path("all/Maildir").join(part)).unwrap();
    }
    world.default = world.path("all").to_str().unwrap().to_owned();
    assert_eq!(world.deliver("nobody", "x\n").code, 0);
    assert_eq!(world.messages("all/Maildir").len(), 1);
    world.default = "a:b".to_owned();
    assert_eq!(world.deliver("nobody", "x\n").code, 111);
    world.set("DISCARD_BOUNCE", "");
    world.default = "bounce-no-mailbox".to_owned();
    assert_eq!(world.deliver("nobody", "x\n").code, 0);
}

#[test]
fn trouble_with_the_directory_is_never_a_bounce() {
    let mut world = World::new();
    world.users.broken = true;
    assert_eq!(world.deliver("joe", "x\n").code, 111);
    assert_eq!(world.deliver("nobody", "x\n").code, 111);
    world.set("DISCARD_BOUNCE", "");
    assert_eq!(world.deliver("nobody", "x\n").code, 111);
}

#[test]
fn inactive_users_get_no_mail_unless_allowed() {
    let mut world = World::new();
    world.change("joe", |user| user.active = false);
    let ended = world.deliver("joe", "x\n");
    assert_eq!(ended.code, 100);
    assert_eq!(
        text(&ended),
        "account joe@example.com is inactive. indimail(#5.1.3)\n"
    );
    world.set("ALLOW_INACTIVE", "1");
    assert_eq!(world.deliver("joe", "x\n").code, 0);
}

#[test]
fn empty_messages_and_unwanted_senders_vanish() {
    let world = World::new();
    assert_eq!(world.deliver("joe", "").code, 0);
    fs::write(world.path("control/blackholedsender"), "@example.org\n").unwrap();
    assert_eq!(world.deliver("joe", "x\n").code, 0);
    fs::remove_file(world.path("control/blackholedsender")).unwrap();
    fs::write(
        world.path("control/blackholedpatterns"),
        "*@example.org\n!bob@*\n",
    )
    .unwrap();
    assert_eq!(world.deliver("joe", "x\n").code, 0);
    assert!(world.messages("mail/joe/Maildir").is_empty());
}

#[test]
fn aliases_take_the_place_of_the_mailbox() {
    let mut world = World::new();
    world.alias("joe", &["&bob@example.net", "# no", "carol@example.net"]);
    assert_eq!(world.deliver("joe", "Subject: x\n\n").code, 0);
    assert_eq!(
        world.envelope(),
        "Fann@example.org\0Tbob@example.net\0Tcarol@example.net\0\0"
    );
    let message = fs::read_to_string(world.path("queued/message")).unwrap();
    assert!(message.starts_with(
        "Delivered-To: example.com-joe@example.com\nX-Forwarded-To: bob@example.net\n"
    ));
    assert!(world.messages("mail/joe/Maildir").is_empty());
    let mailbox = world.path("mail/joe/Maildir/");
    world.alias("joe", &[mailbox.to_str().unwrap(), "&bob@example.net"]);
    assert_eq!(world.deliver("joe", "x\n").code, 0);
    assert_eq!(world.messages("mail/joe/Maildir").len(), 1);
    world.set("NOALIAS", "1");
    world.options = Options::from_settings(&world.site.settings);
    assert_eq!(world.deliver("joe", "x\n").code, 0);
    assert_eq!(world.messages("mail/joe/Maildir").len(), 2);
}

#[test]
fn an_alias_of_nobody_delivers_too() {
    let mut world = World::new();
    world.alias("sales", &["&bob@example.net"]);
    assert_eq!(world.deliver("sales", "x\n").code, 0);
    assert_eq!(world.envelope(), "Fann@example.org\0Tbob@example.net\0\0");
}

#[test]
fn aliases_do_not_go_in_circles() {
    let mut world = World::new();
    world.alias("joe", &["&Joe@example.com"]);
    let ended = world.deliver("joe", "x\n");
    assert_eq!(ended.code, 100);
    assert!(text(&ended).contains("is looping"));
    world.alias("joe", &["&bob@example.net"]);
    let ended = world.deliver("joe", "Delivered-To: BOB@example.net\n\n");
    assert_eq!(ended.code, 100);
    let ended = world.deliver("joe", "Delivered-To: abob@example.net\n\n");
    assert_eq!(ended.code, 0);
}

#[test]
fn program_lines_get_lines_in_front_and_codes_back() {
    let mut world = World::new();
    world.alias(
        "joe",
        &["| cat > got; env > variables", "|exit 99", "|touch never"],
    );
    let ended = world.deliver("joe", "Subject: x\n\n");
    assert_eq!(ended.code, 0, "{}", text(&ended));
    let got = fs::read_to_string(world.path("got")).unwrap();
    assert!(got.starts_with("X-Filter: None\nReceived: (indimail "));
    assert!(got.ends_with("Subject: x\n\n"));
    let variables = fs::read_to_string(world.path("variables")).unwrap();
    assert!(!variables.contains("RPLINE") && !variables.contains("DTLINE"));
    assert!(!world.path("never").exists());
    world.alias("joe", &["|exit 100", "&bob@example.net"]);
    assert_eq!(world.deliver("joe", "x\n").code, 100);
    world.alias("joe", &["|exit 1"]);
    assert_eq!(world.deliver("joe", "x\n").code, 111);
    assert_eq!(world.envelope(), "");
}

#[test]
fn a_qmail_file_in_the_home_counts_as_aliases() {
    let world = World::new();
    fs::create_dir_all(world.path("mail/joe")).unwrap();
    let qmail = world.path("mail/joe/.qmail");
    fs::write(&qmail, "&joe@example.com\n&bob@example.net\n").unwrap();
    assert_eq!(world.deliver("joe", "x\n").code, 0);
    assert_eq!(world.envelope(), "Fann@example.org\0Tbob@example.net\0\0");
    fs::write(&qmail, "").unwrap();
    assert_eq!(world.deliver("joe", "x\n"), Outcome::success());
    assert!(world.messages("mail/joe/Maildir").is_empty());
}

#[test]
fn alias_paths_lead_to_maildirs_only() {
    let mut world = World::new();
    for path in ["/tmp/../etc/", "/etc/passwd", "/nowhere-at-all/"] {
        world.alias("joe", &[path]);
        assert_ne!(world.deliver("joe", "x\n").code, 0, "{path}");
    }
}

#[test]
fn a_full_mailbox_refuses_and_takes_small_messages() {
    let world = World::new();
    world.add("eve", "2000");
    let large = format!("Subject: x\n\n{}\n", "y".repeat(1300));
    assert_eq!(world.deliver("eve", &large).code, 0);
    let ended = world.deliver("eve", &large);
    assert_eq!(ended.code, 100);
    assert!(text(&ended).starts_with("eve@example.com has insufficient quota. "));
    assert!(text(&ended).ends_with(":1/0:2000. indimail (#5.1.4)\n"));
    assert_eq!(
        world
            .deliver("eve", &format!("x\n\n{}\n", "y".repeat(400)))
            .code,
        0
    );
    // Now it is over, and the next refusal marks it.
    assert_eq!(world.deliver("eve", &large).code, 100);
    let flags = world.users.users.borrow()["eve@example.com"].gid_flags;
    assert_eq!(flags & User::BOUNCE_MAIL, User::BOUNCE_MAIL);
    let ended = world.deliver("eve", "small\n");
    assert_eq!(ended.code, 100);
    assert!(text(&ended).contains("locked/overquota"));
    // With room again the mark goes.
    world.change("eve", |user| user.quota = "20000000".to_owned());
    assert_eq!(world.deliver("eve", &large).code, 0);
    let flags = world.users.users.borrow()["eve@example.com"].gid_flags;
    assert_eq!(flags & User::BOUNCE_MAIL, 0);
}

#[test]
fn a_count_limit_holds_without_a_byte_limit() {
    let world = World::new();
    world.add("eve", "0S,1C");
    let large = format!("x\n\n{}\n", "y".repeat(1500));
    assert_eq!(world.deliver("eve", &large).code, 0);
    assert_eq!(world.deliver("eve", &large).code, 100);
}

#[test]
fn mail_for_full_mailboxes_can_wait() {
    let mut world = World::new();
    world.add("eve", "100");
    let large = format!("x\n\n{}\n", "y".repeat(1500));
    world.set("HOLDOVERQUOTA", "1");
    assert_eq!(world.deliver("eve", &large).code, 111);
    let home = world.site.home.clone();
    world.site.settings = run::Settings::of_files(&home);
    assert_eq!(world.deliver("eve", &large).code, 100);
    fs::write(world.path("mail/eve/Maildir/holdoverquota"), "").unwrap();
    assert_eq!(world.deliver("eve", &large).code, 111);
    assert_eq!(world.users.users.borrow()["eve@example.com"].gid_flags, 0);
}

#[test]
fn the_over_quota_program_gets_an_address_and_no_shell() {
    let mut world = World::new();
    world.add("eve;touch pwned", "100");
    let script = world.path("warn");
    let log = world.path("warned");
    write_script(
        &script,
        &format!("#!/bin/sh\necho \"$#:$1\" > {}\n", log.display()),
    );
    world.set("OVERQUOTA_CMD", script.to_str().unwrap());
    let large = format!("x\n\n{}\n", "y".repeat(1500));
    assert_eq!(world.deliver("eve;touch pwned", &large).code, 100);
    assert_eq!(
        fs::read_to_string(&log).unwrap(),
        "6:eve;touch pwned@example.com\n"
    );
}

#[test]
fn a_mailbox_nearly_full_is_told_once_a_week() {
    let mut world = World::new();
    world.add("eve", "10000");
    let log = world.path("warned");
    let script = world.path("warn");
    write_script(
        &script,
        &format!("#!/bin/sh\necho \"$# $1 $7\" >> {}\n", log.display()),
    );
    world.set("OVERQUOTA_CMD", script.to_str().unwrap());
    world.set("QUOTAWARN1", "50");
    world.set("QUOTAWARN2", "90");
    let large = format!("x\n\n{}\n", "y".repeat(3000));
    assert_eq!(world.deliver("eve", &large).code, 0);
    assert!(!log.exists());
    assert_eq!(world.deliver("eve", &large).code, 0);
    assert_eq!(world.deliver("eve", "x\n").code, 0);
    let warned = fs::read_to_string(&log).unwrap();
    assert_eq!(warned.lines().count(), 1);
    assert!(warned.starts_with("7 eve@example.com 6"), "{warned}");
}

#[test]
fn a_day_has_its_limits() {
    let mut world = World::new();
    world.set("MAILCOUNT_LIMIT", "2");
    assert_eq!(world.deliver("joe", "x\n").code, 0);
    assert_eq!(world.deliver("joe", "x\n").code, 0);
    let ended = world.deliver("joe", "x\n");
    assert_eq!(ended.code, 100);
    assert!(text(&ended).contains("Mail count exceeded. 3/2. indimail (#5.1.4)"));
    world.set("MAILCOUNT_LIMIT", "0");
    world.set("MAILSIZE_LIMIT", "10");
    assert!(text(&world.deliver("joe", "x\n")).contains("Mail size exceeded."));
}

#[test]
fn a_folder_is_made_inside_the_mailbox_only() {
    let mut world = World::new();
    world.options.folder = Some(b"Junk".to_vec());
    assert_eq!(world.deliver("joe", "x\n").code, 0);
    assert_eq!(world.messages("mail/joe/Maildir/.Junk").len(), 1);
    assert!(world.path("mail/joe/Maildir/.Junk/maildirfolder").exists());
    assert!(!world.path("mail/joe/Maildir/maildirfolder").exists());
    world.options.folder = Some(b"../../y".to_vec());
    assert_eq!(world.deliver("joe", "x\n").code, 100);
}

#[test]
fn a_filter_can_reject_in_silence() {
    let mut world = World::new();
    world.options.bounce = true;
    let ended = world.deliver("joe", "x\n");
    assert_eq!((ended.code, &ended.output[..]), (100, &b""[..]));
}

#[test]
fn groups_have_no_mailbox() {
    let world = World::new();
    world.change("joe", |user| user.gecos = "MailGroup staff".to_owned());
    assert_eq!(world.deliver("joe", "x\n").code, 0);
    assert!(world.messages("mail/joe/Maildir").is_empty());
}

#[test]
fn duplicates_are_stored_once() {
    let mut world = World::new();
    world.set("ELIMINATE_DUPS", "1");
    let message = "Message-ID: <1@x>\n\nhi\n";
    assert_eq!(world.deliver("joe", message).code, 0);
    assert_eq!(
        world
            .deliver("joe", &format!("Received: y\n{message}"))
            .code,
        0
    );
    assert_eq!(world.messages("mail/joe/Maildir").len(), 1);
    assert_eq!(world.deliver("joe", "Message-ID: <2@x>\n\nhi\n").code, 0);
    assert_eq!(world.messages("mail/joe/Maildir").len(), 2);
}

#[test]
fn a_home_that_is_no_clean_path_waits() {
    let world = World::new();
    for dir in ["relative", "/tmp/../etc", ""] {
        world.change("joe", |user| user.dir = dir.into());
        assert_eq!(world.deliver("joe", "x\n").code, 111, "{dir}");
    }
}

#[test]
fn a_sticky_maildir_waits() {
    let world = World::new();
    assert_eq!(world.deliver("joe", "x\n").code, 0);
    let inbox = world.path("mail/joe/Maildir");
    fs::set_permissions(&inbox, fs::Permissions::from_mode(0o1750)).unwrap();
    assert_eq!(world.deliver("joe", "x\n").code, 111);
}
