//! The names of messages' files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use run::Exit;

use super::{Fix, Kind, trouble};

/// Where a message has files beside its text.
const PARTNERS: [&str; 7] = ["hold", "bounce", "intd", "todo", "info", "local", "remote"];
/// Behind the new number of a file until all of them have theirs.
const SUFFIX: &str = ".tmp";

#[cfg(test)]
thread_local! {
    /// Breaks off after so many renames.
    pub static STOP_AFTER: std::cell::Cell<Option<u32>> = const { std::cell::Cell::new(None) };
}

/// The numbered files of a directory.
#[derive(Default)]
struct Files {
    /// With their numbers.
    plain: BTreeMap<u64, Vec<PathBuf>>,
    /// With their new numbers and the suffix.
    renamed: BTreeMap<u64, PathBuf>,
}

/// A text: where it is, its name and its true number.
struct Text {
    path: PathBuf,
    name: u64,
    inode: u64,
}

impl Fix {
    pub(super) fn messages(&mut self) -> Result<(), Exit> {
        let texts = self.scan("mess")?;
        let is_resumed = !texts.renamed.is_empty() || self.any_renamed()?;
        if !is_resumed {
            // Before any renaming, when names still tell who belongs to whom.
            self.strays(&texts)?;
        }
        let texts = self.texts(texts)?;
        let mut partners = BTreeMap::new();
        for directory in PARTNERS {
            partners.insert(directory, self.scan(directory)?);
        }
        for text in &texts {
            self.rename(text, &mut partners)?;
        }
        // No text is left without the suffix that needs another number.
        for directory in PARTNERS.into_iter().chain(["mess"]) {
            for (number, path) in self.scan(directory)?.renamed {
                let to = self.place(directory, number);
                self.step(&path, &to)?;
            }
        }
        if is_resumed && !self.wishes.dry_run {
            let texts = self.scan("mess")?;
            self.strays(&texts)?;
        }
        Ok(())
    }

    /// All files of a directory: those beside its subdirectories too, as in
    /// other layouts.
    fn scan(&mut self, directory: &str) -> Result<Files, Exit> {
        let mut files = Files::default();
        for path in self.entries(Path::new(directory))? {
            match self.metadata(&path)? {
                found if found.is_dir() => {
                    for path in self.entries(&path)? {
                        self.sort_in(directory, path, &mut files);
                    }
                }
                found if found.is_file() => self.sort_in(directory, path, &mut files),
                _ => {}
            }
        }
        Ok(files)
    }

    fn metadata(&self, name: &Path) -> Result<Metadata, Exit> {
        let found = self.queue.entry(name);
        let found = found.map_err(|error| trouble("stat", &self.shown(name), &error))?;
        Ok(found.metadata().clone())
    }

    fn sort_in(&mut self, directory: &str, path: PathBuf, files: &mut Files) {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let plain = name.strip_suffix(SUFFIX);
        match (name.parse::<u64>(), plain.map(str::parse::<u64>)) {
            (Ok(number), _) => files.plain.entry(number).or_default().push(path),
            (_, Some(Ok(number))) => {
                files.renamed.insert(number, path);
            }
            // Holds of domains and channels.
            _ if directory == "hold" => {}
            _ => {
                let text = format!("{} is no file of a queue", self.shown(&path).display());
                if directory == "mess" || directory == "todo" {
                    self.warn(&text);
                }
            }
        }
    }

    fn any_renamed(&mut self) -> Result<bool, Exit> {
        for directory in PARTNERS {
            if !self.scan(directory)?.renamed.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The texts without the suffix; of several with one name the one in its
    /// place first.
    fn texts(&mut self, files: Files) -> Result<Vec<Text>, Exit> {
        let mut texts = Vec::new();
        for (name, mut paths) in files.plain {
            let place = self.place("mess", name);
            paths.sort_by_key(|path| *path != place);
            for path in paths {
                let inode = self.metadata(&path)?.ino();
                texts.push(Text { path, name, inode });
            }
        }
        Ok(texts)
    }

    /// Gives a message its number, or its files their places.
    fn rename(
        &mut self,
        text: &Text,
        partners: &mut BTreeMap<&'static str, Files>,
    ) -> Result<(), Exit> {
        let is_new = text.name != text.inode;
        for directory in PARTNERS {
            let files = partners.entry(directory).or_default();
            let Some(paths) = files.plain.remove(&text.name) else {
                continue;
            };
            let place = self.place(directory, text.inode);
            for path in paths {
                if is_new {
                    self.step(&path, &suffixed(&place))?;
                } else if path != place && self.queue.entry(&place).is_ok() {
                    let (path, place) = (self.shown(&path), self.shown(&place));
                    let (path, place) = (path.display(), place.display());
                    self.warn(&format!("{path} and {place} are both there"));
                } else if path != place {
                    self.step(&path, &place)?;
                }
            }
        }
        let place = self.place("mess", text.inode);
        if is_new {
            self.step(&text.path, &suffixed(&place))
        } else if text.path != place {
            self.step(&text.path, &place)
        } else {
            Ok(())
        }
    }

    fn step(&mut self, from: &Path, to: &Path) -> Result<(), Exit> {
        let (shown_from, shown_to) = (self.shown(from), self.shown(to));
        let (shown_from, shown_to) = (shown_from.display(), shown_to.display());
        let what = format!("rename {shown_from} to {shown_to}");
        self.change(Kind::Names, &what, |queue| {
            #[cfg(test)]
            STOP_AFTER.with(|steps| match steps.get() {
                Some(0) => Err(io::Error::other("stopped")),
                Some(left) => {
                    steps.set(Some(left - 1));
                    Ok(())
                }
                None => Ok(()),
            })?;
            queue.rename(from, to)
        })
    }

    /// Removes what belongs to no message.
    fn strays(&mut self, texts: &Files) -> Result<(), Exit> {
        let numbers: BTreeSet<u64> = texts.plain.keys().copied().collect();
        for directory in PARTNERS {
            for (number, paths) in self.scan(directory)?.plain {
                if numbers.contains(&number) {
                    continue;
                }
                for path in paths {
                    let shown = self.shown(&path);
                    let what = format!("remove {}, which has no text", shown.display());
                    self.change(Kind::Strays, &what, |queue| {
                        match queue.remove_file(&path) {
                            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                            _ => Ok(()),
                        }
                    })?;
                }
            }
        }
        Ok(())
    }
}

fn suffixed(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SUFFIX);
    name.into()
}
