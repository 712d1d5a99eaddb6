//! Who may connect: addresses and ranges of them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address, or a range such as `192.168.1.0/24` or `fd00::/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedIps {
    network: IpAddr,
    prefix: u32,
}

impl AllowedIps {
    /// Whether the address is among these. One that is written as IPv6 though it is IPv4 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (address, network) = (bits(address.to_canonical()), bits(self.network));
        match (address, network) {
            ((address, width), (network, same)) if width == same => {
                let rest = width - self.prefix;
                address.checked_shr(rest).unwrap_or(0) == network.checked_shr(rest).unwrap_or(0)
            }
            _ => false,
        }
    }
}

/// The address as a number, and how many bits it has.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

impl FromStr for AllowedIps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("{text:?} is no address: write 192.168.1.7, 192.168.1.0/24 or fd00::/8");
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(address, rest)| (address, Some(rest)));
        let network = address.trim().parse::<IpAddr>().map_err(|_| refuse())?.to_canonical();
        let (value, width) = bits(network);
        let prefix = match prefix {
            None => width,
            Some(digits) => digits.trim().parse::<u32>().map_err(|_| refuse())?,
        };
        if prefix > width {
            return Err(format!("{text:?} has more than {width} bits before its hosts"));
        }
        let hosts = value.checked_shl(128 - (width - prefix)).unwrap_or(0);
        if prefix < width && hosts != 0 {
            return Err(format!("{text:?} names a host within its range: write the range's first address"));
        }
        Ok(Self { network, prefix })
    }
}

impl fmt::Display for AllowedIps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    //! Cases for addresses inside and outside.
    use super::*;

    #[test]
    fn ranges_hold_what_is_in_them() {
        for (range, inside, outside) in [
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("192.168.1.0/24", "192.168.1.255", "192.168.2.0"),
            ("192.168.1.0/24", "::ffff:192.168.1.9", "::1"),
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::1", "::1", "::2"),
            ("::/0", "2001:db8::1", "127.0.0.1"),
        ] {
            let allowed: AllowedIps = range.parse().unwrap();
            assert!(allowed.contains(inside.parse().unwrap()), "{inside} is in {range}");
            assert!(!allowed.contains(outside.parse().unwrap()), "{outside} is not in {range}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused_with_its_form() {
        for (text, part) in [
            ("everyone", "write 192.168.1.7"),
            ("10.0.0.0/33", "more than 32 bits"),
            ("10.0.0.0/x", "write 192.168.1.7"),
            ("10.0.0.1/8", "first address"),
            ("fd00::1/8", "first address"),
        ] {
            let error = text.parse::<AllowedIps>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
