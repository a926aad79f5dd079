//! THREAD: which message answers which (RFC 5256).

use std::collections::HashMap;

use crate::sort::Facts;

/// Deepest thread that is printed as such; what is deeper becomes a sibling.
const DEPTH_MAX: usize = 100;

/// A message, or the place of one that is not here, with its answers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Thread {
    /// Position in the list of facts.
    pub message: Option<usize>,
    /// Answers.
    pub children: Vec<Thread>,
}

/// Messages with one base subject are a thread, the first one on top.
pub fn ordered_subject(facts: &[Facts]) -> Vec<Thread> {
    let mut order: Vec<usize> = (0..facts.len()).collect();
    order.sort_by_key(|&at| (facts[at].date, facts[at].sequence));
    let mut threads: Vec<Thread> = Vec::new();
    let mut by_subject: HashMap<&str, usize> = HashMap::new();
    for at in order {
        let message = Thread {
            message: Some(at),
            children: Vec::new(),
        };
        match by_subject.get(facts[at].subject.as_str()) {
            Some(&thread) => threads[thread].children.push(message),
            None => {
                by_subject.insert(&facts[at].subject, threads.len());
                threads.push(message);
            }
        }
    }
    threads
}

/// Messages under the one they answer, by References and In-Reply-To.
pub fn references(facts: &[Facts]) -> Vec<Thread> {
    let mut forest = Forest::default();
    for (at, message) in facts.iter().enumerate() {
        forest.add(at, message);
    }
    let mut threads = forest.threads(facts);
    group_by_subject(&mut threads, facts);
    threads
}

/// Prints threads; `number` names a message.
pub fn print(threads: &[Thread], number: impl Fn(usize) -> u32 + Copy) -> String {
    let mut out = String::new();
    for thread in threads {
        out.push('(');
        print_inside(&mut out, thread, number);
        out.push(')');
    }
    out
}

fn print_inside(out: &mut String, thread: &Thread, number: impl Fn(usize) -> u32 + Copy) {
    if let Some(message) = thread.message {
        out.push_str(&number(message).to_string());
    }
    match thread.children.as_slice() {
        [] => {}
        [only] if thread.message.is_some() => {
            out.push(' ');
            print_inside(out, only, number);
        }
        children => {
            if thread.message.is_some() {
                out.push(' ');
            }
            out.push_str(&print(children, number));
        }
    }
}

/// Containers by number, with links up. A container may stand for a message
/// nobody has.
#[derive(Default)]
struct Forest {
    parent: Vec<Option<usize>>,
    message: Vec<Option<usize>>,
    by_id: HashMap<String, usize>,
}

impl Forest {
    fn add(&mut self, at: usize, facts: &Facts) {
        let own = match facts.id.as_str() {
            "" => self.container(),
            id => match self.of_id(id) {
                // A second message with this ID stands for itself.
                taken if self.message[taken].is_some() => self.container(),
                own => own,
            },
        };
        self.message[own] = Some(at);
        let mut above = None;
        for id in &facts.references {
            let container = self.of_id(id);
            if self.parent[container].is_none() {
                self.link(container, above);
            }
            above = Some(container);
        }
        self.parent[own] = None;
        self.link(own, above);
    }

    /// Puts a container below another, unless that would close a circle.
    fn link(&mut self, below: usize, above: Option<usize>) {
        let mut at = above;
        while let Some(container) = at {
            if container == below {
                return;
            }
            at = self.parent[container];
        }
        self.parent[below] = above;
    }

    fn of_id(&mut self, id: &str) -> usize {
        match self.by_id.get(id) {
            Some(&container) => container,
            None => {
                let container = self.container();
                self.by_id.insert(id.to_owned(), container);
                container
            }
        }
    }

    fn container(&mut self) -> usize {
        self.parent.push(None);
        self.message.push(None);
        self.parent.len() - 1
    }

