//! One delivery from its recipient to a report: who is it for, and who does
//! it (queue-and-delivery.md §5.2).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use os::account::{Account, Identity};
use os::child::Ended;
use os::signal::Interest;
use run::Home;
use run::spawner::{Delivery, Next, Program, Spawn};
use wire::deliver::Request;
use wire::spawn::Outcome;

use crate::assign::{Assignment, Users, parse};
use crate::report;
use crate::worker::{Answer, Worker};

/// Owner of virtual mail.
const VIRTUAL_USER: &str = "indimail";
/// Who runs qmail-getpw.
const LOOKUP_USER: &str = "qmailp";

/// What a running program does for a delivery.
#[derive(Debug)]
pub enum Stage {
    /// qmail-getpw looks for the user.
    Finding(Box<Delivery>),
    /// qmail-local delivers.
    Delivering,
}

/// Everything qmail-lspawn knows.
#[derive(Debug)]
pub struct Deliveries {
    default_delivery: OsString,
    users: Users,
    worker: Worker,
    /// Set by QMAILLOCAL.
    other_local: Option<OsString>,
    local: PathBuf,
    getpw: PathBuf,
    domains: PathBuf,
    virtual_owner: Option<u32>,
    lookup_identity: Option<Identity>,
}

impl Deliveries {
    /// For an installation; accounts are looked up once.
    pub fn new(home: &Home, default_delivery: OsString) -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let identity = |name| Account::by_name(name).ok().map(|account| account.identity);
        let is_root = os::account::is_root();
        Self {
            default_delivery,
            users: Users::new(&home.users()),
            worker: Worker::new(&home.socket("deliver")),
            other_local: variable(settings::sending::QMAILLOCAL.variable)
                .map(|value| home.program(&value)),
            local: home.bin().join("qmail-local"),
            getpw: variable(settings::sending::QMAILGETPW.variable).map_or_else(
                || home.bin().join("qmail-getpw"),
                |path| home.root().join(path),
            ),
            domains: home.domains(),
            virtual_owner: identity(VIRTUAL_USER).filter(|_| is_root).map(|i| i.uid),
            lookup_identity: identity(LOOKUP_USER),
        }
    }

    fn find_user(&self, delivery: Delivery) -> Next<Stage> {
        // Whoever answers for users must not be root.
        if os::account::is_root() && self.lookup_identity.is_none() {
            return unable("Unable to run qmail-getpw.\n");
        }
        let Ok(null) = File::open("/dev/null") else {
            return unable("Unable to run qmail-getpw.\n");
        };
        let mut command = Command::new(&self.getpw);
        if self.getpw == self.local.with_file_name("qmail-getpw") {
            // Ours has an option; the local part is what a stranger wrote.
            command.arg("--");
        }
        command.arg(OsStr::from_bytes(&delivery.local));
        command.current_dir("/");
        Next::Run(
            Box::new(Program {
                command,
                identity: self.lookup_identity,
                input: null.into(),
                unable: "Unable to run qmail-getpw.\n",
            }),
            Stage::Finding(Box::new(delivery)),
        )
    }

    fn deliver(&mut self, delivery: Delivery, to: Assignment) -> Next<Stage> {
        if to.identity.uid == 0 {
            return unable("Not allowed to perform deliveries as root.\n");
        }
        if !os::account::is_root() && to.identity.uid != Identity::of_this_process().uid {
            return unable("Unable to set proper uid, gid: this installation has one user.\n");
        }
        let mut delivery = delivery;
        if self.is_virtual(&to) {
            let request = request(&delivery, &to, &self.default_delivery);
            match self
                .worker
                .deliver(delivery.slot, request, delivery.message)
            {
                Ok(()) => return Next::Elsewhere,
                // Nobody listens: the program does the same, slower.
                Err(message) => delivery.message = message,
            }
        }
        self.run_local(delivery, &to)
    }

    fn is_virtual(&self, to: &Assignment) -> bool {
        let is_owner = if os::account::is_root() {
            self.virtual_owner == Some(to.identity.uid)
        } else {
            Path::new(OsStr::from_bytes(&to.home)).starts_with(&self.domains)
        };
        is_owner && self.other_local.is_none()
    }

    fn run_local(&self, delivery: Delivery, to: &Assignment) -> Next<Stage> {
        let program = self
            .other_local
            .as_deref()
            .unwrap_or(self.local.as_os_str());
        let mut command = Command::new(program);
        // A program in its place knows by the name in whose.
        command.arg0("qmail-local").arg("--");
        for argument in [
            &to.user,
            &to.home,
            &delivery.local,
            &to.dash,
            &to.ext,
            &delivery.domain,
            &delivery.sender,
        ] {
            command.arg(OsStr::from_bytes(argument));
        }
        command.arg(&self.default_delivery);
        command.arg(OsStr::from_bytes(&delivery.extra_headers));
        command.current_dir("/");
        command.env_remove(settings::sending::QMAILREMOTE.variable);
        command.env("MESSID", OsStr::from_bytes(&delivery.id));
        for (name, value) in run::variables::of_headers(&delivery.env_headers) {
            command.env(name, OsStr::from_bytes(&value));
        }
        Next::Run(
            Box::new(Program {
                command,
                identity: Some(to.identity),
                input: delivery.message.into(),
                unable: "Unable to run qmail-local.\n",
            }),
            Stage::Delivering,
        )
    }
}

