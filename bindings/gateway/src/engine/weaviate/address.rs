//! Where an engine is: `weaviate://HOST:PORT[,HOST:PORT…][/Catalogue][?grpc=PORT]`, `weaviates://…` with TLS.
//!
//! The ports of hosts are those of REST. Searches go by gRPC: to port 50051 of each host unless said otherwise, once for
//! all hosts or once for each, as `PORT` or, where gRPC is behind another name, as `HOST:PORT`.

use std::str::FromStr;

/// Weaviate's own choice.
const GRPC_PORT: &str = "50051";

/// Hosts of a cluster, and the name of a catalogue on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineAddress {
    /// Any of them answers for the cluster.
    pub(super) hosts: Vec<HostAddress>,
    /// A letter, then letters and digits; `Pocketlens` unless named.
    pub(super) catalogue: String,
}

/// `http://HOST:PORT`, or https.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostAddress {
    pub(super) rest: String,
    pub(super) grpc: String,
}

/// The text is no address of an engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} is no address of an engine: expected weaviate://HOST:PORT[,HOST:PORT…][/Catalogue][?grpc=PORT], a catalogue being a capital letter and up to 60 letters and digits"
)]
pub struct BadAddress {
    found: String,
}

impl EngineAddress {
    /// Whether a text means an engine, and not a file.
    pub fn is_meant_by(text: &str) -> bool {
        text.starts_with("weaviate://") || text.starts_with("weaviates://")
    }
}

impl FromStr for EngineAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let parsed = || {
            let (scheme, rest) = match text.strip_prefix("weaviate://") {
                Some(rest) => ("http", rest),
                None => ("https", text.strip_prefix("weaviates://")?),
            };
            let (rest, grpc) = match rest.split_once('?') {
                Some((rest, query)) => (rest, query.strip_prefix("grpc=")?),
                None => (rest, GRPC_PORT),
            };
            let (hosts, catalogue) = rest.split_once('/').unwrap_or((rest, ""));
            let catalogue = match catalogue {
                "" => "Pocketlens",
                named => named,
            };
            let is_name = catalogue.starts_with(|c: char| c.is_ascii_uppercase())
                && catalogue.chars().all(|c| c.is_ascii_alphanumeric())
                && catalogue.len() <= 61;
            let (hosts, grpc): (Vec<&str>, Vec<&str>) =
                (hosts.split(',').collect(), grpc.split(',').collect());
            if !is_name || ![1, hosts.len()].contains(&grpc.len()) {
                return None;
            }
            let hosts = hosts.iter().zip(grpc.iter().cycle());
            let hosts = hosts.map(|(host, grpc)| HostAddress::parse(scheme, host, grpc));
            Some(Self {
                hosts: hosts.collect::<Option<_>>()?,
                catalogue: catalogue.to_owned(),
            })
        };
        parsed().ok_or_else(|| BadAddress {
            found: text.chars().take(200).collect(),
        })
    }
}

impl HostAddress {
    fn parse(scheme: &str, host: &str, grpc: &str) -> Option<Self> {
        let of_host = |c: char| c.is_ascii_alphanumeric() || ".-:[]_".contains(c);
        let sound = |host: &str| !host.is_empty() && host.chars().all(of_host);
        let grpc = match grpc.parse::<u16>() {
            Ok(port) => format!("{}:{port}", name_of(host)),
            Err(_) => grpc.to_owned(),
        };
        (sound(host) && sound(&grpc) && name_of(&grpc) != grpc).then(|| Self {
            rest: format!("{scheme}://{host}"),
            grpc: format!("{scheme}://{grpc}"),
        })
    }
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let hosts = |text: &str| -> Vec<(String, String)> {
            let address: EngineAddress = text.parse().unwrap();
            let hosts = address.hosts.into_iter();
            hosts.map(|host| (host.rest, host.grpc)).collect()
        };
        let of = |rest: &str, grpc: &str| (rest.to_owned(), grpc.to_owned());
        assert_eq!(
            hosts("weaviate://127.0.0.1:8080"),
            [of("http://127.0.0.1:8080", "http://127.0.0.1:50051")]
        );
        assert_eq!(
            hosts("weaviates://a:1,[::1]:3/Shop2?grpc=443"),
            [
                of("https://a:1", "https://a:443"),
                of("https://[::1]:3", "https://[::1]:443")
            ]
        );
        assert_eq!(
            hosts("weaviate://a:1,b?grpc=5,grpc.b:6"),
            [
                of("http://a:1", "http://a:5"),
                of("http://b", "http://grpc.b:6")
            ]
        );
        let named: EngineAddress = "weaviates://a:1/Shop2".parse().unwrap();
        assert_eq!(named.catalogue, "Shop2");
        for bad in [
            "",
            "http://a:1",
            "weaviate://",
            "weaviate://a:1,,b",
            "weaviate://a:1/shop",
            "weaviate://a:1/Shop/x",
            "weaviate://a:1/Shop_1",
            "weaviate://user:secret@host",
            "weaviate://a:1?grpc=",
            "weaviate://a:1?grpc=b",
            "weaviate://a:1?grpc=70000",
            "weaviate://a:1,b:1?grpc=1,2,3",
            "weaviate://a:1/Shop?port=1",
        ] {
            assert!(bad.parse::<EngineAddress>().is_err(), "{bad}");
        }
    }
}
