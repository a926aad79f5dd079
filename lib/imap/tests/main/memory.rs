//! A mailbox in memory, as small as it can be.

use std::collections::BTreeMap;

use imap::command::{Append, Transfer};
use imap::flags::Flags;
use imap::folder::FolderName;
use imap::view::{Entry, Snapshot};
use imap::{Answer, Copied, Counts, FolderChange, Question, Quota, Refusal};
use sasl::server::Question as SaslQuestion;
use wire::lookup::{Account, Login, Reply};

#[derive(Clone, Default)]
struct Message {
    uid: u32,
    flags: Flags,
    date: i64,
    text: Vec<u8>,
}

#[derive(Default)]
struct Folder {
    messages: Vec<Message>,
    uid_last: u32,
}

/// Folders by name, the inbox with three messages.
pub struct Store {
    folders: BTreeMap<FolderName, Folder>,
    subscribed: Vec<FolderName>,
    open: Option<FolderName>,
    append: Option<(Append, Vec<u8>)>,
}

const NESTED: &str = "From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nSubject: nested\r\n\
    Date: Wed, 17 Jul 1996 02:23:25 -0700\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n\
    --o\r\n\r\nplain\r\n--o\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ndeep\r\n--o--\r\n";

impl Default for Store {
    fn default() -> Self {
        let mut store = Self {
            folders: BTreeMap::new(),
            subscribed: Vec::new(),
            open: None,
            append: None,
        };
        let inbox = FolderName::inbox();
        store.folders.insert(inbox.clone(), Folder::default());
        store.add(
            &inbox,
            Flags::default(),
            0,
            b"Subject: one\r\nFrom: a@x\r\n\r\nfirst\r\n".to_vec(),
        );
        store.add(&inbox, Flags::default(), 86_400, NESTED.into());
        store.add(
            &inbox,
            Flags::default(),
            172_800,
            b"Subject: three\r\n\r\nthird\r\n".to_vec(),
        );
        store
    }
}

impl Store {
    /// Something another session does: `deliver TEXT`, `expunge UID`,
    /// `flag UID FLAG`.
    pub fn outside(&mut self, deed: &str) {
        let words: Vec<&str> = deed.splitn(3, ' ').collect();
        let inbox = self.folders.get_mut(&FolderName::inbox()).unwrap();
        match words[..] {
            ["deliver", text] => {
                let text = format!("Subject: {text}\r\n\r\n{text}\r\n").into_bytes();
                self.add(&FolderName::inbox(), Flags::default(), 0, text);
            }
            ["expunge", uid] => {
                let uid: u32 = uid.parse().unwrap();
                inbox.messages.retain(|message| message.uid != uid);
            }
            ["flag", uid, flag] => {
                let uid: u32 = uid.parse().unwrap();
                let message = inbox.messages.iter_mut().find(|m| m.uid == uid).unwrap();
                message.flags.add_name(flag.as_bytes());
            }
            _ => panic!("{deed}"),
        }
    }

