//! NNAPI's protocol, kept: models, compilations and executions of the default bundle's network against
//! the double, whose outputs are those of the plan but for a second rounding where the plan rounds once.

#![allow(unsafe_code, reason = "the double's own functions are C")]
#![allow(missing_docs)]

use std::path::{Path, PathBuf};

use libloading::{Library, Symbol};
use pocketlens::backbone::delegate::{
    Delegate, DelegateError, Encoding, Network, NetworkOperator, Nnapi, NnapiOptions,
};
use pocketlens::backbone::{Backbone, RunOptions};
use pocketlens::bundle::Bundle;
use pocketlens::embedder::Embedder;
use pocketlens::selection::{Candidate, DelegateVerdict, SelectOptions, select};
use pocketlens::selftest::picture;
use tempfile::TempDir;

const CONVOLUTION: i32 = 3;

#[repr(C)]
#[derive(Clone, Copy)]
struct Behaviour {
    refuses: i32,
    compute: i32,
    offset: i32,
    device_type: i32,
}

const SOUND: Behaviour = Behaviour {
    refuses: -1,
    compute: 0,
    offset: 0,
    device_type: 4,
};

/// A copy of the double: opened under a name of its own it has a state of its own.
struct Double {
    folder: TempDir,
    library: Library,
}

impl Double {
    fn new(behaviour: Behaviour) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let built = std::env::current_exe().unwrap();
        let built = built
            .parent()
            .unwrap()
            .join("libpocketlens_nnapi_double.so");
        std::fs::copy(&built, Self::path(folder.path())).unwrap();
        // SAFETY: the double runs no code when it is opened.
        let library = unsafe { Library::new(Self::path(folder.path())) }.unwrap();
        let double = Self { folder, library };
        // SAFETY: the double's signature.
        unsafe {
            let configure: Symbol<'_, unsafe extern "C" fn(*const Behaviour)> =
                double.library.get(b"double_configure").unwrap();
            configure(&raw const behaviour);
        }
        double
    }

    fn path(folder: &Path) -> PathBuf {
        folder.join("libneuralnetworks.so")
    }

    fn options(&self, api_level: u32) -> NnapiOptions {
        NnapiOptions {
            library: Self::path(self.folder.path()),
            ..NnapiOptions::new(api_level, self.folder.path().join("cache"))
        }
    }

    /// What lives and what was violated.
    fn report(&self) -> String {
        let mut buffer = vec![0; 1 << 16];
        // SAFETY: the double's signature, and a buffer of that length.
        let length = unsafe {
            let report: Symbol<'_, unsafe extern "C" fn(*mut u8, usize) -> usize> =
                self.library.get(b"double_report").unwrap();
            report(buffer.as_mut_ptr(), buffer.len())
        };
        buffer.truncate(length);
        String::from_utf8(buffer).unwrap()
    }
}

const NOTHING_LIVES: &str = "Memory 0\nModel 0\nCompilation 0\nExecution 0\nEvent 0\n";

fn embedder() -> Embedder {
    Embedder::new(Bundle::embedded().unwrap()).unwrap()
}

fn network(backbone: &Backbone) -> Network {
    backbone.network(96, 64).unwrap()
}

/// Steps between two maps of a value.
fn steps(a: &[f32], b: &[f32], scale: f32) -> Vec<f32> {
    let pairs = a.iter().zip(b);
    pairs.map(|(a, b)| ((a - b) / scale).abs()).collect()
}

#[test]
fn the_default_network_runs_in_both_encodings_and_nothing_is_left_behind() {
    let embedder = embedder();
    let backbone = embedder.backbone();
    let network = network(backbone);
    let photo = picture((96, 64), 3);
    let generic = RunOptions {
        cpu: Some("generic"),
        ..RunOptions::default()
    };
    let expected = backbone.run_with(&photo, &generic).unwrap();
    for (level, encoding) in [(29, Encoding::Unsigned), (30, Encoding::Signed)] {
        let double = Double::new(SOUND);
        let options = NnapiOptions {
            encoding,
            ..double.options(level)
        };
        let nnapi = Nnapi::open(options).unwrap();
        assert_eq!(nnapi.describe().device, format!("double 1.0, API {level}"));
        let prepared = nnapi.prepare(&network).unwrap();
        let found = prepared.run(&photo).unwrap();
        // Run again: nothing of the first run is left in it.
        assert_eq!(prepared.run(&photo).unwrap(), found);
        for ((found, expected), &tap) in found.iter().zip(&expected).zip(&network.taps) {
            let scale = network.values[tap].scale;
            let steps = steps(found.data(), expected.data(), scale);
            let mean = steps.iter().sum::<f32>() / steps.len() as f32;
            assert!(mean < 1.5, "a mean of {mean} steps");
        }
        drop((prepared, nnapi));
        assert_eq!(double.report(), NOTHING_LIVES);
        let left = std::fs::read_dir(double.folder.path().join("cache")).unwrap();
        assert_eq!(left.count(), 0, "weights are a file without a name");
    }
}

