//! Delegates are judged against the plan, remembered, survived, and never change what an index holds.

#![cfg(feature = "embedded")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use pocketlens::backbone::delegate::{
    Delegate, DelegateDescription, DelegateError, Network, PreparedNetwork,
};
use pocketlens::backbone::{Backbone, FeatureMap};
use pocketlens::bundle::Bundle;
use pocketlens::embedder::Embedder;
use pocketlens::image::Pixels;
use pocketlens::lens::{Lens, NewPhoto, Query};
use pocketlens::selection::{Candidate, DelegateVerdict, SelectOptions, Selection, select};
use pocketlens::selftest::{SelftestReport, picture};

const SIZE: [u32; 2] = [320, 256];

/// A driver of our own: the plan's maps, each value off by up to `noise`.
#[derive(Clone, Default)]
struct Driver {
    version: u32,
    noise: f32,
    fails: Arc<AtomicBool>,
    panics: bool,
    panics_later: bool,
    gives_nothing: bool,
    runs: Arc<AtomicUsize>,
}

struct Prepared {
    backbone: Backbone,
    driver: Driver,
}

fn backbone() -> Backbone {
    let bundle = Bundle::embedded().unwrap();
    let taps = bundle.spec().recipe.taps();
    bundle.backbone(&taps).unwrap()
}

impl Delegate for Driver {
    fn describe(&self) -> DelegateDescription {
        DelegateDescription {
            name: "driver".to_owned(),
            device: format!("version {}", self.version),
        }
    }

    fn prepare(&self, network: &Network) -> Result<Box<dyn PreparedNetwork>, DelegateError> {
        assert_eq!(network.values[0].shape, [256, 320, 3]);
        assert!(!self.panics, "a driver's own fault");
        Ok(Box::new(Prepared {
            backbone: backbone(),
            driver: self.clone(),
        }))
    }
}

impl PreparedNetwork for Prepared {
    fn run(&self, pixels: &Pixels) -> Result<Vec<FeatureMap>, DelegateError> {
        self.driver.runs.fetch_add(1, Ordering::Relaxed);
        if self.driver.fails.load(Ordering::Relaxed) {
            return Err(DelegateError::Failed {
                call: "run".to_owned(),
                reason: "the device is gone".to_owned(),
            });
        }
        assert!(!self.driver.panics_later, "a driver's own fault");
        if self.driver.gives_nothing {
            return Ok(Vec::new());
        }
        let noise = self.driver.noise;
        let moved = |map: FeatureMap| {
            let values = map.data().iter().enumerate();
            let data = values.map(|(at, value)| value + noise * (at as f32 * 0.7).sin());
            FeatureMap::new(map.height(), map.width(), map.channels(), data.collect()).unwrap()
        };
        Ok(self
            .backbone
            .run(pixels)
            .unwrap()
            .into_iter()
            .map(moved)
            .collect())
    }
}

fn embedder() -> Embedder {
    Embedder::new(Bundle::embedded().unwrap()).unwrap()
}

fn options(cache: &Path) -> SelectOptions {
    SelectOptions {
        sizes: vec![SIZE],
        // The driver runs the plan itself: it is never faster.
        least_speedup: 0.0,
        ..SelectOptions::new(cache, "phone, system 1")
    }
}

fn selected(embedder: &Embedder, driver: &Driver, options: &SelectOptions) -> Selection {
    let driver = driver.clone();
    let candidate = Candidate {
        name: "driver",
        open: Box::new(|| Ok(Box::new(driver))),
    };
    select(embedder, vec![candidate], options)
}

