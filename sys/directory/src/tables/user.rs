//! Rows of `indimail` and `indibak`.

use std::path::{Path, PathBuf};

use crate::sql::{Failed, Row, Session, Value, ending_with, values};
use crate::tables::counters::{self, Tree};
use crate::user::UID_IN_STEP;
use crate::{Error, Placement, User};

/// The table of active users, and that of the others.
pub fn table(active: bool) -> &'static str {
    if active { "indimail" } else { "indibak" }
}

/// Every column of a user, and whether it is active.
fn columns(session: &dyn Session, active: bool) -> String {
    let scram = if session.has_scram() { "scram" } else { "NULL" };
    format!(
        "pw_name, pw_domain, pw_passwd, pw_uid, pw_gid, pw_gecos, pw_dir, pw_shell, {scram}, {}",
        i64::from(active)
    )
}

/// A question to both tables; each takes the values once.
fn both(session: &dyn Session, condition: &str) -> String {
    let select = |active| {
        format!(
            "SELECT {} FROM {} WHERE {condition}",
            columns(session, active),
            table(active)
        )
    };
    format!("{} UNION ALL {}", select(true), select(false))
}

/// Old rows have NULLs; they mean the defaults.
fn user(row: &Row) -> User {
    User {
        name: row.text(0).to_lowercase(),
        domain: row.text(1).to_lowercase(),
        password_hash: row.text(2),
        uid_state: row
            .optional_integer(3)
            .and_then(|state| i32::try_from(state).ok())
            .unwrap_or(UID_IN_STEP),
        gid_flags: row.integer(4) as u32,
        gecos: row.text(5),
        dir: PathBuf::from(row.text(6)),
        quota: row.text(7),
        scram: row.optional_text(8),
        active: row.integer(9) == 1,
    }
}

/// One user. A server may take other letters for the same ones (`jose` for
/// `josé`); here a name is exactly itself.
pub fn find(session: &mut dyn Session, name: &str, domain: &str) -> Result<Option<User>, Failed> {
    let statement = both(session, "pw_name = ? AND pw_domain = ?");
    let rows = session.query(&statement, values![name, domain, name, domain])?;
    let mut users = rows.iter().map(user);
    Ok(users.find(|user| user.name == name && user.domain == domain))
}

/// The same, when it is about to be changed.
fn find_to_change(
    session: &mut dyn Session,
    name: &str,
    domain: &str,
) -> Result<Option<User>, Failed> {
    for active in [true, false] {
        let statement = format!(
            "SELECT {} FROM {} WHERE pw_name = ? AND pw_domain = ?{}",
            columns(session, active),
            table(active),
            session.dialect().for_update()
        );
        let rows = session.query(&statement, values![name, domain])?;
        let found = rows
            .iter()
            .map(user)
            .find(|user| user.name == name && user.domain == domain);
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The users of a domain whose names follow this one, in order; at most so
/// many.
pub fn list(
    session: &mut dyn Session,
    domain: &str,
    after: &str,
    count_max: u32,
) -> Result<Vec<User>, Failed> {
    let statement = format!(
        "{} ORDER BY 1 LIMIT {count_max}",
        both(session, "pw_domain = ? AND ? < pw_name")
    );
    let rows = session.query(&statement, values![domain, after, domain, after])?;
    Ok(rows.iter().map(user).collect())
}

/// How many users a domain has.
pub fn count(session: &mut dyn Session, domain: &str) -> Result<u64, Failed> {
    let row = session.first(
        "SELECT (SELECT COUNT(*) FROM indimail WHERE pw_domain = ?)
              + (SELECT COUNT(*) FROM indibak WHERE pw_domain = ?)",
        values![domain, domain],
    )?;
    Ok(row.map_or(0, |row| row.integer(0)).unsigned_abs())
}

/// Adds a user, in the directory that the placement says.
pub fn add(
    session: &mut dyn Session,
    new: &User,
    placement: &Placement,
    now: i64,
) -> Result<User, Failed> {
    if find_to_change(session, &new.name, &new.domain)?.is_some() {
        return Err(Error::Exists(new.address()).into());
    }
    let mut new = new.clone();
    new.dir = next_home(session, &new.name, &new.domain, placement, now)?;
    insert(session, &new, now)?;
    Ok(new)
}

/// Takes the directory for one more home.
pub fn next_home(
    session: &mut dyn Session,
    name: &str,
    domain: &str,
    placement: &Placement,
    now: i64,
) -> Result<PathBuf, Failed> {
    let dir = match placement {
        Placement::At(path) => path.clone(),
        Placement::Tree {
            base,
            mount,
            users_per_level,
        } => {
            let tree = Tree::of(name, domain, mount);
            let hash = counters::take(session, &tree, *users_per_level, now)?;
            let mut home = base.join(tree.prefix.directory).join(domain);
            if !hash.is_empty() {
                home.push(hash);
            }
            home.join(name)
        }
    };
    crate::value::check_directory(&dir)?;
    Ok(dir)
}

/// Adds a row as it is.
pub fn insert(session: &mut dyn Session, user: &User, now: i64) -> Result<(), Failed> {
    let (column, place) = if session.has_scram() {
        (", scram", ", ?")
    } else {
        ("", "")
    };
    let statement = format!(
        "INSERT INTO {} (pw_name, pw_domain, pw_passwd, pw_uid, pw_gid, pw_gecos, pw_dir,
         pw_shell, timestamp{column})
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, FROM_UNIXTIME(?){place})",
        table(user.active)
    );
    let mut row = values![
        &user.name,
        &user.domain,
        &user.password_hash,
        user.uid_state,
        user.gid_flags,
        &user.gecos,
        path_text(&user.dir)?,
        &user.quota,
        now,
    ]
    .to_vec();
    if session.has_scram() {
        row.push(Value::from(user.scram.as_deref()));
    }
    match session.execute(&statement, &row) {
        Err(Failed::Duplicate) => Err(Error::Exists(user.address()).into()),
        other => other.map(drop),
    }
}

