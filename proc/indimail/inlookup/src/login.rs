//! Is the client who it says, and may it use the service?
//! (virtual-domains.md §11)
//!
//! Which of user and password was wrong is never told, by no text and by no
//! time. Account flags are looked at only after the password was right.

use std::time::Instant;

use directory::password::Verdict;
use directory::secret::{self, Keep, Secrets};
use directory::{User, app_password, flags};
use wire::lookup::{Account, Login, Reply, Service};
use zeroize::Zeroizing;

use crate::arrival;
use crate::books::Entry;
use crate::world::{Trouble, World};

/// Longest name that is looked at.
const NAME_BYTES_MAX: usize = 320;
/// As much of a longer one is remembered and logged.
const NAME_BYTES_SHOWN: usize = 100;

/// Who wants to log in, for what and from where.
pub struct Attempt<'a> {
    /// For what.
    pub service: Service,
    /// As the client wrote it.
    pub user: &'a [u8],
    /// From where.
    pub remote_ip: &'a str,
}

/// A password in the clear.
pub fn password(world: &World, attempt: &Attempt<'_>, password: &[u8]) -> Result<Login, Trouble> {
    attempt.judge(world, "password", |user| {
        if let Some(user) = user
            && app_password::is_one(password)
            && let Some(allowed) = attempt.app_password(world, user, password)?
        {
            return Ok(allowed.then(Vec::new));
        }
        let stored = user.map(|user| user.password_hash.as_str());
        let verdict = world.pool.check(password, stored)?;
        let Some(user) = user.filter(|_| verdict != Verdict::Mismatch) else {
            return Ok(None);
        };
        let rules = world.rules();
        if verdict == Verdict::MatchObsolete || user.scram.is_none() {
            world.books.write(Entry::Rehash {
                user: Box::new(user.clone()),
                password: Zeroizing::new(password.to_vec()),
                method: rules.hash,
                keep: if rules.cram_md5 {
                    Keep::ClearText
                } else {
                    Keep::Keys
                },
            });
        }
        Ok(Some(Vec::new()))
    })
}

/// A response to a CRAM-MD5 challenge.
pub fn cram_md5(
    world: &World,
    attempt: &Attempt<'_>,
    challenge: &[u8],
    digest: &[u8],
) -> Result<Login, Trouble> {
    let allowed = world.rules().cram_md5;
    attempt.judge(world, "CRAM-MD5", |user| {
        let right = secrets(user).check_cram_md5(challenge, digest);
        Ok((right && allowed).then(Vec::new))
    })
}

/// The proof of SCRAM-SHA-256.
pub fn scram(
    world: &World,
    attempt: &Attempt<'_>,
    auth_message: &[u8],
    proof: &[u8],
) -> Result<Login, Trouble> {
    attempt.judge(world, "SCRAM-SHA-256", |user| {
        let scram = secrets(user).scram_sha_256;
        Ok(scram
            .and_then(|scram| scram.check(auth_message, proof))
            .map(Vec::from))
    })
}

/// The public half of SCRAM-SHA-256. Who has no secret gets a salt that looks
/// like one.
pub fn scram_parameters(world: &World, name: &[u8]) -> Result<Reply, Trouble> {
    let user = match name.len() {
        0..=NAME_BYTES_MAX => world.user(name)?,
        _ => None,
    };
    let (salt, iterations) = match secrets(user.as_ref()).scram_sha_256 {
        Some(scram) => (scram.salt, scram.iterations),
        None => (
            secret::false_salt(world.key.as_slice(), world.address(name).as_bytes()),
            secret::ITERATIONS_DEFAULT,
        ),
    };
    Ok(Reply::ScramParameters { salt, iterations })
}

fn secrets(user: Option<&User>) -> Secrets {
    let column = user.and_then(|user| user.scram.as_deref());
    Secrets::parse(column.unwrap_or_default())
}

