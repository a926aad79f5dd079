//! What instructions do, with everybody's good will.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::world::{MESSAGE, World, exists};

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
fn a_command_decides_which_lines_count() {
    for (decision, delivered) in [
        ("?far exit 99", "far"),
        ("?far", "far"),
        ("?far true", "near"),
    ] {
        let world = World::new();
        let lines = format!("{decision}\n|echo near > got\n?end\n:far\n|echo far > got\n:end\n");
        assert_eq!(world.deliver(&lines).code, 0, "{decision}");
        assert_eq!(world.read("home/got").trim_end(), delivered);
    }
    let world = World::new();
    assert_eq!(world.deliver("?far exit 100\n:far\n").code, 100);
    assert_eq!(world.deliver("?far exit 1\n:far\n").code, 111);
}

#[test]
fn a_jump_up_or_to_nowhere_defers() {
    for lines in [
        "?end\n./Mailbox\n",
        ":end\n?end\n",
        "&a@b\n?end exit 99\n:other\n",
    ] {
        let world = World::new();
        let ended = world.deliver(lines);
        let text = "Uh-oh: .qmail has no line :end below its jump. (#4.2.1)\n";
        assert_eq!((ended.code, &ended.output[..]), (111, text));
        assert!(!exists(&world.path("queued/envelope")) && !exists(&world.path("home/Mailbox")));
    }
}

#[test]
fn a_directory_of_variables_changes_those_of_programs_below() {
    let world = World::new();
    fs::create_dir(world.path("home/env")).unwrap();
    for (name, value) in [
        ("GREETING", "hello \nx"),
        ("TZ", "UTC"),
        ("SENDER", "me"),
        ("LANG", ""),
    ] {
        fs::write(world.path("home/env").join(name), value).unwrap();
    }
    let ended = world.deliver("|env > before\n%./env\n|env > after\n");
    assert_eq!(ended.code, 0, "{}", ended.output);
    let (before, after) = (world.read("home/before"), world.read("home/after"));
    let has = |text: &str, line: &str| text.lines().any(|seen| seen == line);
    assert!(!before.contains("GREETING") && has(&after, "GREETING=hello"));
    assert!(has(&after, "TZ=UTC") && !after.contains("LANG="));
    assert!(has(&after, "SENDER=ann@example.com"), "what is true stays");
}

#[test]
fn variables_that_cannot_be_read_defer() {
    let world = World::new();
    let ended = world.deliver("%./env\n|touch ran\n");
    assert_eq!(ended.code, 111);
    assert!(
        ended.output.starts_with("Unable to read "),
        "{}",
        ended.output
    );
    fs::create_dir(world.path("home/env")).unwrap();
    let fifo = std::process::Command::new("mkfifo")
        .arg(world.path("home/env/A"))
        .status();
    assert!(fifo.unwrap().success());
    assert_eq!(world.deliver("%./env\n|touch ran\n").code, 111);
    assert!(!exists(&world.path("home/ran")));
}

#[test]
fn what_the_queue_says_is_reported() {
    let world = World::new();
    testkit::write_script(world.path("root/bin/qmail-queue"), "#!/bin/sh\nexit 31\n");
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
