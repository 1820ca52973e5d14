//! Progress of long work, on stderr, silent when nobody watches.

use std::borrow::Cow;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `total` steps with rate and time to go.
pub(crate) fn bar(total: usize, what: impl Into<Cow<'static, str>>) -> ProgressBar {
    let style = "{msg:>12} [{wide_bar:.cyan/blue}] {pos}/{len} {per_sec} eta {eta}";
    let style = ProgressStyle::with_template(style).expect("the template is sound");
    ProgressBar::new(total as u64)
        .with_style(style.progress_chars("━╸─"))
        .with_message(what)
}

/// Limits the threads of parallel work to `jobs` (all cores when absent) while `work` runs.
pub(crate) fn with_jobs<T: Send>(
    jobs: Option<usize>,
    work: impl FnOnce() -> T + Send,
) -> anyhow::Result<T> {
    let threads = jobs.unwrap_or(0);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()?;
    Ok(pool.install(work))
}
