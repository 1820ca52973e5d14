//! Keeps what is served up to date: looks at the index directory again and again.

use std::sync::Arc;
use std::time::Duration;

use crate::{Embedded, Reloads, TryOut};

/// Looks every `every` until it is dropped. Queries go on meanwhile; an index that cannot be opened leaves the old one
/// in place, and is named in the log once a change.
pub async fn follow(index: Arc<Embedded>, page: Option<TryOut>, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failure = None;
    loop {
        ticks.tick().await;
        let (index, page) = (Arc::clone(&index), page.clone());
        let looked = tokio::task::spawn_blocking(move || reload(&index, page.as_ref()));
        let outcome = looked.await.unwrap_or_else(|error| Err(error.to_string()));
        match outcome {
            Ok(Reloads::Unchanged) => failure = None,
            Ok(Reloads::Reloaded) => tracing::info!("the index was updated"),
            Err(reason) if failure.as_ref() == Some(&reason) => {}
            Err(reason) => {
                tracing::error!(%reason, "the updated index cannot be opened; the old one stays");
                failure = Some(reason);
            }
        }
    }
}

fn reload(index: &Embedded, page: Option<&TryOut>) -> Result<Reloads, String> {
    let reloads = index.reload().map_err(|error| error.to_string())?;
    if let Some(page) = page {
        page.reload().map_err(|error| error.to_string())?;
    }
    Ok(reloads)
}
