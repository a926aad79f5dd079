//! One-letter options, as these commands have always had them.

use run::Exit;

/// The options and the other arguments of a command line.
#[derive(Debug, Eq, PartialEq)]
pub struct Options {
    /// Letters in the order given, each with its value if it takes one.
    pub letters: Vec<(char, Option<String>)>,
    /// What is not an option.
    pub rest: Vec<String>,
}

impl Options {
    /// Reads `arguments`; `known` are the letters, a colon after those that
    /// take a value.
    pub fn parse(arguments: Vec<String>, known: &str, usage: &str) -> Result<Self, Exit> {
        let wrong = || run::usage::misused(usage);
        let mut letters = Vec::new();
        let mut arguments = arguments.into_iter().peekable();
        while let Some(argument) = arguments.next_if(|a| a.starts_with('-') && a.len() > 1) {
            if argument == "--" {
                break;
            }
            let mut characters = argument[1..].chars();
            while let Some(letter) = characters.next() {
                let takes_value = known.contains(&format!("{letter}:"));
                if letter == ':' || !known.contains(letter) {
                    return Err(wrong());
                }
                let value = takes_value.then(|| characters.by_ref().collect::<String>());
                let value = match value {
                    Some(value) if value.is_empty() => Some(arguments.next().ok_or_else(wrong)?),
                    value => value,
                };
                letters.push((letter, value));
            }
        }
        let rest = arguments.collect();
        Ok(Self { letters, rest })
    }

    /// The last value given with a letter.
    pub fn value(&self, letter: char) -> Option<&str> {
        let mut values = self.letters.iter().rev();
        values.find(|(given, _)| *given == letter)?.1.as_deref()
    }

    /// Says whether a letter was given.
    pub fn has(&self, letter: char) -> bool {
        self.letters.iter().any(|(given, _)| *given == letter)
    }
}

/// For commands whose only option is `--json`: says whether it is there.
pub fn is_json(arguments: &[String], usage: &str) -> Result<bool, Exit> {
    match arguments {
        [] => Ok(false),
        [json] if json == "--json" => Ok(true),
        _ => Err(run::usage::misused(usage)),
    }
}

/// Takes `--json` out of the arguments of a command that has other options
/// too; says whether it was there.
pub fn take_json(arguments: &mut Vec<String>) -> bool {
    let before = arguments.len();
    arguments.retain(|argument| argument != "--json");
    arguments.len() < before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_join_and_values_stick_or_follow() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect();
        let options = Options::parse(words("-lr -c+ -c - x -l"), "lrc:", "").unwrap();
        let value = |text: &str| Some(text.to_owned());
        let expected = [
            ('l', None),
            ('r', None),
            ('c', value("+")),
            ('c', value("-")),
        ];
        assert_eq!(options.letters, expected);
        assert_eq!(options.rest, ["x", "-l"]);
        assert!(Options::parse(words("-z"), "l", "usage").is_err());
        assert!(Options::parse(words("-c"), "c:", "usage").is_err());
    }
}
