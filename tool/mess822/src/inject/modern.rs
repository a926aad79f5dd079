//! What new-inject and ofmipd do to a header before it is composed: several
//! recipient fields become one, dates get a numeric zone, fields that name
//! the envelope are taken out (queue-and-delivery.md §3.5).

use message::{Date, Field, HeaderLines};

use super::Error;
use super::compose::Given;

/// Fields of which there is to be one.
const MERGED: [&str; 5] = ["to", "cc", "bcc", "resent-to", "resent-cc"];

/// The header in order, and what it says about the envelope.
pub fn prepare(header: &HeaderLines) -> Result<(HeaderLines, Given), Error> {
    let mut given = Given::default();
    let mut lines = Vec::new();
    let mut done = Vec::new();
    let date = last_date(header);
    for field in header.fields() {
        if field.is("envelope-sender") {
            given.sender.get_or_insert_with(|| field.value.to_vec());
        } else if field.is("envelope-recipients") {
            let list = given.recipients.get_or_insert_default();
            join(list, field.value);
        } else if field.is("date") {
            if let Some(date) = date
                && !done.contains(&"date")
            {
                done.push("date");
                lines.push(format!("Date: {}\n", date.to_field_value()).into_bytes());
            }
        } else if let Some(name) = MERGED.iter().find(|name| field.is(name)) {
            if !done.contains(name) {
                done.push(name);
                lines.push(merged(header, name, &field));
            }
        } else {
            lines.push(field.raw.to_vec());
        }
    }
    let mut prepared = HeaderLines::default();
    for line in lines
        .iter()
        .flat_map(|field| field.split_inclusive(|&b| b == b'\n'))
    {
        prepared.push(line)?;
    }
    Ok((prepared, given))
}

/// The last date that can be understood; without one a new date is made.
fn last_date(header: &HeaderLines) -> Option<Date> {
    let dates = header.fields().filter(|field| field.is("date"));
    dates.filter_map(|field| Date::parse(field.value)).last()
}

fn merged(header: &HeaderLines, name: &str, first: &Field<'_>) -> Vec<u8> {
    let mut list = Vec::new();
    for field in header.fields().filter(|field| field.is(name)) {
        join(&mut list, field.value);
    }
    [first.name, b":", &list, b"\n"].concat()
}

/// Adds a field's value to a list.
fn join(list: &mut Vec<u8>, value: &[u8]) {
    if !list.is_empty() {
        list.extend_from_slice(b",\n");
    }
    list.push(b' ');
    list.extend_from_slice(value.trim_ascii());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(text: &str) -> (String, Given) {
        let mut header = HeaderLines::default();
        for line in text.split_inclusive('\n') {
            header.push(line.as_bytes()).unwrap();
        }
        let (header, given) = prepare(&header).unwrap();
        let raw: Vec<u8> = header
            .fields()
            .flat_map(|field| field.raw.to_vec())
            .collect();
        (String::from_utf8(raw).unwrap(), given)
    }

    #[test]
    fn several_recipient_fields_become_one() {
        let (header, _) = prepared("To: a\nX: y\nTO: b,\n c\nCc: d\n");
        assert_eq!(header, "To: a,\n b,\n c\nX: y\nCc: d\n");
    }

    #[test]
    fn the_last_date_that_makes_sense_is_kept_with_a_numeric_zone() {
        let (header, _) = prepared("Date: Tue, 26 Sep 95 04:46:53 EST\nX: y\nDate: soon\n");
        assert_eq!(header, "Date: 26 Sep 1995 04:46:53 -0500\nX: y\n");
        assert_eq!(prepared("Date: soon\nX: y\n").0, "X: y\n");
    }

    #[test]
    fn fields_can_name_the_envelope() {
        let text =
            "Envelope-Sender: <x@y>\nEnvelope-Recipients: a\nTo: z\nEnvelope-Recipients: b\n";
        let (header, given) = prepared(text);
        assert_eq!(header, "To: z\n");
        assert_eq!(given.sender.as_deref(), Some(&b" <x@y>"[..]));
        assert_eq!(given.recipients.as_deref(), Some(&b" a,\n b"[..]));
    }
}