#[test]
fn a_layer_differs_by_one_rounding() {
    let embedder = embedder();
    let backbone = embedder.backbone();
    let whole = network(backbone);
    let double = Double::new(SOUND);
    let nnapi = Nnapi::open(double.options(30)).unwrap();
    // The stem alone rounds as the plan does, ties apart.
    let stem = &whole.layers[0];
    assert!(matches!(stem.operator, NetworkOperator::Convolution(_)));
    let alone = Network {
        values: whole.values.clone(),
        layers: vec![stem.clone()],
        taps: vec![stem.output],
        tap_names: vec!["stem".to_owned()],
    };
    let photo = picture((96, 64), 1);
    let found = nnapi
        .prepare(&alone)
        .unwrap()
        .run(&photo)
        .unwrap()
        .remove(0);
    let NetworkOperator::Convolution(convolution) = &stem.operator else {
        unreachable!()
    };
    let out = whole.values[stem.output];
    let [rows, columns, channels] = out.shape;
    for (at, &found) in found.data().iter().enumerate() {
        let (place, o) = (at / channels, at % channels);
        let (y, x) = (place / columns, place % columns);
        assert!(y < rows);
        let mut sum = i64::from(convolution.bias[o]);
        for (ky, kx, c) in (0..27).map(|k| (k / 9, k / 3 % 3, k % 3)) {
            let [top, left, ..] = convolution.window.padding;
            let [sy, sx] = convolution.window.stride;
            let row = (y * sy + ky).checked_sub(top).filter(|&row| row < 64);
            let column = (x * sx + kx)
                .checked_sub(left)
                .filter(|&column| column < 96);
            if let (Some(row), Some(column)) = (row, column) {
                let byte = photo.data()[(row * 96 + column) * 3 + c];
                let weight = convolution.weights[((o * 3 + ky) * 3 + kx) * 3 + c];
                sum += (i64::from(byte) - i64::from(whole.values[0].zero)) * i64::from(weight);
            }
        }
        let real = sum as f32 * convolution.scales[o];
        let expected = (real / out.scale + f32::from(out.zero))
            .clamp(f32::from(stem.clamp.low), f32::from(stem.clamp.high));
        let found = found / out.scale + f32::from(out.zero);
        assert!((found - expected).abs() <= 0.501, "{found} for {expected}");
    }
}

#[test]
fn before_scales_of_channels_a_network_with_one_scale_runs_as_after() {
    let embedder = embedder();
    let whole = network(embedder.backbone());
    let mut stem = whole.layers[0].clone();
    let NetworkOperator::Convolution(convolution) = &mut stem.operator else {
        unreachable!()
    };
    let scale = convolution.scales.iter().copied().fold(f32::MAX, f32::min);
    convolution.scales.fill(scale);
    let alone = Network {
        values: whole.values.clone(),
        taps: vec![stem.output],
        layers: vec![stem],
        tap_names: vec!["stem".to_owned()],
    };
    let photo = picture((96, 64), 2);
    let maps = [27, 28, 29].map(|level| {
        let double = Double::new(SOUND);
        let nnapi = Nnapi::open(double.options(level)).unwrap();
        let maps = nnapi.prepare(&alone).unwrap().run(&photo).unwrap();
        drop(nnapi);
        assert_eq!(double.report(), NOTHING_LIVES);
        maps
    });
    assert_eq!(maps[0], maps[2]);
    assert_eq!(maps[1], maps[2]);
}