    fn threads(&self, facts: &[Facts]) -> Vec<Thread> {
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); self.parent.len()];
        let mut roots = Vec::new();
        for (container, parent) in self.parent.iter().enumerate() {
            match parent {
                Some(parent) => children[*parent].push(container),
                None => roots.push(container),
            }
        }
        let mut threads = Vec::new();
        for root in roots {
            self.build(root, &children, facts, 0, &mut threads);
        }
        sort(&mut threads, facts);
        threads
    }

    /// Makes the thread below a container. One without a message gives its
    /// place to its children, unless it is on top of several.
    fn build(
        &self,
        container: usize,
        children: &[Vec<usize>],
        facts: &[Facts],
        depth: usize,
        into: &mut Vec<Thread>,
    ) {
        if DEPTH_MAX <= depth {
            // A chain that long is nobody's conversation: all in a row.
            let mut stack = vec![container];
            while let Some(container) = stack.pop() {
                stack.extend(&children[container]);
                into.extend(self.message[container].map(|message| Thread {
                    message: Some(message),
                    children: Vec::new(),
                }));
            }
            return;
        }
        let mut below = Vec::new();
        for &child in &children[container] {
            self.build(child, children, facts, depth + 1, &mut below);
        }
        sort(&mut below, facts);
        let message = self.message[container];
        match (message, below.len()) {
            (None, 0) => {}
            (None, 1) => into.append(&mut below),
            (None, _) if 0 < depth => into.append(&mut below),
            _ => into.push(Thread {
                message,
                children: below,
            }),
        }
    }
}

/// The message that stands for a thread: its top, else its first child.
fn first(thread: &Thread) -> Option<usize> {
    thread
        .message
        .or_else(|| thread.children.first().and_then(|child| child.message))
}

fn sort(threads: &mut [Thread], facts: &[Facts]) {
    threads.sort_by_key(|thread| {
        first(thread).map_or((0, 0), |at| (facts[at].date, facts[at].sequence))
    });
}

/// Threads whose tops have one subject become one (RFC 5256, step 5).
fn group_by_subject(threads: &mut Vec<Thread>, facts: &[Facts]) {
    let mut by_subject: HashMap<&str, usize> = HashMap::new();
    let mut grouped: Vec<Thread> = Vec::new();
    for thread in threads.drain(..) {
        let subject = first(&thread).map_or("", |at| facts[at].subject.as_str());
        match by_subject.get(subject) {
            Some(&at) if !subject.is_empty() => join(&mut grouped[at], thread, facts),
            _ => {
                by_subject.insert(subject, grouped.len());
                grouped.push(thread);
            }
        }
    }
    sort(&mut grouped, facts);
    *threads = grouped;
}

fn join(thread: &mut Thread, mut other: Thread, facts: &[Facts]) {
    let is_reply = |thread: &Thread| first(thread).is_some_and(|at| facts[at].is_reply);
    match (thread.message, other.message) {
        (None, None) => thread.children.append(&mut other.children),
        (None, Some(_)) => thread.children.push(other),
        (Some(_), Some(_)) if is_reply(&other) && !is_reply(thread) => thread.children.push(other),
        _ => {
            let first = std::mem::take(thread);
            thread.children = vec![first, other];
        }
    }
    sort(&mut thread.children, facts);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Entry, Slot};

    fn facts(headers: &[&str]) -> Vec<Facts> {
        (1..)
            .zip(headers)
            .map(|(sequence, header)| {
                let entry = Entry {
                    internal_date: i64::from(sequence),
                    ..Entry::default()
                };
                Facts::new(sequence, &Slot::new(entry), None, header.as_bytes())
            })
            .collect()
    }

    fn printed(threads: &[Thread]) -> String {
        print(threads, |at| at as u32 + 1)
    }

    #[test]
    fn answers_stand_below_what_they_answer() {
        let all = facts(&[
            "Subject: a\nMessage-ID: <1>\n",
            "Subject: Re: a\nMessage-ID: <2>\nReferences: <1>\n",
            "Subject: Re: a\nMessage-ID: <3>\nIn-Reply-To: <2>\n",
            "Subject: Re: a\nMessage-ID: <4>\nReferences: <1> <2>\n",
            "Subject: other\nMessage-ID: <5>\n",
            "Subject: Re: lost\nReferences: <x>\n",
            "Subject: Re: lost\nReferences: <x>\n",
        ]);
        assert_eq!(printed(&references(&all)), "(1 2 (3)(4))(5)((6)(7))");
        assert_eq!(printed(&ordered_subject(&all)), "(1 (2)(3)(4))(5)(6 7)");
    }

    #[test]
    fn circles_and_long_chains_end() {
        let circle = facts(&[
            "Message-ID: <1>\nReferences: <2>\n",
            "Message-ID: <2>\nReferences: <1>\n",
        ]);
        assert_eq!(
            printed(&references(&circle))
                .matches(char::is_numeric)
                .count(),
            2
        );
        let headers: Vec<String> = (1..2_000)
            .map(|n| format!("Message-ID: <{n}>\nReferences: <{}>\n", n - 1))
            .collect();
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let text = printed(&references(&facts(&headers)));
        assert_eq!(
            text.split(|c: char| !c.is_numeric())
                .filter(|n| !n.is_empty())
                .count(),
            1_999
        );
    }
}
