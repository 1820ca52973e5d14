//! `pocketlens push`: an index into a distributed engine, for catalogues and loads that one machine does not serve.

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use indicatif::ProgressBar;
use pocketlens::fingerprint::Fingerprint;
use pocketlens::index::Index;
use pocketlens_gateway::{DatabaseAddress, EngineAddress, EngineError, Postgres, Pushed, Weaviate};
use serde_json::json;

use super::print_json;
use super::serve::engine_key;
use crate::progress;

#[derive(Args)]
pub(crate) struct Arguments {
    /// The index directory
    index: PathBuf,
    /// Where to: weaviate://HOST:PORT,HOST:PORT/Catalogue (weaviates:// with TLS; ?grpc=PORT where gRPC has another port
    /// than 50051), or postgres://USER@HOST:PORT/DATABASE?catalogue=name (&sslmode=require with TLS), with
    /// pgvector
    #[arg(long, value_name = "ENGINE")]
    engine: Target,
    /// File with the API key, or the password, of the engine; the variable POCKETLENS_ENGINE_KEY when absent
    #[arg(long, value_name = "FILE")]
    engine_key: Option<PathBuf>,
    /// Copies of everything, each on another node; counts when the collection is made, on Weaviate
    #[arg(long, default_value_t = 1)]
    replicas: usize,
    /// Parts that the collection is split into; as many as there are nodes when absent
    #[arg(long)]
    shards: Option<usize>,
    /// Afterwards remove what is there of this model, such as the one before the last
    #[arg(long, value_name = "FINGERPRINT")]
    drop_model: Option<Fingerprint>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug)]
enum Target {
    Weaviate(EngineAddress),
    Postgres(Box<DatabaseAddress>),
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match DatabaseAddress::is_meant_by(text) {
            true => Self::Postgres(Box::new(text.parse()?)),
            false => Self::Weaviate(text.parse()?),
        })
    }
}

impl Arguments {
    async fn push(
        &self,
        index: &Index,
        key: Option<String>,
        bar: &ProgressBar,
    ) -> Result<Pushed, EngineError> {
        let progress = |done, _| bar.set_position(done);
        match &self.engine {
            Target::Weaviate(address) => {
                let engine = Weaviate::new(address, key)?;
                let pushed = engine
                    .push(index, self.replicas, self.shards, &progress)
                    .await?;
                if let Some(model) = self.drop_model {
                    engine.drop_model(model).await?;
                }
                Ok(pushed)
            }
            Target::Postgres(address) => {
                let engine = Postgres::new(address, key.as_deref())?;
                let pushed = engine.push(index, &progress).await?;
                if let Some(model) = self.drop_model {
                    engine.drop_model(model).await?;
                }
                Ok(pushed)
            }
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let index = Index::open(&arguments.index)?;
    if arguments.drop_model == Some(index.fingerprint()) {
        anyhow::bail!("--drop-model names the model of this index; it would be removed again");
    }
    let key = engine_key(arguments.engine_key.as_deref())?;
    let runtime = tokio::runtime::Runtime::new().context("no threads to push with")?;
    let items = usize::try_from(index.info().items).unwrap_or(usize::MAX);
    let bar = progress::bar(items, "pushing");
    let start = Instant::now();
    let pushed = runtime.block_on(arguments.push(&index, key, &bar));
    bar.finish_and_clear();
    let pushed =
        pushed.context("the push ended early; started again, it goes on where it ended")?;
    let seconds = start.elapsed().as_secs_f64();
    if arguments.json {
        print_json(&json!({
            "index": arguments.index,
            "sent": pushed.sent,
            "unchanged": pushed.unchanged,
            "removed": pushed.removed,
            "seconds": seconds,
        }))?;
    } else {
        eprintln!(
            "{}: {} photos sent, {} were there, {} removed, in {seconds:.1} s",
            arguments.index.display(),
            pushed.sent,
            pushed.unchanged,
            pushed.removed
        );
    }
    Ok(ExitCode::SUCCESS)
}
