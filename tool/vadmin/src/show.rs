//! How listings look: labels, times, sizes.

use directory::{Cell, LastAuth, Quota};
use run::Exit;
use serde::Serialize;

use crate::site::temporary;

/// Prints something for programs.
pub fn json(value: &(impl Serialize + ?Sized)) -> Result<(), Exit> {
    let text = serde_json::to_string_pretty(value).map_err(|error| temporary(&error))?;
    println!("{text}");
    Ok(())
}

/// Prints rows for programs: objects with these names.
pub fn json_rows(names: &[&str], rows: &[Vec<Cell>]) -> Result<(), Exit> {
    let value = |cell: &Cell| match cell {
        Cell::Null => serde_json::Value::Null,
        Cell::Integer(number) => (*number).into(),
        Cell::Text(text) => text.clone().into(),
    };
    let object = |row: &Vec<Cell>| {
        let fields = names.iter().zip(row);
        fields
            .map(|(name, cell)| ((*name).to_owned(), value(cell)))
            .collect::<serde_json::Map<_, _>>()
    };
    json(&rows.iter().map(object).collect::<Vec<_>>())
}

/// One value as a listing shows it: nothing that moves the cursor.
pub fn text(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Integer(number) => number.to_string(),
        Cell::Text(text) => text.chars().filter(|c| !c.is_control()).collect(),
    }
}

/// Width of labels.
const LABEL_WIDTH: usize = 14;

/// One labelled line.
pub fn line(label: &str, value: impl std::fmt::Display) {
    println!("{label:<LABEL_WIDTH$}: {value}");
}

/// A quota as listings show it: the stored text and whole mebibytes.
pub fn quota(text: &str) -> String {
    match Quota::parse(text) {
        Ok(Quota {
            bytes: None,
            messages: None,
        }) => "unlimited".to_owned(),
        Ok(quota) => {
            let mebibytes = quota.bytes.unwrap_or(0) / (1 << 20);
            format!("{text} [{mebibytes}.00] MiB")
        }
        Err(_) => format!("{text} [not a quota]"),
    }
}

/// When and from where something happened.
pub fn event(events: &[LastAuth], service: &str, never: &str) -> String {
    match events.iter().find(|event| event.service == service) {
        Some(event) => format!("({}) {}", event.remote_ip, tai::mbox_date(event.time)),
        None => never.to_owned(),
    }
}

/// A span of time, like `3 days 4 hours 5 mins 6 secs`.
pub fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let parts = [
        (seconds / 86_400, "days"),
        (seconds / 3600 % 24, "hours"),
        (seconds / 60 % 60, "mins"),
        (seconds % 60, "secs"),
    ];
    let shown: Vec<String> = parts
        .iter()
        .skip_while(|(value, unit)| *value == 0 && *unit != "secs")
        .map(|(value, unit)| format!("{value} {unit}"))
        .collect();
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_shown_in_whole_mebibytes() {
        assert_eq!(quota("10000000S,1000C"), "10000000S,1000C [9.00] MiB");
        assert_eq!(quota("5242880"), "5242880 [5.00] MiB");
        assert_eq!(quota("NOQUOTA"), "unlimited");
    }

    #[test]
    fn spans_begin_with_their_largest_unit() {
        assert_eq!(span(0), "0 secs");
        assert_eq!(span(90_061), "1 days 1 hours 1 mins 1 secs");
        assert_eq!(span(3_600), "1 hours 0 mins 0 secs");
    }
}
