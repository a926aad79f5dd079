//! What instructions, homes, addresses and messages of somebody with ill will
//! come to.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::world::{Ended, World, ended, exists};

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
fn a_site_can_tolerate_some_rounds_of_a_loop() {
    let world = World::new();
    let line = "Delivered-To: joe@example.org\n";
    let code = |rounds: usize, max: &str| {
        world.write("root/control/maxdeliveredto", max, 0o644);
        world.write("message", &format!("{}\nx\n", line.repeat(rounds)), 0o600);
        world.deliver("./Mailbox\n").code
    };
    assert_eq!((code(2, "2\n"), code(3, "2\n")), (0, 100));
    assert_eq!((code(0, "0\n"), code(1, "0\n")), (0, 100));
    assert_eq!(code(50, "-1\n"), 0);
}

#[test]
fn users_can_take_mail_from_local_domains_only() {
    let world = World::new();
    world.write("root/control/localdomains", "Inside.example\n", 0o644);
    world.write("home/.qmail", "./Mailbox\n", 0o600);
    let code = |sender: &str| world.run(&[], "", "", sender, "./Default").code;
    assert_eq!(
        code("ann@outside.example"),
        0,
        "who has no such file takes all"
    );
    world.write("home/.localdomains", "", 0o600);
    assert_eq!(code("ann@inside.Example"), 0);
    assert_eq!(code(""), 0, "a bounce is an answer to what went out");
    let refused = world.run(&[], "", "", "ann@outside.example", "./Default");
    assert_eq!(refused.code, 100);
    assert!(refused.output.contains("remote domains. (#5.2.1)"));
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

/// Runs qmail-local as somebody whom permissions hold back, also when the
/// tests are run by root.
fn as_nobody(world: &World, dash: &str, ext: &str) -> Ended {
    const NOBODY: u32 = 65534;
    let mut command = world.command();
    if nix_is_root(world) {
        // Another user need not reach where cargo builds.
        let copy = world.path("root/bin/qmail-local");
        testkit::copy_program(env!("CARGO_BIN_EXE_qmail-local"), &copy);
        for name in ["", "root", "root/bin", "root/bin/qmail-local"] {
            world.mode(name, 0o755);
        }
        std::os::unix::fs::chown(world.path("home"), Some(NOBODY), Some(NOBODY)).unwrap();
        command = Command::new(copy);
        command
            .uid(NOBODY)
            .gid(NOBODY)
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("QMAILDIR", world.path("root"))
            .stdin(File::open(world.path("message")).unwrap());
    }
    let home = world.path("home");
    let local = format!("joe{dash}{ext}");
    command
        .args(["--", "joe", home.to_str().unwrap(), &local, dash, ext])
        .args(["example.org", "x@y", "./Default", ""]);
    ended(command.output().unwrap())
}

fn nix_is_root(world: &World) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(world.path("home")).unwrap().uid() == 0
}

#[test]
fn a_file_that_cannot_be_read_defers() {
    let world = World::new();
    world.write("home/.qmail-list", "&a@b\n", 0o000);
    let ended = as_nobody(&world, "-", "list");
    assert_eq!(ended.code, 111, "{}", ended.output);
    assert_eq!(
        ended.output,
        "Unable to open .qmail-list: Permission denied. (#4.3.0)\n"
    );
}

#[test]
fn a_home_that_cannot_be_entered_defers() {
    let world = World::new();
    world.write("home/.qmail", "./Mailbox\n", 0o600);
    fs::set_permissions(world.path("home"), Permissions::from_mode(0o600)).unwrap();
    let ended = as_nobody(&world, "", "");
    assert_eq!(ended.code, 111, "{}", ended.output);
    assert!(
        ended.output.starts_with("Unable to switch to "),
        "{}",
        ended.output
    );
    let file = world.path("file");
    fs::write(&file, "").unwrap();
    let mut command = world.command();
    command.args([
        "joe",
        file.to_str().unwrap(),
        "joe",
        "",
        "",
        "d",
        "s",
        "./M",
        "",
    ]);
    assert_eq!(crate::world::ended(command.output().unwrap()).code, 111);
}

