//! Filters that were evaluated for the index that is open: asked again and again by one app, paid for once.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use pocketlens::index::filter::{Filter, PreparedFilter};
use pocketlens::index::{Index, IndexError};

/// Most filters kept: a bit an item each.
const FILTERS: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");
/// Longest filter kept, as JSON.
const MAX_KEY_BYTES: usize = 4096;

pub(super) struct PreparedFilters(Mutex<LruCache<String, Arc<PreparedFilter>>>);

impl Default for PreparedFilters {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(FILTERS)))
    }
}

impl PreparedFilters {
    /// The filter, evaluated for `index`, which must be the same for the life of `self`.
    pub(super) fn get(
        &self,
        index: &Index,
        filter: &Filter,
    ) -> Result<Arc<PreparedFilter>, IndexError> {
        let key = serde_json::Value::from(filter).to_string();
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(prepared) = lock().get(&key) {
            return Ok(Arc::clone(prepared));
        }
        let prepared = Arc::new(index.prepare(filter)?);
        if key.len() <= MAX_KEY_BYTES {
            lock().put(key, Arc::clone(&prepared));
        }
        Ok(prepared)
    }
}
