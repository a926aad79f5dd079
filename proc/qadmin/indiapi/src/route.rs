//! Which request stands for which command. Nothing here does anything.

use hyper::Method;
use percent_encoding::percent_decode_str;

use crate::answer::Problem;
use crate::command::{Command, Fields, Prints};

/// The requests there are, as the description has them. `doc/openapi.json`
/// is tested against it.
#[cfg(test)]
pub const ROUTES: &[(&str, &str)] = &[
    ("get", "/v1/domains"),
    ("post", "/v1/domains"),
    ("get", "/v1/domains/{domain}"),
    ("delete", "/v1/domains/{domain}"),
    ("get", "/v1/domains/{domain}/users"),
    ("post", "/v1/domains/{domain}/users"),
    ("get", "/v1/domains/{domain}/aliases"),
    ("get", "/v1/domains/{domain}/limits"),
    ("put", "/v1/domains/{domain}/limits"),
    ("delete", "/v1/domains/{domain}/limits"),
    ("get", "/v1/users/{address}"),
    ("patch", "/v1/users/{address}"),
    ("delete", "/v1/users/{address}"),
    ("put", "/v1/users/{address}/password"),
    ("put", "/v1/users/{address}/quota"),
    ("get", "/v1/users/{address}/app-passwords"),
    ("post", "/v1/users/{address}/app-passwords"),
    ("delete", "/v1/users/{address}/app-passwords/{name}"),
    ("get", "/v1/aliases/{address}"),
    ("post", "/v1/aliases/{address}"),
    ("delete", "/v1/aliases/{address}"),
];

/// Numbers of a domain's limits, and the options of vlimit for them.
const LIMITS: [(&str, &str); 9] = [
    ("accounts", "-P"),
    ("aliases", "-A"),
    ("forwards", "-F"),
    ("autoresponders", "-R"),
    ("mailing_lists", "-L"),
    ("bytes", "-Q"),
    ("messages", "-M"),
    ("user_bytes", "-q"),
    ("user_messages", "-m"),
];

