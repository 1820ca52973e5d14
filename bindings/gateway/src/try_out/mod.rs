//! A page to try an index from a browser: take, drop or paste a photo, see what is found, how sure it is, how long it
//! took, and where the photo is like each hit.
//!
//! One page that needs nothing from elsewhere. The photo comes here and is gone when the answer is sent: nothing is
//! stored, nothing of it is logged.

mod answer;
mod page;
mod pictures;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as UrlQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use pocketlens::current::Current;
use pocketlens::index::filter::Filter;
use pocketlens::index::{ColumnInfo, IndexError};
use pocketlens::lens::{Lens, LensError, Query};
use pocketlens::remote::ProblemKind;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::Gateway;
use crate::engine::Reloads;
use crate::refusal::Refusal;
use crate::routes::limited;
use answer::TryAnswer;

/// Most hits on the page.
const MAX_K: usize = 50;
/// Photos that are looked at a time: each takes a processor for a while.
const AT_A_TIME: usize = 2;

/// An index with the network that made it, and where its pictures lie.
#[derive(Clone)]
pub struct TryOut(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    pictures: Option<PathBuf>,
    lens: Current<Lens>,
    running: Arc<Semaphore>,
}

impl TryOut {
    /// Opens an index directory; `pictures` is the folder that it was built from, where that is known.
    ///
    /// # Errors
    /// As [`Lens::open`].
    pub fn open(dir: impl AsRef<Path>, pictures: Option<&Path>) -> Result<Self, LensError> {
        let lens = Lens::open(dir.as_ref())?;
        Ok(Self(Arc::new(Inner {
            dir: dir.as_ref().to_owned(),
            // Links are followed once, here: what is served must lie inside.
            pictures: pictures.and_then(|folder| folder.canonicalize().ok()),
            lens: Current::new(lens),
            running: Arc::new(Semaphore::new(AT_A_TIME)),
        })))
    }

    /// Opens what the directory holds now, if that is something else.
    ///
    /// # Errors
    /// As [`Lens::open`]; what was open stays open.
    pub fn reload(&self) -> Result<Reloads, LensError> {
        let reloaded = self.0.lens.change(|lens| match lens.index().is_current()? {
            true => Ok(None),
            false => Lens::open(&self.0.dir).map(Some),
        });
        reloaded.map(Reloads::of)
    }

    fn lens(&self) -> Arc<Lens> {
        self.0.lens.get()
    }

    /// Runs heavy work off the threads that answer requests.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner, &Lens) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let running = Arc::clone(&self.0.running);
        let permit = running.acquire_owned().await.expect("never closed");
        let (inner, lens) = (Arc::clone(&self.0), self.lens());
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(&inner, &lens)
        });
        done.await.unwrap_or_else(|_| {
            let detail = "the photo could not be worked on";
            Err(Refusal::new(ProblemKind::Internal, detail))
        })
    }
}

pub(crate) fn routes() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/", get(page::page))
        .route("/try/about", get(about))
        .route("/try/search", post(search))
        .route("/try/picture", get(picture))
}

fn try_out(gateway: &Gateway) -> Result<&TryOut, Refusal> {
    let absent = || Refusal::new(ProblemKind::NotFound, "there is no try-out page here");
    gateway.try_out.as_ref().ok_or_else(absent)
}

/// What the page says of the index.
#[derive(Serialize)]
struct About {
    items: u64,
    dim: usize,
    bytes: u64,
    model: String,
    fingerprint: String,
    columns: Vec<ColumnInfo>,
}

async fn about(State(gateway): State<Arc<Gateway>>) -> Result<Json<About>, Refusal> {
    let lens = try_out(&gateway)?.lens();
    let info = lens.index().info();
    let columns = lens
        .index()
        .columns()
        .map_err(|error| fault(&error.into()))?;
    Ok(Json(About {
        items: info.items,
        dim: info.dim,
        bytes: info.bytes,
        model: lens.embedder().bundle().card().name.clone(),
        fingerprint: info.fingerprint.to_string(),
        columns,
    }))
}

#[derive(Deserialize)]
struct Asked {
    k: Option<usize>,
    filter: Option<String>,
}

async fn search(
    State(gateway): State<Arc<Gateway>>,
    query: Result<UrlQuery<Asked>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<TryAnswer>, Refusal> {
    let bad = |detail: String| Refusal::new(ProblemKind::BadRequest, detail);
    let UrlQuery(asked) = query.map_err(|error| bad(error.body_text()))?;
    let filter = match asked.filter.as_deref().map(str::trim) {
        None | Some("") => None,
        Some(text) => Some(Filter::from_json(text).map_err(|error| bad(error.to_string()))?),
    };
    let query = Query {
        k: asked.k.unwrap_or(12).clamp(1, MAX_K),
        filter,
        explain: true,
        ..Query::default()
    };
    let photo = limited(&headers, body, gateway.options().max_photo_bytes).await?;
    let work = try_out(&gateway)?.work(move |inner, lens| {
        let answer = lens
            .search_encoded(&photo, &query)
            .map_err(|error| fault(&error))?;
        Ok(TryAnswer::of(&answer, inner.pictures.is_some()))
    });
    Ok(Json(work.await?))
}

#[derive(Deserialize)]
struct Wanted {
    key: String,
}

async fn picture(
    State(gateway): State<Arc<Gateway>>,
    query: Result<UrlQuery<Wanted>, QueryRejection>,
) -> Result<Response, Refusal> {
    let UrlQuery(wanted) =
        query.map_err(|error| Refusal::new(ProblemKind::BadRequest, error.body_text()))?;
    let work = try_out(&gateway)?.work(move |inner, lens| {
        let absent = || Refusal::new(ProblemKind::NotFound, "there is no picture of this item");
        let folder = inner.pictures.as_ref().ok_or_else(absent)?;
        let item = lens.index().item(&wanted.key);
        let item = item
            .map_err(|error| fault(&error.into()))?
            .ok_or_else(absent)?;
        pictures::thumbnail(folder, &item).ok_or_else(absent)
    });
    let kind = [
        (header::CONTENT_TYPE, "image/jpeg"),
        (header::CACHE_CONTROL, "private, max-age=300"),
    ];
    Ok((kind, work.await?).into_response())
}

/// Whose fault it is: what is wrong with the photo or the filter, the page shows; the rest is for the operator.
fn fault(error: &LensError) -> Refusal {
    match error {
        LensError::Image(_) | LensError::Limit(_) => {
            Refusal::new(ProblemKind::BadRequest, error.to_string())
        }
        LensError::Index(IndexError::BadFilter(_) | IndexError::FilterKind { .. }) => {
            Refusal::new(ProblemKind::BadRequest, error.to_string())
        }
        other => {
            tracing::error!(reason = %other, "the try-out search failed");
            Refusal::new(ProblemKind::Internal, "see the log of the server")
        }
    }
}
