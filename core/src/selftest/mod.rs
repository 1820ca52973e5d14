//! A report that a device's owner sends back: whether this device gives the golden descriptors, how
//! fast, and what became of its delegates.

mod picture;

use std::fmt;
use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::backbone::{Backbone, RunOptions};
use crate::embedder::{EmbedError, Embedder};
use crate::fingerprint::Fingerprint;
use crate::image::Pixels;
use crate::selection::DelegateReport;

pub use picture::picture;

/// Widths and heights of the golden pictures: the size of the network's input, one that is scaled up,
/// one that is scaled down. The seed of each is its place.
pub const GOLDEN_SIZES: [(u32, u32); 3] = [(320, 256), (150, 200), (700, 460)];

/// Fingerprint of each bundle, and the digest of its golden descriptors.
const GOLDEN: &str = include_str!("golden.txt");

/// Timed runs of each instruction set.
const RUNS: usize = 7;

/// What was found on a device.
#[derive(Clone, Debug, serde::Serialize)]
pub struct SelftestReport {
    /// Of this library.
    pub version: &'static str,
    /// Architecture and operating system that it was built for.
    pub target: String,
    /// What the host says of the device.
    pub device: String,
    /// The bundle.
    pub fingerprint: Fingerprint,
    /// From plain Rust to the instruction set that runs by default.
    pub cpus: Vec<CpuReport>,
    /// One a delegate that was looked at.
    pub delegates: Vec<DelegateReport>,
}

/// What one instruction set gave.
#[derive(Clone, Debug, serde::Serialize)]
pub struct CpuReport {
    /// Its name.
    pub cpu: &'static str,
    /// Whether the descriptors are the golden ones, bit for bit; `None` for a bundle that has none.
    pub golden: Option<bool>,
    /// Digest of the descriptors.
    pub digest: String,
    /// Median time of a descriptor of 320×256, milliseconds.
    pub ms: f64,
}

impl SelftestReport {
    /// Describes the golden pictures on every instruction set of this processor. Some seconds on a
    /// phone.
    ///
    /// # Errors
    /// [`EmbedError`] when the network does not run.
    pub fn run(
        embedder: &Embedder,
        device: impl Into<String>,
        delegates: Vec<DelegateReport>,
    ) -> Result<Self, EmbedError> {
        let fingerprint = embedder.bundle().fingerprint();
        let golden = golden(fingerprint);
        let cpus = Backbone::cpus().into_iter().map(|cpu| {
            let digest = digest(embedder, cpu)?;
            Ok(CpuReport {
                cpu,
                golden: golden.map(|golden| golden == digest),
                digest,
                ms: median_ms(embedder, cpu)?,
            })
        });
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            device: device.into(),
            fingerprint,
            cpus: cpus.collect::<Result<_, EmbedError>>()?,
            delegates,
        })
    }

    /// Whether nothing is wrong: all instruction sets agree, with each other and with the golden
    /// descriptors. A delegate that does not run is no fault.
    pub fn passed(&self) -> bool {
        let agree = self
            .cpus
            .windows(2)
            .all(|pair| pair[0].digest == pair[1].digest);
        agree && self.cpus.iter().all(|cpu| cpu.golden != Some(false))
    }
}

impl fmt::Display for SelftestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "pocketlens {}, {}, {}",
            self.version, self.target, self.device
        )?;
        writeln!(f, "bundle {}", self.fingerprint)?;
        for cpu in &self.cpus {
            let golden = match cpu.golden {
                Some(true) => "golden descriptors",
                Some(false) => "OTHER DESCRIPTORS THAN THE GOLDEN ONES",
                None => "no golden descriptors to compare with",
            };
            writeln!(f, "  {:<12} {:7.2} ms  {golden}", cpu.cpu, cpu.ms)?;
        }
        for report in &self.delegates {
            let device = report
                .description
                .as_ref()
                .map_or("", |of| of.device.as_str());
            let again = if report.remembered {
                ", as remembered"
            } else {
                ""
            };
            writeln!(f, "  {} {device}: {}{again}", report.name, report.verdict)?;
        }
        f.write_str(if self.passed() { "passed" } else { "FAILED" })
    }
}

/// The digest of the golden descriptors of a bundle that has them.
fn golden(fingerprint: Fingerprint) -> Option<&'static str> {
    let mut bundles = GOLDEN.lines().filter_map(|line| line.split_once(' '));
    let (_, digest) = bundles.find(|(of, _)| of.parse() == Ok(fingerprint))?;
    Some(digest)
}

/// SHA-256 of the descriptors of the golden pictures, as 32-bit floats, little-endian.
///
/// # Errors
/// [`EmbedError`] when the network does not run on `cpu`.
pub fn digest(embedder: &Embedder, cpu: &str) -> Result<String, EmbedError> {
    let mut hash = Sha256::new();
    for (size, seed) in GOLDEN_SIZES.into_iter().zip(0..) {
        let values = describe(embedder, &picture(size, seed), cpu)?;
        values
            .iter()
            .for_each(|value| hash.update(value.to_le_bytes()));
    }
    let digest = hash.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn median_ms(embedder: &Embedder, cpu: &str) -> Result<f64, EmbedError> {
    let [first, ..] = GOLDEN_SIZES;
    let photo = picture(first, 0);
    let times = (0..RUNS).map(|_| {
        let start = Instant::now();
        describe(embedder, &photo, cpu)?;
        Ok(start.elapsed())
    });
    let mut times = times.collect::<Result<Vec<_>, EmbedError>>()?;
    times.sort_unstable();
    Ok(times[RUNS / 2].as_secs_f64() * 1e3)
}

fn describe(embedder: &Embedder, photo: &Pixels, cpu: &str) -> Result<Vec<f32>, EmbedError> {
    let options = RunOptions {
        cpu: Some(cpu),
        ..RunOptions::default()
    };
    Ok(embedder
        .embed_with(photo, None, &options)?
        .descriptor
        .values)
}
