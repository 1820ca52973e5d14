//! `pocketlens serve`: an index as a server that devices ask, with a page to try it from a browser.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use pocketlens_gateway::{
    Auth, DatabaseAddress, Embedded, Engine, EngineAddress, Gateway, GatewayOptions, Postgres,
    Rate, Serving, TlsFiles, TryOut, Weaviate, follow,
};
use serde_json::json;

use super::index::pictures_of;
use super::print_json;

/// How often the index directory is looked at.
const FOLLOW: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(crate) struct Arguments {
    /// The index directory; when it is updated, the server follows. Or an engine that `pocketlens push` has filled:
    /// weaviate://HOST:PORT,HOST:PORT/Catalogue?grpc=PORT, or postgres://USER@HOST:PORT/DATABASE?catalogue=name
    #[arg(value_name = "INDEX|ENGINE")]
    source: String,
    /// Address and port; 0.0.0.0:7700 is reached from the whole network, port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7700")]
    bind: SocketAddr,
    /// Folder of the indexed pictures, for the page; where the index was built when absent
    #[arg(long)]
    pictures: Option<PathBuf>,
    /// Serve no page to try the index from, only the contract (/v1/openapi.json)
    #[arg(long)]
    no_page: bool,
    /// Ask for bearer tokens (JWT) that are signed with the secret in this file (HS256, at least 32 bytes). The page is
    /// not served then
    #[arg(long, value_name = "FILE", conflicts_with = "token_key")]
    token_secret: Option<PathBuf>,
    /// Ask for bearer tokens (JWT) that are signed with this Ed25519 key (EdDSA; the public half, PEM)
    #[arg(long, value_name = "FILE")]
    token_key: Option<PathBuf>,
    /// The audience that tokens must name
    #[arg(long)]
    audience: Option<String>,
    /// Requests a second that one client may send in the long run
    #[arg(long, value_name = "NUMBER")]
    rate: Option<f64>,
    /// Certificate chain in PEM, for HTTPS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificates: Option<PathBuf>,
    /// Its private key in PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificates")]
    tls_key: Option<PathBuf>,
    /// Most hits of an answer
    #[arg(long, default_value_t = GatewayOptions::default().max_k)]
    max_k: usize,
    /// Write a line a request to stderr: method, path, status and time
    #[arg(long)]
    log_requests: bool,
    /// File with the API key, or the password, of the engine; the variable POCKETLENS_ENGINE_KEY when absent
    #[arg(long, value_name = "FILE")]
    engine_key: Option<PathBuf>,
    /// Print one JSON object with the URL when the server is ready
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_max_level(match arguments.log_requests {
            true => tracing_subscriber::filter::LevelFilter::INFO,
            false => tracing_subscriber::filter::LevelFilter::WARN,
        })
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Runtime::new().context("no threads to serve with")?;
    runtime.block_on(serve(arguments))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(arguments: &Arguments) -> Result<()> {
    let auth = auth(arguments)?;
    let options = GatewayOptions {
        max_k: arguments.max_k.max(1),
        rate: arguments.rate.map(|per_second| Rate {
            per_second,
            burst: (2.0 * per_second).max(5.0),
        }),
        ..GatewayOptions::default()
    };
    let open = auth.is_none();
    let (engine, followed) = engine(arguments, open)?;
    let mut gateway = Gateway::new(engine, options);
    if let Some(auth) = auth {
        gateway = gateway.with_auth(auth);
    }
    let page = followed.as_ref().and_then(|(_, page)| page.clone());
    if let Some(page) = &page {
        gateway = gateway.with_try_out(page.clone());
    }
    let tls = arguments
        .tls_certificates
        .clone()
        .zip(arguments.tls_key.clone());
    let tls = tls.map(|(certificates, key)| TlsFiles { certificates, key });
    let serving = Serving::bind(gateway, arguments.bind)?;
    let end = asked_to_end()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}/", serving.address());
    if open && !arguments.bind.ip().is_loopback() {
        eprintln!(
            "whoever reaches {} can search this index; --token-secret or --token-key asks for tokens",
            serving.address()
        );
    }
    match page {
        Some(_) => eprintln!("open {url} in a browser; Ctrl-C ends the server"),
        None => eprintln!("devices ask at {url}; Ctrl-C ends the server"),
    }
    if arguments.json {
        print_json(&json!({"url": url, "index": arguments.source}))?;
    }
    let stop = serving.stopper();
    if let Some((index, page)) = followed {
        tokio::spawn(follow(index, page, FOLLOW));
    }
    tokio::spawn(async move {
        end.await;
        eprintln!("ending: requests that run may finish");
        stop();
    });
    Ok(serving.run(tls.as_ref()).await?)
}

/// An index that the server follows when it is updated, and the page to try it from.
type Followed = (Arc<Embedded>, Option<TryOut>);

fn engine(arguments: &Arguments, open: bool) -> Result<(Arc<dyn Engine>, Option<Followed>)> {
    if EngineAddress::is_meant_by(&arguments.source) {
        let key = engine_key(arguments.engine_key.as_deref())?;
        let engine = Weaviate::new(&arguments.source.parse()?, key)?;
        return Ok((Arc::new(engine), None));
    }
    if DatabaseAddress::is_meant_by(&arguments.source) {
        let password = engine_key(arguments.engine_key.as_deref())?;
        let engine = Postgres::new(&arguments.source.parse()?, password.as_deref())?;
        return Ok((Arc::new(engine), None));
    }
    let dir = Path::new(&arguments.source);
    let index = Arc::new(Embedded::open(dir)?);
    let page = match arguments.no_page || !open {
        true => None,
        false => {
            let pictures = arguments.pictures.clone().or_else(|| pictures_of(dir));
            Some(TryOut::open(dir, pictures.as_deref())?)
        }
    };
    Ok((Arc::clone(&index) as _, Some((index, page))))
}

/// The API key in a file, else in the environment: never an argument, which every process of the machine can read.
pub(super) fn engine_key(file: Option<&Path>) -> Result<Option<String>> {
    let key = match file {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            Some(text)
        }
        None => std::env::var("POCKETLENS_ENGINE_KEY").ok(),
    };
    let key = key.map(|key| key.trim().to_owned());
    Ok(key.filter(|key| !key.is_empty()))
}

fn auth(arguments: &Arguments) -> Result<Option<Auth>> {
    let auth = match (&arguments.token_secret, &arguments.token_key) {
        (Some(secret), _) => Auth::hs256(secret)?,
        (None, Some(key)) => Auth::eddsa(key)?,
        (None, None) => return Ok(None),
    };
    Ok(Some(match &arguments.audience {
        Some(audience) => auth.for_audience(audience),
        None => auth,
    }))
}

/// Ctrl-C, or what service managers send, from now on.
#[cfg(unix)]
fn asked_to_end() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn asked_to_end() -> Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
