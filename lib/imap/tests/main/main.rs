//! Whole dialogues with a mailbox in memory.

#![expect(clippy::disallowed_methods, reason = "dialogues are files")]

mod dialogue;
mod memory;

#[test]
fn dialogues_go_as_they_are_written() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialogues");
    let mut count = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        dialogue::play(&path.display().to_string(), &text);
        count += 1;
    }
    assert!(0 < count);
}

#[test]
fn where_the_bytes_are_cut_does_not_matter() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialogues");
    let inputs: Vec<Vec<u8>> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| dialogue::input(&std::fs::read_to_string(entry.unwrap().path()).unwrap()))
        // After STARTTLS it has to matter: what comes too early is refused.
        .filter(|input| memchr::memmem::find(input, b"STARTTLS").is_none())
        .collect();
    let whole: Vec<Vec<u8>> = inputs
        .iter()
        .map(|input| dialogue::talk(&[input]))
        .collect();
    property::holds(|u| {
        let at = u.choose_index(inputs.len())?;
        let mut pieces = Vec::new();
        let mut rest = &inputs[at][..];
        while !rest.is_empty() {
            let (head, tail) = rest.split_at(u.int_in_range(1..=rest.len().min(40))?);
            pieces.push(head);
            rest = tail;
        }
        assert_eq!(
            String::from_utf8_lossy(&dialogue::talk(&pieces)),
            String::from_utf8_lossy(&whole[at])
        );
        Ok(())
    });
}

#[test]
fn no_bytes_make_a_session_panic() {
    let words: Vec<&[u8]> = vec![
        b"a LOGIN ann secret\r\n",
        b"b SELECT INBOX\r\n",
        b"c FETCH 1:* ",
        b"(BODY[1.2.MIME] ENVELOPE)",
        b"d IDLE\r\n",
        b"DONE\r\n",
        b"\r\n",
        b" ",
        b"e UID ",
        b"STORE 1:3 +FLAGS (\\Seen)",
        b"{3}\r\n",
        b"{18446744073709551615}\r\n",
        b"{18446744073709551615+}\r\n",
        b"{5+}\r\nhello",
        b"f APPEND INBOX ",
        b"SEARCH ",
        b"OR ",
        b"NOT TEXT x",
        b"g EXPUNGE\r\n",
        b"h COPY 1 INBOX\r\n",
        b"i CLOSE\r\n",
        b"THREAD REFERENCES UTF-8 ALL",
        b"j LIST \"\" *\r\n",
        b"AUTHENTICATE PLAIN\r\n",
        b"*\r\n",
        b"AGFubgBzZWNyZXQ=\r\n",
        b"\0\xff",
        b"UTF8 (~",
    ];
    property::holds(|u| {
        let mut pieces: Vec<&[u8]> = Vec::new();
        if u.ratio(3, 4)? {
            pieces.push(words[0]);
            pieces.push(words[1]);
        }
        for _ in 0..u.int_in_range(0..=25u8)? {
            pieces.push(u.choose(&words)?);
        }
        dialogue::talk(&pieces);
        Ok(())
    });
}

#[test]
fn passwords_never_cross_an_open_network() {
    let config = imap::Config {
        plaintext_passwords: false,
        ..dialogue::CONFIG
    };
    let pieces: [&[u8]; 2] = [
        b"a LOGIN ann secret\r\n",
        b"b AUTHENTICATE PLAIN AGFubgBzZWNyZXQ=\r\n",
    ];
    let said = dialogue::talk_with(config, &pieces);
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains(" STARTTLS LOGINDISABLED "), "{said}");
    assert!(said.contains("a NO [PRIVACYREQUIRED]") && said.contains("b NO [PRIVACYREQUIRED]"));
    assert!(!said.contains(" OK logged in"));
}
