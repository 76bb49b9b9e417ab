//! The little of URLs that a client needs: scheme, host, port, and whether the host is this machine.
use http::Uri;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use trtc_types::{Error, Result};

/// A server address: `http`, `https`, `ws` or `wss`, with an optional path prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    /// TLS or not.
    pub secure: bool,
    /// Host name or IP address, without brackets.
    pub host: String,
    /// Port; 80 or 443 when the URL has none.
    pub port: u16,
    /// Path without trailing slash; empty for none.
    pub path: String,
}

impl ServerUrl {
    /// Parses a base URL.
    ///
    /// # Errors
    /// `INVALID_PARAMETER`, naming what is wrong.
    pub fn parse(url: &str) -> Result<Self> {
        let uri: Uri = url.trim().parse().map_err(|_| Error::invalid(format!("server_url is not a URL: {url:?}")))?;
        let secure = match uri.scheme_str() {
            Some("http" | "ws") => false,
            Some("https" | "wss") => true,
            _ => return Err(Error::invalid("server_url must start with https://, wss://, http:// or ws://")),
        };
        let host = uri.host().unwrap_or_default();
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        // `http` takes brackets anywhere, and anything between them.
        let odd = match bracketed {
            Some(address) => address.parse::<Ipv6Addr>().is_err(),
            None => host.is_empty() || host.contains(['[', ']', ':']),
        };
        let host = bracketed.unwrap_or(host).to_owned();
        if odd {
            return Err(Error::invalid("server_url must name a host, an IPv6 address in brackets"));
        }
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { secure, host, port, path })
    }

    /// `localhost` or a loopback address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost") || self.ip().is_some_and(|ip| ip.is_loopback())
    }

    /// The host when it is an IP address.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// `host:port` for the `Host` header and for URLs.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// A WebSocket URL on this server; `path_and_query` starts with `/`.
    #[must_use]
    pub fn websocket(&self, path_and_query: &str) -> String {
        format!("{}://{}{}{path_and_query}", if self.secure { "wss" } else { "ws" }, self.authority(), self.path)
    }

    /// All addresses, IPv4 first. May block for seconds unless the host is an IP address.
    ///
    /// # Errors
    /// Those of the resolver.
    pub fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
        let mut addresses: Vec<SocketAddr> = match self.ip() {
            Some(ip) => vec![(ip, self.port).into()],
            None => (self.host.as_str(), self.port).to_socket_addrs()?.collect(),
        };
        addresses.sort_by_key(SocketAddr::is_ipv6);
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_refused() {
        let url = ServerUrl::parse("http://127.0.0.1:7880/").unwrap();
        assert_eq!((url.secure, url.port, url.is_loopback()), (false, 7880, true));
        assert_eq!(url.websocket("/rtc?a=1"), "ws://127.0.0.1:7880/rtc?a=1");
        let url = ServerUrl::parse("wss://call.example.org/prefix").unwrap();
        assert_eq!((url.port, url.is_loopback()), (443, false));
        assert_eq!(url.websocket("/rtc"), "wss://call.example.org:443/prefix/rtc");
        assert_eq!(ServerUrl::parse("ws://[::1]:9").unwrap().websocket("/"), "ws://[::1]:9/");
        for bad in ["", "127.0.0.1", "ftp://a", "http://", "ws://:80", "http://a b", "wss://=[::0]:9/", "ws://[x]/"] {
            assert!(ServerUrl::parse(bad).is_err(), "{bad}");
        }
    }
}
