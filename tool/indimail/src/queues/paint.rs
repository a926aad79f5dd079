//! Colour, on a terminal only, and times in words.

use std::io::IsTerminal;

/// What a word means.
#[derive(Clone, Copy, Debug)]
pub enum Tone {
    /// All is well.
    Good,
    /// It waits.
    Waiting,
    /// Somebody should look.
    Bad,
}

/// Colours a word, unless nobody would see it.
pub fn tone(tone: Tone, word: &str) -> String {
    let is_wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if !is_wanted || !std::io::stdout().is_terminal() {
        return word.to_owned();
    }
    let code = match tone {
        Tone::Good => 32,
        Tone::Waiting => 33,
        Tone::Bad => 31,
    };
    format!("\x1b[{code}m{word}\x1b[0m")
}

/// How long, in the two largest units: `3 h 12 min`.
pub fn duration(seconds: i64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let mut left = seconds.max(0);
    let mut words = Vec::new();
    for (size, name) in units {
        if left / size != 0 && words.len() < 2 {
            words.push(format!("{} {name}", left / size));
        } else if !words.is_empty() {
            break;
        }
        left %= size;
    }
    match words.is_empty() {
        true => "0 s".to_owned(),
        false => words.join(" "),
    }
}

/// When, and how far that is from now.
pub fn moment(time: i64, now: i64) -> String {
    let date = tai::header_date(time);
    match time.cmp(&now) {
        std::cmp::Ordering::Greater => format!("{date}, in {}", duration(time - now)),
        _ => format!("{date}, {} ago", duration(now - time)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_units_are_enough() {
        for (seconds, words) in [
            (0, "0 s"),
            (-5, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3601, "1 h"),
            (11_520, "3 h 12 min"),
            (608_400, "7 d 1 h"),
        ] {
            assert_eq!(duration(seconds), words);
        }
        assert_eq!(
            moment(812_090_813, 812_090_753),
            format!("{}, in 1 min", tai::header_date(812_090_813))
        );
    }
}