/// Writes every column but the key and the home; moves the row when `active`
/// changed. `false` when there is no such user.
pub fn update(session: &mut dyn Session, new: &User, now: i64) -> Result<bool, Failed> {
    let Some(old) = find_to_change(session, &new.name, &new.domain)? else {
        return Ok(false);
    };
    if old.active != new.active {
        delete_row(session, &old)?;
        let moved = User {
            dir: old.dir,
            ..new.clone()
        };
        insert(session, &moved, now)?;
        return Ok(true);
    }
    write(session, new, old.dir.as_path(), now)
}

/// Writes the row with this home.
fn write(session: &mut dyn Session, user: &User, dir: &Path, now: i64) -> Result<bool, Failed> {
    let scram = if session.has_scram() {
        ", scram = ?"
    } else {
        ""
    };
    let statement = format!(
        "UPDATE {} SET pw_passwd = ?, pw_uid = ?, pw_gid = ?, pw_gecos = ?, pw_dir = ?,
         pw_shell = ?, timestamp = FROM_UNIXTIME(?){scram} WHERE pw_name = ? AND pw_domain = ?",
        table(user.active)
    );
    let mut row = values![
        &user.password_hash,
        user.uid_state,
        user.gid_flags,
        &user.gecos,
        path_text(dir)?,
        &user.quota,
        now,
    ]
    .to_vec();
    if session.has_scram() {
        row.push(Value::from(user.scram.as_deref()));
    }
    row.extend_from_slice(values![&user.name, &user.domain]);
    Ok(0 < session.execute(&statement, &row)?)
}

/// Gives a user another name, and everything that is stored under the old one
/// to the new. The home stays where it is; returned is where it belongs.
/// `None` when there is no such user.
pub fn rename(
    session: &mut dyn Session,
    old: &User,
    new: (&str, &str),
    placements: (&Placement, &Placement),
    now: i64,
) -> Result<Option<(User, PathBuf)>, Failed> {
    let Some(old) = find_to_change(session, &old.name, &old.domain)? else {
        return Ok(None);
    };
    let mut user = User {
        name: new.0.to_owned(),
        domain: new.1.to_owned(),
        ..old.clone()
    };
    let placed = add(session, &user, placements.1, now)?;
    write(session, &user, &old.dir, now)?;
    delete_row(session, &old)?;
    if let Placement::Tree { base, mount, .. } = placements.0 {
        counters::free(
            session,
            &old,
            base,
            &Tree::of(&old.name, &old.domain, mount),
        )?;
    }
    for (table, name) in [
        ("lastauth", "user"),
        ("userquota", "user"),
        ("app_password", "user"),
        ("valias", "alias"),
    ] {
        let statement =
            format!("UPDATE {table} SET {name} = ?, domain = ? WHERE {name} = ? AND domain = ?");
        session.execute(&statement, values![new.0, new.1, &old.name, &old.domain])?;
    }
    for (table, column) in [
        ("vfilter", "emailid"),
        ("bulkmail", "emailid"),
        ("vlimits", "domain"),
        ("relay", "email"),
    ] {
        let statement = format!("UPDATE {table} SET {column} = ? WHERE {column} = ?");
        session.execute(&statement, values![user.address(), old.address()])?;
    }
    let line = |user: &User| format!("&{}", user.address());
    session.execute(
        "UPDATE valias SET valias_line = ? WHERE valias_line = ?",
        values![line(&user), line(&old)],
    )?;
    user.dir = old.dir;
    Ok(Some((user, placed.dir)))
}

/// Says that a home is somewhere else now, and corrects the aliases that
/// name it.
pub fn move_home(
    session: &mut dyn Session,
    name: &str,
    domain: &str,
    new: &Path,
    now: i64,
) -> Result<bool, Failed> {
    crate::value::check_directory(new)?;
    let Some(user) = find_to_change(session, name, domain)? else {
        return Ok(false);
    };
    write(session, &user, new, now)?;
    super::alias::move_path(session, domain, &user.dir, new)?;
    Ok(true)
}

