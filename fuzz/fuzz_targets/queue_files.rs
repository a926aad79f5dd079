//! Any bytes as `todo`, `info` or a file of recipients: sorted, marked and
//! read again, no recipient is lost or made up.
#![no_main]

use std::cell::RefCell;

use address::Routing;
use libfuzzer_sys::fuzz_target;
use queue::{Batch, Disk, Durability, Found, How, Info, Layout, RecordReader, Sync};

/// Where the queue is; give it `TMPDIR` in memory.
struct Place {
    _directory: tempfile::TempDir,
    layout: Layout,
    disk: Disk,
    routing: Routing,
}

thread_local! {
    static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
}

fn place() -> Place {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().join("queue1");
    queue::create(&root, None).expect("a queue");
    Place {
        layout: Layout::detect(root).expect("a layout"),
        _directory: directory,
        disk: Disk::new(),
        routing: Routing::new(b"here.test", &[], &[b"here.test".to_vec()], &[]),
    }
}

fn recipients(path: &std::path::Path) -> usize {
    let Ok(mut reader) = RecordReader::open(path) else {
        return 0;
    };
    let mut count = 0;
    while reader
        .next_recipient()
        .expect("what we wrote is read")
        .is_some()
    {
        count += 1;
    }
    count
}

fuzz_target!(|input: &[u8]| {
    PLACE.with_borrow_mut(|place| {
        let Place {
            layout,
            disk,
            routing,
            ..
        } = place.get_or_insert_with(self::place);
        let (mess, todo) = (layout.mess(7), layout.todo(7));
        std::fs::write(&mess, b"x").expect("a text");
        std::fs::write(&todo, input).expect("an envelope");
        let how = How {
            is_again: true,
            ..How::default()
        };
        if let Ok(Found::Message(sorted)) = queue::sort(disk, layout, routing, 7, how) {
            let sender = sorted.info.sender.clone();
            let mut batch = Batch::default();
            batch.push(*sorted);
            let never = Durability {
                files: Sync::Never,
                directories: Sync::Never,
            };
            batch.sync(disk, layout, never).expect("nothing to sync");
            let info = Info::read(&layout.info(7)).expect("what we wrote is read");
            assert_eq!(info.sender, sender);
            let records = input.split(|&b| b == 0);
            let queued = records
                .filter(|record| record.first() == Some(&b'T'))
                .count();
            let sorted = recipients(&layout.local(7)) + recipients(&layout.remote(7));
            assert_eq!(sorted, queued);
        }
        // Files of others are read, or refused.
        std::fs::write(layout.info(7), input).expect("a record");
        let _ = Info::read(&layout.info(7));
        std::fs::write(layout.local(7), input).expect("recipients");
        if let Ok(mut reader) = RecordReader::open(&layout.local(7)) {
            while let Ok(Some(_)) = reader.next_recipient() {}
        }
    });
});
