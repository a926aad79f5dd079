//! Files in the format of sendmail: `aliases`, `:include:` and `.forward`.
//!
//! An entry is an address in header syntax, `"|command"`, `:include:/file`
//! or a file's name; entries stand between commas.

mod entry;

pub use entry::{Entry, entries};

use message::{AddressList, Names};

use crate::BadLine;
use crate::command::{ADDRESS_BYTES_MAX, Command};
use crate::record::Record;

/// What an `:include:` file is called once it is compiled.
const COMPILED: &[u8] = b".bin";

/// Reads an `aliases` file (newaliases(1)). A name without a host becomes the
/// target of that name on any host; recipients without one get the names that
/// `names` adds. Mail for `NAME` has its bounces sent to `owner-NAME`, when
/// there is that alias.
pub fn aliases(text: &[u8], names: &Names) -> Result<Vec<Record>, BadLine> {
    let mut records = Vec::new();
    for (number, line) in logical_lines(text) {
        let bad = |why| BadLine { line: number, why };
        let (left, right) = split_at_colon(&line).ok_or_else(|| bad("there is no colon"))?;
        let target = target(left).ok_or_else(|| bad("the name is not one address"))?;
        let found = entries(right).map_err(|_| bad("unbalanced quotes or parentheses"))?;
        let words: Vec<Vec<u8>> = found
            .into_iter()
            .map(|entry| word(entry, names).map_err(bad))
            .collect::<Result<_, _>>()?;
        let commands: Vec<Command<'_>> = words.iter().filter_map(|w| Command::parse(w)).collect();
        records.push(Record::target(&target, &commands));
        if let Some(list) = strip_owner(&target) {
            let complete = match target.strip_suffix(b"@") {
                Some(name) => names.complete(name),
                None => target.clone(),
            };
            records.push(Record::owner(list, &complete));
        }
    }
    Ok(records)
}

/// Compiles an `:include:` file (newinclude(1)); it may name neither files
/// nor programs.
pub fn include(text: &[u8], names: &Names) -> Result<Vec<u8>, BadLine> {
    let mut compiled = Vec::new();
    for (at, line) in text.split(|&b| b == b'\n').enumerate() {
        let bad = |why| BadLine { line: at + 1, why };
        if line.starts_with(b"#") {
            continue;
        }
        if line.contains(&0) {
            return Err(bad("there is a NUL byte"));
        }
        for entry in entries(line).map_err(|_| bad("unbalanced quotes or parentheses"))? {
            if matches!(entry, Entry::Program(_)) {
                return Err(bad("programs are not supported here"));
            }
            let word = word(entry, names).map_err(bad)?;
            if let Some(command) = Command::parse(&word) {
                crate::list::append(&mut compiled, command);
            }
        }
    }
    Ok(compiled)
}

/// The entry as a table or list has it.
fn word(entry: Entry, names: &Names) -> Result<Vec<u8>, &'static str> {
    let word = match entry {
        Entry::Address(mut list) => {
            list.rewrite(names);
            let mut addresses = list.addresses();
            match (addresses.next(), addresses.next()) {
                (Some(address), None) if ADDRESS_BYTES_MAX < address.len() => {
                    return Err("the address is too long");
                }
                (Some(address), None) if !address.is_empty() => {
                    Command::Forward(&address).to_bytes()
                }
                _ => return Err("an address is empty"),
            }
        }
        Entry::Program(command) => Command::Preline(&command).to_bytes(),
        Entry::Include(path) => match path.first() {
            Some(b'/' | b'.') => [&path[..], COMPILED].concat(),
            _ => return Err("the file after :include: needs a path that starts with /"),
        },
        Entry::File(_) => return Err("delivery to files is not supported here"),
    };
    match word.contains(&0) {
        true => Err("there is a NUL byte"),
        false => Ok(word),
    }
}

/// `name@`, `name@host` or `@host`.
fn target(left: &[u8]) -> Option<Vec<u8>> {
    let left = left.trim_ascii();
    if let Some(host) = left.strip_prefix(b"@") {
        let plain = !host.is_empty() && !host.iter().any(|b| b.is_ascii_whitespace() || *b == 0);
        return plain.then(|| left.to_vec());
    }
    let list = AddressList::parse(left).ok()?;
    let mut all = list.addresses();
    let (only, None) = (all.next()?, all.next()) else {
        return None;
    };
    let quoted_host = list.bare().next()?;
    let target = match has_host(&quoted_host) {
        true => only,
        false => [&only[..], b"@"].concat(),
    };
    (1 < target.len() && !target.contains(&0)).then_some(target)
}

