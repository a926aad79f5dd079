//! Settings of virtual domains and users.

use crate::{Kind, Setting};

const LOOKUP: &[&str] = &["inlookup"];
const COMMANDS: &[&str] = &["vadddomain", "vadduser", "vmoduser", "vpasswd", "inlookup"];

/// Clear-text secrets for CRAM-MD5.
pub static CRAM_MD5: Setting = Setting {
    file: "cram_md5",
    variable: "",
    kind: Kind::Integer,
    default: Some("0"),
    readers: COMMANDS,
    meaning: "With 1, new passwords are also stored in the clear, which CRAM-MD5 needs, and \
              CRAM-MD5 is offered.",
};

/// How new passwords are hashed.
pub static HASH_METHOD: Setting = Setting {
    file: "hash_method",
    variable: "PASSWORD_HASH",
    kind: Kind::Line,
    default: Some("argon2id"),
    readers: COMMANDS,
    meaning: "Hash of new passwords: argon2id, sha-512 or yescrypt; des and md5 are only checked.",
};

/// Quota of new users.
pub static HARD_QUOTA: Setting = Setting {
    file: "",
    variable: "HARD_QUOTA",
    kind: Kind::Line,
    default: Some("NOQUOTA"),
    readers: &["vadddomain", "vadduser"],
    meaning: "Quota of users created without -q.",
};

/// Characters of new user names.
pub static ALLOWCHARS: Setting = Setting {
    file: "",
    variable: "ALLOWCHARS",
    kind: Kind::Line,
    default: Some("._-+=&"),
    readers: &["vadduser"],
    meaning: "Characters a new user name may have beside letters and digits; slash, colon, blanks \
              and quotes are always refused.",
};

/// Domain of addresses without one.
pub static DEFAULT_DOMAIN: Setting = Setting {
    file: "",
    variable: "DEFAULT_DOMAIN",
    kind: Kind::Line,
    default: None,
    readers: &[
        "inlookup",
        "vadduser",
        "vdeluser",
        "vmoduser",
        "vpasswd",
        "vuserinfo",
    ],
    meaning: "Virtual domain of user names without a domain; else the one in control/me.",
};

/// New accounts wait for their first login.
pub static CREATE_INACTIVE: Setting = Setting {
    file: "create_inactive",
    variable: "",
    kind: Kind::Integer,
    default: Some("0"),
    readers: &["vadduser"],
    meaning: "With 1, new accounts are inactive until their first IMAP or POP3 login.",
};

/// Wrong passwords of one user.
pub static AUTHFAILURES_ACCOUNT: Setting = Setting {
    file: "authfailures_account",
    variable: "",
    kind: Kind::Integer,
    default: Some("100"),
    readers: LOOKUP,
    meaning: "Wrong passwords for one user within an hour, from anywhere, after which they are not \
              checked for a while but where the user has logged in before; 0 is no limit.",
};

/// Wrong passwords from one address.
pub static AUTHFAILURES_ADDRESS: Setting = Setting {
    file: "authfailures_address",
    variable: "",
    kind: Kind::Integer,
    default: Some("50"),
    readers: LOOKUP,
    meaning: "Wrong passwords from one address within an hour, for anybody, after which they are \
              not checked for a while but for users who have logged in from there before; 0 is no \
              limit.",
};

/// How long that is.
pub static AUTHFAILURES_PAUSE: Setting = Setting {
    file: "authfailures_pause",
    variable: "",
    kind: Kind::Integer,
    default: Some("900"),
    readers: LOOKUP,
    meaning: "Seconds for which passwords are not checked after too many wrong ones; twice as long \
              each further time, up to 64 times.",
};

/// No record of logins.
pub static NOLASTAUTH: Setting = Setting {
    file: "",
    variable: "NOLASTAUTH",
    kind: Kind::Presence,
    default: None,
    readers: LOOKUP,
    meaning: "When set, logins are not recorded in table lastauth.",
};

/// Domains known to be real.
pub static REAL_DOMAINS: Setting = Setting {
    file: "",
    variable: "REAL_DOMAINS",
    kind: Kind::Line,
    default: Some(""),
    readers: LOOKUP,
    meaning: "Domains, separated by colons, that are real whatever the tables say.",
};

/// Domains known to be aliases.
pub static ALIAS_DOMAINS: Setting = Setting {
    file: "",
    variable: "ALIAS_DOMAINS",
    kind: Kind::Line,
    default: Some(""),
    readers: LOOKUP,
    meaning: "Pairs alias,real separated by colons, asked before the tables.",
};

