//! Who may ask, and how often.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use pocketlens::remote::{HttpResponse, Method};
use pocketlens_gateway::{Auth, Embedded, Gateway, GatewayOptions, Rate};
use serde_json::{Value, json};

use super::{Running, build, problem, request};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
// Made with `openssl genpkey -algorithm ed25519`, for this test alone.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIMP6JvPhP2ST8obRJ81ZzZKJVEzTNbssTaoEbANGEcHC
-----END PRIVATE KEY-----
";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAVmVJMEJDU3kZwF8QJ0Ne3Agf23TweH3S8X0tPodKQ5U=
-----END PUBLIC KEY-----
";

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs()
}

fn file(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn start(folder: &Path, auth: Auth, options: GatewayOptions) -> Running {
    let dir = folder.join("shop.plx");
    build(&dir, 3);
    let engine = Arc::new(Embedded::open(&dir).unwrap());
    Running::start(Gateway::new(engine, options).with_auth(auth))
}

fn hs256(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET);
    encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

fn ask(server: &Running, authorization: &str) -> HttpResponse {
    let headers = [
        ("Content-Type", "application/json"),
        ("Authorization", authorization),
    ];
    let body = request(1, 1).to_string();
    server.send(Method::Post, "/v1/search", &headers, body.as_bytes())
}

#[test]
fn only_good_tokens_pass() {
    let folder = tempfile::tempdir().unwrap();
    let secret = file(folder.path(), "secret", SECRET);
    let auth = Auth::hs256(&secret).unwrap().for_audience("shop");
    let server = start(folder.path(), auth, GatewayOptions::default());
    let claims = |change: &dyn Fn(&mut Value)| {
        let mut claims =
            json!({"sub": "device-1", "aud": "shop", "iat": now(), "exp": now() + 600});
        change(&mut claims);
        claims
    };
    let good = hs256(&claims(&|_| {}));
    assert_eq!(ask(&server, &format!("Bearer {good}")).status, 200);
    assert_eq!(ask(&server, &format!("bearer {good}")).status, 200);

    let unsigned = {
        // {"alg":"none","typ":"JWT"}
        let payload = good.split('.').nth(1).unwrap();
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.")
    };
    let other_key = {
        let key = EncodingKey::from_secret(b"another secret of at least 32 bytes");
        encode(&Header::new(Algorithm::HS256), &claims(&|_| {}), &key).unwrap()
    };
    let other_algorithm = {
        let key = EncodingKey::from_secret(SECRET);
        encode(&Header::new(Algorithm::HS512), &claims(&|_| {}), &key).unwrap()
    };
    let bad = [
        (hs256(&claims(&|c| c["exp"] = json!(now() - 60))), "expired"),
        (
            hs256(&claims(&|c| c["exp"] = json!(now() + 100_000))),
            "too long",
        ),
        (hs256(&claims(&|c| c["exp"] = Value::Null)), "not hold"),
        (
            hs256(&claims(&|c| c["nbf"] = json!(now() + 300))),
            "not valid yet",
        ),
        (
            hs256(&claims(&|c| c["aud"] = json!("another shop"))),
            "audience",
        ),
        (
            hs256(&claims(&|c| {
                c.as_object_mut().unwrap().remove("aud");
            })),
            "claim",
        ),
        (unsigned, "not hold"),
        (other_key, "not hold"),
        (other_algorithm, "not hold"),
        (format!("{good}x"), "not hold"),
        ("x".repeat(9000), "too long"),
        (String::new(), ""),
    ];
    for (token, reason) in bad {
        let reply = ask(&server, &format!("Bearer {token}"));
        assert_eq!(
            problem(&reply),
            (401, "unauthorized".to_owned()),
            "{reason}"
        );
        let text = String::from_utf8(reply.body.clone()).unwrap();
        assert!(text.contains(reason), "{reason} in {text}");
        assert!(token.len() < 20 || !text.contains(&token));
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    }
    for header in ["Basic dXNlcjpwYXNz", "Bearer", "", good.as_str()] {
        assert_eq!(ask(&server, header).status, 401, "{header}");
    }
    assert_eq!(server.get("/v1/meta").status, 401);
    for path in ["/healthz", "/readyz", "/metrics", "/v1/openapi.json"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
}

#[test]
fn a_public_key_is_no_secret_to_sign_with() {
    let folder = tempfile::tempdir().unwrap();
    let key = file(folder.path(), "key.pem", PUBLIC.as_bytes());
    let server = start(
        folder.path(),
        Auth::eddsa(&key).unwrap(),
        GatewayOptions::default(),
    );
    let claims = json!({"sub": "device-1", "exp": now() + 600});
    let private = EncodingKey::from_ed_pem(PRIVATE.as_bytes()).unwrap();
    let good = encode(&Header::new(Algorithm::EdDSA), &claims, &private).unwrap();
    assert_eq!(ask(&server, &format!("Bearer {good}")).status, 200);
    // The well-known confusion: signed with the public key as if it were a shared secret.
    let public = EncodingKey::from_secret(PUBLIC.as_bytes());
    let forged = encode(&Header::new(Algorithm::HS256), &claims, &public).unwrap();
    assert_eq!(ask(&server, &format!("Bearer {forged}")).status, 401);
}

#[test]
fn weak_and_wrong_keys_are_refused_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let short = file(folder.path(), "short", b"  secret  \n");
    let reason = Auth::hs256(&short).unwrap_err().to_string();
    assert!(reason.contains("at least 32 bytes, found 6"), "{reason}");
    let reason = Auth::eddsa(&short).unwrap_err().to_string();
    assert!(reason.contains("Ed25519 public key in PEM"), "{reason}");
    assert!(Auth::hs256(&folder.path().join("none")).is_err());
}

#[test]
fn who_asks_too_often_is_told_when_to_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let secret = file(folder.path(), "secret", SECRET);
    let options = GatewayOptions {
        rate: Some(Rate {
            per_second: 0.01,
            burst: 3.0,
        }),
        ..GatewayOptions::default()
    };
    let server = start(folder.path(), Auth::hs256(&secret).unwrap(), options);
    let of = |device: &str| {
        format!(
            "Bearer {}",
            hs256(&json!({"sub": device, "exp": now() + 600}))
        )
    };
    let statuses: Vec<u16> = (0..5).map(|_| ask(&server, &of("a")).status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    let refused = ask(&server, &of("a"));
    assert_eq!(problem(&refused), (429, "rate-limited".to_owned()));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=100).contains(&wait), "{wait}");
    // Another device is not to blame.
    assert_eq!(ask(&server, &of("b")).status, 200);
}