/// Sets and clears account flags: one UPDATE with arithmetic, never read and
/// write of the whole row.
pub fn change_flags(
    session: &mut dyn Session,
    name: &str,
    domain: &str,
    set: u32,
    clear: u32,
) -> Result<bool, Failed> {
    let mut changed = 0;
    for active in [true, false] {
        let statement = format!(
            "UPDATE {} SET pw_gid = (COALESCE(pw_gid, 0) & ?) | ?
             WHERE pw_name = ? AND pw_domain = ?",
            table(active)
        );
        changed += session.execute(&statement, values![!clear, set, name, domain])?;
    }
    Ok(0 < changed)
}

/// Replaces the password when it still is what was checked.
pub fn replace_hash(
    session: &mut dyn Session,
    user: &User,
    hash: &str,
    scram: Option<&str>,
) -> Result<bool, Failed> {
    let Some(now) = find_to_change(session, &user.name, &user.domain)? else {
        return Ok(false);
    };
    if now.password_hash != user.password_hash {
        return Ok(false);
    }
    let mut statement = format!("UPDATE {} SET pw_passwd = ?", table(now.active));
    let mut row = vec![Value::from(hash)];
    if session.has_scram() {
        statement.push_str(", scram = ?");
        row.push(Value::from(scram));
    }
    statement.push_str(" WHERE pw_name = ? AND pw_domain = ?");
    row.extend_from_slice(values![&user.name, &user.domain]);
    Ok(0 < session.execute(&statement, &row)?)
}

/// Deletes a user and everything stored about it; returns what it was.
pub fn delete(
    session: &mut dyn Session,
    name: &str,
    domain: &str,
    placement: Option<&Placement>,
) -> Result<Option<User>, Failed> {
    let Some(old) = find_to_change(session, name, domain)? else {
        return Ok(None);
    };
    delete_row(session, &old)?;
    for (statement, values) in [
        (
            "DELETE FROM lastauth WHERE user = ? AND domain = ?",
            values![name, domain],
        ),
        (
            "DELETE FROM userquota WHERE user = ? AND domain = ?",
            values![name, domain],
        ),
        (
            "DELETE FROM app_password WHERE user = ? AND domain = ?",
            values![name, domain],
        ),
        (
            "DELETE FROM valias WHERE alias = ? AND domain = ?",
            values![name, domain],
        ),
        (
            "DELETE FROM valias WHERE valias_line = ?",
            values![format!("&{}", old.address())],
        ),
        (
            "DELETE FROM vfilter WHERE emailid = ?",
            values![old.address()],
        ),
        (
            "DELETE FROM bulkmail WHERE emailid = ?",
            values![old.address()],
        ),
        ("DELETE FROM relay WHERE email = ?", values![old.address()]),
        (
            "DELETE FROM vlimits WHERE domain = ?",
            values![old.address()],
        ),
    ] {
        session.execute(statement, values)?;
    }
    if let Some(Placement::Tree { base, mount, .. }) = placement {
        counters::free(session, &old, base, &Tree::of(name, domain, mount))?;
    }
    Ok(Some(old))
}

fn delete_row(session: &mut dyn Session, user: &User) -> Result<(), Failed> {
    let statement = format!(
        "DELETE FROM {} WHERE pw_name = ? AND pw_domain = ?",
        table(user.active)
    );
    session.execute(&statement, values![&user.name, &user.domain])?;
    Ok(())
}

/// Which mechanisms the stored secrets of active users allow.
pub fn mechanisms(session: &mut dyn Session) -> Result<crate::Mechanisms, Failed> {
    if !session.has_scram() {
        return Ok(crate::Mechanisms::default());
    }
    let row = session.first(
        "SELECT EXISTS (SELECT 1 FROM indimail
             WHERE scram LIKE '{CRAM}%' OR scram LIKE '{SCRAM-SHA-%}%:%:%'),
         EXISTS (SELECT 1 FROM indimail WHERE scram LIKE '{SCRAM-SHA-256}%')",
        &[],
    )?;
    Ok(row.map_or_else(Default::default, |row| crate::Mechanisms {
        cram: row.integer(0) == 1,
        scram_sha_256: row.integer(1) == 1,
    }))
}

/// Rows that carry addresses of a domain in one text.
pub fn delete_addresses(
    session: &mut dyn Session,
    table: &str,
    column: &str,
    domain: &str,
) -> Result<(), Failed> {
    let statement = format!("DELETE FROM {table} WHERE {column} LIKE ? ESCAPE '!'");
    session.execute(&statement, values![ending_with(&format!("@{domain}"))])?;
    Ok(())
}

pub(super) fn path_text(path: &Path) -> Result<&str, Error> {
    path.to_str().ok_or_else(|| Error::Value {
        field: "directory",
        problem: "is not UTF-8".to_owned(),
    })
}
