//! A long live session on a device that is busy otherwise: a camera that wanders from thing to thing, an index that
//! changes under it, a server that fails in every way. Nothing may grow, and no answer may be wrong.
//!
//! `tests/soak/run` runs it with little memory and keeps its report.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use pocketlens::bundle::Bundle;
use pocketlens::image::Frame;
use pocketlens::index::{CompactionOptions, Index};
use pocketlens::lens::{Lens, NewPhoto, Query, Source};
use pocketlens::live::{LiveEvent, LiveOptions, LiveSession, Offered};
use pocketlens::remote::{
    Client, HttpRequest, HttpResponse, HttpTransport, Method, Mode, Network, Policy, ServerSearch,
    Situation, TransportError,
};
use pocketlens::selftest::picture;
use serde_json::json;

/// Things that are always in the index; others come and go.
const KEPT: u32 = 12;
const COMING: u32 = 12;
/// Between two frames of the camera.
const FRAME: Duration = Duration::from_millis(66);
/// Frames that a thing is looked at.
const LOOK: u64 = 24;
const SIDE: (u32, u32) = (320, 256);
/// Resident bytes that may come and go: caches of an allocator.
const SLACK: u64 = 4 << 20;

/// Counts of what happened.
#[derive(Default)]
struct Counts {
    frames: AtomicU64,
    taken: AtomicU64,
    answers: AtomicU64,
    wrong: AtomicU64,
    failed: AtomicU64,
    updates: AtomicU64,
    compactions: AtomicU64,
    server_answered: AtomicU64,
    server_failed: AtomicU64,
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// A server that gives each of its faults in turn, and sometimes an answer.
struct Faulty {
    requests: AtomicU64,
    meta: Vec<u8>,
}

impl HttpTransport for Faulty {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let reply = |status, body: &[u8]| {
            Ok(HttpResponse {
                status,
                headers: vec![("Retry-After".to_owned(), "0".to_owned())],
                body: body.to_vec(),
            })
        };
        match self.requests.fetch_add(1, Ordering::Relaxed) % 11 {
            0 => Err(TransportError::Refused("nobody listens".to_owned())),
            1 => Err(TransportError::TimedOut),
            2 => Err(TransportError::Broken("half a reply".to_owned())),
            3 => Err(TransportError::TooLarge {
                limit: request.max_reply_bytes,
            }),
            4 => reply(500, b"<html>"),
            5 => reply(429, b"{}"),
            6 => reply(200, &vec![b'['; 100_000]),
            7 => reply(200, &vec![0xff; 1 << 16]),
            _ if request.method == Method::Get => reply(200, &self.meta),
            _ => reply(200, br#"{"hits": [], "index_version": "1", "ttl_s": 1}"#),
        }
    }
}

/// A thing as a camera sees it: RGBA.
fn frame_of(seed: u32) -> Vec<u8> {
    let pixels = picture(SIDE, seed);
    let rgba = pixels.data().chunks_exact(3);
    rgba.flat_map(|rgb| [rgb[0], rgb[1], rgb[2], 255]).collect()
}

fn key(seed: u32) -> String {
    format!("thing {seed}")
}

/// Puts or removes one of the things that come and go; replaces one that stays.
fn change(lens: &Lens, round: u64) -> Result<Lens, Box<dyn Error>> {
    let mut update = lens.update()?;
    let coming = KEPT + (round as u32 * 5) % COMING;
    let payload = json!({ "round": round });
    let mut put = |seed| {
        let photo = NewPhoto {
            key: &key(seed),
            group: None,
            payload: &payload,
        };
        update.put(&photo, &picture(SIDE, seed))
    };
    put(round as u32 % KEPT)?;
    match round % 2 {
        0 => put(coming)?,
        _ => {
            update.remove(&key(coming))?;
        }
    }
    Ok(update.commit()?)
}

/// What the process takes.
#[derive(Clone, Copy)]
struct Sample {
    resident: u64,
    files: u64,
    threads: u64,
}

fn sample() -> Sample {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        number.unwrap_or(0)
    };
    Sample {
        resident: 1024 * field("RssAnon:"),
        files: fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64),
        threads: field("Threads:"),
    }
}

