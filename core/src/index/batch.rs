//! Many queries at once, on several threads: for servers, evaluation and catalogues.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{Index, IndexError, IndexQuery, Ranking};

/// Queries that a thread takes at a time: enough that taking them costs nothing.
const SHARE: usize = 8;

impl Index {
    /// The answers to `queries`, in their order, each the same as [`Index::search`] gives. At most
    /// `threads` work on them, the calling one among them; each query stays on one thread.
    ///
    /// # Errors
    /// That of the first query that has one; the others are answered no further.
    pub fn search_many(
        &self,
        queries: &[IndexQuery<'_>],
        threads: NonZero<usize>,
    ) -> Result<Vec<Ranking>, IndexError> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let first = next.fetch_add(SHARE, Ordering::Relaxed);
                if first >= queries.len() {
                    return done;
                }
                let last = queries.len().min(first + SHARE);
                let answers: Result<Vec<_>, _> = queries[first..last]
                    .iter()
                    .map(|query| self.search(query))
                    .collect();
                if answers.is_err() {
                    // Shares before this one are taken already, and go on.
                    next.store(queries.len(), Ordering::Relaxed);
                }
                done.push((first, answers));
            }
        };
        let helpers = threads.get().min(queries.len().div_ceil(SHARE));
        let mut shares = thread::scope(|scope| {
            let helpers: Vec<_> = (1..helpers).map(|_| scope.spawn(work)).collect();
            let mut shares = work();
            for helper in helpers {
                match helper.join() {
                    Ok(more) => shares.extend(more),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            shares
        });
        shares.sort_by_key(|&(first, _)| first);
        let mut answers = Vec::with_capacity(queries.len());
        for (_, share) in shares {
            answers.extend(share?);
        }
        Ok(answers)
    }
}
