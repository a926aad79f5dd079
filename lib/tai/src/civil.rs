//! Calendar dates in UTC, as mail writes them.

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const DAY_SECONDS: i64 = 86_400;

/// A date and time of day in UTC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Civil {
    /// Year of the Gregorian calendar.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 is Sunday.
    pub weekday: u8,
}

impl Civil {
    /// Converts from Unix seconds (days from civil, proleptic Gregorian).
    pub fn from_unix(seconds: i64) -> Self {
        let days = seconds.div_euclid(DAY_SECONDS);
        let of_day = seconds.rem_euclid(DAY_SECONDS);
        // Count from 0000-03-01, so that the leap day is a year's last.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * of_year + 2) / 153;
        let month = if march_month < 10 {
            march_month + 3
        } else {
            march_month - 9
        };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: month as u8,
            day: (of_year - (153 * march_month + 2) / 5 + 1) as u8,
            hour: (of_day / 3600) as u8,
            minute: (of_day / 60 % 60) as u8,
            second: (of_day % 60) as u8,
            weekday: (days + 4).rem_euclid(7) as u8,
        }
    }

    /// The Unix seconds of a date and time in UTC; `None` when the calendar
    /// has no such day. A leap second is the one after it.
    pub fn unix_of(year: i64, month: u8, day: u8, hour: u8, minute: u8, second: u8) -> Option<i64> {
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(0..=9999).contains(&year) {
            return None;
        }
        // Years begin in March, as above.
        let years = year - i64::from(month <= 2);
        let era = years.div_euclid(400);
        let of_era = years.rem_euclid(400);
        let march_month = (i64::from(month) + 9) % 12;
        let of_year = (153 * march_month + 2) / 5 + i64::from(day) - 1;
        let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
        let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        let exists = Self::from_unix(days * DAY_SECONDS).day == day;
        exists.then_some(days * DAY_SECONDS + seconds)
    }

    /// As mail writes it, without a zone: `26 Sep 1995 04:46:53`.
    pub fn to_mail(self) -> String {
        format!(
            "{} {} {:04} {:02}:{:02}:{:02}",
            self.day,
            self.month_name(),
            self.year,
            self.hour,
            self.minute,
            self.second
        )
    }

    /// The English name of the month, three letters.
    pub fn month_name(self) -> &'static str {
        MONTHS[usize::from(self.month - 1)]
    }

    /// The English name of the day, three letters.
    pub fn weekday_name(self) -> &'static str {
        WEEKDAYS[usize::from(self.weekday)]
    }
}

/// A date for header fields: `26 Sep 1995 04:46:53 -0000`, no line end.
pub fn header_date(unix_seconds: i64) -> String {
    format!("{} -0000", Civil::from_unix(unix_seconds).to_mail())
}

/// A date for mbox `From ` lines: `Thu May 13 18:34:50 1999`, no line end.
pub fn mbox_date(unix_seconds: i64) -> String {
    let c = Civil::from_unix(unix_seconds);
    format!(
        "{} {} {:02} {:02}:{:02}:{:02} {}",
        c.weekday_name(),
        c.month_name(),
        c.day,
        c.hour,
        c.minute,
        c.second,
        c.year
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_and_its_seconds_are_the_same() {
        for days in -700_000..2_900_000_i64 {
            if days % 97 == 0 || (10_000..12_000).contains(&days) {
                let c = Civil::from_unix(days * DAY_SECONDS + 3_661);
                let back = Civil::unix_of(c.year, c.month, c.day, c.hour, c.minute, c.second);
                assert_eq!(back, Some(days * DAY_SECONDS + 3_661));
            }
        }
        assert_eq!(Civil::unix_of(2001, 2, 29, 0, 0, 0), None);
        assert_eq!(Civil::unix_of(2001, 13, 1, 0, 0, 0), None);
    }

    #[test]
    fn dates_of_the_manuals() {
        assert_eq!(header_date(812_090_813), "26 Sep 1995 04:46:53 -0000");
        assert_eq!(mbox_date(926_620_490), "Thu May 13 18:34:50 1999");
        assert_eq!(header_date(0), "1 Jan 1970 00:00:00 -0000");
        assert_eq!(header_date(951_782_400), "29 Feb 2000 00:00:00 -0000");
        assert_eq!(header_date(-1), "31 Dec 1969 23:59:59 -0000");
    }
}
