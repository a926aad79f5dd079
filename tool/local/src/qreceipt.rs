//! qreceipt: tells the sender that a message arrived, if it asked.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;

use run::Exit;

use crate::{message, usage};

/// Longest header that is searched.
const HEADER_BYTES_MAX: usize = 256 * 1024;

pub(crate) fn main(arguments: &[OsString]) -> Result<u8, Exit> {
    let [address] = arguments else {
        return Err(usage("qreceipt"));
    };
    let sender = message::needed("SENDER")?;
    let delivered_to = message::line("DTLINE")?;
    if sender.is_empty() || sender == b"#@[]" {
        return Ok(0);
    }
    let header = read_header()?;
    let requested = fields(&header, b"notice-requested-upon-delivery-to");
    if !requested
        .iter()
        .any(|value| names(value, address.as_bytes()))
    {
        return Ok(0);
    }
    let id = fields(&header, b"message-id").into_iter().next();
    let notice = notice(&delivered_to, &sender, address.as_bytes(), id.as_deref());
    let file = delivery::memory_file(&notice)
        .map_err(|error| Exit::new(run::TEMPORARY, format!("out of memory: {error}")))?;
    message::queue("qreceipt", b"", &file, b"", &[sender])?;
    Ok(0)
}

fn notice(delivered_to: &[u8], sender: &[u8], address: &[u8], id: Option<&[u8]>) -> Vec<u8> {
    let printable = |text: &[u8]| text::log::printable(text, 1000);
    let (sender, address) = (printable(sender), printable(address));
    let date = tai::header_date(os::clock::unix_seconds());
    let id = id.map_or(String::new(), |id| {
        format!("Its Message-ID was {}\n", printable(id.trim_ascii()))
    });
    let mut notice = delivered_to.to_vec();
    notice.extend_from_slice(
        format!(
            "From: DELIVERY NOTICE SYSTEM <{sender}>\nTo: <{sender}>\nSubject: success notice\n\
             Date: {date}\nAuto-Submitted: auto-replied\n\n\
             A message of yours asked for a notice when it is delivered.\n\
             It was delivered to {address}.\n{id}"
        )
        .as_bytes(),
    );
    notice
}

fn read_header() -> Result<Vec<u8>, Exit> {
    let trouble = |error| Exit::new(run::TEMPORARY, format!("unable to read message: {error}"));
    let mut lines = BufReader::new(message::standard_input()?);
    let mut header = Vec::new();
    loop {
        let start = header.len();
        let got = lines.read_until(b'\n', &mut header).map_err(trouble)?;
        if got == 0 || &header[start..] == b"\n" || HEADER_BYTES_MAX < header.len() {
            return Ok(header);
        }
    }
}

/// The unfolded values of a field whose name is given in lower case.
fn fields(header: &[u8], name: &[u8]) -> Vec<Vec<u8>> {
    let mut values: Vec<Vec<u8>> = Vec::new();
    let mut inside = false;
    for line in header.split(|&b| b == b'\n') {
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            if let Some(value) = values.last_mut().filter(|_| inside) {
                value.extend_from_slice(line);
            }
            continue;
        }
        let colon = line.iter().position(|&b| b == b':').unwrap_or(0);
        let found = line[..colon].trim_ascii_end().to_ascii_lowercase();
        inside = found == name;
        if inside {
            values.push(line[colon + 1..].to_vec());
        }
    }
    values
}

/// Says whether a list of addresses has this one.
fn names(value: &[u8], address: &[u8]) -> bool {
    value
        .split(|b| b", \t<>();".contains(b))
        .any(|word| word.eq_ignore_ascii_case(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_found_wherever_it_is() {
        let header =
            b"Subject: x\nNotice-Requested-Upon-Delivery-To: Bob <bob@x>,\n\tann@y\nTo: eve@z\n";
        let values = fields(header, b"notice-requested-upon-delivery-to");
        assert!(names(&values[0], b"Bob@x") && names(&values[0], b"ann@y"));
        assert!(!names(&values[0], b"eve@z") && !names(&values[0], b"ob@x"));
    }

    #[test]
    fn a_sender_cannot_add_header_lines() {
        let notice = notice(
            b"Delivered-To: a@b\n",
            b"x\nBcc: y@z",
            b"a@b",
            Some(b" <1>\nBcc: q"),
        );
        assert!(!notice.windows(5).any(|window| window == b"\nBcc:"));
    }
}
