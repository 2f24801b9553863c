//! The PROXY protocol: a proxy in front of the broker says first whom it speaks for.
//!
//! <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>; version 1 is a line of text, version 2 is binary.

use std::io;
use std::net::SocketAddr;

use ppp::{HeaderResult, v1, v2};
use tokio::net::TcpStream;

/// "PROXY UNKNOWN\r\n", the shortest header there is.
const SHORTEST: usize = 15;

const V1_START: &[u8] = b"PROXY ";
const V1_BYTES_MAX: usize = 107;

const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const V2_FIXED: usize = 16;
/// With addresses and extensions (certificates among them); proxies send a few hundred.
const V2_BYTES_MAX: usize = 8 * 1024;

const TLV_CHECKSUM: u8 = 0x03;
const TLV_TLS: u8 = 0x20;
/// In the first octet of the TLS extension: the client's connection to the proxy is encrypted.
const CLIENT_USES_TLS: u8 = 1;

/// What a proxy says of its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proxied {
    /// `None`: the proxy speaks for itself (a health check), or does not know.
    pub client: Option<SocketAddr>,
    /// The client came to the proxy by TLS.
    pub is_encrypted: bool,
}

/// Reads the header, and nothing behind it.
pub async fn read_header(socket: &TcpStream) -> io::Result<Proxied> {
    let mut input = Vec::new();
    loop {
        let missing = missing(&input)?;
        if missing == 0 {
            return parse(&input);
        }
        socket.readable().await?;
        let had = input.len();
        input.resize(had + missing, 0);
        let read = match socket.try_read(&mut input[had..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        input.truncate(had + read);
    }
}

/// How many more bytes are of the header for certain; 0 when it is complete.
fn missing(input: &[u8]) -> io::Result<usize> {
    let starts_as = |start: &[u8]| start.starts_with(&input[..input.len().min(start.len())]);
    if !starts_as(V1_START) && !starts_as(V2_SIGNATURE) {
        return Err(invalid("it begins with something else"));
    }
    if input.len() < SHORTEST {
        return Ok(SHORTEST - input.len());
    }
    if input.starts_with(V1_START) {
        return match input.ends_with(b"\r\n") {
            true => Ok(0),
            false if input.len() >= V1_BYTES_MAX => Err(invalid("the line does not end")),
            false => Ok(1),
        };
    }
    if input.len() < V2_FIXED {
        return Ok(V2_FIXED - input.len());
    }
    let total = V2_FIXED + usize::from(u16::from_be_bytes([input[14], input[15]]));
    if total > V2_BYTES_MAX {
        return Err(invalid(&format!("it has {total} bytes; {V2_BYTES_MAX} are allowed")));
    }
    Ok(total - input.len())
}

fn parse(input: &[u8]) -> io::Result<Proxied> {
    match HeaderResult::parse(input) {
        HeaderResult::V1(header) => {
            let header = header.map_err(|error| invalid(&error.to_string()))?;
            Ok(Proxied { client: v1_client(&header.addresses), is_encrypted: false })
        }
        HeaderResult::V2(header) => v2_header(&header.map_err(|error| invalid(&error.to_string()))?),
    }
}

fn v1_client(addresses: &v1::Addresses) -> Option<SocketAddr> {
    match addresses {
        v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Unknown => None,
    }
}

fn v2_header(header: &v2::Header<'_>) -> io::Result<Proxied> {
    check_sum(header)?;
    if header.command == v2::Command::Local {
        return Ok(Proxied { client: None, is_encrypted: false });
    }
    let client = match header.addresses {
        v2::Addresses::IPv4(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::IPv6(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
    };
    let is_tls = |tlv: v2::TypeLengthValue<'_>| {
        tlv.kind == TLV_TLS && tlv.value.first().is_some_and(|flags| flags & CLIENT_USES_TLS != 0)
    };
    Ok(Proxied { client, is_encrypted: header.tlvs().flatten().any(is_tls) })
}

/// The checksum of the header with its own place zeroed, where the proxy sends one.
fn check_sum(header: &v2::Header<'_>) -> io::Result<()> {
    let mut at = V2_FIXED + header.address_bytes().len();
    for tlv in header.tlvs() {
        let tlv = tlv.map_err(|error| invalid(&error.to_string()))?;
        let value = at + 3;
        at = value + tlv.value.len();
        let Ok(found) = <[u8; 4]>::try_from(&*tlv.value) else { continue };
        if tlv.kind == TLV_CHECKSUM {
            let mut zeroed = header.as_bytes().to_vec();
            zeroed[value..value + 4].fill(0);
            if crc32c::crc32c(&zeroed) != u32::from_be_bytes(found) {
                return Err(invalid("its checksum is wrong"));
            }
        }
    }
    Ok(())
}

fn invalid(what: &str) -> io::Error {
    let text = format!("no PROXY protocol header (the listener is in proxy_protocol): {what}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `read_header` does it, byte by byte. Returns how many it took, too.
    fn header(input: &[u8]) -> Result<(Proxied, usize), String> {
        let mut read = 0;
        loop {
            match missing(&input[..read]).map_err(|error| error.to_string())? {
                0 => return parse(&input[..read]).map(|it| (it, read)).map_err(|error| error.to_string()),
                _ if read == input.len() => return Err("incomplete".into()),
                _ => read += 1,
            }
        }
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = (rest.len() as u16).to_be_bytes();
        [V2_SIGNATURE, &[0x20 | command, family], &len, rest].concat()
    }

    const IPV4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0xC0, 0x01, 0x16, 0x28];

    fn client(text: &str, is_encrypted: bool) -> Proxied {
        Proxied { client: Some(text.parse().unwrap()), is_encrypted }
    }

    #[test]
    fn version_1_names_the_client() {
        for (line, expected) in [
            ("PROXY TCP4 192.0.2.7 10.0.0.1 49153 5672\r\n", client("192.0.2.7:49153", false)),
            ("PROXY TCP6 2001:db8::7 ::1 49153 5672\r\n", client("[2001:db8::7]:49153", false)),
            ("PROXY UNKNOWN\r\n", Proxied { client: None, is_encrypted: false }),
        ] {
            let input = [line.as_bytes(), b"AMQP"].concat();
            assert_eq!(header(&input), Ok((expected, line.len())), "{line}");
        }
    }

    #[test]
    fn version_2_names_the_client() {
        let plain = v2(1, 0x11, &IPV4);
        assert_eq!(header(&plain), Ok((client("192.0.2.7:49153", false), 28)));
        let tls = [&IPV4[..], &[0x20, 0, 5, 1, 0, 0, 0, 0]].concat();
        assert_eq!(header(&v2(1, 0x11, &tls)).unwrap().0, client("192.0.2.7:49153", true));
        let not_tls = [&IPV4[..], &[0x20, 0, 5, 0, 0, 0, 0, 0]].concat();
        assert_eq!(header(&v2(1, 0x11, &not_tls)).unwrap().0, client("192.0.2.7:49153", false));
        let ipv6 =
            [[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7].as_slice(), &[0; 16], &[1, 0, 2, 0]]
                .concat();
        assert_eq!(header(&v2(1, 0x21, &ipv6)).unwrap().0, client("[2001:db8::7]:256", false));
    }

    #[test]
    fn a_proxy_may_speak_for_itself() {
        let local = Proxied { client: None, is_encrypted: false };
        assert_eq!(header(&v2(0, 0, &[])), Ok((local, 16)));
        assert_eq!(header(&v2(0, 0x11, &IPV4)).unwrap().0, local);
        assert_eq!(header(&v2(1, 0, &[])).unwrap().0, local);
    }

    #[test]
    fn a_checksum_has_to_be_right() {
        let mut input = v2(1, 0x11, &[&IPV4[..], &[TLV_CHECKSUM, 0, 4, 0, 0, 0, 0]].concat());
        let sum = crc32c::crc32c(&input).to_be_bytes();
        let at = input.len() - 4;
        input[at..].copy_from_slice(&sum);
        assert_eq!(header(&input).unwrap().0, client("192.0.2.7:49153", false));
        input[at] ^= 1;
        assert!(header(&input).unwrap_err().contains("checksum"));
    }

    #[test]
    fn what_is_no_header_is_refused_as_early_as_can_be() {
        for (input, why) in [
            (b"A".as_slice(), "begins with something else"),
            (b"AMQP\0\0\x09\x01", "begins with something else"),
            (b"PROXY TCP4 here there 1 2\r\n", "address"),
            (&[b"PROXY ".as_slice(), &[b'x'; 120]].concat(), "does not end"),
            (&v2(1, 0x11, &[0; 9000]), "8192 are allowed"),
            (&v2(1, 0x11, &[0; 4]), "header"),
            (&v2(7, 0x11, &IPV4), "header"),
            (b"PROXY TC", "incomplete"),
        ] {
            let error = header(input).unwrap_err();
            assert!(error.contains(why), "{}: {error}", input.escape_ascii());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_input_makes_it_panic(start in 0..2, rest: Vec<u8>) {
            let start = if start == 0 { V1_START } else { V2_SIGNATURE };
            let _ = header(&[start, &rest].concat());
        }
    }
}
