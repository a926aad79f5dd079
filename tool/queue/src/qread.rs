//! qmail-qread: which messages are in the queue, and for whom.

use queue::{Info, Layout, RecordReader};
use run::{Exit, Home};
use tai::Civil;

use crate::options::Options;
use crate::output::{self, printable};
use crate::queues;

pub const USAGE: &str = "usage: qmail-qread [-lrtacs]
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

pub fn run(home: &Home, arguments: Vec<String>) -> Result<(), Exit> {
    let options = Options::parse(arguments, "lrtacs", USAGE)?;
    let any = options.has('l') || options.has('r') || options.has('t') || options.has('a');
    let wanted = |letter| options.has(letter) || options.has('a');
    let wanted = Wanted {
        local: wanted('l') || !any,
        remote: wanted('r') || !any,
        todo: wanted('t'),
    };
    let layouts = queues::all(home)?;
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

fn counts(layouts: &[Layout]) -> Result<String, Exit> {
    let mut total = Counts::default();
    let mut text = queues::each(layouts, |layout| {
        let count = |directory| Ok(queues::ids(layout, directory)?.len());
        let counts = Counts {
            local: count("local")?,
            remote: count("remote")?,
            bounce: count("bounce")?,
            todo: count("todo")?,
        };
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

fn list(layout: &Layout, wanted: Wanted) -> Result<String, Exit> {
    let mut out = String::new();
    if wanted.local || wanted.remote {
        for id in queues::ids(layout, "info")? {
            message(layout, wanted, id, &mut out);
        }
    }
    if wanted.todo {
        for id in queues::ids(layout, "todo")? {
            envelope(layout, id, &mut out);
        }
    }
    Ok(out)
}

fn message(layout: &Layout, wanted: Wanted, id: u64, out: &mut String) {
    let read = || {
        let info = Info::read(&layout.info(id))?;
        let bytes = std::fs::metadata(layout.mess(id))?.len();
        Ok::<_, std::io::Error>((info, bytes))
    };
    let (info, bytes) = match read() {
        Ok(read) => read,
        // It left the queue while we looked, or is not preprocessed.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => {
            *out += &format!("warning: trouble with #{id}: {error}\n");
            return;
        }
    };
    head(layout, id, info.birth, bytes, &info.sender, out);
    let channels = [
        ("local", wanted.local, layout.local(id)),
        ("remote", wanted.remote, layout.remote(id)),
    ];
    for (channel, is_wanted, path) in channels {
        if !is_wanted {
            continue;
        }
        let Ok(mut reader) = RecordReader::open(&path) else {
            continue;
        };
        while let Ok(Some(record)) = reader.next_record() {
            let done = if record.kind == b'D' { "  done" } else { "" };
            *out += &format!("{done}\t{channel}\t{}\n", printable(&record.data));
        }
    }
}

fn envelope(layout: &Layout, id: u64, out: &mut String) {
    use std::os::unix::fs::MetadataExt;
    let Ok(mut reader) = RecordReader::open(&layout.todo(id)) else {
        return;
    };
    let birth = reader
        .file()
        .metadata()
        .map_or(0, |metadata| metadata.mtime());
    let bytes = std::fs::metadata(layout.mess(id)).map_or(0, |metadata| metadata.len());
    let (mut sender, mut recipients) = (Vec::new(), String::new());
    while let Ok(Some(record)) = reader.next_record() {
        match record.kind {
            b'F' => sender = record.data,
            b'T' => recipients += &format!("\ttodo\t{}\n", printable(&record.data)),
            _ => {}
        }
    }
    head(layout, id, birth, bytes, &sender, out);
    *out += &recipients;
}

fn head(layout: &Layout, id: u64, birth: i64, bytes: u64, sender: &[u8], out: &mut String) {
    let c = Civil::from_unix(birth);
    let bouncing = if layout.bounce(id).exists() {
        "  bouncing"
    } else {
        ""
    };
    *out += &format!(
        "{} {} {} {:02}:{:02}:{:02} GMT  {}/#{id}  {bytes}  <{}>{bouncing}\n",
        c.day,
        c.month_name(),
        c.year,
        c.hour,
        c.minute,
        c.second,
        id % layout.split(),
        printable(sender)
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
