//! SEARCH, SORT and THREAD: find, then print.

use super::selected::kept;
use super::{Job as SessionJob, Session};
use crate::ask::{Answer, Question};
use crate::command::{Numbering, Order, Search, SearchReturn, SortKey, Threading};
use crate::header;
use crate::search::{Extent, Subject, Test};
use crate::set;
use crate::sort::{self, Facts};
use crate::thread;

/// Messages looked at before the session looks at the client again.
const AT_ONCE_MAX: usize = 2_000;

/// Where a SEARCH stands.
#[derive(Debug)]
pub(super) struct Job {
    tag: String,
    numbering: Numbering,
    output: Output,
    test: Test,
    extent: Extent,
    /// Messages still to be looked at, the next one last.
    left: Vec<u32>,
    /// Sequence numbers and UIDs of what was found.
    found: Vec<(u32, u32)>,
    facts: Vec<Facts>,
    reading: Option<(u32, Extent)>,
}

/// What becomes of the messages found.
#[derive(Debug)]
enum Output {
    Search(Option<Vec<SearchReturn>>),
    Sort(Vec<(SortKey, Order)>),
    Thread(Threading),
}

impl Job {
    pub(super) fn is_runnable(&self) -> bool {
        self.reading.is_none()
    }
}

impl Session {
    pub(super) fn search(&mut self, tag: String, numbering: Numbering, search: Search) {
        let output = Output::Search(search.returns.clone());
        self.find(tag, numbering, output, search);
    }

    pub(super) fn sort(
        &mut self,
        tag: String,
        numbering: Numbering,
        criteria: Vec<(SortKey, Order)>,
        search: Search,
    ) {
        self.find(tag, numbering, Output::Sort(criteria), search);
    }

    pub(super) fn thread(
        &mut self,
        tag: String,
        numbering: Numbering,
        threading: Threading,
        search: Search,
    ) {
        self.find(tag, numbering, Output::Thread(threading), search);
    }

    fn find(&mut self, tag: String, numbering: Numbering, output: Output, search: Search) {
        let view = self.view();
        let test = Test::new(search.key, view.exists(), view.uid_largest());
        let mut left: Vec<u32> = view.present().map(|(_, slot)| slot.entry.uid).collect();
        left.reverse();
        let job = Box::new(Job {
            tag,
            numbering,
            output,
            extent: test.extent(),
            test,
            left,
            found: Vec::new(),
            facts: Vec::new(),
            reading: None,
        });
        self.job = SessionJob::Search(job);
    }

    pub(super) fn run_search(&mut self, mut job: Box<Job>) {
        for _ in 0..AT_ONCE_MAX {
            let Some(&uid) = job.left.last() else {
                return self.found(&job);
            };
            match self.look(&mut job, uid, None, None) {
                true => {
                    job.left.pop();
                }
                false => {
                    let extent = job.reading.map_or(job.extent, |(_, extent)| extent);
                    job.reading = Some((uid, extent));
                    return self.ask(SessionJob::Search(job), Question::Read { uid, extent });
                }
            }
        }
        self.job = SessionJob::Search(job);
    }

    pub(super) fn answer_search(&mut self, mut job: Box<Job>, answer: Answer) {
        let Answer::Text(outcome) = answer else {
            unreachable!("{answer:?} for a search");
        };
        let Some((uid, extent)) = job.reading.take() else {
            unreachable!("nothing was read");
        };
        let known = match outcome {
            Ok(Some(text)) if extent == Extent::Whole => {
                let message = self.keep(uid, text);
                self.view_mut().set_size(uid, message.text.len() as u64);
                let whole = Some((&message.text[..], &*message.part));
                let header = &message.text[message.part.header.clone()];
                self.look(&mut job, uid, Some(header), whole);
                true
            }
            Ok(Some(text)) => {
                let end = header::header_end(&text);
                self.look(&mut job, uid, Some(&text[..end]), None)
            }
            // Gone meanwhile.
            Ok(None) => true,
            Err(refusal) => {
                let text = format!("NO {}", refusal.text());
                return self.finish_telling(&job.tag, &text, kept(job.numbering));
            }
        };
        if known {
            job.left.pop();
            job.reading = None;
            self.job = SessionJob::Search(job);
        } else {
            let extent = Extent::Whole;
            job.reading = Some((uid, extent));
            self.ask(SessionJob::Search(job), Question::Read { uid, extent });
        }
    }

