//! Dates as mail writes them (RFC 5322 §3.3 and what came before it).

use tai::Civil;

/// A point in time, and the zone it was written in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Date {
    /// Seconds since 1970, UTC.
    pub unix: i64,
    /// Minutes that its zone is ahead of UTC; `None` when the date does not
    /// tell (`-0000`).
    pub zone: Option<i16>,
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
/// Zones with a name (RFC 5322 §4.3), hours from UTC.
const ZONES: [(&str, i16); 11] = [
    ("UT", 0),
    ("UTC", 0),
    ("GMT", 0),
    ("EDT", -4),
    ("EST", -5),
    ("CDT", -5),
    ("CST", -6),
    ("MDT", -6),
    ("MST", -7),
    ("PDT", -7),
    ("PST", -8),
];
/// Most words that are looked at.
const WORDS_MAX: usize = 16;

impl Date {
    /// Reads the value of a `Date` field: day, month, year, time and zone in
    /// the order of RFC 5322, or month and year as `ctime` has them. Weekdays
    /// and comments do not count.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = without_comments(value);
        let words = text.split(|c: char| c.is_ascii_whitespace() || c == ',');
        let words: Vec<&str> = words
            .filter(|word| !word.is_empty())
            .take(WORDS_MAX)
            .collect();
        let mut words = words.as_slice();
        let first = *words.first()?;
        if first.bytes().all(|b| b.is_ascii_alphabetic()) && month(first).is_none() {
            words = &words[1..];
        }
        let (day, month_name, year, time, zone) = match words {
            // `1995-style` days: 26-Sep-95.
            [date, time, zone @ ..] if date.matches('-').count() == 2 => {
                let mut parts = date.split('-');
                (parts.next()?, parts.next()?, parts.next()?, *time, zone)
            }
            [name, day, time, year, zone @ ..] if month(name).is_some() => {
                (*day, *name, *year, *time, zone)
            }
            [day, name, year, time, zone @ ..] => (*day, *name, *year, *time, zone),
            _ => return None,
        };
        let day: u8 = number(day, 2)?;
        let year = full_year(year)?;
        let month = month(month_name)?;
        let mut clock = time.split(':');
        let hour: u8 = number(clock.next()?, 2)?;
        let minute: u8 = number(clock.next()?, 2)?;
        let second: u8 = clock.next().map_or(Some(0), |text| number(text, 2))?;
        if clock.next().is_some() || 23 < hour || 59 < minute || 60 < second {
            return None;
        }
        let zone = zone.first().map_or(Some(None), |zone| offset(zone))?;
        let local = Civil::unix_of(year, month, day, hour, minute, second)?;
        Some(Self {
            unix: local - i64::from(zone.unwrap_or(0)) * 60,
            zone,
        })
    }

    /// As a header shows it: `26 Sep 1995 04:46:53 +0200`.
    pub fn to_field_value(self) -> String {
        format!("{} {}", self.civil().to_mail(), self.zone_text())
    }

    /// As ISO 8601 in its own zone: `1995-09-26 04:46:53 +0200`.
    pub fn to_iso(self) -> String {
        let c = self.civil();
        format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02} {}",
            c.year,
            c.month,
            c.day,
            c.hour,
            c.minute,
            c.second,
            self.zone_text()
        )
    }

    fn civil(self) -> Civil {
        Civil::from_unix(self.unix + i64::from(self.zone.unwrap_or(0)) * 60)
    }

    fn zone_text(self) -> String {
        match self.zone {
            None => "-0000".to_owned(),
            Some(zone) => {
                let sign = if zone < 0 { '-' } else { '+' };
                let minutes = zone.unsigned_abs();
                format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
            }
        }
    }
}

fn month(name: &str) -> Option<u8> {
    let name = name.to_ascii_lowercase();
    let start = name.get(..3)?;
    let at = MONTHS.iter().position(|known| *known == start)?;
    Some(at as u8 + 1)
}