impl Attempt<'_> {
    /// Looks for a password of a single program: whether it opens this
    /// service, or `None` when it is none of them.
    fn app_password(
        &self,
        world: &World,
        user: &User,
        password: &[u8],
    ) -> Result<Option<bool>, Trouble> {
        let all = world.directory()?.app_passwords(user)?;
        let Some(found) = all.into_iter().find(|one| one.matches(password)) else {
            return Ok(None);
        };
        let allowed = match self.service {
            Service::Smtp => found.scope.smtp,
            Service::Imap => found.scope.imap,
            Service::Pop3 => found.scope.pop3,
        };
        if allowed {
            world.books.write(Entry::AppPassword {
                user: Box::new(user.clone()),
                name: found.name,
            });
        }
        Ok(Some(allowed))
    }

    /// What all mechanisms share. `check` says whether the secret is right
    /// and what SCRAM answers.
    fn judge(
        &self,
        world: &World,
        mechanism: &str,
        check: impl FnOnce(Option<&User>) -> Result<Option<Vec<u8>>, Trouble>,
    ) -> Result<Login, Trouble> {
        // A name nobody can have is not kept in full, for it costs memory.
        let address = match self.user.len() {
            0..=NAME_BYTES_MAX => world.address(self.user),
            _ => text::log::printable(self.user, NAME_BYTES_SHOWN),
        };
        let started = Instant::now();
        let limits = world.rules().limits;
        let failures = &world.failures;
        if let Some(stopped) = failures.stopped(&limits, &address, self.remote_ip, started) {
            let why = format!("refused unchecked: {}", stopped.words());
            self.log(&address, mechanism, &why);
            return Ok(Login::Refused);
        }
        let user = match self.user.len() {
            0..=NAME_BYTES_MAX => world.user(self.user)?,
            _ => None,
        };
        let (Some(server_signature), Some(user)) = (check(user.as_ref())?, user) else {
            let stopped = failures.add(&limits, &address, self.remote_ip, started);
            self.log(&address, mechanism, "refused: wrong user or password");
            for stopped in stopped {
                let seconds = limits.pause.as_secs();
                let why = format!("not checked for {seconds} s or more: {}", stopped.words());
                self.log(&address, mechanism, &why);
            }
            return Ok(Login::Refused);
        };
        failures.succeeded(&address, self.remote_ip, started);
        let (expired, denied) = limits_of(world, &user)?;
        let user = User {
            gid_flags: user.gid_flags | denied,
            ..user
        };
        if let Some(why) = expired.or_else(|| self.forbidden(&user)) {
            self.log(&address, mechanism, &format!("forbidden: {why}"));
            return Ok(Login::Forbidden(why.to_owned()));
        }
        let user = self.activate(world, user, denied)?;
        self.arrive(world, &user)?;
        if world.rules().last_auth
            && let Some(service) = self.recorded_as()
        {
            world.books.write(Entry::Login {
                user: Box::new(user.clone()),
                service,
                remote_ip: self.remote_ip.to_owned(),
            });
        }
        let took = started.elapsed().as_millis();
        self.log(
            &user.address(),
            mechanism,
            &format!("granted after {took} ms"),
        );
        Ok(Login::Granted(Account {
            address: user.address(),
            maildir: user.maildir().to_string_lossy().into_owned(),
            quota: user.quota.clone(),
            may_relay: !user.has(flags::NO_RELAY),
            server_signature,
        }))
    }

    /// Why a user with the right password may not use the service.
    fn forbidden(&self, user: &User) -> Option<&'static str> {
        match self.service {
            Service::Smtp if user.has(flags::NO_SMTP) => Some("this account cannot use SMTP"),
            Service::Smtp if !user.active => Some("this account is inactive"),
            Service::Imap if user.has(flags::NO_IMAP) => Some("this account cannot use IMAP"),
            Service::Pop3 if user.has(flags::NO_POP) => Some("this account cannot use POP3"),
            _ => None,
        }
    }

    /// An inactive user becomes active by reading mail.
    fn activate(&self, world: &World, user: User, denied: u32) -> Result<User, Trouble> {
        if user.active {
            return Ok(user);
        }
        let directory = world.directory()?;
        // Flags of the domain's limits are not the user's own.
        let own = directory.find_user(&user.name, &user.domain)?;
        let stored = User {
            active: true,
            gid_flags: own.map_or(user.gid_flags & !denied, |own| own.gid_flags),
            ..user.clone()
        };
        directory.update_user(&stored)?;
        let events = directory.last_auth(&user)?;
        let since = events.iter().find(|event| event.service == "INAC");
        directory.record_auth(&user, "ACTI", self.remote_ip, 0)?;
        if let Some(domain) = world.rules().domains.find(&user.domain)? {
            arrival::activated(world, &domain, &user, since.map(|event| event.time));
        }
        Ok(User {
            active: true,
            ..user
        })
    }

    /// What who reads mail finds, and may do for a while.
    fn arrive(&self, world: &World, user: &User) -> Result<(), Trouble> {
        if self.recorded_as().is_none() {
            return Ok(());
        }
        let rules = world.rules();
        let directory = world.directory()?;
        if let Some(domain) = rules.domains.find(&user.domain)? {
            arrival::prepare(world, &directory, &domain, user);
        }
        let ip = self.remote_ip.parse::<std::net::IpAddr>();
        if let (Some(_), Ok(ip), false) = (rules.relay_minutes, ip, user.has(flags::NO_RELAY)) {
            let row = [
                user.address().into(),
                ip.to_canonical().to_string().into(),
                os::clock::unix_seconds().into(),
            ];
            directory.put_row(&directory::list::RELAY, &row)?;
        }
        Ok(())
    }

    /// Its name in table `lastauth`; sending is not recorded there.
    fn recorded_as(&self) -> Option<&'static str> {
        match self.service {
            Service::Smtp => None,
            Service::Imap => Some("imap"),
            Service::Pop3 => Some("pop3"),
        }
    }

    fn log(&self, address: &str, mechanism: &str, what: &str) {
        let service = match self.service {
            Service::Smtp => "smtp",
            Service::Imap => "imap",
            Service::Pop3 => "pop3",
        };
        let address = text::log::safe(address.as_bytes());
        let ip = text::log::safe(self.remote_ip.as_bytes());
        run::info(
            crate::PROGRAM,
            &format!("login {service} {address} from {ip} by {mechanism}: {what}"),
        );
    }
}

/// Why a user may not log in by the limits of its domain; and the flags they
/// set.
fn limits_of(world: &World, user: &User) -> Result<(Option<&'static str>, u32), Trouble> {
    let rules = world.rules();
    let entry = rules.domains.find(&user.domain)?;
    let by_domain = entry.is_some_and(|entry| entry.dir.join(".domain_limits").exists());
    if user.has(flags::V_OVERRIDE) || !(rules.limits_everywhere || by_domain) {
        return Ok((None, 0));
    }
    let limits = world.directory()?.limits_of(&user.name, &user.domain)?;
    Ok(limits.map_or((None, 0), |limits| {
        (limits.expired(os::clock::unix_seconds()), limits.flags())
    }))
}