fn median(samples: &[Sample], of: impl Fn(&Sample) -> u64) -> u64 {
    let mut values: Vec<u64> = samples.iter().map(of).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

fn soak(seconds: u64, folder: &Path) -> Result<(serde_json::Value, bool), Box<dyn Error>> {
    let counts = Arc::new(Counts::default());
    let bundle = Bundle::embedded()?;
    let meta =
        json!({ "model_id": bundle.fingerprint(), "dim": bundle.dim(), "index_version": "1" });
    let mut lens = Lens::create(folder.join("shop.plx"), &bundle)?;
    for round in 0..u64::from(KEPT) {
        lens = change(&lens, round)?;
    }
    let current = Arc::new(RwLock::new(Arc::new(lens)));
    let frames: Vec<Vec<u8>> = (0..KEPT).map(frame_of).collect();
    // What was shown at each frame's time; the listener asks, which is at most some frames behind.
    let shown: Arc<Mutex<Vec<u32>>> = Arc::default();

    let faulty = Faulty {
        requests: AtomicU64::new(0),
        meta: serde_json::to_vec(&meta)?,
    };
    let client = Client::new("https://search.invalid", Arc::new(faulty))?;
    let policy = Policy {
        mode: Mode::PreferServer,
        ..Policy::default()
    };
    let server = ServerSearch::new(Arc::new(client), policy);
    let situation = Situation {
        consent: true,
        network: Network::Unmetered,
        live: true,
        ..Situation::default()
    };
    let listener = {
        let (counts, shown) = (counts.clone(), shown.clone());
        move |event| match event {
            LiveEvent::Answered(at, answer) => {
                add(&counts.answers);
                let place = (at.as_millis() / FRAME.as_millis()) as usize;
                let expected = key(shown.lock().map(|shown| shown[place]).unwrap_or(u32::MAX));
                let first = answer.hits.first().map(|hit| hit.key.clone());
                if first.as_ref() != Some(&expected) {
                    add(&counts.wrong);
                    eprintln!("{expected} was shown, {first:?} found");
                }
                let upgraded = server.upgrade(&answer, &Query::default(), &situation);
                if upgraded.failure.is_some() {
                    add(&counts.server_failed);
                }
                if upgraded.answer.source == Source::Server {
                    add(&counts.server_answered);
                }
                // Whatever the server did, the local answer is still there.
                if upgraded.answer.hits.first().map(|hit| &hit.key) != Some(&expected) {
                    add(&counts.wrong);
                }
            }
            LiveEvent::Failed(_, error) => {
                add(&counts.failed);
                eprintln!("{error}");
            }
            LiveEvent::Left => {}
        }
    };
    let lenses = current.clone();
    let session = LiveSession::start_with(
        move || {
            lenses.read().map_or_else(
                |poisoned| poisoned.into_inner().clone(),
                |lens| lens.clone(),
            )
        },
        &LiveOptions::default(),
        listener,
    );

    let start = Instant::now();
    let end = Duration::from_secs(seconds);
    let mut samples = Vec::new();
    let (mut round, mut place) = (u64::from(KEPT), 0u64);
    while start.elapsed() < end {
        let thing = (place / LOOK * 7 % u64::from(KEPT)) as u32;
        if let Ok(mut shown) = shown.lock() {
            shown.push(thing);
        }
        let frame = Frame::rgba(&frames[thing as usize], SIDE.0, SIDE.1, SIDE.0 as usize * 4)?;
        add(&counts.frames);
        if session.offer(&frame, FRAME * place as u32)? == Offered::Taken {
            add(&counts.taken);
        }
        place += 1;
        if place % 75 == 0 {
            let lens = current.read().map_err(|_| "a panic")?.clone();
            let changed = change(&lens, round)?;
            *current.write().map_err(|_| "a panic")? = Arc::new(changed);
            add(&counts.updates);
            round += 1;
            samples.push(sample());
        }
        if place % 900 == 0 {
            Index::compact(&folder.join("shop.plx"), &CompactionOptions::default())?;
            let lens = current.read().map_err(|_| "a panic")?.reopened()?;
            *current.write().map_err(|_| "a panic")? = Arc::new(lens);
            add(&counts.compactions);
        }
        thread::sleep(FRAME);
    }
    drop(session);

    let tenth = (samples.len() / 10).max(1);
    let early = &samples[samples.len().min(tenth)..samples.len().min(2 * tenth)];
    let late = &samples[samples.len() - tenth.min(samples.len())..];
    let of = |samples: &[Sample]| {
        json!({
            "resident_bytes": median(samples, |sample| sample.resident),
            "files": median(samples, |sample| sample.files),
            "threads": median(samples, |sample| sample.threads),
        })
    };
    let grew = median(late, |s| s.resident) > median(early, |s| s.resident) + SLACK
        || median(late, |s| s.files) > median(early, |s| s.files)
        || median(late, |s| s.threads) > median(early, |s| s.threads);
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let happened = [
        &counts.answers,
        &counts.updates,
        &counts.server_answered,
        &counts.server_failed,
    ];
    let sound = !grew
        && samples.len() >= 20
        && happened.into_iter().all(|happened| count(happened) > 0)
        && count(&counts.wrong) == 0
        && count(&counts.failed) == 0
        && count(&counts.answers) > 0;
    let report = json!({
        "seconds": start.elapsed().as_secs(),
        "frames": count(&counts.frames),
        "frames_taken": count(&counts.taken),
        "answers": count(&counts.answers),
        "wrong": count(&counts.wrong),
        "failed": count(&counts.failed),
        "index_updates": count(&counts.updates),
        "compactions": count(&counts.compactions),
        "server_answered": count(&counts.server_answered),
        "server_failed": count(&counts.server_failed),
        "second_tenth": of(early),
        "last_tenth": of(late),
        "largest_resident_bytes": samples.iter().map(|sample| sample.resident).max(),
        "sound": sound,
    });
    Ok((report, sound))
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(seconds), Some(folder)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: soak SECONDS FOLDER");
        return Ok(ExitCode::from(2));
    };
    let (report, sound) = soak(seconds.parse()?, Path::new(&folder))?;
    println!("{report:#}");
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