const DATABASE: &[&str] = &["inlookup", "vadddomain", "vadduser", "indimail"];

/// The database server.
pub static HOST_MYSQL: Setting = Setting {
    file: "host.mysql",
    variable: "MYSQL_HOST",
    kind: Kind::Line,
    default: Some(""),
    readers: DATABASE,
    meaning: "Database server with the users, host:user:password:socket-or-port:ssl|nossl, all but \
              the host optional. Without it they are in an SQLite file. Only root and group \
              indimail may read the file (mode 640).",
};

/// Account there.
pub static MYSQL_USER: Setting = Setting {
    file: "",
    variable: "MYSQL_USER",
    kind: Kind::Line,
    default: Some(""),
    readers: DATABASE,
    meaning: "Account on the database server when host.mysql names none; else indimail.",
};

/// Its password.
pub static MYSQL_PASSWD: Setting = Setting {
    file: "",
    variable: "MYSQL_PASSWD",
    kind: Kind::Line,
    default: Some(""),
    readers: DATABASE,
    meaning: "Its password when host.mysql names none.",
};

/// Socket of a server on this host.
pub static MYSQL_SOCKET: Setting = Setting {
    file: "",
    variable: "MYSQL_SOCKET",
    kind: Kind::Line,
    default: Some(""),
    readers: DATABASE,
    meaning: "Unix socket of the database server when host.mysql names neither socket nor port.",
};

/// Port of the server.
pub static MYSQL_VPORT: Setting = Setting {
    file: "",
    variable: "MYSQL_VPORT",
    kind: Kind::Line,
    default: Some(""),
    readers: DATABASE,
    meaning: "TCP port of the database server when host.mysql names neither socket nor port; else \
              3306.",
};

/// Name of the database.
pub static MYSQL_DATABASE: Setting = Setting {
    file: "mysql_database",
    variable: "MYSQL_DATABASE",
    kind: Kind::Line,
    default: Some(""),
    readers: DATABASE,
    meaning: "Database on the server; else indimail.",
};

/// Whom the server's certificate may be signed by.
pub static MYSQL_CA: Setting = Setting {
    file: "mysql_ca",
    variable: "",
    kind: Kind::List,
    default: None,
    readers: DATABASE,
    meaning: "Certificates, in PEM, of those who may have signed that of the database server; \
              without the file the public authorities.",
};

const CLUSTER: &[&str] = &[
    "vhostid",
    "vsmtp",
    "hostcntrl",
    "hostsync",
    "dbinfo",
    "mgmtpass",
    "vpriv",
];

/// The database of a cluster.
pub static HOST_CNTRL: Setting = Setting {
    file: "host.cntrl",
    variable: "CNTRL_HOST",
    kind: Kind::Line,
    default: Some(""),
    readers: CLUSTER,
    meaning: "Database server that the hosts of a cluster share, for questions; written as host.mysql. Only root and group indimail may read the file (mode 640).",
};

/// The same, for changes.
pub static HOST_MASTER: Setting = Setting {
    file: "host.master",
    variable: "MASTER_HOST",
    kind: Kind::Line,
    default: Some(""),
    readers: CLUSTER,
    meaning: "Database server of the cluster, for changes; written as host.mysql.",
};

/// Account there.
pub static CNTRL_USER: Setting = Setting {
    file: "",
    variable: "CNTRL_USER",
    kind: Kind::Line,
    default: Some(""),
    readers: CLUSTER,
    meaning: "Account on the database server of the cluster when host.cntrl names none; else indimail.",
};

/// Its password.
pub static CNTRL_PASSWD: Setting = Setting {
    file: "",
    variable: "CNTRL_PASSWD",
    kind: Kind::Line,
    default: Some(""),
    readers: CLUSTER,
    meaning: "Its password when host.cntrl names none.",
};

/// Socket of that server.
pub static CNTRL_SOCKET: Setting = Setting {
    file: "",
    variable: "CNTRL_SOCKET",
    kind: Kind::Line,
    default: Some(""),
    readers: CLUSTER,
    meaning: "Unix socket of that server when host.cntrl names neither socket nor port.",
};

