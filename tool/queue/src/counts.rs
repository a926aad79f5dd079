//! qmail-qstat: how many messages are in the queue.

use queue::Layout;
use run::{Exit, Home};

use crate::{output, queues};

pub const USAGE: &str = "usage: qmail-qstat
Says how many messages are in the queue and how many of them are not yet
preprocessed. Needs root or group qmail.
Exit codes: 0 done, 100 wrong use, 111 it did not work.
";

pub fn run(home: &Home, arguments: Vec<String>) -> Result<(), Exit> {
    if !arguments.is_empty() {
        return Err(run::usage::misused(USAGE));
    }
    let text = queues::each(&queues::all(home)?, stat)?;
    output::print(text.as_bytes())
}

fn stat(layout: &Layout) -> Result<String, Exit> {
    let count = |directory| Ok(queues::ids(layout, directory)?.len());
    Ok(format!(
        "messages in queue: {}\nmessages in queue but not yet preprocessed: {}\n",
        count("mess")?,
        count("todo")?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_envelopes_are_counted_in_all_subdirectories() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("queue1");
        queue::create(&root, None).unwrap();
        let layout = Layout::detect(root).unwrap();
        for id in [1, 2, 25] {
            std::fs::write(layout.mess(id), b"").unwrap();
        }
        std::fs::write(layout.todo(2), b"").unwrap();
        assert_eq!(
            stat(&layout).unwrap(),
            "messages in queue: 3\nmessages in queue but not yet preprocessed: 1\n"
        );
    }
}