/// Says whether an address in header syntax has an `@` outside its quotes.
fn has_host(bare: &[u8]) -> bool {
    let after_quotes = match bare.iter().rposition(|&b| b == b'"') {
        Some(at) => &bare[at..],
        None => bare,
    };
    after_quotes.contains(&b'@')
}

fn strip_owner(target: &[u8]) -> Option<&[u8]> {
    let (head, rest) = target.split_at_checked(b"owner-".len())?;
    let named = rest.first().is_some_and(|&b| b != b'@');
    (head.eq_ignore_ascii_case(b"owner-") && named).then_some(rest)
}

/// Lines with the lines that continue them, and the number of their first;
/// without comments and blank lines.
fn logical_lines(text: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut lines: Vec<(usize, Vec<u8>)> = Vec::new();
    for (at, line) in text.split(|&b| b == b'\n').enumerate() {
        let continues = matches!(line.first(), Some(b' ' | b'\t'));
        match lines.last_mut() {
            _ if line.trim_ascii().is_empty() || line[0] == b'#' => {}
            Some((_, last)) if continues => last.extend_from_slice(line),
            _ => lines.push((at + 1, line.to_vec())),
        }
    }
    lines
}

fn split_at_colon(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut quoted, mut escaped) = (false, false);
    let colon = line.iter().position(|&byte| {
        let ends = byte == b':' && !quoted && !escaped;
        quoted ^= byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some((&line[..colon], &line[colon + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new(b"here", b"example.org", b"example.org")
    }

    fn pairs(text: &[u8]) -> Vec<(String, String)> {
        let text_of = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let records = aliases(text, &names()).unwrap().into_iter();
        records.map(|r| (text_of(r.key), text_of(r.data))).collect()
    }

    #[test]
    fn the_aliases_of_sendmail() {
        let text = b"# comment\nPostmaster: root, Bob <bob@y>\nlist: :include:/etc/list,\n\
            \tcarol@z\nowner-list: ann\nprog: \"|/bin/vac -a \\\"x\\\", y\"\n\
            x@Other.Org: ann@here (Ann, A.)\n@v.org: joe\n\n\"a b\": ann\n";
        let expected = [
            (
                ":postmaster@",
                "&root@here.example.org\0&bob@y.example.org\0",
            ),
            (":list@", "/etc/list.bin\0&carol@z.example.org\0"),
            (":owner-list@", "&ann@here.example.org\0"),
            ("?list@", "owner-list@here.example.org"),
            (":prog@", "!/bin/vac -a \"x\", y\0"),
            (":x@other.org", "&ann@here.example.org\0"),
            (":@v.org", "&joe@here.example.org\0"),
            (":a b@", "&ann@here.example.org\0"),
        ];
        let expected = expected.map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(pairs(text), expected);
    }

    #[test]
    fn what_cannot_be_kept_is_named_with_its_line() {
        let long = format!("a: {}@x\n", "y".repeat(ADDRESS_BYTES_MAX));
        for (text, line) in [
            (&b"a: b\nno colon\n"[..], 2),
            (b"a: /var/mail/a\n", 1),
            (b"\n\na: b, \"c\n", 3),
            (b"a, b: c\n", 1),
            (b": c\n", 1),
            (b"a: :include:list\n", 1),
            (b"a: b\0c\n", 1),
            (b"a: <>\n", 1),
            (long.as_bytes(), 1),
        ] {
            let result = aliases(text, &names());
            assert_eq!(result.unwrap_err().line, line, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn an_include_file_holds_addresses_only() {
        let text = b"# x\nann, Bob <bob@y.z>\n\n:include:/more\n";
        assert_eq!(
            include(text, &names()).unwrap(),
            b"&ann@here.example.org\0&bob@y.z\0/more.bin\0"
        );
        for (text, line) in [(&b"a\n\"|prog\"\n"[..], 2), (b"/file\n", 1)] {
            assert_eq!(include(text, &names()).unwrap_err().line, line);
        }
    }

    #[test]
    fn no_address_becomes_a_program_or_a_list() {
        property::holds(|u| {
            let alphabet = b"ab@.,:;|!/&\"\\ ()<>\t\n";
            let letters = property::bytes(u)?;
            let text: Vec<u8> = letters
                .iter()
                .map(|b| alphabet[usize::from(*b) % alphabet.len()])
                .collect();
            let Ok(compiled) = include(&text, &names()) else {
                return Ok(());
            };
            for command in crate::commands(&compiled) {
                match command.expect("each entry has its sign") {
                    Command::Forward(address) => assert!(!address.is_empty()),
                    Command::List(path) => assert!(path.ends_with(COMPILED)),
                    command => panic!("{command:?} from {}", text.escape_ascii()),
                }
            }
            Ok(())
        });
    }
}
