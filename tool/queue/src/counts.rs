//! qmail-qstat: how many messages are in the queue.

use queue::Layout;
use run::{Exit, Home};
use serde_json::json;

use crate::{output, queues};

pub const USAGE: &str = "usage: qmail-qstat [--json]
Says how many messages are in the queue and how many of them are not yet
preprocessed. Needs root or group qmail.
Exit codes: 0 done, 100 wrong use, 111 it did not work.
";

pub fn run(home: &Home, arguments: Vec<String>) -> Result<(), Exit> {
    let is_json = crate::options::is_json(&arguments, USAGE)?;
    let layouts = queues::all(home)?;
    if is_json {
        let all = layouts.iter().map(|layout| {
            let [messages, todo] = numbers(layout)?;
            Ok(json!({"queue": layout.name(), "messages": messages, "todo": todo}))
        });
        return output::print_json(&all.collect::<Result<Vec<_>, Exit>>()?);
    }
    let text = queues::each(&layouts, stat)?;
    output::print(text.as_bytes())
}

/// Files in `mess` and in `todo`: a message in its first try counts as not
/// preprocessed, as its file says.
fn numbers(layout: &Layout) -> Result<[usize; 2], Exit> {
    let count = |directory| Ok::<_, Exit>(queues::ids(layout, directory)?.len());
    Ok([count("mess")?, count("todo")?])
}

fn stat(layout: &Layout) -> Result<String, Exit> {
    let [messages, todo] = numbers(layout)?;
    Ok(format!(
        "messages in queue: {messages}\nmessages in queue but not yet preprocessed: {todo}\n"
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
