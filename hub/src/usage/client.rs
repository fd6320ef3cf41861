//! A reader, as far as it is known while nobody has to say who they are: the program's own name, and the network that it
//! asks from without the part that is one machine's.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The header in which a client may name the program or the task that it reads for.
const NAME_HEADER: &str = "x-ukimet-client";
/// Characters of a name that are kept.
const NAME_CHARACTERS_MAX: usize = 64;

/// Who reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Client {
    /// The program, as it names itself.
    pub program: String,
    /// The network it asks from: an IPv4 address without its last byte, an IPv6 address without its last ten.
    pub network: String,
}

impl Client {
    /// The client of a call, from its headers and its address.
    pub fn of<T>(request: &tonic::Request<T>) -> Self {
        let header = |name| request.metadata().get(name).and_then(|value| value.to_str().ok());
        let program = header(NAME_HEADER).or_else(|| header("user-agent")).unwrap_or_default();
        Self { program: plain(program), network: network(request.remote_addr()) }
    }
}

/// Without control characters, and short.
fn plain(name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).take(NAME_CHARACTERS_MAX).collect();
    let name = name.trim();
    if name.is_empty() { "a program without a name".to_owned() } else { name.to_owned() }
}

fn network(address: Option<SocketAddr>) -> String {
    match address.map(|address| address.ip().to_canonical()) {
        None => "an unknown network".to_owned(),
        Some(ip) if ip.is_loopback() => "this machine".to_owned(),
        Some(IpAddr::V4(ip)) => {
            let [a, b, c, _] = ip.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        Some(IpAddr::V6(ip)) => {
            let [a, b, c, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.program, self.network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_loses_what_is_one_machines() {
        for (address, expected) in [
            ("10.1.2.3:5", "10.1.2.0/24"),
            ("127.0.0.1:5", "this machine"),
            ("[2001:db8:7:8:9::1]:5", "2001:db8:7::/48"),
            ("[::ffff:10.1.2.3]:5", "10.1.2.0/24"),
        ] {
            assert_eq!(network(Some(address.parse().expect("an address"))), expected);
        }
        assert_eq!(network(None), "an unknown network");
    }

    #[test]
    fn a_program_names_itself_shortly() {
        let mut request = tonic::Request::new(());
        assert_eq!(Client::of(&request).program, "a program without a name");
        request.metadata_mut().insert("user-agent", "grpc-c++/1.60".parse().expect("a value"));
        assert_eq!(Client::of(&request).program, "grpc-c++/1.60");
        request.metadata_mut().insert(NAME_HEADER, "x".repeat(100).parse().expect("a value"));
        assert_eq!(Client::of(&request).program.len(), NAME_CHARACTERS_MAX);
    }
}
