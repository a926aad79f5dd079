//! Runs the dialogue files.

use super::*;

/// One thing a dialogue says or expects.
enum Line {
    Client(Vec<u8>),
    Server(String),
    Queue(String),
}

/// Runs a dialogue: all that the client says before the server's next answer
/// goes in one piece.
fn run(name: &str, text: &str) {
    let mut world = world();
    let mut script = Vec::new();
    for line in text.lines() {
        match line.split_at_checked(3) {
            Some(("C: ", rest)) => script.push(Line::Client(client_bytes(rest))),
            Some(("S: ", rest)) => script.push(Line::Server(rest.to_owned())),
            Some(("Q: ", rest)) => script.push(Line::Queue(rest.to_owned())),
            _ if line.starts_with('!') => world.set(line[1..].trim()),
            _ if line.is_empty() || line.starts_with('#') => {}
            _ => panic!("{name}: what is {line:?}?"),
        }
    }
    let mut session = world.session();
    world.run(&mut session);
    let mut said = Vec::new();
    let mut queued = Vec::new();
    let mut heard = 0;
    for line in script {
        match line {
            Line::Client(bytes) => said.extend(bytes),
            Line::Server(expected) => {
                world.feed(&mut session, &std::mem::take(&mut said));
                let output = &world.output[heard..];
                let end = output.windows(2).position(|pair| pair == b"\r\n");
                let end = end.unwrap_or_else(|| panic!("{name}: no answer, but {expected:?}"));
                let line = &output[..end];
                heard += end + 2;
                let shown = String::from_utf8_lossy(line);
                assert!(
                    is_like(&expected, &shown),
                    "{name}: {shown:?} is not {expected:?}"
                );
            }
            Line::Queue(expected) => queued.push(expected),
        }
    }
    world.feed(&mut session, &said);
    let rest = String::from_utf8_lossy(&world.output[heard..]);
    assert_eq!(rest, "", "{name}: more than expected");
    assert_eq!(world.queued, queued, "{name}");
}

/// The bytes of a `C:` line: `\r`, `\n`, `\0` and `\\` are escapes, `\c` at
/// the end leaves the line end off.
fn client_bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('r') => out.push(b'\r'),
                Some('n') => out.push(b'\n'),
                Some('0') => out.push(0),
                Some('c') => return out,
                Some(other) => out.extend(other.to_string().bytes()),
                None => {}
            },
            other => out.extend(other.to_string().bytes()),
        }
    }
    out.extend(b"\r\n");
    out
}

/// Compares with an expectation in which `*` stands for anything.
fn is_like(expected: &str, line: &str) -> bool {
    let mut pieces = expected.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let mut open_end = false;
    for piece in pieces {
        let Some(at) = rest.find(piece) else {
            return false;
        };
        rest = &rest[at + piece.len()..];
        open_end = piece.is_empty();
    }
    rest.is_empty() || open_end
}

macro_rules! dialogues {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                let name = stringify!($name);
                run(name, include_str!(concat!("dialogues/", stringify!($name), ".txt")));
            }
        )*

        /// All dialogues whose meaning may not depend on packets.
        const ALL: &[&str] = &[$(include_str!(concat!("dialogues/", stringify!($name), ".txt"))),*];
    };
}

dialogues! {
    access_lists
    a_message_is_taken
    auth_mechanisms
    auth_is_limited
    batv
    check_relay
    chunks
    closed_group
    commands_out_of_order
    content
    dmarc
    dsn
    etrn
    greetings
    grey
    hello_rules
    on_demand
    outside
    port_587
    sender_rules
    queue_refusals
    recipients
    relaying
    requiretls
    senders
    sizes_and_hops
    spf
    starttls_forgets
    submission
}

/// Feeds all the client's bytes in pieces; what came back, and what was
/// queued.
fn talk(text: &str, cuts: &mut dyn FnMut(usize) -> usize) -> (Vec<u8>, Vec<String>, Vec<String>) {
    let mut world = world();
    let mut bytes = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("C: ") {
            Some(rest) => bytes.extend(client_bytes(rest)),
            None if line.starts_with('!') => world.set(line[1..].trim()),
            None => {}
        }
    }
    let mut session = world.session();
    world.run(&mut session);
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at(cuts(rest.len()));
        world.feed(&mut session, piece);
        rest = tail;
    }
    (world.output, world.queued, world.bodies)
}

#[test]
fn where_the_bytes_are_cut_does_not_matter() {
    // What follows STARTTLS in the same piece is thrown away on purpose.
    let texts: Vec<&str> = ALL
        .iter()
        .copied()
        .filter(|text| !text.contains("STARTTLS") && !text.contains("greetdelay"))
        .collect();
    property::holds(|u| {
        let text = *u.choose(&texts)?;
        let mut cuts = Vec::new();
        for _ in 0..u.int_in_range(0..=20)? {
            cuts.push(u.int_in_range(1..=40usize)?);
        }
        let whole = talk(text, &mut |length| length);
        let cut = talk(text, &mut |length| {
            cuts.pop().map_or(length, |cut| cut.min(length))
        });
        assert_eq!(cut, whole);
        Ok(())
    });
}

#[test]
fn one_byte_at_a_time_is_the_same() {
    for text in ALL
        .iter()
        .filter(|text| !text.contains("STARTTLS") && !text.contains("greetdelay"))
    {
        assert_eq!(talk(text, &mut |_| 1), talk(text, &mut |length| length));
    }
}
