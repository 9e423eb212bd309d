//! Where endpoints that tenants set may lead: nowhere that only the operator can reach.
//!
//! A tenant who may declare a `CredentialProvider` chooses a URL that the operator then calls from
//! inside the cluster. Addresses of the machine itself, of the link, of cloud metadata services and
//! of the API server are refused, for each connection anew: a name may resolve to something else
//! the next time.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use sha2::{Digest, Sha256};
use url::{Host, Url};

/// Cloud metadata services that are not on the link-local range.
const METADATA: [IpAddr; 6] = [
    // Alibaba Cloud
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    // Oracle Cloud (classic)
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    // Azure's host
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    // AWS over IPv6, and EKS Pod Identity
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0023)),
    // Google Cloud over IPv6
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254)),
];

/// Decides which addresses may be connected to.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    allowed: Arc<[Cidr]>,
    api_server: Arc<[IpAddr]>,
}

impl Guard {
    /// A guard that lets `allowed` pass whatever else holds, and refuses the API server's addresses.
    pub fn new(allowed: Vec<Cidr>, api_server: Vec<IpAddr>) -> Self {
        Guard {
            allowed: allowed.into(),
            api_server: api_server.into(),
        }
    }

    /// A digest of what is let through, to notice a change of the operator's flags by.
    pub fn digest(&self) -> String {
        let digest = Sha256::digest(format!("{self:?}"));
        digest
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Whether an address may be connected to.
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = canonical(address);
        if self.allowed.iter().any(|range| range.contains(address)) {
            return true;
        }
        let special = match address {
            IpAddr::V4(v4) => {
                v4.is_loopback()
                    || v4.is_link_local()
                    || v4.is_unspecified()
                    || v4.is_broadcast()
                    || v4.is_multicast()
                    || v4.octets()[0] == 0
            }
            IpAddr::V6(v6) => {
                v6.is_loopback()
                    || v6.is_unspecified()
                    || v6.is_multicast()
                    || v6.is_unicast_link_local()
            }
        };
        !special
            && !METADATA.contains(&address)
            && !self.api_server.iter().any(|api| canonical(*api) == address)
    }

    /// Whether a URL may be called, as far as it can be told without resolving its name.
    pub fn permits_literal(&self, url: &Url) -> bool {
        match url.host() {
            Some(Host::Ipv4(address)) => self.permits(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => self.permits(IpAddr::V6(address)),
            Some(Host::Domain(_)) => true,
            None => false,
        }
    }
}

/// IPv4 in any of its IPv6 disguises is judged as IPv4.
fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => {
            let segments = v6.segments();
            let embedded = |high: u16, low: u16| {
                let [a, b] = high.to_be_bytes();
                let [c, d] = low.to_be_bytes();
                IpAddr::V4(Ipv4Addr::new(a, b, c, d))
            };
            match segments {
                // NAT64 (RFC 6052)
                [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
                // 6to4 (RFC 3056)
                [0x2002, high, low, ..] => embedded(high, low),
                // IPv4-compatible (RFC 4291, deprecated), but not :: and ::1
                [0, 0, 0, 0, 0, 0, high, low] if high != 0 => embedded(high, low),
                _ => v6.to_canonical(),
            }
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// A range of addresses, such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    prefix: u32,
}

impl Cidr {
    fn contains(self, address: IpAddr) -> bool {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(v4) => (u128::from(u32::from(v4)) << 96, 32),
            IpAddr::V6(v6) => (u128::from(v6), 128),
        };
        let ((network, width), (address, other)) = (bits(self.network), bits(address));
        let mask = u128::MAX.checked_shl(128 - self.prefix).unwrap_or(0);
        width == other && network & mask == address & mask
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            || format!("{text:?} is not a range of addresses such as 10.0.0.0/8 or fd00::/8");
        let (network, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let network: IpAddr = network.parse().map_err(|_| wrong())?;
        let prefix: u32 = prefix.parse().map_err(|_| wrong())?;
        let width = if network.is_ipv4() { 32 } else { 128 };
        if prefix <= width {
            Ok(Cidr { network, prefix })
        } else {
            Err(wrong())
        }
    }
}

/// Resolves names, and refuses those that lead where they may not.
#[derive(Clone, Debug)]
pub struct GuardedResolver(pub Guard);

/// A name leads where it may not.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the endpoint's name leads to an address that is not permitted")]
pub struct NotPermitted;

impl reqwest::dns::Resolve for GuardedResolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let guard = self.0.clone();
        Box::pin(async move {
            let addresses: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            // One bad address among good ones is an attempt to get there by retrying.
            if addresses.iter().all(|address| guard.permits(address.ip())) {
                Ok(Box::new(addresses.into_iter()) as reqwest::dns::Addrs)
            } else {
                Err(Box::new(NotPermitted) as Box<dyn std::error::Error + Send + Sync>)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(guard: &Guard, address: &str) -> bool {
        guard.permits(address.parse().unwrap())
    }

    #[test]
    fn addresses_that_only_the_operator_can_reach_are_refused() {
        let guard = Guard::new(vec![], vec!["10.96.0.1".parse().unwrap()]);
        for address in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "255.255.255.255",
            "224.0.0.1",
            "10.96.0.1",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "::127.0.0.1",
            "::ffff:10.96.0.1",
        ] {
            assert!(!permits(&guard, address), "{address}");
        }
    }

    #[test]
    fn ordinary_addresses_pass() {
        let guard = Guard::new(vec![], vec!["10.96.0.1".parse().unwrap()]);
        for address in [
            "10.0.0.7",
            "192.168.1.1",
            "203.0.113.9",
            "10.96.0.2",
            "2001:db8::1",
            "fd00::1",
        ] {
            assert!(permits(&guard, address), "{address}");
        }
    }

    #[test]
    fn a_flag_lets_ranges_pass_and_no_others() {
        let guard = Guard::new(
            vec!["127.0.0.0/8".parse().unwrap(), "fe80::/10".parse().unwrap()],
            vec![],
        );
        for (address, expected) in [
            ("127.0.0.1", true),
            ("::ffff:127.0.0.1", true),
            ("fe80::9", true),
            ("169.254.169.254", false),
            ("::1", false),
        ] {
            assert_eq!(permits(&guard, address), expected, "{address}");
        }
    }

    #[test]
    fn nonsense_is_no_range() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "fd00::/129",
            "x/8",
            "10.0.0.0/-1",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
        assert!(
            "0.0.0.0/0"
                .parse::<Cidr>()
                .unwrap()
                .contains("8.8.8.8".parse().unwrap())
        );
    }
}
