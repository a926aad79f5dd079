//! 822field, 822fields, 822header, 822body, 822headerok.

use message::Line;
use run::{Exit, PERMANENT, ProgramEnd};

use super::{Input, is_one_of, say, verdict};

/// `822field [name]`: the values of a field.
pub fn field(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    match arguments {
        [] | [_] => some_fields(arguments),
        _ => Err(Exit::new(PERMANENT, "one field only; see 822fields")),
    }
}

/// `822fields [name...]`: the values of fields, each on a line.
pub fn some_fields(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    let default = [b"subject".to_vec()];
    let names = match arguments {
        [] => &default[..],
        names => names,
    };
    let start = Input::open().start()?;
    let mut found = false;
    for field in start.header.fields().filter(|f| is_one_of(f, names)) {
        found = true;
        say(&[&field.unfolded()[..], b"\n"].concat())?;
    }
    Ok(verdict(found))
}

/// `822header [-X field]... [-I field]...`: the header.
pub fn header(arguments: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    let (mut excluded, mut included) = (Vec::new(), Vec::new());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let list = match argument.get(..2) {
            Some(b"-X" | b"-x") => &mut excluded,
            Some(b"-I" | b"-i") => &mut included,
            _ => {
                return Err(Exit::new(
                    PERMANENT,
                    "only -X FIELD and -I FIELD; see --help",
                ));
            }
        };
        let attached = argument[2..].to_vec();
        let name = match attached.is_empty() {
            true => rest.next().cloned(),
            false => Some(attached),
        };
        list.push(name.ok_or_else(|| Exit::new(PERMANENT, "a field is missing; see --help"))?);
    }
    let start = Input::open().start()?;
    let wanted = |field: &message::Field<'_>| {
        (included.is_empty() || is_one_of(field, &included)) && !is_one_of(field, &excluded)
    };
    for field in start.header.fields().filter(wanted) {
        say(field.raw)?;
    }
    Ok(().into())
}

/// `822body`: the body.
pub fn body(_: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    let mut input = Input::open();
    let start = input.start()?;
    if start.end == Some(Line::Body) {
        say(&start.rest)?;
    }
    input.copy()?;
    Ok(().into())
}

/// `822headerok`: whether the header is one, up to an empty line or the end.
pub fn header_ok(_: &[Vec<u8>]) -> Result<ProgramEnd, Exit> {
    let start = Input::open().start()?;
    let mbox = start.header.fields().any(|field| field.is("mbox-line"));
    Ok(verdict(start.end != Some(Line::Body) && !mbox))
}
