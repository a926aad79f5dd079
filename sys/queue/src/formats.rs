//! Every file of the queue comes back as it was written, in every layout.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use address::Routing;
use property::arbitrary::{self, Unstructured};
use schedule::{Channel, Scheduler};
use wire::clean::Command;

use crate::progress::{close_channel, end, mark_done, whole_failures};
use crate::*;

/// Recipients of this domain are local.
const HERE: &str = "here.example";

/// A queue as C software made it.
fn queue(split: u64, todo_is_split: bool) -> (tempfile::TempDir, Layout) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let names = ["mess", "info", "local", "remote"].into_iter();
    let split_names = names.chain(["todo", "intd"].into_iter().filter(|_| todo_is_split));
    for name in split_names {
        for n in 0..split {
            std::fs::create_dir_all(root.join(name).join(n.to_string())).unwrap();
        }
    }
    for name in ["pid", "todo", "intd", "bounce", "lock"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
    }
    let layout = Layout::detect(root).unwrap();
    (directory, layout)
}

fn routing() -> Routing {
    let here = [HERE.as_bytes().to_vec()];
    Routing::new(HERE.as_bytes(), &[], &here, &[])
}

/// Bytes that may stand in an address, 8-bit ones too.
fn local_part(u: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    let mut part = property::bytes(u)?;
    part.retain(|byte| !byte.is_ascii_control() && *byte != b'@');
    part.truncate(200);
    Ok(part)
}

fn recipient(u: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    let domain = *u.choose(&[HERE, "there.example"])?;
    Ok([&local_part(u)?, &b"@"[..], domain.as_bytes()].concat())
}

/// Header lines as `e` and `h` records have them.
fn lines(u: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    let mut lines = property::bytes(u)?;
    lines.retain(|byte| *byte != 0);
    if !lines.is_empty() {
        lines.push(b'\n');
    }
    Ok(lines)
}

struct Envelope {
    sender: Vec<u8>,
    recipients: Vec<Vec<u8>>,
    extra_headers: Vec<u8>,
    env_headers: Vec<u8>,
}

impl Envelope {
    fn any(u: &mut Unstructured<'_>) -> arbitrary::Result<Self> {
        let count = u.int_in_range(0..=5)?;
        Ok(Self {
            sender: local_part(u)?,
            recipients: (0..count).map(|_| recipient(u)).collect::<Result<_, _>>()?,
            extra_headers: lines(u)?,
            env_headers: lines(u)?,
        })
    }

    fn queue(&self, layout: &Layout) -> u64 {
        let writer = Writer::new(layout.clone(), Disk::new(), Durability::default());
        let mut text = writer.begin().unwrap();
        text.write(b"Subject: s\n\n").unwrap();
        let head = EnvelopeHead {
            uid: 7,
            pid: 8,
            sender: &self.sender,
        };
        let mut envelope = text.envelope(head).unwrap();
        for recipient in &self.recipients {
            envelope.add(recipient).unwrap();
        }
        let queued = envelope.commit(&self.extra_headers, &self.env_headers);
        queued.unwrap().id
    }

    fn on(&self, channel: Channel) -> Vec<&[u8]> {
        let is_local = |r: &&Vec<u8>| r.ends_with(format!("@{HERE}").as_bytes());
        let all = self.recipients.iter();
        all.filter(|r| is_local(r) == (channel == Channel::Local))
            .map(Vec::as_slice)
            .collect()
    }
}

fn preprocess(layout: &Layout, id: u64) {
    let disk = Disk::new();
    let found = sort(&disk, layout, &routing(), id, How::default()).unwrap();
    let Found::Message(sorted) = found else {
        panic!("{id} is not in todo");
    };
    let mut batch = Batch::default();
    batch.push(*sorted);
    batch.sync(&disk, layout, Durability::default()).unwrap();
    clean(&disk, layout, Command::Todo(id)).unwrap();
}

fn left(layout: &Layout, channel: Channel, id: u64) -> Vec<OwnedRecord> {
    let Ok(mut reader) = RecordReader::open(&recipients(layout, channel, id)) else {
        return Vec::new();
    };
    std::iter::from_fn(|| reader.next_recipient().unwrap()).collect()
}

#[test]
fn records_come_back_with_their_offsets() {
    property::holds(|u| {
        let written = property::several(u, |u| Ok((u.arbitrary::<u8>()?, property::bytes(u)?)))?;
        let (mut file, mut expected) = (Vec::new(), Vec::new());
        for (kind, mut data) in written {
            let kind = kind.max(1);
            data.retain(|byte| *byte != 0);
            let offset = file.len() as u64;
            text::records::append(&mut file, kind, &data);
            expected.push(OwnedRecord { kind, data, offset });
        }
        let mut reader = RecordReader::new(&file[..]);
        let read = std::iter::from_fn(|| reader.next_record().unwrap());
        assert_eq!(read.collect::<Vec<_>>(), expected);
        Ok(())
    });
}

