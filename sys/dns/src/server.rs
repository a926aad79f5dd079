//! A name server for tests, on a loopback port.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, MX};
use hickory_proto::rr::{Name, RData, Record};
use tokio::net::UdpSocket;

/// What it answers.
pub enum Answer {
    Mx(Vec<(u16, &'static str)>),
    A(Vec<Ipv4Addr>),
    Aaaa(Vec<Ipv6Addr>),
    /// Another name for this one.
    Cname(&'static str),
    /// An address of a name nobody asked for.
    Foreign(&'static str, Ipv4Addr),
    Empty,
    NoSuchName,
    Failure,
}

/// It ends with the runtime of the test.
pub struct Server(SocketAddr);

impl Server {
    /// Answers with what the function says of a name and a record type.
    pub async fn start(zone: impl Fn(&str, &str) -> Answer + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                let Ok(question) = Message::from_vec(&buffer[..length]) else {
                    continue;
                };
                let reply = answer(&question, &zone).to_vec().unwrap();
                socket.send_to(&reply, peer).await.unwrap();
            }
        });
        Self(address)
    }

    pub fn address(&self) -> SocketAddr {
        self.0
    }
}

fn answer(question: &Message, zone: &impl Fn(&str, &str) -> Answer) -> Message {
    let mut reply = Message::response(question.metadata.id, OpCode::Query);
    let query = question.queries[0].clone();
    let kind = query.query_type().to_string();
    let name = query.name().to_ascii().to_ascii_lowercase();
    reply.metadata.recursion_available = true;
    let data: Vec<RData> = match zone(&name, &kind) {
        Answer::Mx(list) => list
            .into_iter()
            .map(|(preference, host)| RData::MX(MX::new(preference, Name::from_str(host).unwrap())))
            .collect(),
        Answer::A(list) => list.into_iter().map(|ip| RData::A(ip.into())).collect(),
        Answer::Aaaa(list) => list.into_iter().map(|ip| RData::AAAA(ip.into())).collect(),
        Answer::Cname(target) => vec![RData::CNAME(CNAME(Name::from_str(target).unwrap()))],
        Answer::Foreign(other, ip) => {
            let other = Name::from_str(other).unwrap();
            reply.add_answer(Record::from_rdata(other, 60, RData::A(ip.into())));
            Vec::new()
        }
        Answer::Empty => Vec::new(),
        Answer::NoSuchName => {
            reply.metadata.response_code = ResponseCode::NXDomain;
            Vec::new()
        }
        Answer::Failure => {
            reply.metadata.response_code = ResponseCode::ServFail;
            Vec::new()
        }
    };
    for data in data {
        reply.add_answer(Record::from_rdata(query.name().clone(), 60, data));
    }
    reply.add_query(query);
    reply
}
