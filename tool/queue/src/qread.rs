//! qmail-qread: which messages are in the queue, and for whom.

use queue::{Layout, List, Operator, Stored};
use run::{Exit, Home};
use serde_json::{Value, json};
use tai::Civil;
use wire::operator::{Answer, Place, Question};

use crate::options::Options;
use crate::output::{self, printable};
use crate::queues;

pub const USAGE: &str = "usage: qmail-qread [-lrtacs] [--json]
Lists messages with their recipients. Needs root or qmails.
  -l local  -r remote  -t not yet preprocessed  -a all three (default: -lr)
  -c counts only  -s nothing, the exit code says whether the queue is readable
Exit codes: 0 done, 100 wrong use, 111 it did not work.
";

/// What is asked for.
#[derive(Clone, Copy)]
struct Wanted {
    local: bool,
    remote: bool,
    todo: bool,
}

#[derive(Default)]
struct Counts {
    local: usize,
    remote: usize,
    bounce: usize,
    todo: usize,
}

pub fn run(home: &Home, mut arguments: Vec<String>) -> Result<(), Exit> {
    let is_json = crate::options::take_json(&mut arguments);
    let options = Options::parse(arguments, "lrtacs", USAGE)?;
    let any = options.has('l') || options.has('r') || options.has('t') || options.has('a');
    let wanted = |letter| options.has(letter) || options.has('a');
    let wanted = Wanted {
        local: wanted('l') || !any,
        remote: wanted('r') || !any,
        todo: wanted('t'),
    };
    let layouts = queues::all(home)?;
    if is_json {
        let mut all = Vec::new();
        for layout in &layouts {
            match options.has('c') {
                true => all.push(counts_json(layout)?),
                false => all.extend(json(layout, wanted)?),
            }
        }
        return output::print_json(&all);
    }
    let text = if options.has('c') {
        counts(&layouts)?
    } else {
        queues::each(&layouts, |layout| list(layout, wanted))?
    };
    if options.has('s') {
        return Ok(());
    }
    output::print(text.as_bytes())
}

impl Counts {
    fn of(layout: &Layout) -> Result<Self, Exit> {
        let count = |directory| Ok::<_, Exit>(queues::ids(layout, directory)?.len());
        Ok(Self {
            local: count("local")?,
            remote: count("remote")?,
            bounce: count("bounce")?,
            todo: count("todo")?,
        })
    }
}

fn counts_json(layout: &Layout) -> Result<Value, Exit> {
    let Counts {
        local,
        remote,
        bounce,
        todo,
    } = Counts::of(layout)?;
    let queue = layout.name();
    Ok(json!({"queue": queue, "local": local, "remote": remote, "bounce": bounce, "todo": todo}))
}

fn counts(layouts: &[Layout]) -> Result<String, Exit> {
    let mut total = Counts::default();
    let mut text = queues::each(layouts, |layout| {
        let counts = Counts::of(layout)?;
        total.local += counts.local;
        total.remote += counts.remote;
        total.bounce += counts.bounce;
        total.todo += counts.todo;
        Ok(block("", &counts))
    })?;
    if 1 < layouts.len() {
        text += &block("Total ", &total);
    }
    Ok(text)
}

fn block(prefix: &str, counts: &Counts) -> String {
    format!(
        "{prefix}Messages in local  queue: {}\n{prefix}Messages in remote queue: {}\n\
         {prefix}Messages in bounce queue: {}\n{prefix}Messages in todo   queue: {}\n",
        counts.local, counts.remote, counts.bounce, counts.todo
    )
}

/// The messages of a queue that are wanted. One in its first try is in `todo`
/// only; it is listed where qmail-send is trying it.
fn messages(layout: &Layout, wanted: Wanted) -> Result<Vec<Result<Stored, Trouble>>, Exit> {
    let mut found = Vec::new();
    let mut operator = Operator::connect(layout).ok().flatten();
    for id in queues::ids(layout, "info")? {
        if !wanted.local && !wanted.remote {
            break;
        }
        match queue::read_stored(layout, id) {
            Ok(Some(stored)) if stored.is_preprocessed => found.push(Ok(stored)),
            // It left the queue while we looked, or is not preprocessed.
            Ok(_) => {}
            Err(error) => found.push(Err(Trouble { id, error })),
        }
    }
    for id in queues::ids(layout, "todo")? {
        let stored = match queue::read_stored(layout, id) {
            Ok(Some(stored)) if !stored.is_preprocessed => stored,
            Ok(_) => continue,
            Err(error) => {
                found.push(Err(Trouble { id, error }));
                continue;
            }
        };
        let standing = match &mut operator {
            Some(operator) => operator.ask(&Question::Message(id)).ok(),
            None => None,
        };
        let tried = standing.and_then(|answer| first_try(&stored, answer));
        match tried {
            Some(tried) => {
                let is_local = tried.recipients.iter().any(|r| r.list == List::Local);
                if (is_local && wanted.local) || (!is_local && wanted.remote) {
                    found.push(Ok(tried));
                } else if wanted.todo {
                    found.push(Ok(stored));
                }
            }
            None if wanted.todo => found.push(Ok(stored)),
            None => {}
        }
    }
    Ok(found)
}