#[test]
fn an_envelope_comes_back_from_info_local_and_remote() {
    let (_directory, layout) = queue(23, false);
    property::holds(|u| {
        let envelope = Envelope::any(u)?;
        let id = envelope.queue(&layout);
        preprocess(&layout, id);
        let info = Info::read(&layout.info(id)).unwrap();
        assert_eq!(info.sender, envelope.sender);
        assert_eq!(info.extra_headers, envelope.extra_headers);
        assert_eq!(info.env_headers, envelope.env_headers);
        for channel in Channel::ALL {
            let read = left(&layout, channel, id);
            let read: Vec<_> = read.iter().map(|record| &record.data[..]).collect();
            assert_eq!(read, envelope.on(channel));
            let _ = close_channel(&Disk::new(), &layout, channel, id);
        }
        end(&Disk::new(), &layout, id).unwrap();
        clean(&Disk::new(), &layout, Command::Message(id)).unwrap();
        Ok(())
    });
}

/// Records of an envelope as older software may have ordered them.
fn shuffled(u: &mut Unstructured<'_>, envelope: &Envelope) -> arbitrary::Result<Vec<u8>> {
    let mut records = vec![(b'u', b"7".to_vec()), (b'p', b"8".to_vec())];
    records.extend(envelope.recipients.iter().map(|r| (b'T', r.clone())));
    for (kind, lines) in [
        (b'e', &envelope.extra_headers),
        (b'h', &envelope.env_headers),
    ] {
        if !lines.is_empty() {
            records.push((kind, lines.clone()));
        }
    }
    let mut file = Vec::new();
    text::records::append(&mut file, b'F', &envelope.sender);
    while !records.is_empty() {
        // Recipients keep their order among each other.
        let mut at = u.choose_index(records.len())?;
        if records[at].0 == b'T' {
            at = records
                .iter()
                .position(|(kind, _)| *kind == b'T')
                .unwrap_or(at);
        }
        let (kind, data) = records.remove(at);
        text::records::append(&mut file, kind, &data);
    }
    Ok(file)
}

#[test]
fn records_of_an_envelope_may_come_in_any_order() {
    let (_directory, layout) = queue(23, true);
    let id = 7;
    property::holds(|u| {
        let envelope = Envelope::any(u)?;
        std::fs::write(layout.mess(id), "text").unwrap();
        std::fs::write(layout.todo(id), shuffled(u, &envelope)?).unwrap();
        let stored = read_stored(&layout, id).unwrap().unwrap();
        assert_eq!(stored.sender, envelope.sender);
        let read: Vec<_> = stored.recipients.into_iter().map(|r| r.address).collect();
        assert_eq!(read, envelope.recipients);
        let found = sort(&Disk::new(), &layout, &routing(), id, How::default()).unwrap();
        let Found::Message(sorted) = found else {
            panic!("it is in todo");
        };
        assert_eq!((sorted.uid, sorted.qp), (7, 8));
        let info = Info::read(&layout.info(id)).unwrap();
        assert_eq!(info.sender, envelope.sender);
        assert_eq!(info.extra_headers, envelope.extra_headers);
        assert_eq!(info.env_headers, envelope.env_headers);
        for channel in Channel::ALL {
            let read = left(&layout, channel, id);
            let read: Vec<_> = read.iter().map(|record| &record.data[..]).collect();
            assert_eq!(read, envelope.on(channel));
        }
        for path in [layout.info(id), layout.local(id), layout.remote(id)] {
            let _ = std::fs::remove_file(path);
        }
        Ok(())
    });
}

#[test]
fn an_envelope_with_an_alien_record_stays_where_it_is() {
    let (directory, layout) = queue(23, false);
    std::fs::write(layout.mess(7), "text").unwrap();
    for kind in (1..=255u8).filter(|kind| !b"upFTeh".contains(kind)) {
        let mut file = b"u7\0p8\0Fa@b\0Tc@d\0".to_vec();
        text::records::append(&mut file, kind, b"x");
        std::fs::write(layout.todo(7), file).unwrap();
        let tried = sort(&Disk::new(), &layout, &routing(), 7, How::default());
        assert!(tried.is_err(), "{kind}");
        assert_eq!(files_of(directory.path()).len(), 2, "mess and todo");
    }
}