    pub fn answer(&mut self, question: Question) -> Answer {
        match question {
            Question::Seed => Answer::Seed([7; 32]),
            Question::Lookup(SaslQuestion::Password { user, password })
                if password == b"secret" =>
            {
                Answer::Lookup(Reply::Login(Login::Granted(Account {
                    address: String::from_utf8_lossy(&user).into_owned(),
                    maildir: String::new(),
                    quota: String::new(),
                    may_relay: false,
                    server_signature: Vec::new(),
                })))
            }
            Question::Lookup(_) => Answer::Lookup(Reply::Login(Login::Refused)),
            Question::Failed { .. } | Question::Enter { .. } => Answer::Done(Ok(())),
            Question::Folders => Answer::Folders(Ok((
                self.folders.keys().cloned().collect(),
                self.subscribed.clone(),
            ))),
            Question::Open(name, _) => {
                self.open = None;
                Answer::Mailbox(self.snapshot(&name).inspect(|_| self.open = Some(name)))
            }
            Question::Close => {
                self.open = None;
                Answer::Done(Ok(()))
            }
            Question::Status(name) => Answer::Status(self.folder(&name).map(|folder| Counts {
                messages: folder.messages.len() as u64,
                uid_next: folder.uid_last + 1,
                uid_validity: 42,
                ..Counts::default()
            })),
            Question::Folder(change) => Answer::Done(self.change(change)),
            Question::Quota => Answer::Quota(Ok(Quota {
                bytes: 2000,
                bytes_max: Some(10_240),
                messages: 3,
                messages_max: None,
            })),
            Question::Refresh => {
                let name = self.open.clone().unwrap();
                Answer::Entries(self.snapshot(&name).map(|s| Some(s.messages)))
            }
            Question::Read { uid, .. } => {
                let found = self.opened().messages.iter().find(|m| m.uid == uid);
                Answer::Text(Ok(found.map(|message| message.text.clone())))
            }
            Question::Measure(uids) => Answer::Sizes(
                self.opened()
                    .messages
                    .iter()
                    .filter(|m| uids.contains(&m.uid))
                    .map(|m| (m.uid, m.text.len() as u64))
                    .collect(),
            ),
            Question::Store {
                uids,
                change,
                flags,
            } => {
                let mut stored = Vec::new();
                for message in &mut self.opened().messages {
                    if uids.contains(&message.uid) {
                        change.apply(&mut message.flags, &flags);
                        stored.push((message.uid, message.flags.clone(), 1));
                    }
                }
                Answer::Stored(Ok(stored))
            }
            Question::Remove(uids) => {
                self.opened().messages.retain(|m| !uids.contains(&m.uid));
                Answer::Removed(Ok(uids))
            }
            Question::Copy { uids, to, transfer } => {
                Answer::Copied(self.copy(&uids, &to, transfer))
            }
            Question::AppendBegin(append, _) => {
                if let Err(refusal) = self.folder(&append.folder) {
                    return Answer::Done(Err(refusal));
                }
                self.append = Some((append, Vec::new()));
                Answer::Done(Ok(()))
            }
            Question::AppendData(bytes) => {
                self.append.as_mut().unwrap().1.extend(bytes);
                Answer::Done(Ok(()))
            }
            Question::AppendEnd => {
                let (append, text) = self.append.take().unwrap();
                let date = append.date.unwrap_or_default();
                Answer::Appended(Ok((42, self.add(&append.folder, append.flags, date, text))))
            }
            Question::AppendAbort => {
                self.append = None;
                Answer::Done(Ok(()))
            }
        }
    }

    fn change(&mut self, change: FolderChange) -> Result<(), Refusal> {
        match change {
            FolderChange::Create(name) if self.folders.contains_key(&name) => {
                Err(Refusal::FolderExists)
            }
            FolderChange::Create(name) => {
                self.folders.insert(name, Folder::default());
                Ok(())
            }
            FolderChange::Delete(name) if name.is_inbox() => Err(Refusal::FolderRefused),
            FolderChange::Delete(name) => self
                .folders
                .remove(&name)
                .map(drop)
                .ok_or(Refusal::NoSuchFolder),
            FolderChange::Rename(from, to) => {
                let folder = self.folders.remove(&from).ok_or(Refusal::NoSuchFolder)?;
                self.folders.insert(to, folder);
                Ok(())
            }
            FolderChange::Subscribe(name) => {
                self.subscribed.push(name);
                Ok(())
            }
            FolderChange::Unsubscribe(name) => {
                self.subscribed.retain(|known| *known != name);
                Ok(())
            }
        }
    }

    fn copy(
        &mut self,
        uids: &[u32],
        to: &FolderName,
        transfer: Transfer,
    ) -> Result<Copied, Refusal> {
        self.folder(to)?;
        let mut pairs = Vec::new();
        for &uid in uids {
            let found = self
                .opened()
                .messages
                .iter()
                .find(|m| m.uid == uid)
                .cloned();
            if let Some(message) = found {
                pairs.push((uid, self.add(to, message.flags, message.date, message.text)));
                if transfer == Transfer::Move {
                    self.opened().messages.retain(|m| m.uid != uid);
                }
            }
        }
        Ok(Copied {
            uid_validity: 42,
            pairs,
        })
    }

    fn add(&mut self, to: &FolderName, flags: Flags, date: i64, text: Vec<u8>) -> u32 {
        let folder = self.folders.get_mut(to).unwrap();
        folder.uid_last += 1;
        folder.messages.push(Message {
            uid: folder.uid_last,
            flags,
            date,
            text,
        });
        folder.uid_last
    }

    fn snapshot(&self, name: &FolderName) -> Result<Snapshot, Refusal> {
        let folder = self.folder(name)?;
        Ok(Snapshot {
            uid_validity: 42,
            uid_next: folder.uid_last + 1,
            messages: folder
                .messages
                .iter()
                .map(|message| Entry {
                    uid: message.uid,
                    flags: message.flags.clone(),
                    internal_date: message.date,
                    ..Entry::default()
                })
                .collect(),
        })
    }

    fn folder(&self, name: &FolderName) -> Result<&Folder, Refusal> {
        self.folders.get(name).ok_or(Refusal::NoSuchFolder)
    }

    fn opened(&mut self) -> &mut Folder {
        let name = self.open.clone().unwrap();
        self.folders.get_mut(&name).unwrap()
    }
}