#[test]
fn instructions_that_are_no_file_are_absent() {
    let world = World::new();
    let path = world.path("home/.qmail-list");
    let run = || world.run(&[], "-", "list", "x@y", "");
    let absent = "Sorry, no mailbox here by that name. (#5.1.1)\n";
    let expect_absent = |what: &str| {
        let start = Instant::now();
        let ended = run();
        assert_eq!((ended.code, &ended.output[..]), (100, absent), "{what}");
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
    };
    // Nobody ever writes to this FIFO.
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    expect_absent("a FIFO");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    expect_absent("a directory");
    fs::remove_dir(&path).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    expect_absent("a socket");
    drop(socket);
    fs::remove_file(&path).unwrap();
    symlink("nowhere", &path).unwrap();
    expect_absent("a link to nowhere");
    fs::remove_file(&path).unwrap();
    symlink("/dev/zero", &path).unwrap();
    expect_absent("a device");
    fs::remove_file(&path).unwrap();
    // A loop of links is not absent: somebody meant something by it.
    symlink(".qmail-list", &path).unwrap();
    assert_eq!(run().code, 111);
}

#[test]
fn a_link_counts_as_what_it_leads_to() {
    let world = World::new();
    world.write("home/shared", "|echo shared\n", 0o600);
    symlink("shared", world.path("home/.qmail")).unwrap();
    let run = || world.run(&[], "", "", "x@y", "");
    assert_eq!(run().output, "shared\ndid 0+0+1\n");
    world.mode("home/shared", 0o620);
    assert_eq!(run().output, "Uh-oh: .qmail file is writable. (#4.7.0)\n");
    world.mode("home/shared", 0o600);
    fs::remove_file(world.path("home/.qmail")).unwrap();
    fs::hard_link(world.path("home/shared"), world.path("home/.qmail")).unwrap();
    assert_eq!(run().output, "shared\ndid 0+0+1\n");
}

#[test]
fn huge_instructions_defer_and_large_ones_are_obeyed() {
    let world = World::new();
    let large = "# comment\n".repeat(100_000) + "|echo end\n";
    assert_eq!(world.deliver(&large).output, "end\ndid 0+0+1\n");
    let huge = "# comment\n".repeat(110_000);
    let ended = world.deliver(&huge);
    assert_eq!(ended.code, 111);
    assert!(
        ended.output.starts_with("Unable to open .qmail: "),
        "{}",
        ended.output
    );
    let many = "a@b\n".repeat(50_000);
    assert!(world.deliver(&many).output.starts_with("did 0+50000+0\n"));
    let long = format!("&{}@b\n", "x".repeat(500_000));
    assert_eq!(world.deliver(&long).code, 0);
    assert!(500_000 < world.read("queued/envelope").len());
}

#[test]
fn nul_bytes_in_instructions_defer() {
    let world = World::new();
    for line in [
        "&a\0@b\n",
        "./Mail\0box\n",
        "./Mail\0dir/\n",
        "|echo a\0; touch pwned\n",
    ] {
        let ended = world.deliver(line);
        assert_eq!(ended.code, 111, "{line:?}: {}", ended.output);
        assert!(!ended.output.is_empty(), "{line:?}");
    }
    for name in ["pwned", "Mail"] {
        assert!(!exists(&world.path("home").join(name)));
    }
    assert_eq!(world.deliver("#\0\n+\0\n./Mailbox\n").code, 0);
}

#[test]
fn any_bytes_in_addresses_and_messages_are_kept() {
    let world = World::new();
    world.write("message", "Subject: \u{e9}\0\n\n\0\u{ff}\nno end", 0o600);
    world.write(
        "home/.qmail-\u{e9}",
        "./Mailbox\n|cat > got\n&\u{e9}@x\n",
        0o600,
    );
    let ended = world.run(&[], "-", "\u{e9}", "\u{fc}\t \u{1b}@y", "");
    assert_eq!(ended.code, 0, "{}", ended.output);
    let message = world.read("message");
    assert_eq!(world.read("home/got"), message);
    let mbox = world.read("home/Mailbox");
    assert!(mbox.starts_with("From \u{fc}--\u{1b}@y "), "{mbox}");
    assert!(mbox.ends_with(&format!("{message}\n\n")), "{mbox}");
    let envelope = world.read("queued/envelope");
    assert_eq!(envelope, "F\u{fc}\t \u{1b}@y\0T\u{e9}@x\0\0");
}