#[test]
fn a_device_that_does_not_run_all_of_it_runs_none_of_it() {
    let double = Double::new(Behaviour {
        refuses: CONVOLUTION,
        ..SOUND
    });
    let nnapi = Nnapi::open(double.options(29)).unwrap();
    let refused = nnapi
        .prepare(&network(embedder().backbone()))
        .err()
        .unwrap();
    assert!(
        matches!(refused, DelegateError::Unsupported { .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("double runs"), "{refused}");
    assert_eq!(double.report(), NOTHING_LIVES);
}

#[test]
fn what_cannot_be_used_is_refused_with_the_reason() {
    let double = Double::new(SOUND);
    let refused = |options| Nnapi::open(options).err().unwrap().to_string();
    assert!(refused(double.options(26)).contains("27"));
    assert!(refused(double.options(35)).contains("deprecated"));
    let signed = NnapiOptions {
        encoding: Encoding::Signed,
        ..double.options(29)
    };
    assert!(refused(signed).contains("API level 30"));
    let absent = NnapiOptions {
        library: "libno-such-thing.so".into(),
        ..double.options(30)
    };
    assert!(refused(absent).contains("libno-such-thing.so"));
    let forced = NnapiOptions {
        allow_deprecated: true,
        ..double.options(35)
    };
    assert!(Nnapi::open(forced).is_ok());
    // Before API 29 there are no scales of channels, which all of our networks have.
    let old = Nnapi::open(double.options(28)).unwrap();
    let refused = old.prepare(&network(embedder().backbone())).err().unwrap();
    assert!(refused.to_string().contains("API level 29"), "{refused}");
    drop(old);
    assert_eq!(double.report(), NOTHING_LIVES);
    let processor = Double::new(Behaviour {
        device_type: 2,
        ..SOUND
    });
    let refused = Nnapi::open(processor.options(30)).err().unwrap();
    assert!(refused.to_string().contains("no device"), "{refused}");
}

/// Selects among the double alone.
fn judged(double: &Double, least_speedup: f32) -> (DelegateVerdict, bool) {
    let embedder = embedder();
    let options = SelectOptions {
        sizes: vec![[96, 64]],
        least_speedup,
        ..SelectOptions::new(double.folder.path().join("verdicts"), "double phone 1")
    };
    let open = || Ok(Box::new(Nnapi::open(double.options(30))?) as Box<dyn Delegate>);
    let candidate = Candidate {
        name: "nnapi",
        open: Box::new(open),
    };
    let selection = select(&embedder, vec![candidate], &options);
    let accepted = matches!(selection.reports[0].verdict, DelegateVerdict::Accepted(_));
    assert_eq!(selection.accelerated.is_some(), accepted);
    (
        selection.reports[0].verdict.clone(),
        selection.reports[0].remembered,
    )
}

#[test]
fn the_double_is_judged_like_any_driver() {
    // Right, and slower than any plan.
    let double = Double::new(SOUND);
    let (verdict, remembered) = judged(&double, 1.0);
    assert!(matches!(verdict, DelegateVerdict::Slow(measured) if measured.least_cosine > 0.99));
    assert!(!remembered);
    assert!(judged(&double, 1.0).1);
    assert_eq!(double.report(), NOTHING_LIVES);
    // What was measured counts, not what was asked then.
    assert!(matches!(
        judged(&double, 0.0),
        (DelegateVerdict::Accepted(_), true)
    ));
    // Whatever its speed, it is taken where that is asked for.
    let double = Double::new(SOUND);
    assert!(matches!(
        judged(&double, 0.0).0,
        DelegateVerdict::Accepted(_)
    ));
    assert!(matches!(
        judged(&double, 0.0),
        (DelegateVerdict::Accepted(_), true)
    ));
    // A driver that computes something else.
    let double = Double::new(Behaviour {
        offset: 77,
        ..SOUND
    });
    let (verdict, _) = judged(&double, 0.0);
    assert!(
        matches!(verdict, DelegateVerdict::Inaccurate(_)),
        "{verdict}"
    );
    // A driver that fails when it runs.
    let double = Double::new(Behaviour {
        compute: 5,
        ..SOUND
    });
    let (verdict, _) = judged(&double, 0.0);
    assert!(
        verdict.to_string().contains("operation failed (5)"),
        "{verdict}"
    );
    assert_eq!(double.report(), NOTHING_LIVES);
}
