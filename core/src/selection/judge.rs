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
/// Timed runs of each, in turns; before them stands one that is not timed.
const RUNS: usize = 5;

/// Measures a delegate; one that was accepted before runs once, to see that it still does.
pub(super) fn judge(
    embedder: &Embedder,
    accelerated: Accelerated,
    known: Option<&DelegateVerdict>,
    options: &SelectOptions,
) -> (Option<Accelerated>, DelegateVerdict) {
    let measured = match known {
        Some(DelegateVerdict::Accepted(measured)) => {
            runs(embedder, &accelerated).map(|()| *measured)
        }
        _ => measure(embedder, &accelerated),
    };
    let measured = match (measured, accelerated.failure()) {
        (Ok(measured), None) => measured,
        (Err(error), None) => {
            let reason = error.to_string();
            return (None, DelegateVerdict::Refused { reason });
        }
        (_, Some(error)) => {
            let reason = error.to_string();
            return (None, DelegateVerdict::Refused { reason });
        }
    };
    // What is no number would do for no tolerance.
    if measured.least_cosine.is_nan() || measured.least_cosine < options.least_cosine {
        return (None, DelegateVerdict::Inaccurate(measured));
    }
    if measured.delegate_ms * f64::from(options.least_speedup) >= measured.plan_ms {
        return (None, DelegateVerdict::Slow(measured));
    }
    let accelerated = accelerated.judged(measured.least_cosine);
    (Some(accelerated), DelegateVerdict::Accepted(measured))
}

fn runs(embedder: &Embedder, accelerated: &Accelerated) -> Result<(), EmbedError> {
    for size in accelerated.sizes() {
        describe(embedder, &input(size, 0), Some(accelerated))?;
    }
    Ok(())
}

fn measure(embedder: &Embedder, accelerated: &Accelerated) -> Result<Measured, EmbedError> {
    let mut least_cosine = 1.0f32;
    let (mut delegate, mut plan) = (Duration::ZERO, Duration::ZERO);
    for size in accelerated.sizes() {
        for seed in 0..PICTURES {
            let input = input(size, seed);
            let (by_plan, _) = describe(embedder, &input, None)?;
            let (by_delegate, _) = describe(embedder, &input, Some(accelerated))?;
            // `min` would pass over what is no number.
            let cosine = cosine(&by_plan, &by_delegate);
            least_cosine = if cosine < least_cosine || cosine.is_nan() {
                cosine
            } else {
                least_cosine
            };
        }
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
