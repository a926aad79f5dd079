//! What qmail-local(8) does, for one message and one recipient.

mod home;
mod instructions;

use std::fs::File;

use dotqmail::{Facts, OwnerFiles, forward_sender};
use wire::deliver::Request;
use wire::trace::TraceId;

use crate::outcome::{Outcome, Step, reason};
use crate::site::Site;
use crate::users::Users;

/// Really?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// Deliver.
    Deliver,
    /// Print what would be done (`-n`).
    Print,
}

/// Delivers a message for a recipient, as the user this process is. `message`
/// must be seekable; its offset is moved only for programs. The output is
/// what qmail-local prints.
pub fn deliver(
    site: &Site,
    users: &dyn Users,
    request: &Request,
    message: &File,
    mode: Mode,
) -> Outcome {
    let mut output = Vec::new();
    match prepare(site, request, message, mode, &mut output) {
        Ok((delivery, text)) => {
            let mut delivery = delivery;
            delivery.output = std::mem::take(&mut output);
            delivery.run(users, &text)
        }
        Err(outcome) => outcome.after(output),
    }
}

/// The preconditions in their order (queue-and-delivery.md §6.2).
fn prepare<'a>(
    site: &'a Site,
    request: &'a Request,
    message: &'a File,
    mode: Mode,
    output: &mut Vec<u8>,
) -> Step<(instructions::Delivery<'a>, Vec<u8>)> {
    let fields = [
        &request.user,
        &request.home,
        &request.local,
        &request.dash,
        &request.ext,
        &request.domain,
        &request.sender,
        &request.extra_headers,
    ];
    if fields.iter().any(|field| field.contains(&0)) {
        return Err(Outcome::permanent("Address contains a NUL byte. (#5.1.3)"));
    }
    let home = home::Directory::enter(&request.home)?;
    home.check(mode, output)?;
    let mut facts = Facts {
        user: request.user.clone(),
        home: request.home.clone(),
        local: request.local.clone(),
        domain: request.domain.clone(),
        ext: request.ext.clone(),
        sender: request.sender.clone(),
        extra_headers: request.extra_headers.clone(),
        wishes: wire::dsn::Dsn::from_headers(&request.env_headers).to_headers(),
        ..Facts::default()
    };
    refuse_remote(site, &home, &facts)?;
    if mode == Mode::Deliver {
        refuse_loop(site, &facts, message)?;
    }
    let found = home.find_instructions(&request.dash, &request.ext)?;
    facts.default = found
        .as_ref()
        .and_then(|found| found.matched_from)
        .map(|from| request.ext[from..].to_vec());
    let owner = match dotqmail::owner_files(&request.dash, &request.ext) {
        Some((owner, default)) => home.owner_files(&owner, &default)?,
        None => OwnerFiles::None,
    };
    facts.new_sender = forward_sender(&request.sender, &request.local, &request.domain, owner);
    // The execute bit of an empty file says nothing of what stands in for it.
    let (text, forwards_only) = match found {
        Some(found) if !found.text.is_empty() => (found.text, found.forwards_only),
        _ => (request.default_delivery.clone(), false),
    };
    let trace = TraceId::from_headers(&request.env_headers).unwrap_or_else(run::Tracer::new_id);
    let delivery = instructions::Delivery {
        site,
        message,
        mode,
        facts,
        home: home.path,
        header_variables: run::variables::of_headers(&request.env_headers),
        chosen_variables: Vec::new(),
        trace,
        forwards_only,
        forwards: Vec::new(),
        did: instructions::Did::default(),
        output: Vec::new(),
    };
    Ok((delivery, text))
}

/// Some users take mail from some domains only.
fn refuse_remote(site: &Site, home: &home::Directory, facts: &Facts) -> Step {
    let Some(domains) = &site.local_domains else {
        return Ok(());
    };
    let is_for_all = site.settings.variable("LOCALDOMAINS").is_some();
    if facts.sender.is_empty() || !(is_for_all || home.path.join(".localdomains").exists()) {
        return Ok(());
    }
    let at = facts.sender.iter().rposition(|&b| b == b'@');
    let domain = at.map_or(&b""[..], |at| &facts.sender[at + 1..]);
    match domains
        .iter()
        .any(|known| known.eq_ignore_ascii_case(domain))
    {
        true => Ok(()),
        false => Err(Outcome::permanent(
            "This email address doesn't accept mails from remote domains. (#5.2.1)",
        )),
    }
}

/// A message that has been here before has our line in its header.
fn refuse_loop(site: &Site, facts: &Facts, message: &File) -> Step {
    let Some(max) = site.delivered_to_max else {
        return Ok(());
    };
    match crate::header_exceeds(message, &facts.delivered_to_line(), max) {
        Ok(false) => Ok(()),
        Ok(true) => Err(Outcome::permanent(
            "This message is looping: it already has my Delivered-To line. (#5.4.6)",
        )),
        Err(error) => Err(Outcome::temporary(format_args!(
            "Unable to read message: {}. (#4.3.0)",
            reason(&error)
        ))),
    }
}
