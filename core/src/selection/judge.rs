//! Accuracy and speed of a delegate, side by side with the plan.

use std::time::{Duration, Instant};

use super::{DelegateVerdict, Measured, SelectOptions};
use crate::backbone::RunOptions;
use crate::backbone::delegate::Accelerated;
use crate::embedder::{EmbedError, Embedder};
use crate::image::Pixels;
use crate::selftest::picture;

/// Pictures of each size that are described both ways.
const PICTURES: u32 = 3;
/// Timed runs of each, in turns; before them stand those that are compared.
const RUNS: usize = 5;

/// Measures a delegate, or, where it was measured before, sees that it still gives what it gave. `Err` is
/// why it does not run.
pub(super) fn judge(
    embedder: &Embedder,
    accelerated: Accelerated,
    known: Option<Measured>,
    options: &SelectOptions,
) -> Result<(Measured, Option<Accelerated>), String> {
    let measured = match known {
        Some(measured) => least_cosine(embedder, &accelerated, 1).map(|cosine| Measured {
            least_cosine: least(measured.least_cosine, cosine),
            ..measured
        }),
        None => measure(embedder, &accelerated),
    };
    if let Some(error) = accelerated.failure() {
        return Err(error.to_string());
    }
    let measured = measured.map_err(|error| error.to_string())?;
    let accepted = matches!(verdict(measured, options), DelegateVerdict::Accepted(_));
    let accelerated = accepted.then(|| accelerated.judged(measured.least_cosine));
    Ok((measured, accelerated))
}

/// What was measured, by what is asked.
pub(super) fn verdict(measured: Measured, options: &SelectOptions) -> DelegateVerdict {
    // What is no number would do for no tolerance.
    if measured.least_cosine.is_nan() || measured.least_cosine < options.least_cosine {
        DelegateVerdict::Inaccurate(measured)
    } else if measured.delegate_ms * f64::from(options.least_speedup) >= measured.plan_ms {
        DelegateVerdict::Slow(measured)
    } else {
        DelegateVerdict::Accepted(measured)
    }
}

/// The lesser, or what is no number: `min` would pass over that.
fn least(a: f32, b: f32) -> f32 {
    if b < a || b.is_nan() { b } else { a }
}

/// Over the first pictures of each size.
fn least_cosine(
    embedder: &Embedder,
    accelerated: &Accelerated,
    pictures: u32,
) -> Result<f32, EmbedError> {
    let mut found = 1.0f32;
    for size in accelerated.sizes() {
        for seed in 0..pictures {
            let input = input(size, seed);
            let (by_plan, _) = describe(embedder, &input, None)?;
            let (by_delegate, _) = describe(embedder, &input, Some(accelerated))?;
            found = least(found, cosine(&by_plan, &by_delegate));
        }
    }
    Ok(found)
}

fn measure(embedder: &Embedder, accelerated: &Accelerated) -> Result<Measured, EmbedError> {
    let least_cosine = least_cosine(embedder, accelerated, PICTURES)?;
    let (mut delegate, mut plan) = (Duration::ZERO, Duration::ZERO);
    for size in accelerated.sizes() {
        let input = input(size, 0);
        let (mut of_plan, mut of_delegate) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            of_plan.push(describe(embedder, &input, None)?.1);
            of_delegate.push(describe(embedder, &input, Some(accelerated))?.1);
        }
        plan += median(of_plan);
        delegate += median(of_delegate);
    }
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(Measured {
        least_cosine,
        delegate_ms: ms(delegate),
        plan_ms: ms(plan),
    })
}

fn input([width, height]: [u32; 2], seed: u32) -> Pixels {
    picture((width, height), seed)
}

fn describe(
    embedder: &Embedder,
    input: &Pixels,
    delegate: Option<&Accelerated>,
) -> Result<(Vec<f32>, Duration), EmbedError> {
    let options = RunOptions {
        delegate,
        ..RunOptions::default()
    };
    let start = Instant::now();
    let embedding = embedder.embed_input(input, &options)?;
    Ok((embedding.descriptor.values, start.elapsed()))
}

/// Of unit vectors; 1 exactly where all bits are equal.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    if a == b {
        return 1.0;
    }
    let dot: f64 = a
        .iter()
        .zip(b)
        .map(|(&a, &b)| f64::from(a) * f64::from(b))
        .sum();
    dot as f32
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