/// A file of the queue that cannot be read.
struct Trouble {
    id: u64,
    error: std::io::Error,
}

/// The message as qmail-send has it; `None` when it does not have it.
fn first_try(stored: &Stored, answer: Answer) -> Option<Stored> {
    let Answer::Message(standing) = answer else {
        return None;
    };
    let [local, remote] = standing.channels;
    let (list, place) = match (local, remote) {
        (Some(place), _) => (List::Local, place),
        (None, Some(place)) => (List::Remote, place),
        (None, None) => return None,
    };
    let running = match place {
        Place::Running { recipients, .. } => recipients.into_iter().next(),
        _ => None,
    };
    let mut tried = stored.clone();
    for recipient in &mut tried.recipients {
        recipient.list = list;
        if let Some(address) = standing.single.clone().or_else(|| running.clone()) {
            recipient.address = address;
        }
    }
    Some(tried)
}

fn list(layout: &Layout, wanted: Wanted) -> Result<String, Exit> {
    let mut out = String::new();
    for found in messages(layout, wanted)? {
        match found {
            Ok(stored) => message(layout, wanted, &stored, &mut out),
            Err(Trouble { id, error }) => {
                out += &format!("warning: trouble with #{id}: {error}\n");
            }
        }
    }
    Ok(out)
}

fn message(layout: &Layout, wanted: Wanted, stored: &Stored, out: &mut String) {
    head(layout, stored, out);
    for recipient in stored.recipients.iter().filter(|r| wanted.includes(r.list)) {
        let done = if recipient.is_done { "  done" } else { "" };
        let (list, address) = (name(recipient.list), printable(&recipient.address));
        *out += &format!("{done}\t{list}\t{address}\n");
    }
}

fn name(list: List) -> &'static str {
    match list {
        List::Local => "local",
        List::Remote => "remote",
        List::Todo => "todo",
    }
}

impl Wanted {
    fn includes(self, list: List) -> bool {
        match list {
            List::Local => self.local,
            List::Remote => self.remote,
            List::Todo => self.todo,
        }
    }
}

fn json(layout: &Layout, wanted: Wanted) -> Result<Vec<Value>, Exit> {
    let mut all = Vec::new();
    for found in messages(layout, wanted)? {
        all.push(match found {
            Ok(stored) => {
                let recipients = stored.recipients.iter().filter(|r| wanted.includes(r.list));
                let recipients: Vec<Value> = recipients
                    .map(|r| {
                        let address = String::from_utf8_lossy(&r.address);
                        json!({"list": name(r.list), "address": address, "done": r.is_done})
                    })
                    .collect();
                json!({
                    "queue": layout.name(),
                    "message": stored.id,
                    "queued": stored.birth,
                    "bytes": stored.bytes,
                    "sender": String::from_utf8_lossy(&stored.sender),
                    "bouncing": stored.is_bouncing,
                    "recipients": recipients,
                })
            }
            Err(Trouble { id, error }) => json!({
                "queue": layout.name(),
                "message": id,
                "trouble": error.to_string(),
            }),
        });
    }
    Ok(all)
}

fn head(layout: &Layout, stored: &Stored, out: &mut String) {
    let bouncing = if stored.is_bouncing { "  bouncing" } else { "" };
    let Stored { id, bytes, .. } = stored;
    *out += &format!(
        "{} GMT  {}/#{id}  {bytes}  <{}>{bouncing}\n",
        Civil::from_unix(stored.birth).to_mail(),
        id % layout.split(),
        printable(&stored.sender)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_delivered_message_shows_who_is_done() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("queue1");
        queue::create(&root, None).unwrap();
        let layout = Layout::detect(root).unwrap();
        std::fs::write(layout.mess(24), b"12345").unwrap();
        std::fs::write(layout.info(24), b"hX: y\n\0Fann b@x\0").unwrap();
        std::fs::write(layout.local(24), b"Da@x\0Tb@x\0").unwrap();
        std::fs::write(layout.remote(24), b"Tc@y\0").unwrap();
        std::fs::write(layout.bounce(24), b"").unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(812_090_813);
        let info = std::fs::File::options()
            .append(true)
            .open(layout.info(24))
            .unwrap();
        info.set_modified(time).unwrap();
        std::fs::write(layout.mess(3), b"").unwrap();
        std::fs::write(layout.todo(3), b"u1\0p2\0F\0Td@z\0").unwrap();
        let wanted = Wanted {
            local: true,
            remote: true,
            todo: false,
        };
        assert_eq!(
            list(&layout, wanted).unwrap(),
            "26 Sep 1995 04:46:53 GMT  1/#24  5  <ann_b@x>  bouncing\n  done\tlocal\ta@x\n\
             \tlocal\tb@x\n\tremote\tc@y\n"
        );
        let wanted = Wanted {
            local: false,
            remote: false,
            todo: true,
        };
        assert!(
            list(&layout, wanted)
                .unwrap()
                .ends_with("  3/#3  0  <>\n\ttodo\td@z\n")
        );
        let expected = "Messages in local  queue: 1\nMessages in remote queue: 1\n\
                        Messages in bounce queue: 1\nMessages in todo   queue: 1\n";
        assert_eq!(counts(&[layout]).unwrap(), expected);
    }
}