impl Spawn for Deliveries {
    type Stage = Stage;

    fn begin(&mut self, delivery: Delivery) -> Next<Stage> {
        // Mail to <@domain> is for nobody.
        if delivery.local.is_empty() {
            return Next::report(Outcome::Success, "");
        }
        match self.users.find(&delivery.local) {
            Ok(Some(to)) => self.deliver(delivery, to),
            Ok(None) => self.find_user(delivery),
            Err(_) => unable("Trouble reading users/cdb in qmail-lspawn.\n"),
        }
    }

    fn ended(&mut self, stage: Stage, ended: Ended, output: Vec<u8>) -> Next<Stage> {
        match (stage, ended) {
            (Stage::Finding(delivery), Ended::Code(0)) => match parse(&output, b"") {
                Some(to) => self.deliver(*delivery, to),
                None => unable("Internal qmail-lspawn bug.\n"),
            },
            // Whatever went wrong, no user was asked yet: never a bounce.
            (Stage::Finding(_), Ended::Code(code @ (115 | 116 | 118))) => {
                let (outcome, text) = report::of_delivery(Ended::Code(code), b"");
                Next::Report(outcome, text)
            }
            (Stage::Finding(_), _) => unable("Temporary failure in qmail-lspawn.\n"),
            (Stage::Delivering, ended) => {
                let (outcome, text) = report::of_delivery(ended, &output);
                Next::Report(outcome, text)
            }
        }
    }

    fn wait(&self) -> Option<(BorrowedFd<'_>, Interest)> {
        self.worker.wait()
    }

    fn ready(&mut self) -> Vec<(u16, Next<Stage>)> {
        let answers = self.worker.ready().into_iter();
        answers
            .map(|answer| match answer {
                Answer::Done(slot, report) => {
                    let ended = Ended::Code(i32::from(report.code));
                    let (outcome, text) = report::of_delivery(ended, &report.output);
                    (slot, Next::Report(outcome, text))
                }
                Answer::Lost(slot) => (slot, unable("Lost the delivery worker. (#4.3.0)\n")),
            })
            .collect()
    }
}

fn request(delivery: &Delivery, to: &Assignment, default_delivery: &OsStr) -> Request {
    Request {
        delivery: 0,
        user: to.user.clone(),
        home: to.home.clone(),
        local: delivery.local.clone(),
        dash: to.dash.clone(),
        ext: to.ext.clone(),
        domain: delivery.domain.clone(),
        sender: delivery.sender.clone(),
        default_delivery: default_delivery.as_bytes().to_vec(),
        extra_headers: delivery.extra_headers.clone(),
        env_headers: delivery.env_headers.clone(),
    }
}

fn unable(text: &str) -> Next<Stage> {
    Next::report(Outcome::Deferral, text)
}
