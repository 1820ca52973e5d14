//! Where a database is, and which catalogue in it.

use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;

/// For a connection.
pub(super) const CONNECT: Duration = Duration::from_secs(2);
/// Scans go on until there are enough rows behind a filter, in the order of their distance.
const SETTINGS: &str = "-c hnsw.iterative_scan=strict_order -c hnsw.ef_search=200 -c hnsw.max_scan_tuples=1000000 -c jit=off";

/// The text is no address of a database.
#[derive(Debug, thiserror::Error)]
#[error(
    "no address of a database: {reason}; expected postgres://USER@HOST:PORT/DATABASE[?catalogue=name][&sslmode=require], the password in the variable POCKETLENS_ENGINE_KEY"
)]
pub struct BadDatabase {
    reason: String,
}

/// Where a database is: `postgres://USER@HOST:PORT/DATABASE[?catalogue=name][&sslmode=require]`.
#[derive(Clone, Debug)]
pub struct DatabaseAddress {
    pub(super) config: Config,
    pub(super) catalogue: String,
}

impl DatabaseAddress {
    /// Whether a text means a database.
    pub fn is_meant_by(text: &str) -> bool {
        text.starts_with("postgres://") || text.starts_with("postgresql://")
    }
}

impl FromStr for DatabaseAddress {
    type Err = BadDatabase;

    fn from_str(text: &str) -> Result<Self, BadDatabase> {
        // What is ours among the parameters; the others are PostgreSQL's own.
        let (server, parameters) = text.split_once('?').unwrap_or((text, ""));
        let parameters = parameters.split('&').filter(|text| !text.is_empty());
        let (ours, others): (Vec<&str>, Vec<&str>) =
            parameters.partition(|text| text.starts_with("catalogue="));
        let catalogue = ours
            .first()
            .map_or("shop", |text| &text["catalogue=".len()..]);
        let url = format!("{server}?{}", others.join("&"));
        let is_name = catalogue.starts_with(|c: char| c.is_ascii_lowercase())
            && catalogue.len() <= 20
            && catalogue
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        if !Self::is_meant_by(text) || !is_name || ours.len() > 1 {
            let reason = "a catalogue is a small letter and up to 19 small letters and digits";
            return Err(BadDatabase {
                reason: reason.to_owned(),
            });
        }
        // What is wrong with it, and not the text: a password may stand in it.
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            let reason = std::error::Error::source(&error)
                .map_or_else(|| error.to_string(), ToString::to_string);
            BadDatabase { reason }
        })?;
        if config.get_password().is_some() {
            let reason = "every process of a machine can read a password in an argument";
            return Err(BadDatabase {
                reason: reason.to_owned(),
            });
        }
        config
            .options(SETTINGS)
            .connect_timeout(CONNECT)
            .application_name("pocketlens");
        Ok(Self {
            config,
            catalogue: catalogue.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::SslMode;

    use super::*;

    #[test]
    fn addresses() {
        let address: DatabaseAddress = "postgres://shop@127.0.0.1:5432/shop?catalogue=shoes2"
            .parse()
            .unwrap();
        assert_eq!(address.catalogue, "shoes2");
        assert_eq!(
            "postgres://a@b/c"
                .parse::<DatabaseAddress>()
                .unwrap()
                .catalogue,
            "shop"
        );
        let both = "postgres://a@b/c?sslmode=require&catalogue=shoes";
        let both: DatabaseAddress = both.parse().unwrap();
        assert_eq!(both.catalogue, "shoes");
        assert_eq!(both.config.get_ssl_mode(), SslMode::Require);
        for bad in [
            "",
            "postgres://a@b/c?catalogue=a&catalogue=b",
            "postgres://a@b/c?sslmode=perhaps",
            "weaviate://a:1",
            "postgres://a@b/c?catalogue=Shop",
            "postgres://a@b/c?catalogue=x;drop",
            "postgres://a@b:port/c",
        ] {
            assert!(bad.parse::<DatabaseAddress>().is_err(), "{bad}");
        }
        let reason = "postgres://a:hunter2@b/c"
            .parse::<DatabaseAddress>()
            .unwrap_err()
            .to_string();
        assert!(!reason.contains("hunter2"), "{reason}");
    }
}
