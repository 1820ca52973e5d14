//! Ten thousand requests that nobody should send: none crashes the gateway, none makes it grow, and whatever is HTTP is
//! answered.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use pocketlens_gateway::GatewayOptions;

use super::{Running, body, keys, request};

const REQUESTS: u32 = 10_000;

fn mutated(random: &mut fastrand::Rng, good: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..random.usize(1..8) {
        if bytes.is_empty() {
            break;
        }
        let at = random.usize(0..bytes.len());
        match random.u8(0..6) {
            0 => bytes[at] = random.u8(..),
            1 => bytes[at] ^= 1 << random.u8(0..8),
            2 => bytes.truncate(at),
            3 => bytes.insert(at, random.u8(..)),
            4 => {
                let to = random.usize(at..bytes.len());
                let piece = bytes[at..to].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let to = random
                    .usize(at..bytes.len().min(at + 20) + 1)
                    .min(bytes.len());
                bytes.drain(at..to);
            }
        }
    }
    bytes
}

/// A JSON body that is one, and says something strange.
fn strange(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut body = request(random.u32(0..9), 3);
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let names = [
        "model_id",
        "dim",
        "dtype",
        "vector",
        "k",
        "filter",
        "group_by",
        "deadline_ms",
    ];
    let values = [
        "null".to_owned(),
        "-1".to_owned(),
        "1e400".to_owned(),
        "18446744073709551615".to_owned(),
        "\"\\u0000\"".to_owned(),
        format!("\"{}\"", "A".repeat(random.usize(0..4000))),
        format!("\"{}\"", "é".repeat(random.usize(0..40))),
        deep(random.usize(0..300)),
        r#"{"must": [{"key": "price", "range": {"gt": "x"}}]}"#.to_owned(),
        r#"{"must": [{"has_id": ["item-1"]}], "should": {"must_not": []}}"#.to_owned(),
        r#"{"must": {"key": "a.b.c", "geo_radius": {"center": {"lat": 91, "lon": 0}, "radius": 1}}}"#.to_owned(),
        "1".to_owned(),
        "true".to_owned(),
    ];
    let name = names[random.usize(0..names.len())];
    let value = &values[random.usize(0..values.len())];
    body[name] = serde_json::json!("@");
    body.to_string().replacen("\"@\"", value, 1).into_bytes()
}

fn head(method: &str, path: &str, length: usize, more: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n")
        .into_bytes()
}

/// Sends these bytes on a connection of their own; what comes back. A client that ends its side early is gone, for
/// the server: only what is no whole request needs that, to be over.
fn exchange(address: &str, bytes: &[u8], ends: bool) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    // The server may close before it has read everything.
    let _ = stream.write_all(bytes);
    if ends {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply);
    reply
}

/// Resident memory of this process in bytes, where the system tells.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(4096 * pages)
}

#[test]
fn ten_thousand_bad_requests() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = Running::over(folder.path(), 20, GatewayOptions::default());
    let address = server.url.trim_start_matches("http://").to_owned();
    let mut random = fastrand::Rng::with_seed(41);
    let good = request(3, 3).to_string().into_bytes();
    let paths = [
        "/v1/search",
        "/v1/meta",
        "/",
        "/try/search",
        "/metrics",
        "/%00",
        "/v1/search?k=%ff",
        "//",
        "/v1/../metrics",
    ];
    let mut warm = None;
    for number in 0..REQUESTS {
        let bytes = match number % 5 {
            // A sound head with a broken body.
            0 | 1 => {
                let body = match number % 2 {
                    0 => mutated(&mut random, &good),
                    _ => strange(&mut random),
                };
                let mut bytes = head("POST", "/v1/search", body.len(), "");
                bytes.extend(body);
                bytes
            }
            // A body that is shorter or longer than it says.
            2 => {
                let length = random.usize(0..400_000);
                let mut bytes = head("POST", "/v1/search", length, "");
                bytes.extend(&good);
                bytes
            }
            // Anything anywhere.
            3 => {
                let method =
                    ["GET", "POST", "PUT", "DELETE", "OPTIONS", "BREW"][random.usize(0..6)];
                let more = format!(
                    "X: {}\r\nAuthorization: {}\r\n",
                    "y".repeat(random.usize(0..9000)),
                    "z".repeat(random.usize(0..50))
                );
                let mut bytes = head(
                    method,
                    paths[random.usize(0..paths.len())],
                    good.len(),
                    &more,
                );
                bytes.extend(&good);
                bytes
            }
            // No HTTP at all.
            _ => {
                let mut bytes = head("POST", "/v1/search", good.len(), "");
                bytes.extend(&good);
                mutated(&mut random, &bytes)
            }
        };
        let reply = exchange(&address, &bytes, number % 5 >= 2);
        if number % 5 < 2 {
            let status = reply.get(9..12).unwrap_or_default();
            // 504: a deadline of a millisecond may be over.
            let ours: [&[u8]; 4] = [b"200", b"400", b"409", b"504"];
            assert!(
                ours.contains(&status),
                "{}: {}",
                String::from_utf8_lossy(&bytes),
                String::from_utf8_lossy(&reply)
            );
        }
        if number == REQUESTS / 5 {
            warm = resident();
        }
    }
    assert_eq!(keys(&body(&server.search(&request(3, 3))))[0], "item-3");
    let figures = String::from_utf8(server.get("/metrics").body).unwrap();
    assert!(!figures.contains("status=\"500\""), "{figures}");
    if let (Some(before), Some(after)) = (warm, resident()) {
        assert!(
            after < before + (32 << 20),
            "{before} bytes grew to {after}"
        );
    }
}

#[test]
fn a_crowd_is_turned_away_instead_of_served_slowly() {
    let folder = tempfile::tempdir().unwrap();
    let options = GatewayOptions {
        max_in_flight: 2,
        ..GatewayOptions::default()
    };
    let (server, _) = Running::over(folder.path(), 3, options);
    let address = server.url.trim_start_matches("http://").to_owned();
    // Two that have said that a body follows, and wait.
    let waiting: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).unwrap();
            let mut bytes = head("POST", "/v1/search", 1000, "Expect: 100-continue\r\n");
            stream.write_all(&bytes).unwrap();
            // The interim reply comes when the body is being waited for.
            bytes.resize(25, 0);
            stream.read_exact(&mut bytes).unwrap();
            assert!(bytes.starts_with(b"HTTP/1.1 100"));
            stream
        })
        .collect();
    let refused = server.search(&request(1, 1));
    assert_eq!(super::problem(&refused), (503, "unavailable".to_owned()));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(server.get("/healthz").status, 200);
    drop(waiting);
}
