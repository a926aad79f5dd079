//! The programs themselves, with queues that write down what they get.

mod acceptance;
mod bad_input;
mod batv;
mod front;
mod header;
mod inject;
mod installation;
mod scanning;
mod sendmail;
