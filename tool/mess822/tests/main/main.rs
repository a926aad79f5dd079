//! The programs themselves, with queues that write down what they get.

mod front;
mod inject;
mod installation;
mod sendmail;
