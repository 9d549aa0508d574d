//! Which addresses belong to servers that are there for everyone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether a server for everyone can be at this address: not in a private network, not on this machine,
/// nothing with a special meaning (the registries of special addresses of IANA, RFC 6890).
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _) // behind a provider's NAT
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2) // protocols, documentation
            | (192, 88, 99) // relays of IPv6
            | (192, 168, _)
            | (198, 18 | 19, _) // benchmarks
            | (198, 51, 100) // documentation
            | (203, 0, 113)
    );
    !is_special
}

/// Only the part that is given out for everyone, without what leads on to an IPv4 address.
fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        [0x2001, 0 | 0xdb8, ..] => false, // Teredo, documentation
        [0x2001, second, ..] if second < 0x200 => false, // protocols
        [0x2002, ..] => false,            // 6to4
        [0x3fff, ..] => false,            // documentation
        [first, ..] => (0x2000..=0x3fff).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::is_public;

    #[test]
    fn only_addresses_of_public_servers_are_public() {
        let public = [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1",
            "2a00::1",
        ];
        let special = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "64:ff9b::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        let parsed = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(
            public.map(|text| (text, is_public(parsed(text)))),
            public.map(|text| (text, true))
        );
        assert_eq!(
            special.map(|text| (text, is_public(parsed(text)))),
            special.map(|text| (text, false))
        );
    }
}
