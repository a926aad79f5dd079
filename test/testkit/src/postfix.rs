//! Debian's Postfix as the foreign server, in a directory of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::program::{run, wait_for};

/// A running Postfix.
#[derive(Debug)]
pub struct Postfix {
    directory: Arc<tempfile::TempDir>,
    /// Its SMTP port.
    pub port: u16,
}

impl Postfix {
    /// Starts a Postfix that takes mail for the users ann, bob, carol and
    /// user0 to user999 of `domain` into Maildirs, and sends everything else to
    /// `relayhost` (`[host]:port`), or refuses it when that is empty.
    ///
    /// # Panics
    /// When Postfix does not start.
    pub fn start(domain: &str, relayhost: &str) -> Self {
        Self::listen("127.0.0.1", crate::free_port(), domain, relayhost)
    }

    /// As [`Postfix::start`], on this address and port: what an MX record
    /// leads to is port 25.
    ///
    /// # Panics
    /// When Postfix does not start.
    pub fn listen(address: &str, port: u16, domain: &str, relayhost: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("postfix-")
            .tempdir()
            .expect("a directory");
        let base = directory.path();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(base, mode).expect("permissions");
        for part in ["etc", "spool", "data", "mail"] {
            fs::create_dir(base.join(part)).expect("a directory");
        }
        fs::write(base.join("etc/main.cf"), main_cf(base, domain, relayhost)).expect("main.cf");
        fs::write(base.join("etc/master.cf"), master_cf(address, port)).expect("master.cf");
        fs::write(base.join("etc/users"), users(domain)).expect("users");
        let owner = run(Command::new("id").args(["-u", "postfix"]), b"")
            .good()
            .out;
        let owner = owner.trim().parse().ok();
        std::os::unix::fs::chown(base.join("data"), owner, None).expect("chown");
        std::os::unix::fs::chown(base.join("mail"), Some(65_534), Some(65_534)).expect("chown");
        let directory = Arc::new(directory);
        let server = Self { directory, port };
        server.control("start").good();
        wait_for("Postfix", Duration::from_secs(90), || {
            std::net::TcpStream::connect((address, port)).is_ok()
        });
        server
    }

    /// As [`Postfix::start`], with a certificate (a chain and its
    /// key) and users who log in with PLAIN.
    ///
    /// # Panics
    /// When Postfix does not start.
    pub fn with_logins(domain: &str, certificate: &[u8], users: &[(&str, &str)]) -> Self {
        let server = Self::start(domain, "");
        let base = server.directory.path();
        // Where Debian's Postfix looks, below its configuration.
        let sasl = base.join("etc/sasl");
        fs::create_dir(&sasl).expect("a directory");
        let own = sasl.join("certificate.pem");
        fs::write(&own, certificate).expect("a certificate");
        let method = format!(
            "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN\nsasldb_path: {}\n",
            sasl.join("db").display()
        );
        fs::write(sasl.join("smtpd.conf"), method).expect("a file");
        for (user, password) in users {
            let (local, realm) = user.split_once('@').unwrap_or((user, domain));
            let mut add = Command::new("/usr/sbin/saslpasswd2");
            add.args(["-p", "-c", "-f"]).arg(sasl.join("db"));
            run(add.args(["-u", realm, local]), password.as_bytes()).good();
        }
        // Berkeley DB opens it for writing even to read.
        let writable = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        fs::set_permissions(sasl.join("db"), writable).expect("permissions");
        let settings = [
            format!("smtpd_tls_cert_file={}", own.display()),
            format!("smtpd_tls_key_file={}", own.display()),
            "smtpd_sasl_auth_enable=yes".to_owned(),
        ];
        let mut postconf = Command::new("/usr/sbin/postconf");
        postconf.arg("-c").arg(base.join("etc")).args(settings);
        run(&mut postconf, b"").good();
        // The login module reads its configuration when a process starts.
        server.control("stop").good();
        server.control("start").good();
        wait_for("Postfix", Duration::from_secs(90), || {
            std::net::TcpStream::connect(("127.0.0.1", server.port)).is_ok()
        });
        server
    }

    /// Stops it and hands over everything it leaves.
    pub fn into_directory(self) -> Arc<tempfile::TempDir> {
        Arc::clone(&self.directory)
    }

