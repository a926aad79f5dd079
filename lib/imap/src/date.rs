//! Dates of IMAP: `17-Jul-1996 02:44:25 -0700` and `17-Jul-1996`.

use tai::Civil;

const DAY_SECONDS: i64 = 86_400;
const MONTHS: [&[u8]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];

/// Days since 1970-01-01, for dates without a time.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Day(pub i64);

impl Day {
    /// The day a point in time falls on, in UTC.
    pub fn of_unix(seconds: i64) -> Self {
        Self(seconds.div_euclid(DAY_SECONDS))
    }

    /// The day of a date of the Gregorian calendar; `None` when there is no
    /// such date.
    pub fn of_civil(year: i64, month: u8, day: u8) -> Option<Self> {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        if day == 0 || length < day {
            return None;
        }
        // Count from March, so that the leap day is a year's last.
        let shifted_year = if month <= 2 { year - 1 } else { year };
        let shifted_month = (i64::from(month) + 9) % 12;
        let era = shifted_year.div_euclid(400);
        let of_era = shifted_year.rem_euclid(400);
        let of_year = (153 * shifted_month + 2) / 5 + i64::from(day) - 1;
        let days = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
        Some(Self(era * 146_097 + days - 719_468))
    }

    /// Parses `1-Feb-1994`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut fields = text.split(|&b| b == b'-');
        let day = digits(fields.next()?, 1..=2)?;
        let name = fields.next()?.to_ascii_lowercase();
        let year = digits(fields.next()?, 4..=4)?;
        if fields.next().is_some() {
            return None;
        }
        let month = MONTHS.iter().position(|&month| month == name)? + 1;
        Self::of_civil(year, month as u8, u8::try_from(day).ok()?)
    }
}

/// Parses `date-time`: ` 7-Jul-1996 02:44:25 -0700`, to Unix seconds.
pub fn parse_date_time(text: &[u8]) -> Option<i64> {
    let mut words = text.trim_ascii_start().split(|&b| b == b' ');
    let day = Day::parse(words.next()?)?;
    let mut time = words.next()?.split(|&b| b == b':');
    let mut unit = |max: i64| digits(time.next()?, 2..=2).filter(|&value| value <= max);
    let of_day = unit(23)? * 3600 + unit(59)? * 60 + unit(60)?;
    let (sign, zone) = words.next()?.split_first()?;
    let zone = digits(zone, 4..=4)?;
    let east = (zone / 100 * 60 + zone % 100) * 60;
    if time.next().is_some() || words.next().is_some() {
        return None;
    }
    let local = day.0 * DAY_SECONDS + of_day;
    match sign {
        b'+' => Some(local - east),
        b'-' => Some(local + east),
        _ => None,
    }
}

/// Prints Unix seconds as `date-time` in UTC, without quotes.
pub fn print_date_time(seconds: i64) -> String {
    let c = Civil::from_unix(seconds);
    format!(
        "{:02}-{}-{:04} {:02}:{:02}:{:02} +0000",
        c.day,
        c.month_name(),
        c.year,
        c.hour,
        c.minute,
        c.second
    )
}

fn digits(text: &[u8], length: std::ops::RangeInclusive<usize>) -> Option<i64> {
    if !length.contains(&text.len()) || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_parsed() {
        for seconds in [0, 837_596_665, 951_782_400, 4_102_444_799] {
            let text = print_date_time(seconds);
            assert_eq!(parse_date_time(text.as_bytes()), Some(seconds), "{text}");
        }
        assert_eq!(
            parse_date_time(b"17-Jul-1996 02:44:25 -0700"),
            parse_date_time(b"17-jul-1996 09:44:25 +0000")
        );
        assert!(parse_date_time(b" 7-Jul-1996 02:44:25 +0000").is_some());
        assert_eq!(Day::parse(b"1-Jan-1970"), Some(Day(0)));
    }

    #[test]
    fn dates_that_do_not_exist_are_refused() {
        for text in [
            "31-Feb-2000",
            "0-Jan-2000",
            "1-Foo-2000",
            "1-Jan-00",
            "",
            "1-Jan-2000-",
        ] {
            assert_eq!(Day::parse(text.as_bytes()), None, "{text}");
        }
        for text in [
            "1-Jan-2000",
            "1-Jan-2000 25:00:00 +0000",
            "1-Jan-2000 01:00:00 0000",
        ] {
            assert_eq!(parse_date_time(text.as_bytes()), None, "{text}");
        }
    }
}