#[test]
fn a_newline_in_an_address_makes_no_header_line() {
    let world = World::new();
    world.maildir("home/Maildir");
    world.write("home/.qmail-default", "./Maildir/\n./Mailbox\n", 0o600);
    let ended = world.run(&[], "-", "a\nBcc: eve@x", "b\nFrom c@d", "");
    assert_eq!(ended.code, 0, "{}", ended.output);
    let content = fs::read_to_string(&world.messages("home/Maildir")[0]).unwrap();
    assert!(!content.contains("\nBcc"), "{content}");
    let mbox = world.read("home/Mailbox");
    let separators = mbox
        .lines()
        .filter(|line| line.starts_with("From "))
        .count();
    assert_eq!(separators, 1, "{mbox}");
}

#[test]
fn addresses_past_every_limit_find_the_default() {
    let world = World::new();
    world.write("home/.qmail-default", "|echo ${#EXT}\n", 0o600);
    for length in [240, 255, 256, 1000, 100_000] {
        let ext = "x".repeat(length);
        let ended = world.run(&[], "-", &ext, "x@y", "");
        assert_eq!(ended.output, format!("{length}\ndid 0+0+1\n"));
    }
    let dashes = "-".repeat(20_000);
    assert_eq!(world.run(&[], "-", &dashes, "x@y", "").code, 0);
    fs::remove_file(world.path("home/.qmail-default")).unwrap();
    assert_eq!(world.run(&[], "-", &"x".repeat(1000), "x@y", "").code, 100);
}

#[test]
fn a_program_that_prints_for_ever_is_cut_and_its_code_counts() {
    let world = World::new();
    let ended = world.deliver("|head -c 10000000 /dev/zero | tr '\\0' x; exit 100\n");
    assert_eq!(ended.code, 100);
    assert!(ended.output.len() <= 10_000, "{}", ended.output.len());
}

#[test]
fn a_program_that_reads_nothing_or_cannot_run_is_no_trouble() {
    let world = World::new();
    let large = format!("Subject: x\n\n{}", "line\n".repeat(1_000_000));
    world.write("message", &large, 0o600);
    assert_eq!(world.deliver("|true\n").code, 0);
    // The shell says 127, which no program means as for ever.
    assert_eq!(world.deliver("|/no/such/program\n").code, 111);
}

#[test]
fn each_program_gets_the_message_from_its_start() {
    let world = World::new();
    let ended = world.deliver("|head -c 3\n|cat >/dev/null\n|cat > got\n");
    assert_eq!(ended.code, 0);
    assert_eq!(world.read("home/got"), world.read("message"));
}

#[test]
fn a_message_from_a_pipe_is_delivered_and_a_closed_one_defers() {
    let world = World::new();
    world.write("home/.qmail", "|cat > one\n|cat > two\n", 0o600);
    let home = world.path("home");
    let arguments = [
        "joe",
        home.to_str().unwrap(),
        "joe",
        "",
        "",
        "d",
        "s",
        "./M",
        "",
    ];
    let mut child = world
        .command()
        .args(arguments)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"A: b\n\nx\n")
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(world.read("home/one"), "A: b\n\nx\n");
    assert_eq!(world.read("home/two"), "A: b\n\nx\n");
    let binary = env!("CARGO_BIN_EXE_qmail-local");
    let quoted = arguments.map(|word| format!("'{word}'")).join(" ");
    let closed = Command::new("/bin/sh")
        .args(["-c", &format!("exec {binary} {quoted} <&-")])
        .env("QMAILDIR", world.path("root"))
        .status()
        .unwrap();
    assert_eq!(closed.code(), Some(111));
}

#[test]
fn only_the_header_can_make_a_loop() {
    let world = World::new();
    let line = "Delivered-To: joe@example.org\n";
    for (message, code) in [
        (format!("Subject: x\n\n{line}"), 0),
        (format!(" {line}\n"), 0),
        (format!("X{line}\n"), 0),
        (format!("Delivered-To: joe@example.org \n{line}\n"), 100),
        (format!("{}{line}\n", "A: b\n".repeat(50_000)), 100),
        (
            format!("Delivered-To: {}\n\n", "joe@example.org".repeat(10_000)),
            0,
        ),
        (line.trim_end().to_owned(), 0),
    ] {
        world.write("message", &message, 0o600);
        assert_eq!(world.deliver("./Mailbox\n").code, code, "{:.80}", message);
    }
}
