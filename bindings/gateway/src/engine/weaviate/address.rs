//! Where an engine is: `weaviate://HOST:PORT[,HOST:PORT…][/Catalogue]`, `weaviates://…` with TLS.

use std::str::FromStr;

/// Hosts of a cluster, and the name of a catalogue on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineAddress {
    /// `http://HOST:PORT`, or https; any of them answers for the cluster.
    pub(super) hosts: Vec<String>,
    /// A letter, then letters and digits; `Pocketlens` unless named.
    pub(super) catalogue: String,
}

/// The text is no address of an engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} is no address of an engine: expected weaviate://HOST:PORT[,HOST:PORT…][/Catalogue], a catalogue being a capital letter and up to 60 letters and digits"
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
            let (hosts, catalogue) = rest.split_once('/').unwrap_or((rest, ""));
            let catalogue = if catalogue.is_empty() {
                "Pocketlens"
            } else {
                catalogue
            };
            let is_name = catalogue.starts_with(|c: char| c.is_ascii_uppercase())
                && catalogue.chars().all(|c| c.is_ascii_alphanumeric())
                && catalogue.len() <= 61;
            let host = |host: &str| {
                let of_host = |c: char| c.is_ascii_alphanumeric() || ".-:[]_".contains(c);
                let sound = !host.is_empty() && host.chars().all(of_host);
                sound.then(|| format!("{scheme}://{host}"))
            };
            let hosts = hosts.split(',').map(host).collect::<Option<Vec<_>>>()?;
            is_name.then(|| Self {
                hosts,
                catalogue: catalogue.to_owned(),
            })
        };
        parsed().ok_or_else(|| BadAddress {
            found: text.chars().take(200).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let one: EngineAddress = "weaviate://127.0.0.1:8080".parse().unwrap();
        assert_eq!(one.hosts, ["http://127.0.0.1:8080"]);
        assert_eq!(one.catalogue, "Pocketlens");
        let three: EngineAddress = "weaviates://a:1,b:2,[::1]:3/Shop2".parse().unwrap();
        assert_eq!(
            three.hosts,
            ["https://a:1", "https://b:2", "https://[::1]:3"]
        );
        assert_eq!(three.catalogue, "Shop2");
        for bad in [
            "",
            "http://a:1",
            "weaviate://",
            "weaviate://a:1,,b",
            "weaviate://a:1/shop",
            "weaviate://a:1/Shop/x",
            "weaviate://a:1/Shop_1",
            "weaviate://user:secret@host",
        ] {
            assert!(bad.parse::<EngineAddress>().is_err(), "{bad}");
        }
    }
}