    /// The messages a user of the domain has.
    pub fn messages(&self, user: &str) -> Vec<String> {
        let directory = self.maildir(user).join("new");
        fs::read_dir(directory)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| fs::read(entry.path()).ok())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect()
    }

    /// Waits until a user has this many messages.
    ///
    /// # Panics
    /// When they do not arrive.
    #[track_caller]
    pub fn wait_for_messages(&self, user: &str, count: usize) -> Vec<String> {
        wait_for("mail at Postfix", Duration::from_secs(90), || {
            count <= self.messages(user).len()
        });
        self.messages(user)
    }

    /// Hands Postfix a message from its own side.
    ///
    /// # Panics
    /// When Postfix does not take it.
    pub fn send(&self, from: &str, to: &str, message: &str) {
        self.send_with(&[], from, to, message);
    }

    /// As [`Postfix::send`], with further options of sendmail.
    ///
    /// # Panics
    /// When Postfix does not take it.
    pub fn send_with(&self, options: &[&str], from: &str, to: &str, message: &str) {
        let mut command = Command::new("/usr/sbin/sendmail");
        command
            .arg("-C")
            .arg(self.directory.path().join("etc"))
            .arg("-i")
            .args(options)
            .args(["-f", from, to]);
        let _ = run(&mut command, message.as_bytes()).good();
    }

    /// The master process, above all others.
    ///
    /// # Panics
    /// When Postfix does not run.
    pub fn pid(&self) -> u32 {
        let file = self.directory.path().join("spool/pid/master.pid");
        fs::read_to_string(file)
            .expect("a pid file")
            .trim()
            .parse()
            .expect("a pid")
    }

    /// The Maildir of a user.
    pub fn maildir(&self, user: &str) -> PathBuf {
        self.directory.path().join("mail").join(user)
    }

    fn control(&self, order: &str) -> crate::Ran {
        let mut command = Command::new("/usr/sbin/postfix");
        command
            .arg("-c")
            .arg(self.directory.path().join("etc"))
            .arg(order);
        run(&mut command, b"")
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.control("stop");
    }
}

/// The users of the domain, and where their mail goes.
fn users(domain: &str) -> String {
    let numbered = (0..1000).map(|n| format!("user{n}"));
    ["ann", "bob", "carol"]
        .into_iter()
        .map(str::to_owned)
        .chain(numbered)
        .map(|user| format!("{user}@{domain} {user}/\n"))
        .collect()
}

fn main_cf(base: &Path, domain: &str, relayhost: &str) -> String {
    let base = base.display();
    format!(
        "compatibility_level = 3.6\n\
         queue_directory = {base}/spool\ndata_directory = {base}/data\n\
         mail_owner = postfix\nsetgid_group = postdrop\n\
         command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\n\
         maillog_file = {base}/log\nmaillog_file_prefixes = {base}\n\
         inet_interfaces = all\ninet_protocols = ipv4\n\
         myhostname = foreign.{domain}\nmydestination =\nmynetworks = 127.0.0.0/8\n\
         virtual_mailbox_domains = {domain}\nvirtual_mailbox_base = {base}/mail\n\
         virtual_mailbox_maps = texthash:{base}/etc/users\n\
         virtual_uid_maps = static:65534\nvirtual_gid_maps = static:65534\n\
         virtual_minimum_uid = 1000\nmailbox_size_limit = 0\nvirtual_mailbox_limit = 0\n\
         relayhost = {relayhost}\nsmtp_host_lookup = native\nsmtp_tls_security_level = may\n\
         smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n\
         smtpd_tls_security_level = may\n\
         smtpd_tls_cert_file = /etc/ssl/certs/ssl-cert-snakeoil.pem\n\
         smtpd_tls_key_file = /etc/ssl/private/ssl-cert-snakeoil.key\n\
         minimal_backoff_time = 5s\nmaximal_backoff_time = 5s\nqueue_run_delay = 5s\n\
         in_flow_delay = 0\nsmtpd_recipient_limit = 2000\n"
    )
}

fn master_cf(address: &str, port: u16) -> String {
    format!(
        "{address}:{port} inet n - n - - smtpd\n\
         pickup unix n - n 1 1 pickup\ncleanup unix n - n - 0 cleanup\n\
         qmgr unix n - n 300 1 qmgr\ntlsmgr unix - - n 1000? 1 tlsmgr\n\
         rewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\n\
         defer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\n\
         verify unix - - n - 1 verify\nflush unix n - n 1000? 0 flush\n\
         proxymap unix - - n - - proxymap\nproxywrite unix - - n - 1 proxymap\n\
         smtp unix - - n - - smtp\nrelay unix - - n - - smtp\n\
         showq unix n - n - - showq\nerror unix - - n - - error\n\
         retry unix - - n - - error\ndiscard unix - - n - - discard\n\
         local unix - n n - - local\nvirtual unix - n n - - virtual\n\
         lmtp unix - - n - - lmtp\nanvil unix - - n - 1 anvil\n\
         scache unix - - n - 1 scache\npostlog unix-dgram n - n - 1 postlogd\n"
    )
}