/// The command for a request.
pub fn find(method: &Method, path: &str, body: &[u8]) -> Result<Command, Problem> {
    let parts: Vec<String> = path
        .split('/')
        .skip(1)
        .map(|part| {
            let decoded = percent_decode_str(part).decode_utf8();
            decoded.map(String::from).unwrap_or_default()
        })
        .collect();
    // A name that looks like an option would be one, of another command.
    if parts
        .iter()
        .any(|part| part.starts_with('-') || part.chars().any(char::is_control))
    {
        return Err(Problem::not_found());
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let ["v1", rest @ ..] = parts.as_slice() else {
        return Err(Problem::not_found());
    };
    match rest {
        ["domains"] => domains(method, body),
        ["domains", domain] => one_domain(method, domain),
        ["domains", domain, "users"] => users(method, domain, body),
        ["domains", domain, "aliases"] => match *method {
            Method::GET => Ok(Command::show(
                "valias",
                &["-s", "--json", &format!("@{domain}")],
                Prints::Json,
            )),
            _ => Err(Problem::method()),
        },
        ["domains", domain, "limits"] => limits(method, domain, body),
        ["users", address] => one_user(method, address, body),
        ["users", address, "password"] => password(method, address, body),
        ["users", address, "quota"] => quota(method, address, body),
        ["users", address, "app-passwords"] => app_passwords(method, address, body),
        ["users", address, "app-passwords", name] => match *method {
            Method::DELETE => Ok(Command::change("vapppasswd", &["-d", name, address])),
            _ => Err(Problem::method()),
        },
        ["aliases", address] => aliases(method, address, body),
        _ => Err(Problem::not_found()),
    }
}

fn domains(method: &Method, body: &[u8]) -> Result<Command, Problem> {
    match *method {
        Method::GET => Ok(Command::show("vdominfo", &["--json"], Prints::Json)),
        Method::POST => {
            let mut fields = Fields::parse(body)?;
            let domain = plain(fields.text("domain")?, "domain")?;
            let password = fields.text("password")?;
            let quota = fields.optional("quota")?;
            fields.end()?;
            let mut arguments = vec!["--password-stdin"];
            arguments.extend(quota.as_deref().into_iter().flat_map(|quota| ["-q", quota]));
            arguments.push(&domain);
            Ok(Command::change("vadddomain", &arguments)
                .creating()
                .reading(password))
        }
        _ => Err(Problem::method()),
    }
}

fn one_domain(method: &Method, domain: &str) -> Result<Command, Problem> {
    match *method {
        Method::GET => Ok(Command::show(
            "vdominfo",
            &["--json", domain],
            Prints::OnlyOne,
        )),
        Method::DELETE => Ok(Command::change("vdeldomain", &[domain])),
        _ => Err(Problem::method()),
    }
}

fn users(method: &Method, domain: &str, body: &[u8]) -> Result<Command, Problem> {
    match *method {
        Method::GET => Ok(Command::show("vexport", &["--json", domain], Prints::Lines)),
        Method::POST => {
            let mut fields = Fields::parse(body)?;
            let user = plain(fields.text("user")?, "user")?;
            let password = fields.text("password")?;
            let (quota, name) = (fields.optional("quota")?, fields.optional("name")?);
            fields.end()?;
            let address = format!("{user}@{domain}");
            let mut arguments = vec!["--password-stdin"];
            arguments.extend(quota.as_deref().into_iter().flat_map(|quota| ["-q", quota]));
            arguments.extend(name.as_deref().into_iter().flat_map(|name| ["-c", name]));
            arguments.push(&address);
            Ok(Command::change("vadduser", &arguments)
                .creating()
                .reading(password))
        }
        _ => Err(Problem::method()),
    }
}

fn limits(method: &Method, domain: &str, body: &[u8]) -> Result<Command, Problem> {
    match *method {
        Method::GET => Ok(Command::show(
            "vlimit",
            &["-s", "--json", domain],
            Prints::Json,
        )),
        Method::DELETE => Ok(Command::change("vlimit", &["-D", domain])),
        Method::PUT => {
            let mut fields = Fields::parse(body)?;
            let mut arguments = Vec::new();
            for (name, option) in LIMITS {
                if let Some(number) = fields.optional(name)? {
                    // Joined, since -1 is a number here.
                    arguments.push(format!("{option}{number}"));
                }
            }
            fields.end()?;
            arguments.push(domain.to_owned());
            let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
            Ok(Command::change("vlimit", &words))
        }
        _ => Err(Problem::method()),
    }
}

fn one_user(method: &Method, address: &str, body: &[u8]) -> Result<Command, Problem> {
    match *method {
        Method::GET => Ok(Command::show(
            "vuserinfo",
            &["--json", address],
            Prints::Json,
        )),
        // Names every domain relies on are asked about.
        Method::DELETE => Ok(Command::change("vdeluser", &[address])),
        Method::PATCH => {
            let mut fields = Fields::parse(body)?;
            let (quota, name) = (fields.optional("quota")?, fields.optional("name")?);
            fields.end()?;
            let mut arguments = Vec::new();
            arguments.extend(quota.as_deref().into_iter().flat_map(|quota| ["-q", quota]));
            arguments.extend(name.as_deref().into_iter().flat_map(|name| ["-c", name]));
            if arguments.is_empty() {
                return Err(Problem::bad("nothing to change: quota, name"));
            }
            arguments.push(address);
            Ok(Command::change("vmoduser", &arguments))
        }
        _ => Err(Problem::method()),
    }
}

fn password(method: &Method, address: &str, body: &[u8]) -> Result<Command, Problem> {
    if *method != Method::PUT {
        return Err(Problem::method());
    }
    let mut fields = Fields::parse(body)?;
    let password = fields.text("password")?;
    fields.end()?;
    Ok(Command::change("vpasswd", &["--password-stdin", address]).reading(password))
}

fn quota(method: &Method, address: &str, body: &[u8]) -> Result<Command, Problem> {
    if *method != Method::PUT {
        return Err(Problem::method());
    }
    let mut fields = Fields::parse(body)?;
    let quota = plain(fields.text("quota")?, "quota")?;
    fields.end()?;
    Ok(Command::change("vsetuserquota", &[address, &quota]))
}

fn app_passwords(method: &Method, address: &str, body: &[u8]) -> Result<Command, Problem> {
    match *method {
        Method::GET => Ok(Command::show(
            "vapppasswd",
            &["--json", address],
            Prints::Json,
        )),
        Method::POST => {
            let mut fields = Fields::parse(body)?;
            let name = plain(fields.text("name")?, "name")?;
            let services = fields.optional("services")?;
            fields.end()?;
            let mut arguments = vec!["-a", name.as_str()];
            arguments.extend(
                services
                    .as_deref()
                    .into_iter()
                    .flat_map(|services| ["-s", services]),
            );
            arguments.push(address);
            Ok(Command::show("vapppasswd", &arguments, Prints::Secret).creating())
        }
        _ => Err(Problem::method()),
    }
}

fn aliases(method: &Method, address: &str, body: &[u8]) -> Result<Command, Problem> {
    let option = match *method {
        Method::GET => {
            return Ok(Command::show(
                "valias",
                &["-s", "--json", address],
                Prints::Json,
            ));
        }
        Method::POST => "-i",
        Method::DELETE => "-d",
        _ => return Err(Problem::method()),
    };
    let mut fields = Fields::parse(body)?;
    let line = plain(fields.text("line")?, "line")?;
    fields.end()?;
    let command = Command::change("valias", &[option, &line, address]);
    Ok(match *method {
        Method::POST => command.creating(),
        _ => command,
    })
}

/// A word that stands by itself among arguments.
fn plain(word: String, name: &str) -> Result<String, Problem> {
    match word.is_empty() || word.starts_with('-') {
        true => Err(Problem::bad(&format!("{name} is empty or begins with `-`"))),
        false => Ok(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(method: &str, path: &str, body: &str) -> Result<String, u16> {
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        find(&method, path, body.as_bytes())
            .map(|command| {
                let input = command.input.replace('\n', "<");
                format!(
                    "{} {} {input}",
                    command.program,
                    command.arguments.join(" ")
                )
            })
            .map_err(|problem| problem.status.as_u16())
    }

    #[test]
    fn a_request_is_a_command() {
        let joe = r#"{"user":"joe","password":"secret 7","quota":5000,"name":"-rf"}"#;
        assert_eq!(
            line("post", "/v1/domains/a.example/users", joe).unwrap(),
            "vadduser --password-stdin -q 5000 -c -rf joe@a.example secret 7<"
        );
        assert_eq!(
            line("get", "/v1/users/joe%40a.example", "").unwrap(),
            "vuserinfo --json joe@a.example "
        );
        assert_eq!(
            line("put", "/v1/domains/a.example/limits", r#"{"accounts":-1}"#).unwrap(),
            "vlimit -P-1 a.example "
        );
    }

    #[test]
    fn nothing_becomes_an_option_or_a_line() {
        assert_eq!(line("get", "/v1/users/--help", ""), Err(404));
        assert_eq!(line("get", "/v1/users/a%0ab", ""), Err(404));
        for body in [
            r#"{"user":"-B","password":"x"}"#,
            r#"{"user":"joe","password":"x\ny"}"#,
            r#"{"user":"joe","password":["x"]}"#,
            r#"{"user":"joe"}"#,
            r#"{"user":"joe","password":"x","base":"/etc"}"#,
            "[]",
            "",
        ] {
            assert_eq!(
                line("post", "/v1/domains/a.example/users", body),
                Err(400),
                "{body}"
            );
        }
        assert_eq!(line("put", "/v1/domains", ""), Err(405));
        assert_eq!(line("get", "/v2/domains", ""), Err(404));
    }

    #[test]
    fn the_description_has_every_request_and_no_other() {
        let description: serde_json::Value = serde_json::from_str(crate::answer::OPENAPI).unwrap();
        let mut described = Vec::new();
        for (path, methods) in description["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                if method != "parameters" {
                    described.push((method.clone(), path.clone()));
                }
            }
        }
        let mut expected: Vec<(String, String)> = ROUTES
            .iter()
            .chain(&[("get", "/v1/status"), ("get", "/v1/openapi.json")])
            .map(|(method, path)| ((*method).to_owned(), (*path).to_owned()))
            .collect();
        described.sort();
        expected.sort();
        assert_eq!(described, expected);
        let body = r#"{"domain":"a.example","user":"joe","password":"x","quota":"1"}"#;
        for (method, path) in ROUTES {
            let path = path.replace(['{', '}'], "");
            let status = line(method, &path, body).err();
            assert!(!matches!(status, Some(404 | 405)), "{method} {path}");
        }
    }
}
