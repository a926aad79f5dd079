//! The queues a tool looks at: all of the collection that exist.

use std::path::PathBuf;

use queue::{Layout, Queues};
use run::{Exit, Home, Settings};

/// Finds their directories.
pub fn directories(home: &Home) -> Result<Vec<PathBuf>, Exit> {
    let settings = Settings::of_process(home);
    let cannot = |error: &dyn std::fmt::Display| Exit::new(run::TEMPORARY, error.to_string());
    let queues = Queues::configured(home, &settings).map_err(|error| cannot(&error))?;
    let existing = queues.existing(&settings);
    if existing.is_empty() {
        let first = queues.first().display();
        return Err(cannot(&format!("there is no queue at {first}")));
    }
    Ok(existing)
}

/// Finds them.
pub fn all(home: &Home) -> Result<Vec<Layout>, Exit> {
    let layouts = directories(home)?.into_iter().map(Layout::detect);
    layouts.collect::<Result<_, _>>().map_err(|error| {
        let text = format!("{error}; this needs root or the owner of the queue");
        Exit::new(run::TEMPORARY, text)
    })
}

/// The numbers of the files in a directory of a queue, in order.
pub fn ids(layout: &Layout, directory: &str) -> Result<Vec<u64>, Exit> {
    let mut ids = Vec::new();
    for path in layout.directories(directory) {
        let entries = std::fs::read_dir(&path).map_err(|error| {
            let path = path.display();
            Exit::new(run::TEMPORARY, format!("cannot read {path}: {error}"))
        })?;
        let names = entries.flatten().map(|entry| entry.file_name());
        ids.extend(names.filter_map(|name| name.to_str()?.parse::<u64>().ok()));
    }
    ids.sort_unstable();
    Ok(ids)
}

/// Puts what each queue has to say together; with several queues each gets a
/// heading and an empty line after it.
pub fn each(
    layouts: &[Layout],
    mut say: impl FnMut(&Layout) -> Result<String, Exit>,
) -> Result<String, Exit> {
    let mut out = String::new();
    for layout in layouts {
        let text = say(layout)?;
        if 1 < layouts.len() {
            out += &format!("processing queue {}\n{text}\n", layout.root().display());
        } else {
            out += &text;
        }
    }
    Ok(out)
}