    /// Looks at one message; `false` when more of it must be read.
    fn look(
        &self,
        job: &mut Job,
        uid: u32,
        header: Option<&[u8]>,
        whole: Option<(&[u8], &crate::mime::Part)>,
    ) -> bool {
        let Some((sequence, slot)) = self.view().by_uid(uid) else {
            return true;
        };
        let subject = Subject {
            sequence,
            slot,
            now: self.now,
            header,
            whole,
        };
        match job.test.matches(&subject) {
            None => return false,
            Some(false) => return true,
            Some(true) => {}
        }
        let size = slot.entry.size.or(whole.map(|(text, _)| text.len() as u64));
        let facts = match &job.output {
            Output::Search(_) => None,
            Output::Sort(criteria) => {
                let by_size = criteria.iter().any(|(key, _)| *key == SortKey::Size);
                if by_size && size.is_none() {
                    job.reading = Some((uid, Extent::Whole));
                    return false;
                }
                let read = criteria.iter().any(|(key, _)| sort::needs_header(*key));
                if read && header.is_none() {
                    return false;
                }
                Some(Facts::new(sequence, slot, size, header.unwrap_or_default()))
            }
            Output::Thread(_) => match header {
                None => return false,
                Some(header) => Some(Facts::new(sequence, slot, size, header)),
            },
        };
        job.facts.extend(facts);
        job.found.push((sequence, uid));
        true
    }

    fn found(&mut self, job: &Job) {
        let number = |&(sequence, uid): &(u32, u32)| match job.numbering {
            Numbering::Sequence => sequence,
            Numbering::Uid => uid,
        };
        let (text, done) = match &job.output {
            Output::Search(returns) => {
                let numbers: Vec<u32> = job.found.iter().map(number).collect();
                let text = match returns {
                    None => listed("SEARCH", &numbers),
                    Some(returns) => extended(&job.tag, job.numbering, returns, &numbers),
                };
                (text, "OK SEARCH done")
            }
            Output::Sort(criteria) => {
                let order = sort::sort(&job.facts, criteria);
                let numbers: Vec<u32> = order.iter().map(|&at| number(&job.found[at])).collect();
                (listed("SORT", &numbers), "OK SORT done")
            }
            Output::Thread(threading) => {
                let number = |at: usize| number(&job.found[at]);
                let threads = match threading {
                    Threading::OrderedSubject => thread::ordered_subject(&job.facts),
                    Threading::References => thread::references(&job.facts),
                };
                let text = format!("THREAD {}", thread::print(&threads, number));
                (text.trim_end().to_owned(), "OK THREAD done")
            }
        };
        self.line(format_args!("* {text}"));
        self.finish_telling(&job.tag, done, kept(job.numbering));
    }
}

fn listed(name: &str, numbers: &[u32]) -> String {
    let mut text = name.to_owned();
    for number in numbers {
        text.push(' ');
        text.push_str(&number.to_string());
    }
    text
}

/// The answer of RFC 4731.
fn extended(tag: &str, numbering: Numbering, returns: &[SearchReturn], numbers: &[u32]) -> String {
    let tag = tag.replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = format!("ESEARCH (TAG \"{tag}\")");
    if numbering == Numbering::Uid {
        text.push_str(" UID");
    }
    for wanted in returns {
        match (wanted, numbers.first(), numbers.last()) {
            (SearchReturn::Min, Some(min), _) => text.push_str(&format!(" MIN {min}")),
            (SearchReturn::Max, _, Some(max)) => text.push_str(&format!(" MAX {max}")),
            (SearchReturn::All, Some(_), _) => {
                text.push_str(&format!(" ALL {}", set::print(numbers)));
            }
            (SearchReturn::Count, _, _) => text.push_str(&format!(" COUNT {}", numbers.len())),
            _ => {}
        }
    }
    text
}
