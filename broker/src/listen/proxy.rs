//! The PROXY protocol, versions 1 and 2: the header by which a proxy says for whom it connects. Bytes in, an address out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::limits::PROXY_HEADER_BYTES_MAX;

const V1_START: &[u8] = b"PROXY ";
const V1_BYTES_MAX: usize = 107;
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_HEAD_BYTES: usize = 16;

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxyHeader {
    /// Not enough has come to tell.
    More,
    /// None: the client speaks for itself.
    Absent,
    /// A header of so many bytes. Without a client the proxy connects for itself, as for a health check.
    Present {
        len: usize,
        client: Option<SocketAddr>,
    },
}

/// A header that breaks the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Looks at what has come.
pub(crate) fn read(bytes: &[u8]) -> Result<ProxyHeader, Malformed> {
    let may_be = |start: &[u8]| {
        let len = bytes.len().min(start.len());
        bytes[..len] == start[..len]
    };
    if bytes.is_empty() {
        Ok(ProxyHeader::More)
    } else if may_be(V1_START) {
        read_v1(bytes)
    } else if may_be(V2_START) {
        read_v2(bytes)
    } else {
        Ok(ProxyHeader::Absent)
    }
}

fn read_v1(bytes: &[u8]) -> Result<ProxyHeader, Malformed> {
    let head = &bytes[..bytes.len().min(V1_BYTES_MAX)];
    let Some(end) = memchr::memmem::find(head, b"\r\n") else {
        return match bytes.len() < V1_BYTES_MAX {
            true => Ok(ProxyHeader::More),
            false => Err(Malformed),
        };
    };
    let line = std::str::from_utf8(&head[..end]).map_err(|_| Malformed)?;
    let words: Vec<&str> = line.split(' ').collect();
    let client = match words[..] {
        ["PROXY", "UNKNOWN", ..] => None,
        [
            "PROXY",
            family @ ("TCP4" | "TCP6"),
            source,
            _,
            source_port,
            _,
        ] => {
            let address: IpAddr = source.parse().map_err(|_| Malformed)?;
            if address.is_ipv4() != (family == "TCP4") {
                return Err(Malformed);
            }
            let port = source_port.parse().map_err(|_| Malformed)?;
            Some(SocketAddr::new(address, port))
        }
        _ => return Err(Malformed),
    };
    Ok(ProxyHeader::Present {
        len: end + 2,
        client,
    })
}

fn read_v2(bytes: &[u8]) -> Result<ProxyHeader, Malformed> {
    let Some((head, rest)) = bytes.split_first_chunk::<V2_HEAD_BYTES>() else {
        return Ok(ProxyHeader::More);
    };
    let [.., command, family, len_high, len_low] = *head;
    let len = usize::from(u16::from_be_bytes([len_high, len_low]));
    if len > PROXY_HEADER_BYTES_MAX {
        return Err(Malformed);
    }
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(Malformed),
    };
    let Some(body) = rest.get(..len) else {
        return Ok(ProxyHeader::More);
    };
    let client = match (is_local, family) {
        (true, _) => None,
        // Over TCP or UDP; what connects to us is TCP either way.
        (false, 0x11 | 0x12) => {
            let [address @ .., _, _, _, _, high, low, _, _] = *first::<12>(body)?;
            let port = u16::from_be_bytes([high, low]);
            Some(SocketAddr::new(Ipv4Addr::from(address).into(), port))
        }
        (false, 0x21 | 0x22) => {
            let body = first::<36>(body)?;
            let address: [u8; 16] = *first(body)?;
            let port = u16::from_be_bytes([body[32], body[33]]);
            Some(SocketAddr::new(Ipv6Addr::from(address).into(), port))
        }
        // Unspecified, or a local socket: nothing that we could show.
        (false, 0x00 | 0x31 | 0x32) => None,
        (false, _) => return Err(Malformed),
    };
    Ok(ProxyHeader::Present {
        len: V2_HEAD_BYTES + len,
        client,
    })
}

fn first<const N: usize>(bytes: &[u8]) -> Result<&[u8; N], Malformed> {
    bytes.first_chunk().ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let len = (body.len() as u16).to_be_bytes();
        [V2_START, &[command, family], &len, body].concat()
    }

    /// The header, cut anywhere, asks for more; whole, it says this; and what follows it is not its own.
    #[track_caller]
    fn check(header: &[u8], client: Option<&str>) {
        for cut in 0..header.len() {
            assert_eq!(read(&header[..cut]), Ok(ProxyHeader::More), "cut at {cut}");
        }
        let client = client.map(|client| client.parse().expect("an address"));
        let expected = ProxyHeader::Present {
            len: header.len(),
            client,
        };
        assert_eq!(read(header), Ok(expected));
        assert_eq!(read(&[header, b"CONNECT {}\r\n"].concat()), Ok(expected));
    }

    #[test]
    fn both_versions_name_the_client() {
        check(
            b"PROXY TCP4 9.8.7.6 1.2.3.4 1111 4222\r\n",
            Some("9.8.7.6:1111"),
        );
        check(
            b"PROXY TCP6 2001:db8::1 ::1 1111 4222\r\n",
            Some("[2001:db8::1]:1111"),
        );
        check(b"PROXY UNKNOWN\r\n", None);
        check(b"PROXY UNKNOWN ff:: :: 1 2\r\n", None);
        let ipv4 = [9, 8, 7, 6, 1, 2, 3, 4, 0x04, 0x57, 0x10, 0x7e];
        check(&v2(0x21, 0x11, &ipv4), Some("9.8.7.6:1111"));
        let with_additions = [&ipv4[..], &[4, 0, 1, 0]].concat();
        check(&v2(0x21, 0x11, &with_additions), Some("9.8.7.6:1111"));
        let mut ipv6 = [0; 36];
        ipv6[15] = 1;
        ipv6[33] = 7;
        check(&v2(0x21, 0x21, &ipv6), Some("[::1]:7"));
        check(&v2(0x20, 0, &[]), None);
        check(&v2(0x21, 0, &[]), None);
    }

    #[test]
    fn who_sends_no_header_speaks_for_itself() {
        for bytes in [
            &b"CONNECT {}\r\n"[..],
            b"PING\r\n",
            b"\x16\x03\x01",
            b"PUB a",
        ] {
            assert_eq!(read(bytes), Ok(ProxyHeader::Absent), "{bytes:?}");
        }
    }

    #[test]
    fn malformed_headers_are_refused() {
        let long = [b"PROXY UNKNOWN ", &[b'x'; 100][..]].concat();
        let huge = [V2_START, &[0x21, 0x11, 0xff, 0xff]].concat();
        for bytes in [
            &b"PROXY TCP4 9.8.7.6 1.2.3.4 1111\r\n"[..],
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP4 9.8.7.6 1.2.3.4 99999 1\r\n",
            b"PROXY HTTP a b 1 2\r\n",
            &long,
            &huge,
            &v2(0x23, 0, &[]),
            &v2(0x11, 0, &[]),
            &v2(0x21, 0x41, &[]),
            &v2(0x21, 0x11, &[1, 2, 3]),
        ] {
            assert_eq!(read(bytes), Err(Malformed), "{bytes:?}");
        }
    }
}