#[test]
fn whoever_is_marked_is_skipped_and_nobody_else() {
    let (_directory, layout) = queue(23, false);
    let path = layout.remote(7);
    property::holds(|u| {
        let count = u.int_in_range(0..=8)?;
        let mut file = Vec::new();
        for _ in 0..count {
            text::records::append(&mut file, b'T', &recipient(u)?);
        }
        std::fs::write(&path, &file).unwrap();
        let mut expected = left(&layout, Channel::Remote, 7);
        for at in (0..expected.len()).rev() {
            if u.arbitrary()? {
                let done = expected.remove(at);
                mark_done(&Disk::new(), &layout, Channel::Remote, 7, done.offset).unwrap();
            }
        }
        assert_eq!(left(&layout, Channel::Remote, 7), expected);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), file.len() as u64);
        Ok(())
    });
}

#[test]
fn failures_are_whole_paragraphs_wherever_a_crash_cuts_them() {
    property::holds(|u| {
        let (mut noted, mut ends) = (Vec::new(), vec![0]);
        for _ in 0..u.int_in_range(0..=4)? {
            let report = property::bytes(u)?;
            noted.extend_from_slice(&schedule::paragraph(&recipient(u)?, &report));
            ends.push(noted.len());
        }
        assert_eq!(whole_failures(&noted), noted.len());
        let cut = u.int_in_range(0..=noted.len())?;
        let whole = ends.iter().rfind(|end| **end <= cut).unwrap();
        assert_eq!(whole_failures(&noted[..cut]), *whole);
        Ok(())
    });
}

#[test]
fn hosts_that_are_down_are_read_from_both_formats() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::with_split(directory.path(), 23, false);
    std::fs::create_dir(directory.path().join("lock")).unwrap();
    let path = layout.lock("tcpto");
    property::holds(|u| {
        let size: usize = *u.choose(&[16, 32])?;
        let (mut table, mut expected) = (vec![0; 64 * size], Vec::new());
        for record in table.chunks_exact_mut(size) {
            let (ip, count, time): ([u8; 4], u8, u32) = u.arbitrary()?;
            if count == 0 || 10 < count {
                continue;
            }
            let at = if size == 16 { 0 } else { 16 };
            record[0] = if size == 16 { 0 } else { 2 };
            record[at..at + 4].copy_from_slice(&ip);
            record[4] = count;
            record[8..12].copy_from_slice(&time.to_le_bytes());
            expected.push(DownHost {
                ip: ip.into(),
                count,
                time,
            });
        }
        std::fs::write(&path, &table).unwrap();
        assert_eq!(Tcpto::read(&layout).unwrap().records, expected);
        Ok(())
    });
}

/// Names below the queue, without those of directories.
fn files_of(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => directories.push(path),
                false => files.push(path.strip_prefix(root).unwrap().to_owned()),
            }
        }
    }
    files.sort();
    files
}

#[test]
fn a_message_lives_its_life_in_every_layout() {
    for (split, todo_is_split) in [
        (1, false),
        (23, false),
        (23, true),
        (151, false),
        (151, true),
    ] {
        let (directory, layout) = queue(split, todo_is_split);
        assert_eq!(layout.split(), split);
        let envelope = Envelope {
            sender: b"ann@there.example".to_vec(),
            recipients: vec![b"a@here.example".to_vec(), b"b@there.example".to_vec()],
            extra_headers: Vec::new(),
            env_headers: Vec::new(),
        };
        let id = envelope.queue(&layout);
        let at = |name: &str| PathBuf::from(format!("{name}/{}/{id}", id % split));
        let todo = match todo_is_split {
            true => at("todo"),
            false => PathBuf::from(format!("todo/{id}")),
        };
        assert_eq!(files_of(directory.path()), [at("mess"), todo]);
        preprocess(&layout, id);
        let expected = ["info", "local", "mess", "remote"].map(at);
        assert_eq!(files_of(directory.path()), expected);
        // A restart finds it, on both channels.
        let disk = Disk::new();
        let mut scheduler = Scheduler::new([1, 1]);
        assert_eq!(
            load(&disk, &layout, &mut scheduler, 0),
            Vec::<String>::new()
        );
        let waiting: [Vec<u64>; 2] =
            Channel::ALL.map(|c| scheduler.waiting(c).map(|(id, _)| id).collect());
        assert_eq!(waiting, [vec![id], vec![id]]);
        let all: BTreeMap<_, _> = Channel::ALL
            .map(|channel| (channel.name(), left(&layout, channel, id)))
            .into();
        assert!(all.values().all(|records| records.len() == 1));
        for channel in Channel::ALL {
            close_channel(&disk, &layout, channel, id).unwrap();
        }
        end(&disk, &layout, id).unwrap();
        clean(&disk, &layout, Command::Message(id)).unwrap();
        assert!(files_of(directory.path()).is_empty());
    }
}
