//! When a message is tried again, and when no more
//! (queue-and-delivery.md §4.4).

use crate::Channel;

/// How long a message is tried when nothing else is set: a week.
pub const LIFETIME_DEFAULT_SECONDS: i64 = 604_800;

/// How many steps of the square-root scale a failed attempt skips.
fn skip(channel: Channel) -> i64 {
    match channel {
        Channel::Local => 10,
        Channel::Remote => 20,
    }
}

/// When to try again a message whose attempt begins now: quadratically later
/// with its age, so that the tries thin out.
pub fn next_attempt(channel: Channel, birth: i64, now: i64) -> i64 {
    let age = u64::try_from(now.saturating_sub(birth)).unwrap_or(0);
    let steps = i64::try_from(age.isqrt()).unwrap_or(i64::MAX);
    let later = steps.saturating_add(skip(channel));
    birth.saturating_add(later.saturating_mul(later))
}

/// Longest time between two tries of a message that is tried this long.
pub fn longest_wait(lifetime_seconds: i64) -> i64 {
    next_attempt(Channel::Remote, 0, lifetime_seconds.max(0)) - lifetime_seconds.max(0)
}

/// Says whether an attempt that begins now is the last one.
pub fn is_expired(birth: i64, now: i64, lifetime_seconds: i64) -> bool {
    birth.saturating_add(lifetime_seconds) < now
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The retry table of the guide: seconds after birth of the forty remote
    /// attempts of a message that nobody takes.
    const REMOTE_ATTEMPTS: [i64; 40] = [
        0, 400, 1_600, 3_600, 6_400, 10_000, 14_400, 19_600, 25_600, 32_400, 40_000, 48_400,
        57_600, 67_600, 78_400, 90_000, 102_400, 115_600, 129_600, 144_400, 160_000, 176_400,
        193_600, 211_600, 230_400, 250_000, 270_400, 291_600, 313_600, 336_400, 360_000, 384_400,
        409_600, 435_600, 462_400, 490_000, 518_400, 547_600, 577_600, 608_400,
    ];

    #[test]
    fn a_remote_message_is_tried_forty_times_as_the_table_says() {
        let birth = 1_700_000_000;
        let mut attempts = vec![0];
        let mut now = birth;
        while !is_expired(birth, now, LIFETIME_DEFAULT_SECONDS) {
            now = next_attempt(Channel::Remote, birth, now);
            attempts.push(now - birth);
        }
        assert_eq!(attempts, REMOTE_ATTEMPTS);
    }

    #[test]
    fn a_local_message_is_tried_at_squares_of_ten() {
        let mut now = 0;
        for tenth in 1..=40 {
            now = next_attempt(Channel::Local, 0, now);
            assert_eq!(now, tenth * tenth * 100);
        }
    }

    #[test]
    fn a_birth_in_the_future_counts_as_now() {
        assert_eq!(next_attempt(Channel::Remote, 1000, 10), 1400);
        assert!(!is_expired(1000, 10, 0));
    }

    #[test]
    fn the_next_try_lies_ahead_and_no_clock_overflows() {
        property::holds(|u| {
            let (birth, now): (i64, i64) = u.arbitrary()?;
            let next = next_attempt(Channel::Local, birth, now);
            let is_plausible = |time: i64| (0..=1 << 40).contains(&time);
            assert!(!is_plausible(birth) || !is_plausible(now) || now < next);
            Ok(())
        });
    }
}
