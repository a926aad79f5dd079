//! What a notice says to people (QSBMF, but for notices that are no failure).

use super::{Form, News, Report};

impl Report<'_> {
    pub(super) fn subject(&self) -> &[u8] {
        match self.news {
            News::Failure => &self.wording.subject,
            News::DoubleFailure => &self.wording.double_subject,
            News::Success => b"success notice",
            News::Delay { .. } => b"delay notice",
        }
    }

    pub(super) fn first_paragraph(&self) -> Vec<u8> {
        let custom = match self.news {
            News::Failure => &self.wording.message[..],
            News::DoubleFailure => &self.wording.double_message,
            News::Success | News::Delay { .. } => b"",
        };
        if !custom.is_empty() {
            return [custom, b"\n"].concat();
        }
        let greeting = match self.news {
            News::Failure | News::DoubleFailure => "Hi. This is",
            News::Success | News::Delay { .. } => "This is",
        };
        let mut out = format!("{greeting} the qmail-send program at ").into_bytes();
        out.extend_from_slice(&self.wording.host);
        out.extend_from_slice(match self.news {
            News::DoubleFailure => {
                b".\nI tried to deliver a bounce message to this address, but the bounce bounced!\n\n"
            }
            News::Failure => {
                &b".\nI'm afraid I wasn't able to deliver your message to the following addresses.\n\
                  This is a permanent error; I've given up. Sorry it didn't work out.\n\n"[..]
            }
            News::Success => {
                b".\nYour message has reached the following addresses. You asked to be told.\n\n"
            }
            News::Delay { .. } => {
                b".\nI was not able to deliver your message to the following addresses yet.\n"
            }
        });
        if let News::Delay { until } = self.news {
            let date = tai::header_date(until);
            let text = format!("I keep trying until {date}; you need not send it again.\n\n");
            out.extend_from_slice(text.as_bytes());
        }
        out
    }

    pub(super) fn break_line(&self) -> &'static str {
        match (self.news, self.form()) {
            (News::Failure, Form::Plain) => "--- Below this line is a copy of the message.\n",
            (News::DoubleFailure, Form::Plain) => "--- Below this line is the original bounce.\n",
            (News::Failure, _) => "--- Enclosed is a copy of the message.\n",
            (News::DoubleFailure, _) => "--- Enclosed is the original bounce.\n",
            (News::Success | News::Delay { .. }, _) => {
                "--- Enclosed is the header of the message.\n"
            }
        }
    }
}
