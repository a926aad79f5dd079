//! Home directories: a tree that grows with its users
//! (virtual-domains.md §3).

/// Users in one directory unless the domain says otherwise.
pub const USERS_PER_LEVEL: u32 = 100;
/// Deepest hash below a domain.
const LEVELS_MAX: usize = 3;
/// In the order in which directories are opened.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The five trees below a base directory: directory name and counter tag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Prefix {
    /// Directory, like `A2E`.
    pub directory: &'static str,
    /// End of the name of its `dir_control` table. The fifth differs from
    /// its directory.
    pub tag: &'static str,
}

/// All prefixes.
pub const PREFIXES: [Prefix; 5] = [
    Prefix {
        directory: "A2E",
        tag: "A2E",
    },
    Prefix {
        directory: "F2K",
        tag: "F2K",
    },
    Prefix {
        directory: "L2P",
        tag: "L2P",
    },
    Prefix {
        directory: "Q2S",
        tag: "Q2S",
    },
    Prefix {
        directory: "T2Zsym",
        tag: "T2Z",
    },
];

impl Prefix {
    /// The tree a user's home is in.
    pub fn of(user: &str) -> Self {
        let first = user.bytes().next().unwrap_or(b'z').to_ascii_lowercase();
        PREFIXES[match first {
            b'a'..=b'e' => 0,
            b'f'..=b'k' => 1,
            b'l'..=b'p' => 2,
            b'q'..=b's' => 3,
            _ => 4,
        }]
    }
}

/// One row of a `dir_control` table: how far a tree has grown.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Users in the tree.
    pub cur_users: i64,
    /// Directories taken so far, one index into the alphabet a level; empty
    /// while users go straight below the domain.
    levels: Vec<usize>,
}

/// The stored directory is none of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("dir_control holds a directory that is not one to three characters")]
pub struct BadDirectory;

impl Counters {
    /// Reads a stored row. The characters of the directory decide; the
    /// stored indexes may run ahead in rows of other writers.
    pub fn new(cur_users: i64, the_dir: &str) -> Result<Self, BadDirectory> {
        let index = |part: &str| match part.as_bytes() {
            [byte] => ALPHABET.iter().position(|b| b == byte).ok_or(BadDirectory),
            _ => Err(BadDirectory),
        };
        let levels = match the_dir {
            "" => Vec::new(),
            text => text.split('/').map(index).collect::<Result<_, _>>()?,
        };
        if LEVELS_MAX < levels.len() {
            return Err(BadDirectory);
        }
        Ok(Self { cur_users, levels })
    }

    /// Counts one more user and says which directory is its.
    ///
    /// The count comes before the look-up: of 100 users a level the 100th
    /// opens the new directory.
    pub fn next(&mut self, per_level: u32) -> String {
        self.cur_users += 1;
        if self.cur_users % i64::from(per_level.max(1)) == 0 {
            self.open_directory();
        }
        self.directory()
    }

    /// Where users go now: empty, or one to three characters.
    pub fn directory(&self) -> String {
        let parts: Vec<String> = self
            .levels
            .iter()
            .map(|&index| char::from(ALPHABET[index]).to_string())
            .collect();
        parts.join("/")
    }

    /// Column `level_cur`.
    pub fn level(&self) -> usize {
        self.levels.len().saturating_sub(1)
    }

    /// Column `level_indexN`.
    pub fn index(&self, level: usize) -> usize {
        self.levels.get(level).copied().unwrap_or(0)
    }

    fn open_directory(&mut self) {
        for index in self.levels.iter_mut().rev() {
            if *index + 1 < ALPHABET.len() {
                *index += 1;
                return;
            }
            *index = 0;
        }
        // Every level was at its end: one deeper, or round again.
        if self.levels.len() < LEVELS_MAX {
            self.levels.push(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(cur_users: i64, the_dir: &str) -> String {
        Counters::new(cur_users, the_dir).unwrap().next(100)
    }

    #[test]
    fn the_hundredth_user_opens_the_next_directory() {
        let mut counters = Counters::default();
        let mut seen = Vec::new();
        for _ in 0..12_500 {
            seen.push(counters.next(100));
        }
        for (number, directory) in [
            (1, ""),
            (99, ""),
            (100, "0"),
            (199, "0"),
            (200, "1"),
            (1000, "9"),
            (1100, "A"),
            (3600, "Z"),
            (3700, "a"),
            (6200, "z"),
            (6299, "z"),
            (6300, "0/0"),
            (6400, "0/1"),
            (12_400, "0/z"),
            (12_500, "1/0"),
        ] {
            assert_eq!(seen[number - 1], directory, "user {number}");
        }
    }

    #[test]
    fn levels_fill_up_and_the_last_one_wraps() {
        assert_eq!(after(6299, "z"), "0/0");
        assert_eq!(after(12_499, "0/z"), "1/0");
        assert_eq!(after(390_699, "z/z"), "0/0/0");
        assert_eq!(after(24_223_499, "z/z/z"), "0/0/0");
    }

    #[test]
    fn prefixes_follow_the_first_character() {
        let directory = |user| Prefix::of(user).directory;
        assert_eq!(directory("alice"), "A2E");
        assert_eq!(directory("Frank"), "F2K");
        assert_eq!(directory("postmaster"), "L2P");
        assert_eq!(directory("sam"), "Q2S");
        assert_eq!(directory("0day"), "T2Zsym");
        assert_eq!(Prefix::of("zoe").tag, "T2Z");
    }

    #[test]
    fn a_stored_directory_that_leads_elsewhere_is_refused() {
        for text in ["..", "a/../b", "/", "0/0/0/0", "é"] {
            assert_eq!(Counters::new(1, text), Err(BadDirectory));
        }
    }
}
