//! Whole runs of qmail-local in homes made for the purpose.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A message every test delivers.
const MESSAGE: &str = "Subject: hello\n\nFrom me\nbody\n";

/// An installation with a queue program that writes what it gets into files,
/// and a home.
struct World {
    directory: tempfile::TempDir,
}

/// What a run printed and its exit code.
struct Ended {
    code: i32,
    output: String,
}

impl World {
    fn new() -> Self {
        let world = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        for name in ["root/control", "root/bin", "home", "queued"] {
            fs::create_dir_all(world.path(name)).unwrap();
        }
        world.mode("home", 0o700);
        let queue = format!(
            "#!/bin/sh\ncat > {0}/message && cat <&1 > {0}/envelope 2>&1\n",
            world.path("queued").display()
        );
        // `cat <&1 >` reads descriptor 1 before it is redirected.
        world.write("root/bin/qmail-queue", &queue, 0o755);
        world.write("message", MESSAGE, 0o600);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        fs::write(self.path(name), text).unwrap();
        self.mode(name, mode);
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    fn maildir(&self, name: &str) {
        for part in ["tmp", "new", "cur"] {
            fs::create_dir_all(self.path(name).join(part)).unwrap();
        }
    }

    fn messages(&self, maildir: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path(maildir).join("new")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8(fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// Delivers to `local@example.org` with dash and extension.
    fn run(&self, options: &[&str], dash: &str, ext: &str, sender: &str, default: &str) -> Ended {
        let local = format!("joe{dash}{ext}");
        let home = self.path("home");
        let mut command = self.command();
        command
            .args(options)
            .args(["--", "joe", home.to_str().unwrap(), &local, dash, ext])
            .args(["example.org", sender, default, "X-Extra: 1\n"]);
        ended(command.output().unwrap())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qmail-local"));
        command
            .stdin(File::open(self.path("message")).unwrap())
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("QMAILDIR", self.path("root"))
            .env("SECRET", "not for programs");
        command
    }

    /// Writes `.qmail` and delivers to the user's own address.
    fn deliver(&self, instructions: &str) -> Ended {
        self.write("home/.qmail", instructions, 0o600);
        self.run(&[], "", "", "ann@example.com", "./Default")
    }
}

fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code().unwrap(),
        output: String::from_utf8(output.stdout).unwrap(),
    }
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

#[test]
fn a_maildir_gets_the_message_with_its_lines() {
    let world = World::new();
    world.maildir("home/Maildir");
    let ended = world.deliver("./Maildir/\n");
    assert_eq!((ended.code, &ended.output[..]), (0, "did 1+0+0\n"));
    let messages = world.messages("home/Maildir");
    let content = fs::read_to_string(&messages[0]).unwrap();
    let head = "Return-Path: <ann@example.com>\nDelivered-To: joe@example.org\nX-Extra: 1\n";
    assert_eq!(content, format!("{head}{MESSAGE}"));
    let name = messages[0].file_name().unwrap().to_str().unwrap();
    assert!(name.ends_with(&format!(",S={}", content.len())));
    assert_eq!(fs::metadata(&messages[0]).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_missing_maildir_defers_and_is_not_made() {
    let world = World::new();
    let ended = world.deliver("./Maildir/\n");
    let text = "Unable to chdir to maildir. (#4.2.1)\n";
    assert!(ended.code == 111 && ended.output.starts_with(text));
    let reason = "Maildir/tmp: No such file or directory\n";
    assert!(ended.output.ends_with(reason), "{}", ended.output);
    assert!(!exists(&world.path("home/Maildir")));
}

#[test]
fn an_mbox_gets_quoted_lines_and_a_separator() {
    let world = World::new();
    let ended = world.deliver("./Mailbox");
    assert_eq!((ended.code, &ended.output[..]), (0, "did 1+0+0\n"));
    let content = world.read("home/Mailbox");
    assert!(content.starts_with("From ann@example.com "));
    assert!(content.contains("\n>From me\nbody\n\n"));
    assert_eq!(
        fs::metadata(world.path("home/Mailbox")).unwrap().mode() & 0o777,
        0o600
    );
}

#[test]
fn programs_get_the_message_and_a_clean_environment() {
    let world = World::new();
    let ended = world.deliver("| cat > got; env > variables; echo said\n");
    assert_eq!((ended.code, &ended.output[..]), (0, "said\ndid 0+0+1\n"));
    assert_eq!(world.read("home/got"), MESSAGE);
    let variables = world.read("home/variables");
    for line in [
        "SENDER=ann@example.com",
        "NEWSENDER=ann@example.com",
        "RECIPIENT=joe@example.org",
        "LOCAL=joe",
        "HOST=example.org",
        "HOST2=example",
        "EXT=",
        "DTLINE=Delivered-To: joe@example.org",
        "RPLINE=Return-Path: <ann@example.com>",
        "QQEH=X-Extra: 1",
    ] {
        assert!(variables.lines().any(|seen| seen == line), "{line}");
    }
    assert!(!variables.contains("SECRET"));
    assert!(!variables.contains("DEFAULT="));
}

#[test]
fn exit_codes_of_programs_decide() {
    let world = World::new();
    for (code, expected) in [
        (0, 0),
        (99, 0),
        (100, 100),
        (64, 100),
        (112, 100),
        (1, 111),
        (111, 111),
    ] {
        assert_eq!(
            world.deliver(&format!("|exit {code}\n")).code,
            expected,
            "{code}"
        );
    }
    let ended = world.deliver("|kill -9 $$\n");
    assert_eq!(
        (ended.code, &ended.output[..]),
        (111, "Aack, child crashed. (#4.3.0)\n")
    );
}

#[test]
fn forwards_go_out_in_one_message() {
    let world = World::new();
    let ended = world.deliver("&bob@example.net\ncarol@example.net\n");
    assert_eq!(ended.code, 0, "{}", ended.output);
    let (did, qp) = ended.output.split_once('\n').unwrap();
    assert_eq!(did, "did 0+2+0");
    assert!(
        qp.strip_prefix("qp ")
            .unwrap()
            .trim_end()
            .parse::<u32>()
            .is_ok()
    );
    assert_eq!(
        world.read("queued/envelope"),
        "Fann@example.com\0Tbob@example.net\0Tcarol@example.net\0\0"
    );
    let head = "Delivered-To: joe@example.org\nX-Extra: 1\n";
    assert_eq!(world.read("queued/message"), format!("{head}{MESSAGE}"));
}

#[test]
fn code_99_stops_reading_but_forwards_go_out() {
    let world = World::new();
    world.maildir("home/Maildir");
    let ended = world.deliver("&a@b\n|exit 99\n./Maildir/\n");
    assert_eq!(ended.code, 0);
    assert!(ended.output.starts_with("did 0+1+1\nqp "));
    assert!(world.messages("home/Maildir").is_empty());
    assert!(exists(&world.path("queued/envelope")));
}

#[test]
fn a_failing_line_takes_the_forwards_with_it() {
    let world = World::new();
    assert_eq!(world.deliver("&a@b\n|exit 100\n./Mailbox\n").code, 100);
    assert!(!exists(&world.path("queued/envelope")));
    assert!(!exists(&world.path("home/Mailbox")));
}

#[test]
fn what_the_queue_says_is_reported() {
    let world = World::new();
    world.write("root/bin/qmail-queue", "#!/bin/sh\nexit 31\n", 0o755);
    let ended = world.deliver("&a@b\n");
    assert_eq!(ended.code, 100);
    assert_eq!(
        ended.output,
        "Unable to forward message: mail server permanently rejected message (#5.3.0).\n"
    );
    world.write(
        "root/bin/qmail-queue",
        "#!/bin/sh\necho Znot now >&2\nexit 88\n",
        0o755,
    );
    let ended = world.deliver("&a@b\n");
    assert_eq!(
        (ended.code, &ended.output[..]),
        (111, "Unable to forward message: not now.\n")
    );
    fs::remove_file(world.path("root/bin/qmail-queue")).unwrap();
    assert_eq!(world.deliver("&a@b\n").code, 111);
}

#[test]
fn n_prints_and_does_nothing() {
    let world = World::new();
    world.write("home/.qmail", "./M\n./D/\n|prog\n&a@b\n#c\n", 0o600);
    let ended = world.run(&["-n"], "", "", "x@y", "./Default");
    let expected = "mbox ./M\nmaildir ./D/\nprogram prog\nforward a@b\ndid 2+1+1\n";
    assert_eq!((ended.code, &ended.output[..]), (0, expected));
    assert!(!exists(&world.path("home/M")) && !exists(&world.path("queued/envelope")));
}

#[test]
fn the_default_stands_in_for_a_missing_or_empty_file() {
    let world = World::new();
    assert_eq!(
        world.run(&["-n"], "", "", "x@y", "./Default").output,
        "mbox ./Default\ndid 1+0+0\n"
    );
    world.write("home/.qmail", "", 0o600);
    assert_eq!(
        world.run(&["-n"], "", "", "x@y", "./Default").output,
        "mbox ./Default\ndid 1+0+0\n"
    );
    let ended = world.run(&["-n"], "-", "list", "x@y", "./Default");
    assert_eq!(
        (ended.code, &ended.output[..]),
        (100, "Sorry, no mailbox here by that name. (#5.1.1)\n")
    );
    world.write("home/.qmail", "# only a comment\n", 0o600);
    assert_eq!(world.deliver("# only a comment\n").output, "did 0+0+0\n");
}

#[test]
fn extensions_choose_their_file() {
    let world = World::new();
    world.write(
        "home/.qmail-list-default",
        "|echo \"$DEFAULT $EXT\"\n",
        0o600,
    );
    world.write("home/.qmail-a:b", "|echo dots\n", 0o600);
    assert_eq!(
        world.run(&[], "-", "List-Sub", "x@y", "").output,
        "Sub List-Sub\ndid 0+0+1\n"
    );
    assert_eq!(
        world.run(&[], "-", "A.b", "x@y", "").output,
        "dots\ndid 0+0+1\n"
    );
    assert_eq!(world.run(&[], "-", "list", "x@y", "").code, 100);
}

#[test]
fn owners_give_forwards_their_sender() {
    let world = World::new();
    let envelope = || world.read("queued/envelope");
    world.write("home/.qmail-list", "&a@b\n", 0o600);
    world.write("home/.qmail-list-owner", "&o@p\n", 0o600);
    assert_eq!(world.run(&[], "-", "list", "x@y", "").code, 0);
    assert_eq!(envelope(), "Fjoe-list-owner@example.org\0Ta@b\0\0");
    world.write("home/.qmail-list-owner-default", "&o@p\n", 0o600);
    assert_eq!(world.run(&[], "-", "list", "x@y", "").code, 0);
    assert_eq!(envelope(), "Fjoe-list-owner-@example.org-@[]\0Ta@b\0\0");
    assert_eq!(world.run(&[], "-", "list", "", "").code, 0);
    assert_eq!(envelope(), "F\0Ta@b\0\0");
}

#[test]
fn homes_and_files_others_can_write_wait() {
    let world = World::new();
    world.write("home/.qmail", "./Mailbox\n", 0o620);
    let ended = world.run(&[], "", "", "x@y", "");
    assert_eq!(
        (ended.code, &ended.output[..]),
        (111, "Uh-oh: .qmail file is writable. (#4.7.0)\n")
    );
    world.mode("home/.qmail", 0o600);
    world.mode("home", 0o702);
    let ended = world.run(&[], "", "", "x@y", "");
    assert_eq!(
        (ended.code, &ended.output[..]),
        (111, "Uh-oh: home directory is writable. (#4.7.0)\n")
    );
    world.mode("home", 0o1700);
    let ended = world.run(&[], "", "", "x@y", "");
    assert_eq!(ended.code, 111);
    assert!(ended.output.contains("sticky") && ended.output.ends_with("(#4.2.1)\n"));
    let ended = world.run(&["-n"], "", "", "x@y", "");
    assert!(
        ended
            .output
            .starts_with("Warning: home directory is sticky.\n")
    );
    assert_eq!(ended.code, 0);
}

#[test]
fn the_execute_bit_and_plus_list_allow_forwards_only() {
    let world = World::new();
    let say = |text: &str, mode: u32| {
        world.write("home/.qmail", text, mode);
        let ended = world.run(&[], "", "", "x@y", "");
        (ended.code, ended.output)
    };
    let file = "Uh-oh: .qmail has file delivery but has x bit set. (#4.7.0)\n";
    let program = "Uh-oh: .qmail has prog delivery but has x bit set. (#4.7.0)\n";
    assert_eq!(say("./M\n", 0o700), (111, file.to_owned()));
    assert_eq!(say("|true\n", 0o700), (111, program.to_owned()));
    assert_eq!(say("+list\n./M\n", 0o600), (111, file.to_owned()));
    assert_eq!(say("&a@b\n", 0o700).0, 0);
}

#[test]
fn a_blank_first_line_waits_for_its_author() {
    let world = World::new();
    let ended = world.deliver("\n./Mailbox\n");
    assert_eq!(
        (ended.code, &ended.output[..]),
        (111, "Uh-oh: first line of .qmail file is blank. (#4.2.1)\n")
    );
    assert_eq!(world.deliver("./Mailbox\n\n").code, 0);
}

#[test]
fn a_loop_ends() {
    let world = World::new();
    world.write("message", "Delivered-To: joe@example.org\n\nx\n", 0o600);
    let ended = world.deliver("./Mailbox\n");
    assert_eq!(ended.code, 100);
    assert!(
        ended
            .output
            .ends_with("it already has my Delivered-To line. (#5.4.6)\n")
    );
    world.write("message", "Delivered-To: Joe@example.org\n\nx\n", 0o600);
    assert_eq!(world.deliver("./Mailbox\n").code, 0);
}

#[test]
fn a_wrong_home_or_usage_is_said() {
    let world = World::new();
    let home = world.path("nowhere");
    let mut command = world.command();
    command.args([
        "joe",
        home.to_str().unwrap(),
        "joe",
        "",
        "",
        "d",
        "s",
        "./M",
        "",
    ]);
    let ended = ended(command.output().unwrap());
    assert_eq!(ended.code, 111);
    assert!(ended.output.starts_with("Unable to switch to "));
    assert!(ended.output.ends_with(". (#4.3.0)\n"));
    assert_eq!(
        world.command().arg("x").output().unwrap().status.code(),
        Some(100)
    );
}

#[test]
fn no_address_reaches_a_shell() {
    let world = World::new();
    let evil = "a`touch pwned`$(touch pwned);touch pwned|touch pwned@x";
    world.write(
        "home/.qmail-default",
        "|cat >/dev/null; echo \"$SENDER\" \"$EXT\"\n",
        0o600,
    );
    let ended = world.run(&[], "-", evil, evil, "");
    assert_eq!(ended.code, 0, "{}", ended.output);
    assert!(ended.output.starts_with(evil));
    world.write("home/.qmail-default", "&b@c\n", 0o600);
    assert_eq!(world.run(&[], "-", evil, evil, "").code, 0);
    assert!(
        world
            .read("queued/envelope")
            .starts_with(&format!("F{evil}\0"))
    );
    assert!(!exists(&world.path("home/pwned")));
}

#[test]
fn no_extension_leaves_the_home() {
    let world = World::new();
    fs::create_dir(world.path("home/.qmail-x")).unwrap();
    world.write("home/.qmail-x/y", "|touch pwned\n", 0o600);
    world.write("outside", "|touch pwned\n", 0o600);
    for ext in ["x/y", "x/../../outside", "/../../outside", "../outside"] {
        assert_eq!(world.run(&[], "-", ext, "x@y", "").code, 100, "{ext}");
    }
    assert!(!exists(&world.path("home/pwned")));
}

#[test]
fn an_mbox_outside_the_home_is_no_link() {
    let world = World::new();
    world.write("victim", "", 0o600);
    std::os::unix::fs::symlink(world.path("victim"), world.path("link")).unwrap();
    let ended = world.deliver(&format!("{}\n", world.path("link").display()));
    assert_eq!(ended.code, 111);
    assert_eq!(world.read("victim"), "");
}