#[test]
fn a_verdict_holds_for_driver_device_and_system() {
    let cache = tempfile::tempdir().unwrap();
    let (embedder, options) = (embedder(), options(cache.path()));
    let driver = Driver::default();
    let first = selected(&embedder, &driver, &options);
    let DelegateVerdict::Accepted(measured) = first.reports[0].verdict else {
        panic!("{:?}", first.reports);
    };
    assert_eq!(measured.least_cosine, 1.0, "the same bits");
    assert!(!first.reports[0].remembered);
    let measuring = driver.runs.swap(0, Ordering::Relaxed);
    let again = selected(&embedder, &driver, &options);
    assert!(again.reports[0].remembered && again.accelerated.is_some());
    assert!(
        driver.runs.load(Ordering::Relaxed) < measuring,
        "not measured again"
    );
    // A new driver, and a new system.
    let newer = Driver {
        version: 2,
        ..driver.clone()
    };
    assert!(!selected(&embedder, &newer, &options).reports[0].remembered);
    let updated = SelectOptions {
        device: "phone, system 2".to_owned(),
        ..options.clone()
    };
    assert!(!selected(&embedder, &newer, &updated).reports[0].remembered);
    // A verdict that somebody damaged is made anew.
    for entry in std::fs::read_dir(cache.path()).unwrap() {
        std::fs::write(entry.unwrap().path(), "{").unwrap();
    }
    assert!(!selected(&embedder, &newer, &updated).reports[0].remembered);
    // A stricter tolerance counts for what was measured before, too.
    let none = SelectOptions {
        least_cosine: 1.1,
        ..updated
    };
    assert!(selected(&embedder, &newer, &none).accelerated.is_none());
}

#[test]
fn one_that_is_slow_wrong_or_broken_leaves_the_plan() {
    let embedder = embedder();
    let verdict = |driver: &Driver, least_speedup| {
        let cache = tempfile::tempdir().unwrap();
        let options = SelectOptions {
            least_speedup,
            ..options(cache.path())
        };
        let selection = selected(&embedder, driver, &options);
        assert!(selection.accelerated.is_none());
        // A marker stays after a crash alone.
        let left = std::fs::read_dir(cache.path()).unwrap();
        assert!(
            left.flatten()
                .all(|file| file.path().extension().unwrap() == "json")
        );
        selection.reports[0].verdict.clone()
    };
    let slow = verdict(&Driver::default(), 1000.0);
    assert!(matches!(slow, DelegateVerdict::Slow(_)), "{slow}");
    let wrong = Driver {
        noise: 50.0,
        ..Driver::default()
    };
    let wrong = verdict(&wrong, 0.0);
    assert!(
        matches!(wrong, DelegateVerdict::Inaccurate(m) if m.least_cosine < 0.99),
        "{wrong}"
    );
    let nonsense = Driver {
        noise: f32::NAN,
        ..Driver::default()
    };
    let nonsense = verdict(&nonsense, 0.0);
    assert!(
        !matches!(nonsense, DelegateVerdict::Accepted(_)),
        "{nonsense}"
    );
    let broken = Driver {
        fails: Arc::new(AtomicBool::new(true)),
        ..Driver::default()
    };
    assert!(
        verdict(&broken, 0.0)
            .to_string()
            .contains("the device is gone")
    );
    let panics = Driver {
        panics: true,
        ..Driver::default()
    };
    assert!(verdict(&panics, 0.0).to_string().contains("panicked"));
    let panics_later = Driver {
        panics_later: true,
        ..Driver::default()
    };
    assert!(verdict(&panics_later, 0.0).to_string().contains("panicked"));
    let gives_nothing = Driver {
        gives_nothing: true,
        ..Driver::default()
    };
    assert!(
        verdict(&gives_nothing, 0.0)
            .to_string()
            .contains("expected, found []")
    );
}

#[test]
fn without_a_folder_to_remember_crashes_nothing_is_tried() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let driver = Driver::default();
    let selection = selected(&embedder(), &driver, &options(file.path()));
    assert!(selection.accelerated.is_none());
    assert!(
        selection.reports[0]
            .verdict
            .to_string()
            .contains("cannot be written")
    );
    assert_eq!(driver.runs.load(Ordering::Relaxed), 0);
}

/// Runs in a process of its own, and takes it down.
#[test]
#[ignore = "a part of one_that_ends_the_process_is_not_tried_again"]
fn process_that_dies() {
    let cache = std::env::var_os("DELEGATE_CACHE").unwrap();
    let candidate = Candidate {
        name: "driver",
        open: Box::new(|| std::process::abort()),
    };
    select(&embedder(), vec![candidate], &options(Path::new(&cache)));
}