/// Port of that server.
pub static CNTRL_VPORT: Setting = Setting {
    file: "",
    variable: "CNTRL_VPORT",
    kind: Kind::Line,
    default: Some(""),
    readers: CLUSTER,
    meaning: "TCP port of that server when host.cntrl names neither socket nor port; else 3306.",
};

/// Name of its database.
pub static CNTRL_DATABASE: Setting = Setting {
    file: "cntrl_database",
    variable: "CNTRL_DATABASE",
    kind: Kind::Line,
    default: Some(""),
    readers: CLUSTER,
    meaning: "Database on that server; else indimail.",
};

/// Limits of domains count everywhere.
pub static DOMAIN_LIMITS: Setting = Setting {
    file: "",
    variable: "DOMAIN_LIMITS",
    kind: Kind::Presence,
    default: None,
    readers: &["inlookup", "vadduser", "valias"],
    meaning: "When set, the limits of vlimit count for every domain, not only where vmoddomain -l 1 says so.",
};

/// How long reading mail lets relay.
pub static RELAY_CLEAR_MINUTES: Setting = Setting {
    file: "relay_clear_minutes",
    variable: "RELAY_CLEAR_MINUTES",
    kind: Kind::Integer,
    default: Some("60"),
    readers: &["inlookup", "clearopensmtp"],
    meaning: "Minutes for which a client may relay after a POP3 or IMAP login, where CHECKRELAY or \
              control/open_smtp allows that.",
};

/// Reading mail lets relay.
pub static OPEN_SMTP: Setting = Setting {
    file: "open_smtp",
    variable: "OPEN_SMTP",
    kind: Kind::Integer,
    default: Some("0"),
    readers: &["inlookup", "clearopensmtp"],
    meaning: "With 1, a POP3 or IMAP login lets the address it came from relay for a while (POP before SMTP). Weaker than SMTP AUTH: everybody behind the same address may.",
};

/// Bytes of a user when a file system is measured.
pub static AVG_USER_QUOTA: Setting = Setting {
    file: "",
    variable: "AVG_USER_QUOTA",
    kind: Kind::Integer,
    default: Some("5000000"),
    readers: &["vfstab"],
    meaning: "Bytes per user with which vfstab says how many users a file system has room for.",
};

/// First message of a new user.
pub static WELCOMEMAIL: Setting = Setting {
    file: "",
    variable: "WELCOMEMAIL",
    kind: Kind::Line,
    default: Some("1welcome.txt,all"),
    readers: &["inlookup"],
    meaning: "File of the domain's bulk_mail that a user finds at the first login.",
};

/// First message of a user who came back.
pub static ACTIVATEMAIL: Setting = Setting {
    file: "",
    variable: "ACTIVATEMAIL",
    kind: Kind::Line,
    default: Some("activate.txt"),
    readers: &["inlookup"],
    meaning: "File of the domain's bulk_mail that a user finds whose account was inactive.",
};

/// Name of this host in a cluster.
pub static HOSTID: Setting = Setting {
    file: "hostid",
    variable: "",
    kind: Kind::Line,
    default: Some(""),
    readers: CLUSTER,
    meaning: "Name of this host in tables of a cluster; without it eight hexadecimal digits of gethostid.",
};

/// Settings of this group.
pub static ALL: &[&Setting] = &[
    &CRAM_MD5,
    &HASH_METHOD,
    &HARD_QUOTA,
    &ALLOWCHARS,
    &DEFAULT_DOMAIN,
    &CREATE_INACTIVE,
    &AUTHFAILURES_ACCOUNT,
    &AUTHFAILURES_ADDRESS,
    &AUTHFAILURES_PAUSE,
    &NOLASTAUTH,
    &REAL_DOMAINS,
    &ALIAS_DOMAINS,
    &HOST_MYSQL,
    &MYSQL_USER,
    &MYSQL_PASSWD,
    &MYSQL_SOCKET,
    &MYSQL_VPORT,
    &MYSQL_DATABASE,
    &MYSQL_CA,
    &HOST_CNTRL,
    &HOST_MASTER,
    &CNTRL_USER,
    &CNTRL_PASSWD,
    &CNTRL_SOCKET,
    &CNTRL_VPORT,
    &CNTRL_DATABASE,
    &DOMAIN_LIMITS,
    &RELAY_CLEAR_MINUTES,
    &OPEN_SMTP,
    &AVG_USER_QUOTA,
    &WELCOMEMAIL,
    &ACTIVATEMAIL,
    &HOSTID,
];
