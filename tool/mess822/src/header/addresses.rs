//! 822addr, iftocc, iftoccfrom, ifaddr.

use message::{AddressList, Field, HeaderLines, Piece};
use run::{Exit, PERMANENT, ProgramEnd};

use super::{Input, is_one_of, say, verdict};

/// `822addr [field...]`: the addresses of fields, and what stands around them.
pub fn addr(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    let default = [b"to".to_vec(), b"cc".to_vec()];
    let names = match arguments {
        [] => &default[..],
        names => names,
    };
    let start = Input::open().start()?;
    let mut found = false;
    for field in start.header.fields().filter(|f| is_one_of(f, names)) {
        found = true;
        for piece in list(&field)?.pieces() {
            let (mark, text) = match piece {
                Piece::Address(address) => (b'+', address),
                Piece::Comment(text) => (b'(', text),
            };
            let line = [&[mark], &text[..]].concat();
            let line: Vec<u8> = line.into_iter().filter(|&b| b != b'\n').collect();
            say(&[&line[..], b"\n"].concat())?;
        }
    }
    Ok(verdict(found))
}

fn list(field: &Field<'_>) -> Result<AddressList, Exit> {
    AddressList::parse(field.value).map_err(|error| {
        let line = text::log::printable(field.raw.trim_ascii_end(), 400);
        Exit::new(
            PERMANENT,
            format!("unable to parse this line: {line}: {error}"),
        )
    })
}

/// `iftocc [address...]`: whether one is in To or Cc.
pub fn if_to_cc(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    named(&["to", "cc"], arguments)
}

/// `iftoccfrom [address...]`: whether one is in To, Cc or From.
pub fn if_to_cc_from(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    named(&["to", "cc", "from"], arguments)
}

/// `ifaddr [field... :] [address...]`
pub fn if_addr(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    match arguments.iter().position(|word| word == b":") {
        None => named(&["to", "cc"], arguments),
        Some(colon) => {
            let names = arguments[..colon].to_vec();
            search(&names, &arguments[colon + 1..])
        }
    }
}

fn named(names: &[&str], addresses: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    let names: Vec<Vec<u8>> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
    search(&names, addresses)
}

fn search(names: &[Vec<u8>], addresses: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    use std::os::unix::ffi::OsStringExt;
    let recipient = std::env::var_os("RECIPIENT").map(OsStringExt::into_vec);
    let wanted: Vec<Vec<u8>> = match addresses {
        [] => recipient.into_iter().collect(),
        addresses => addresses.to_vec(),
    };
    if wanted.is_empty() {
        let text = "no address: give one, or run me where RECIPIENT is set";
        return Err(Exit::new(PERMANENT, text));
    }
    let start = Input::open().start()?;
    Ok(verdict(is_in(&start.header, names, &wanted)))
}

/// Fields that make no sense name nobody.
fn is_in(header: &HeaderLines, names: &[Vec<u8>], wanted: &[Vec<u8>]) -> bool {
    let fields = header.fields().filter(|field| is_one_of(field, names));
    let lists = fields.filter_map(|field| AddressList::parse(field.value).ok());
    let mut addresses = lists.flat_map(|list| list.addresses().collect::<Vec<_>>());
    addresses.any(|address| wanted.iter().any(|wanted| matches(wanted, &address)))
}

/// `@domain` stands for everybody there.
fn matches(wanted: &[u8], address: &[u8]) -> bool {
    let end = match wanted.first() {
        Some(b'@') => address.iter().rposition(|&b| b == b'@').unwrap_or(0),
        _ => 0,
    };
    address[end..].eq_ignore_ascii_case(wanted)
}