#[test]
fn one_that_ends_the_process_is_not_tried_again() {
    let cache = tempfile::tempdir().unwrap();
    let die = || {
        let died = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process_that_dies", "--ignored"])
            .env("DELEGATE_CACHE", cache.path())
            .output()
            .unwrap();
        assert!(!died.status.success());
    };
    let (embedder, driver) = (embedder(), Driver::default());
    // One end may have been the user's; what is survived then starts the count anew.
    die();
    let driver_of_today = Driver {
        panics: true,
        ..Driver::default()
    };
    let survived = selected(&embedder, &driver_of_today, &options(cache.path()));
    assert!(matches!(
        survived.reports[0].verdict,
        DelegateVerdict::Refused { .. }
    ));
    die();
    die();
    for _ in 0..2 {
        let selection = selected(&embedder, &driver, &options(cache.path()));
        assert_eq!(selection.reports[0].verdict, DelegateVerdict::Crashed);
        assert!(selection.accelerated.is_none());
    }
    assert_eq!(driver.runs.load(Ordering::Relaxed), 0);
    // An update of the system may have mended it.
    let updated = SelectOptions {
        device: "phone, system 2".to_owned(),
        ..options(cache.path())
    };
    assert!(selected(&embedder, &driver, &updated).accelerated.is_some());
}

/// An index of a few pictures, made by a lens with or without a delegate.
fn index(dir: &Path, accelerate: impl FnOnce(Lens) -> Lens) -> Lens {
    let lens = accelerate(Lens::create(dir, &Bundle::embedded().unwrap()).unwrap());
    let mut update = lens.update().unwrap();
    for seed in 0..6 {
        let payload = serde_json::json!({});
        let photo = NewPhoto {
            key: &format!("picture {seed}"),
            group: None,
            payload: &payload,
        };
        update.put(&photo, &picture((320, 256), seed)).unwrap();
    }
    update.commit().unwrap()
}

#[test]
fn a_delegate_answers_within_its_tolerance_and_never_writes() {
    let dir = tempfile::tempdir().unwrap();
    let rough = Driver {
        noise: 0.05,
        ..Driver::default()
    };
    let plain = index(&dir.path().join("plain"), |lens| lens);
    let accelerate = |lens: Lens| {
        let selection = selected(lens.embedder(), &rough, &options(&dir.path().join("cache")));
        lens.with_delegate(selection.accelerated.expect("within the tolerance"))
    };
    let delegated = index(&dir.path().join("delegated"), accelerate);
    assert!(delegated.delegate().is_some(), "an update keeps it");
    for seed in 0..6 {
        let key = format!("picture {seed}");
        let vectors = |lens: &Lens| lens.index().vectors(&key).unwrap();
        assert_eq!(
            vectors(&plain),
            vectors(&delegated),
            "what is written is the plan's"
        );
        let ask = |lens: &Lens| {
            lens.search(&picture((320, 256), seed), &Query::default())
                .unwrap()
        };
        let (exact, near) = (ask(&plain), ask(&delegated));
        assert_eq!(exact.delegate, None);
        let by = near.delegate.expect("the answer says who computed it");
        assert!(by.least_cosine < 1.0 && by.least_cosine >= 0.99);
        assert_ne!(exact.descriptor.values, near.descriptor.values);
        assert_eq!(near.hits[0].key, key);
        assert!((exact.hits[0].score - near.hits[0].score).abs() < 0.02);
    }
    // Another size of input is the plan's, and so is all after a failure.
    let other = picture((256, 320), 0);
    assert_eq!(
        delegated
            .search(&other, &Query::default())
            .unwrap()
            .delegate,
        None
    );
    rough.fails.store(true, Ordering::Relaxed);
    let answer = delegated
        .search(&picture((320, 256), 0), &Query::default())
        .unwrap();
    assert_eq!(
        (answer.delegate, answer.hits[0].key.as_str()),
        (None, "picture 0")
    );
    assert!(delegated.delegate().unwrap().failure().is_some());
}

#[test]
fn the_report_says_whether_the_device_gives_the_golden_descriptors() {
    let cache = tempfile::tempdir().unwrap();
    let embedder = embedder();
    let selection = selected(&embedder, &Driver::default(), &options(cache.path()));
    let report = SelftestReport::run(&embedder, "a device", selection.reports).unwrap();
    assert!(report.passed(), "{report}");
    assert!(
        report.cpus.iter().all(|cpu| cpu.golden == Some(true)),
        "{report}"
    );
    let text = report.to_string();
    assert!(text.contains("driver version 0: runs"), "{text}");
}
