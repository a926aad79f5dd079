//! The tables in the words of SQLite.

/// The table of active users, or that of the others.
macro_rules! users {
    ($table:literal) => {
        concat!(
            "CREATE TABLE ",
            $table,
            " (
    pw_name TEXT NOT NULL COLLATE NOCASE CHECK (length(pw_name) <= 40),
    pw_domain TEXT NOT NULL COLLATE NOCASE CHECK (length(pw_domain) <= 67),
    pw_passwd TEXT NOT NULL CHECK (length(pw_passwd) <= 128),
    pw_uid INTEGER,
    pw_gid INTEGER,
    pw_gecos TEXT NOT NULL CHECK (length(pw_gecos) <= 48),
    pw_dir TEXT CHECK (length(pw_dir) <= 156),
    pw_shell TEXT CHECK (length(pw_shell) <= 30),
    scram TEXT CHECK (length(scram) <= 255),
    timestamp INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (pw_name, pw_domain)
);
",
            "CREATE INDEX ",
            $table,
            "_gecos ON ",
            $table,
            " (pw_gecos);
",
            "CREATE INDEX ",
            $table,
            "_uid ON ",
            $table,
            " (pw_uid);
",
            "CREATE INDEX ",
            $table,
            "_domain ON ",
            $table,
            " (pw_domain);
"
        )
    };
}

