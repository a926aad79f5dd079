//! How many deliveries a domain gets in how much time
//! (queue-and-delivery.md §4.4).
//!
//! The rate is an average since the count began: each delivery has a moment
//! before which it is too early. Who comes too early is given a later one of
//! its own, so that a thousand messages for one domain do not all come again
//! at the same time.

/// So many deliveries in so many seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    deliveries: u32,
    seconds: u32,
}

/// It is no rate.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a rate; write deliveries/seconds, like 500/3600")]
pub struct BadRate;

impl Rate {
    /// Reads `500/3600`, or `2` for that many a second.
    pub fn parse(text: &[u8]) -> Result<Self, BadRate> {
        let text = std::str::from_utf8(text).map_err(|_| BadRate)?;
        let (deliveries, seconds) = text.split_once('/').unwrap_or((text, "1"));
        let number = |text: &str| match text.trim().parse() {
            Ok(0) | Err(_) => Err(BadRate),
            Ok(number) => Ok(number),
        };
        Ok(Self {
            deliveries: number(deliveries)?,
            seconds: number(seconds)?,
        })
    }

    /// How long this many deliveries take at least.
    fn seconds_for(self, deliveries: u64) -> i64 {
        let product = u128::from(deliveries) * u128::from(self.seconds);
        let seconds = product.div_ceil(u128::from(self.deliveries));
        i64::try_from(seconds).unwrap_or(i64::MAX)
    }
}

/// What a domain has had.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// Deliveries since `start`.
    pub count: u64,
    /// Unix time of the first.
    pub start: i64,
    /// Unix time of the last.
    pub last: i64,
    /// The latest time that somebody was told to come.
    promised: i64,
}

impl Usage {
    /// As it was written down.
    pub fn new(count: u64, start: i64, last: i64) -> Self {
        Self {
            count,
            start,
            last,
            promised: 0,
        }
    }

    /// Asks for a delivery now: `None` when it may start, which is counted,
    /// else when to come again. The count begins again after `interval`
    /// seconds.
    pub fn ask(&mut self, rate: Rate, interval: i64, now: i64) -> Option<i64> {
        let is_new = self.count == 0;
        // A clock that was set back says nothing about the past.
        if is_new || now < self.last || self.start.saturating_add(interval) <= now {
            *self = Self {
                count: 1,
                start: now,
                last: now,
                promised: 0,
            };
            return None;
        }
        let earliest = self.start.saturating_add(rate.seconds_for(self.count));
        if earliest <= now {
            self.count += 1;
            self.last = now;
            return None;
        }
        // Behind those who were told to come before.
        let behind = match now < self.promised {
            true => self.promised.saturating_add(rate.seconds_for(1)),
            false => earliest,
        };
        // The count is forgotten then, and with it every place.
        let until = behind
            .max(earliest)
            .min(self.start.saturating_add(interval));
        self.promised = until;
        Some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_deliveries_in_seconds() {
        let rate = Rate::parse(b"500/3600").unwrap();
        assert_eq!(rate.seconds_for(1), 8);
        assert_eq!(rate.seconds_for(500), 3600);
        assert_eq!(Rate::parse(b"2").unwrap().seconds_for(3), 2);
        for wrong in ["", "0", "1/0", "-1", "x", "1/2/3"] {
            assert!(Rate::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn everybody_comes_again_once() {
        let rate = Rate::parse(b"1/10").unwrap();
        let mut usage = Usage::default();
        assert_eq!(usage.ask(rate, 86_400, 1000), None);
        // A crowd that comes at once is spread.
        let told: Vec<i64> = (0..5)
            .map(|_| usage.ask(rate, 86_400, 1001).unwrap())
            .collect();
        assert_eq!(told, [1010, 1020, 1030, 1040, 1050]);
        for moment in told {
            assert_eq!(usage.ask(rate, 86_400, moment), None);
        }
        assert_eq!(usage.ask(rate, 86_400, 1051), Some(1060));
        // A new day.
        assert_eq!(usage.ask(rate, 86_400, 1000 + 86_400), None);
        assert_eq!(usage.count, 1);
    }

    #[test]
    fn no_more_than_the_rate_in_any_case() {
        property::holds(|u| {
            let rate = Rate::parse(b"3/60").unwrap();
            let (mut usage, mut now, mut taken) = (Usage::default(), 0, 0);
            for _ in 0..200 {
                now += u.int_in_range(0..=30)?;
                match usage.ask(rate, i64::MAX, now) {
                    None => taken += 1,
                    Some(until) => assert!(now < until),
                }
                assert!(taken <= 1 + now * 3 / 60, "{taken} by {now}");
            }
            Ok(())
        });
    }
}
