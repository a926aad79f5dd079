//! What a client gets: JSON, and problems as RFC 9457 has them.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use crate::command::{Command, Prints};

/// The description of the interface.
pub const OPENAPI: &str = include_str!("../../../../doc/openapi.json");

const NOSNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// Why a request did not do what it should.
#[derive(Debug)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// What a person should know.
    pub detail: String,
}

impl Problem {
    /// A status with a text.
    pub fn new(status: StatusCode, detail: &str) -> Self {
        Self {
            status,
            detail: detail.to_owned(),
        }
    }

    /// The request is wrong.
    pub fn bad(detail: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// There is no such thing.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing under this path")
    }

    /// The thing is there, but not for this method.
    pub fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "not with this method")
    }

    /// Who asks has shown no token that is known.
    pub fn unauthorized() -> Self {
        let detail = "show a token: Authorization: Bearer TOKEN (mgmttoken makes one)";
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// It may be otherwise soon.
    pub fn temporary() -> Self {
        let detail = "not now; the log of indiapi says why";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// As a response.
    pub fn response(&self) -> Response<Full<Bytes>> {
        let body = json!({
            "status": self.status.as_u16(),
            "title": self.status.canonical_reason(),
            "detail": self.detail,
        });
        let mut response = with_body(self.status, "application/problem+json", &body);
        if self.status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

/// JSON.
pub fn value(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    with_body(status, "application/json", body)
}

/// The description of the interface.
pub fn description() -> Response<Full<Bytes>> {
    respond(StatusCode::OK, "application/json", OPENAPI.to_owned())
}

fn with_body(status: StatusCode, kind: &'static str, body: &Value) -> Response<Full<Bytes>> {
    let text = match body {
        Value::Null => String::new(),
        body => format!("{body:#}\n"),
    };
    respond(status, kind, text)
}

fn respond(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(NOSNIFF, HeaderValue::from_static("nosniff"));
    response
}

/// What a command that ended means.
pub fn of_command(
    command: &Command,
    code: u8,
    output: &[u8],
    complaint: &[u8],
) -> Result<(StatusCode, Value), Problem> {
    let said = last_line(complaint);
    let refused = |status| Err(Problem::new(status, &said));
    match code {
        0 => {}
        // Shown were none of none.
        1 if command.prints == Prints::Json && said.is_empty() => {}
        1 => return refused(StatusCode::NOT_FOUND),
        run::PERMANENT if said.contains(" exists") || said.ends_with("already") => {
            return refused(StatusCode::CONFLICT);
        }
        run::PERMANENT => return refused(StatusCode::UNPROCESSABLE_ENTITY),
        _ => return refused(StatusCode::SERVICE_UNAVAILABLE),
    }
    let strange = |error: serde_json::Error| {
        run::warn(crate::PROGRAM, &format!("{}: {error}", command.program));
        Problem::temporary()
    };
    let body = match command.prints {
        Prints::Nothing => Value::Null,
        Prints::Json if output.trim_ascii().is_empty() => json!([]),
        Prints::Json => serde_json::from_slice(output).map_err(strange)?,
        Prints::OnlyOne => {
            let all: Vec<Value> = serde_json::from_slice(output).map_err(strange)?;
            all.into_iter().next().unwrap_or(Value::Null)
        }
        Prints::Lines => {
            let lines = output
                .split(|&b| b == b'\n')
                .filter(|line| !line.is_empty());
            let all: Result<Vec<Value>, _> = lines.map(serde_json::from_slice).collect();
            Value::Array(all.map_err(strange)?)
        }
        Prints::Secret => {
            let text = String::from_utf8_lossy(output);
            let secret = text.split_whitespace().next_back().unwrap_or_default();
            json!({ "password": secret })
        }
    };
    let status = match (command.creates, &body) {
        (true, _) => StatusCode::CREATED,
        (false, Value::Null) => StatusCode::NO_CONTENT,
        (false, _) => StatusCode::OK,
    };
    Ok((status, body))
}

/// What a command complained of last, without its name in front.
fn last_line(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    let line = text.lines().rfind(|line| !line.trim().is_empty());
    let line = line.unwrap_or_default();
    let line = line.split_once(": fatal: ").map_or(line, |(_, what)| what);
    line.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(prints: Prints, code: u8, output: &str, complaint: &str) -> (u16, String) {
        let command = Command::show("vadduser", &[], prints);
        match of_command(&command, code, output.as_bytes(), complaint.as_bytes()) {
            Ok((status, body)) => (status.as_u16(), body.to_string()),
            Err(problem) => (problem.status.as_u16(), problem.detail),
        }
    }

    #[test]
    fn exit_codes_are_statuses() {
        let exists = "vadduser: fatal: username joe@a exists\n";
        let expected = (409, "username joe@a exists".to_owned());
        assert_eq!(ended(Prints::Nothing, 100, "", exists), expected);
        assert_eq!(ended(Prints::Nothing, 0, "", "").0, 204);
        assert_eq!(
            ended(Prints::Nothing, 1, "", "x: fatal: y: No such user\n").0,
            404
        );
        assert_eq!(ended(Prints::Nothing, 100, "", "x: fatal: y\n").0, 422);
        assert_eq!(ended(Prints::Nothing, 111, "", "").0, 503);
        assert_eq!(ended(Prints::Nothing, 137, "", "").0, 503);
    }

    #[test]
    fn output_is_json() {
        let lines = ended(Prints::Lines, 0, "{\"a\":1}\n{\"a\":2}\n", "");
        assert_eq!(lines, (200, "[{\"a\":1},{\"a\":2}]".to_owned()));
        assert_eq!(ended(Prints::OnlyOne, 0, "[{\"a\":1}]", "").1, "{\"a\":1}");
        assert_eq!(ended(Prints::Json, 1, "", ""), (200, "[]".to_owned()));
        assert_eq!(ended(Prints::Json, 0, "nonsense", "").0, 503);
        let secret = ended(Prints::Secret, 0, "Password is abc-def\n", "");
        assert_eq!(secret.1, "{\"password\":\"abc-def\"}");
    }
}
