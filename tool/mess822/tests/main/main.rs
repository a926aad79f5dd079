//! The programs themselves, with queues that write down what they get.

mod inject;
mod installation;
mod sendmail;
