//! By which rule a recipient is tried when: the schedule in numbers.

use schedule::Channel;

use super::paint::duration;

/// What decides when a recipient is tried next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Rule {
    /// The quadratic schedule: the last try began in the second in which the
    /// root of the age was `n`.
    Quadratic {
        /// Root of the age at the last try, rounded down.
        n: i64,
        /// What the channel adds to it.
        skip: i64,
    },
    /// It was not tried yet.
    First,
    /// Neither: an operator, ALRM, a released hold or trouble with its files.
    Special,
}

/// How many steps a failed try skips: 10 on the local channel, 20 on the
/// remote one (qmail-send(8)).
fn skip(channel: Channel) -> i64 {
    match channel {
        Channel::Local => 10,
        Channel::Remote => 20,
    }
}

/// Recognizes the rule by the time it leads to.
pub fn of(channel: Channel, birth: i64, due: i64) -> Rule {
    let after = due - birth;
    let skip = skip(channel);
    let root = u64::try_from(after).map_or(0, u64::isqrt);
    let root = i64::try_from(root).unwrap_or(i64::MAX);
    if after <= 0 {
        Rule::First
    } else if root.checked_mul(root) == Some(after) && skip <= root {
        Rule::Quadratic {
            n: root - skip,
            skip,
        }
    } else {
        Rule::Special
    }
}

impl Rule {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::First => "it is due at once, as every new message".to_owned(),
            Self::Quadratic { n, skip } => {
                let (from, to) = (n * n, (n + 1) * (n + 1));
                let after = (n + skip) * (n + skip);
                format!(
                    "quadratic schedule: the last try began at an age of {from} to {to} s, so \
                     n = {n}, and ({n} + {skip})^2 = {after} s after it was queued ({}) is the \
                     next",
                    duration(after)
                )
            }
            Self::Special => "not by the quadratic schedule: an operator or ALRM made it due, a \
                              hold was released, or there was trouble with its files (tried \
                              again after 123 s)"
                .to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_is_recognized_by_where_it_leads() {
        property::holds(|u| {
            let birth = u.int_in_range(0..=1 << 33)?;
            let age = u.int_in_range(0..=1_000_000)?;
            for channel in Channel::ALL {
                let due = schedule::next_attempt(channel, birth, birth + age);
                let Rule::Quadratic { n, .. } = of(channel, birth, due) else {
                    panic!("{channel} {birth} {age}")
                };
                assert!(n * n <= age && age < (n + 1) * (n + 1));
            }
            Ok(())
        });
        assert_eq!(of(Channel::Local, 1000, 1000), Rule::First);
        assert_eq!(of(Channel::Remote, 1000, 1123), Rule::Special);
        assert_eq!(of(Channel::Remote, 1000, 1100), Rule::Special);
        let words = of(Channel::Remote, 0, 1600).words();
        assert!(words.contains("(20 + 20)^2 = 1600 s"), "{words}");
    }
}