fn number<T: std::str::FromStr>(text: &str, digits_max: usize) -> Option<T> {
    let digits = !text.is_empty() && text.len() <= digits_max;
    (digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Years of two and three digits are those of RFC 5322 §4.3.
fn full_year(text: &str) -> Option<i64> {
    let year: i64 = number(text, 4)?;
    Some(match text.len() {
        1 | 2 if year < 50 => 2000 + year,
        1..=3 => 1900 + year,
        _ => year,
    })
}

/// Minutes of a zone; letters nobody agrees on tell nothing.
fn offset(zone: &str) -> Option<Option<i16>> {
    if let Some(digits) = zone.strip_prefix(['+', '-']) {
        if digits.len() != 4 {
            return None;
        }
        let (hours, minutes): (i16, i16) = (number(&digits[..2], 2)?, number(&digits[2..], 2)?);
        let total = hours * 60 + minutes;
        return Some(match zone.starts_with('-') {
            true if total == 0 => None,
            true => Some(-total),
            false => Some(total),
        });
    }
    let known = ZONES
        .iter()
        .find(|(name, _)| zone.eq_ignore_ascii_case(name));
    match known {
        Some((_, hours)) => Some(Some(hours * 60)),
        None if zone.bytes().all(|b| b.is_ascii_alphabetic()) => Some(None),
        None => None,
    }
}

fn without_comments(value: &[u8]) -> String {
    let mut depth = 0_usize;
    let mut out = String::new();
    for &byte in value {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ if 0 < depth => {}
            byte if byte.is_ascii() => out.push(char::from(byte)),
            _ => out.push('?'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iso(value: &str) -> Option<String> {
        Date::parse(value.as_bytes()).map(Date::to_iso)
    }

    #[test]
    fn dates_of_all_times_are_understood() {
        let expected = "1995-09-26 04:46:53";
        for (value, zone) in [
            ("26 Sep 1995 04:46:53 -0000", "-0000"),
            ("Tue, 26 Sep 1995 04:46:53 +0200 (CEST)", "+0200"),
            ("Tue, 26 Sep 95 04:46:53 EST", "-0500"),
            (" 26-Sep-95 04:46:53 GMT", "+0000"),
            ("Tue Sep 26 04:46:53 1995", "-0000"),
            ("26 september 1995 4:46:53 A", "-0000"),
        ] {
            assert_eq!(iso(value), Some(format!("{expected} {zone}")), "{value}");
        }
        assert_eq!(
            iso("1 Jan 2000 00:00 -0130").as_deref(),
            Some("2000-01-01 00:00:00 -0130")
        );
        assert_eq!(
            Date::parse(b"26 Sep 1995 06:46:53 +0200").unwrap().unix,
            812_090_813
        );
    }

    #[test]
    fn what_is_no_date_is_none() {
        for value in [
            "",
            "now",
            "32 Jan 2000 00:00:00 +0000",
            "1 Jan 2000 25:00:00 +0000",
        ] {
            assert_eq!(iso(value), None, "{value}");
        }
        for value in [
            "1 Jan 2000",
            "1 Foo 2000 00:00:00",
            "1 Jan 2000 00:00:00 +1",
            "30 Feb 2000 0:0:0",
        ] {
            assert_eq!(iso(value), None, "{value}");
        }
    }

    #[test]
    fn what_is_printed_is_read_again() {
        property::holds(|u| {
            let unix = u.int_in_range(-62_000_000_000..=250_000_000_000)?;
            let zone = u.int_in_range(-719..=719)?;
            let date = Date {
                unix,
                zone: Some(zone),
            };
            assert_eq!(Date::parse(date.to_field_value().as_bytes()), Some(date));
            Ok(())
        });
    }

    #[test]
    fn any_bytes_are_a_date_or_none() {
        property::holds(|u| {
            let bytes = property::bytes(u)?;
            if let Some(date) = Date::parse(&bytes) {
                assert_eq!(Date::parse(date.to_field_value().as_bytes()), Some(date));
            }
            Ok(())
        });
    }
}
