//! The orders of qmail-send, as they come.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::Duration;

use os::signal::Interest;
use wire::todo::Order;

const READ_BYTES: usize = 16 * 1024;
/// Longest order that is not complete.
const ORDER_BYTES_MAX: usize = 100;

/// The pipe from qmail-send.
#[derive(Debug)]
pub struct Orders {
    pipe: File,
    unread: Vec<u8>,
}

/// What [`Orders::wait`] met.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ready {
    /// Orders are there, or qmail-send is gone.
    pub has_orders: bool,
    /// The trigger was pulled.
    pub is_triggered: bool,
}

impl Orders {
    /// None was read yet.
    pub fn new(pipe: File) -> Self {
        Self {
            pipe,
            unread: Vec::new(),
        }
    }

    /// Says whether work begins; otherwise it is over before that.
    pub fn wait_for_start(&mut self) -> io::Result<bool> {
        let mut byte = [0];
        loop {
            if self.pipe.read(&mut byte)? == 0 {
                return Ok(false);
            }
            match Order::take(&byte) {
                Some((Some(Order::Start), _)) => return Ok(true),
                Some((Some(Order::Exit), _)) => return Ok(false),
                _ => {}
            }
        }
    }

    /// Takes all orders that are there, without waiting; `None` stands for
    /// what is not one. [`Order::Exit`] is the last when qmail-send is gone.
    pub fn take(&mut self) -> io::Result<Vec<Option<Order>>> {
        let mut orders = Vec::new();
        let mut buffer = [0; READ_BYTES];
        while self.wait(Duration::ZERO, None)?.has_orders {
            let length = self.pipe.read(&mut buffer)?;
            self.unread.extend_from_slice(&buffer[..length]);
            self.split_off(&mut orders);
            if length == 0 {
                orders.push(Some(Order::Exit));
                break;
            }
        }
        Ok(orders)
    }

    fn split_off(&mut self, orders: &mut Vec<Option<Order>>) {
        let mut used = 0;
        while let Some((order, length)) = Order::take(&self.unread[used..]) {
            used += length;
            orders.push(order);
        }
        self.unread.drain(..used);
        if ORDER_BYTES_MAX < self.unread.len() {
            self.unread.clear();
            orders.push(None);
        }
    }

    /// Waits for orders, and for the trigger if there is one.
    pub fn wait(&self, time: Duration, trigger: Option<&File>) -> io::Result<Ready> {
        let mut waits = vec![(self.pipe.as_fd(), Interest::Read)];
        waits.extend(trigger.map(|trigger| (trigger.as_fd(), Interest::Read)));
        let ready = os::signal::poll(&waits, Some(time))?;
        Ok(Ready {
            has_orders: ready[0],
            is_triggered: ready.get(1) == Some(&true),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn pipe() -> (Orders, File) {
        let (read, write) = os::fd::pipe().unwrap();
        (Orders::new(File::from(read)), File::from(write))
    }

    #[test]
    fn all_that_was_ordered_is_taken_at_once() {
        let (mut orders, mut to_todo) = pipe();
        assert_eq!(orders.take().unwrap(), []);
        let expected: Vec<Order> = (0..3000).map(|n| Order::Ended(1_000_000 + n)).collect();
        let mut wire = Vec::new();
        expected.iter().for_each(|order| order.append(&mut wire));
        assert!(READ_BYTES < wire.len());
        to_todo.write_all(&wire).unwrap();
        let taken: Vec<Order> = orders.take().unwrap().into_iter().flatten().collect();
        assert_eq!(taken, expected);
    }

    #[test]
    fn an_order_may_come_in_pieces_and_its_sender_may_go() {
        let (mut orders, mut to_todo) = pipe();
        to_todo.write_all(b"E12").unwrap();
        assert_eq!(orders.take().unwrap(), []);
        to_todo.write_all(b"3\0H?").unwrap();
        let expected = [Some(Order::Ended(123)), Some(Order::Reread), None];
        assert_eq!(orders.take().unwrap(), expected);
        drop(to_todo);
        assert_eq!(orders.take().unwrap(), [Some(Order::Exit)]);
    }

    #[test]
    fn an_order_without_an_end_is_not_kept() {
        let (mut orders, mut to_todo) = pipe();
        to_todo.write_all(&[b'E'; 1000]).unwrap();
        assert_eq!(orders.take().unwrap(), [None]);
        to_todo.write_all(b"H").unwrap();
        assert_eq!(orders.take().unwrap(), [Some(Order::Reread)]);
    }
}