/// Tables of domains and users.
pub const FIRST: &str = concat!(
    users!("indimail"),
    users!("indibak"),
    "
CREATE TABLE relay (
    email TEXT NOT NULL COLLATE NOCASE,
    ipaddr TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    UNIQUE (email, ipaddr)
);
CREATE INDEX relay_ipaddr ON relay (ipaddr);
CREATE INDEX relay_timestamp ON relay (timestamp);
CREATE TABLE lastauth (
    user TEXT NOT NULL COLLATE NOCASE,
    domain TEXT NOT NULL COLLATE NOCASE,
    service TEXT NOT NULL,
    remote_ip TEXT NOT NULL,
    quota INTEGER NOT NULL,
    gecos TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    PRIMARY KEY (user, domain, service)
);
CREATE INDEX lastauth_timestamp ON lastauth (timestamp);
CREATE TABLE userquota (
    user TEXT NOT NULL COLLATE NOCASE,
    domain TEXT NOT NULL COLLATE NOCASE,
    quota INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    PRIMARY KEY (user, domain)
);
CREATE TABLE valias (
    alias TEXT NOT NULL COLLATE NOCASE CHECK (length(alias) <= 40),
    domain TEXT NOT NULL COLLATE NOCASE CHECK (length(domain) <= 67),
    valias_line TEXT NOT NULL CHECK (length(valias_line) <= 190),
    timestamp INTEGER NOT NULL DEFAULT 0,
    UNIQUE (alias, domain, valias_line)
);
CREATE INDEX valias_line ON valias (valias_line);
CREATE TABLE vfilter (
    emailid TEXT NOT NULL COLLATE NOCASE,
    filter_no INTEGER NOT NULL,
    filter_name TEXT NOT NULL,
    header_name INTEGER NOT NULL,
    comparision INTEGER NOT NULL,
    keyword TEXT NOT NULL,
    destination TEXT NOT NULL,
    bounce_action TEXT NOT NULL,
    timestamp INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (emailid, filter_no),
    UNIQUE (emailid, header_name, comparision, keyword, destination)
);
CREATE TABLE bulkmail (
    emailid TEXT NOT NULL COLLATE NOCASE,
    filename TEXT NOT NULL,
    zztimestamp INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (emailid, filename)
);
CREATE TABLE vlimits (
    domain TEXT PRIMARY KEY NOT NULL COLLATE NOCASE,
    domain_expiry INTEGER NOT NULL DEFAULT -1,
    passwd_expiry INTEGER NOT NULL DEFAULT -1,
    maxpopaccounts INTEGER NOT NULL DEFAULT -1,
    maxaliases INTEGER NOT NULL DEFAULT -1,
    maxforwards INTEGER NOT NULL DEFAULT -1,
    maxautoresponders INTEGER NOT NULL DEFAULT -1,
    maxmailinglists INTEGER NOT NULL DEFAULT -1,
    diskquota INTEGER NOT NULL DEFAULT 0,
    maxmsgcount INTEGER NOT NULL DEFAULT 0,
    defaultquota INTEGER NOT NULL DEFAULT 0,
    defaultmaxmsgcount INTEGER NOT NULL DEFAULT 0,
    disable_pop INTEGER NOT NULL DEFAULT 0,
    disable_imap INTEGER NOT NULL DEFAULT 0,
    disable_dialup INTEGER NOT NULL DEFAULT 0,
    disable_passwordchanging INTEGER NOT NULL DEFAULT 0,
    disable_webmail INTEGER NOT NULL DEFAULT 0,
    disable_relay INTEGER NOT NULL DEFAULT 0,
    disable_smtp INTEGER NOT NULL DEFAULT 0,
    perm_account INTEGER NOT NULL DEFAULT 0,
    perm_alias INTEGER NOT NULL DEFAULT 0,
    perm_forward INTEGER NOT NULL DEFAULT 0,
    perm_autoresponder INTEGER NOT NULL DEFAULT 0,
    perm_maillist INTEGER NOT NULL DEFAULT 0,
    perm_quota INTEGER NOT NULL DEFAULT 0,
    perm_defaultquota INTEGER NOT NULL DEFAULT 0,
    timestamp INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE fstab (
    filesystem TEXT NOT NULL,
    host TEXT NOT NULL,
    status INTEGER NOT NULL,
    max_users INTEGER NOT NULL,
    cur_users INTEGER NOT NULL,
    max_size INTEGER NOT NULL,
    cur_size INTEGER NOT NULL,
    timestamp INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (filesystem, host)
);
CREATE TABLE ip_alias_map (
    ipaddr TEXT PRIMARY KEY NOT NULL,
    domain TEXT COLLATE NOCASE,
    timestamp INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE atrn_map (
    pw_name TEXT NOT NULL COLLATE NOCASE,
    pw_domain TEXT NOT NULL COLLATE NOCASE,
    domain_list TEXT COLLATE NOCASE,
    timestamp INTEGER NOT NULL DEFAULT 0,
    UNIQUE (pw_name, pw_domain, domain_list)
);
CREATE TABLE vlog (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user TEXT,
    passwd TEXT,
    domain TEXT,
    logon TEXT,
    remoteip TEXT,
    message TEXT,
    timestamp INTEGER,
    error INTEGER
);
-- Freed home directories; other writers keep them in files of the domain.
CREATE TABLE dir_free (
    suffix TEXT NOT NULL,
    domain TEXT NOT NULL COLLATE NOCASE,
    the_dir TEXT NOT NULL
);
CREATE INDEX dir_free_domain ON dir_free (suffix, domain);
"
);

/// Passwords for single programs of a user.
pub const APP_PASSWORDS: &str = "
CREATE TABLE app_password (
    user TEXT NOT NULL COLLATE NOCASE CHECK (length(user) <= 40),
    domain TEXT NOT NULL COLLATE NOCASE CHECK (length(domain) <= 67),
    name TEXT NOT NULL COLLATE NOCASE CHECK (length(name) <= 40),
    passwd TEXT NOT NULL CHECK (length(passwd) <= 128),
    scope TEXT NOT NULL,
    created INTEGER NOT NULL,
    lastused INTEGER,
    PRIMARY KEY (user, domain, name)
);
";
/// Takes them back.
pub const NO_APP_PASSWORDS: &str = "DROP TABLE app_password;";

/// A list of addresses.
macro_rules! addresses {
    ($($table:literal)*) => {
        concat!($(
            "CREATE TABLE ",
            $table,
            " (
    email TEXT PRIMARY KEY NOT NULL COLLATE NOCASE CHECK (length(email) <= 64),
    timestamp INTEGER NOT NULL DEFAULT 0
);
",
        )*)
    };
}

/// Tables that the hosts of a cluster share, and those of operators
/// (virtual-domains.md §4.3).
pub const CENTRAL: &str = concat!(
    "
CREATE TABLE hostcntrl (
    pw_name TEXT NOT NULL COLLATE NOCASE CHECK (length(pw_name) <= 40),
    pw_domain TEXT NOT NULL COLLATE NOCASE CHECK (length(pw_domain) <= 67),
    pw_passwd TEXT NOT NULL CHECK (length(pw_passwd) <= 128),
    host TEXT NOT NULL CHECK (length(host) <= 64),
    timestamp INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (pw_name, pw_domain)
);
CREATE TABLE host_table (
    host TEXT PRIMARY KEY NOT NULL CHECK (length(host) <= 64),
    ipaddr TEXT NOT NULL CHECK (length(ipaddr) <= 46),
    timestamp INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX host_table_ipaddr ON host_table (ipaddr);
CREATE TABLE smtp_port (
    host TEXT NOT NULL CHECK (length(host) <= 64),
    src_host TEXT NOT NULL CHECK (length(src_host) <= 64),
    domain TEXT NOT NULL COLLATE NOCASE CHECK (length(domain) <= 64),
    port INTEGER,
    timestamp INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (domain, host, src_host)
);
CREATE TABLE aliasdomain (
    alias TEXT PRIMARY KEY NOT NULL COLLATE NOCASE CHECK (length(alias) <= 64),
    domain TEXT COLLATE NOCASE CHECK (length(domain) <= 67),
    timestamp INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE dbinfo (
    filename TEXT NOT NULL CHECK (length(filename) <= 128),
    domain TEXT NOT NULL COLLATE NOCASE CHECK (length(domain) <= 64),
    distributed INTEGER NOT NULL,
    server TEXT NOT NULL CHECK (length(server) <= 28),
    mdahost TEXT NOT NULL CHECK (length(mdahost) <= 28),
    port INTEGER NOT NULL,
    use_ssl INTEGER NOT NULL DEFAULT 0,
    dbname TEXT NOT NULL CHECK (length(dbname) <= 28),
    user TEXT NOT NULL CHECK (length(user) <= 28),
    passwd TEXT NOT NULL CHECK (length(passwd) <= 28),
    timestamp INTEGER NOT NULL DEFAULT 0,
    UNIQUE (filename, domain, server, mdahost, port, dbname, user, passwd)
);
CREATE INDEX dbinfo_domain ON dbinfo (domain);
CREATE TABLE mgmtaccess (
    user TEXT NOT NULL UNIQUE CHECK (length(user) <= 32),
    pass TEXT NOT NULL CHECK (length(pass) <= 128),
    pw_uid INTEGER NOT NULL,
    pw_gid INTEGER NOT NULL,
    lastaccess INTEGER NOT NULL,
    lastupdate INTEGER NOT NULL,
    day TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    status TEXT NOT NULL,
    zztimestamp INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE vpriv (
    user TEXT NOT NULL CHECK (length(user) <= 32),
    program TEXT NOT NULL CHECK (length(program) <= 64),
    cmdswitches TEXT NOT NULL CHECK (length(cmdswitches) <= 128),
    timestamp INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (user, program)
);
CREATE TABLE spam (
    email TEXT NOT NULL COLLATE NOCASE CHECK (length(email) <= 64),
    spam_count INTEGER NOT NULL,
    timestamp INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX spam_email ON spam (email);
CREATE INDEX spam_count ON spam (spam_count);
",
    addresses!(
        "badmailfrom" "badrcptto" "spamdb" "blackholedsender" "blackholercpt"
        "relaymailfrom" "chkrcptdomains" "goodrcptto" "spamignore"
    )
);
/// Takes them back.
pub const NO_CENTRAL: &str = "
DROP TABLE hostcntrl;
DROP TABLE host_table;
DROP TABLE smtp_port;
DROP TABLE aliasdomain;
DROP TABLE dbinfo;
DROP TABLE mgmtaccess;
DROP TABLE vpriv;
DROP TABLE spam;
DROP TABLE badmailfrom;
DROP TABLE badrcptto;
DROP TABLE spamdb;
DROP TABLE blackholedsender;
DROP TABLE blackholercpt;
DROP TABLE relaymailfrom;
DROP TABLE chkrcptdomains;
DROP TABLE goodrcptto;
DROP TABLE spamignore;
";

/// What programs show instead of an operator's password.
pub const TOKENS: &str = "
CREATE TABLE mgmttoken (
    digest TEXT PRIMARY KEY NOT NULL,
    user TEXT NOT NULL CHECK (length(user) <= 32),
    name TEXT NOT NULL CHECK (length(name) <= 40),
    created INTEGER NOT NULL,
    UNIQUE (user, name)
);
";
/// Takes it back.
pub const NO_TOKENS: &str = "DROP TABLE mgmttoken;";
