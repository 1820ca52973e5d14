//! Whole plans: sound ones give the same maps on every instruction set and number of threads, and bytes
//! that somebody changed give an error or some maps, never a panic.

#![cfg(feature = "build")]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::build::{Builder, Rows, Shape};
use super::description::Range;
use super::*;
use crate::backbone::RunOptions;
use crate::backbone::graph::Quantisation;
use crate::backbone::window::{Coordinates, Padding, Resize, Window};
use crate::image::Pixels;

const GRID: Quantisation = Quantisation {
    scale: 0.05,
    zero: 7,
};
const WHOLE: Range = Range {
    zero: 7.0,
    low: 0,
    high: 255,
};

fn window(size: usize, stride: usize) -> Window {
    Window {
        size: [size; 2],
        stride: [stride; 2],
        padding: Padding::Explicit([size / 2; 4]),
        ..Window::POINT
    }
}

/// Weights and multipliers that look random.
fn rows(outputs: usize, row: usize) -> Rows {
    let weight = |at: usize| ((at * 2_654_435_761) >> 7) as u8;
    Rows {
        weights: (0..outputs * row)
            .map(|at| (weight(at) % 127).cast_signed() - 63)
            .collect(),
        bias: (0..outputs as i32).map(|n| n * 100 - 900).collect(),
        multiplier: vec![0.9 / (64.0 * (row as f32).sqrt()); outputs],
    }
}

/// Every operator once, with two taps.
fn plan() -> Vec<u8> {
    let mut builder = Builder::new([127, 128, 129]);
    let convolve = |builder: &mut Builder, inputs: &[usize], shape: [usize; 5]| {
        let [size, stride, groups, depth, outputs] = shape;
        let shape = Shape {
            window: window(size, stride),
            groups,
            hard_swish: (outputs == 40).then_some(2.0),
            residual: (inputs.len() == 2).then_some(0.5),
            range: WHOLE,
        };
        let rows = rows(outputs, size * size * depth);
        let operator = builder.convolution(inputs[0], &shape, &rows);
        builder.layer("conv", inputs, outputs, GRID, operator)
    };
    let stem = convolve(&mut builder, &[0], [3, 2, 1, 3, 20]);
    let deep = convolve(&mut builder, &[stem], [3, 1, 20, 1, 20]);
    let wide = convolve(&mut builder, &[deep], [1, 1, 1, 20, 40]);
    let narrow = convolve(&mut builder, &[wide, deep], [1, 1, 1, 40, 20]);
    let grouped = convolve(&mut builder, &[narrow], [3, 1, 4, 5, 12]);
    let large = convolve(&mut builder, &[grouped], [5, 2, 12, 1, 12]);
    let pooled = builder.layer(
        "pool",
        &[large],
        12,
        GRID,
        Operator::GlobalAverage {
            factor: 1.0,
            range: Range { zero: 0.0, ..WHOLE },
        },
    );
    let multiply = Operator::Multiply {
        factor: 0.02,
        range: WHOLE,
    };
    let gated = builder.layer("gate", &[large, pooled], 12, GRID, multiply);
    let maximum = Operator::Maximum {
        window: window(3, 2),
    };
    let maximum = builder.layer("maximum", &[gated], 12, GRID, maximum);
    let resize = Operator::Resize(Resize {
        scale: [2.0; 2],
        linear: true,
        coordinates: Coordinates::HalfPixel,
    });
    let resized = builder.layer("resize", &[maximum], 12, GRID, resize);
    let table: [u8; 256] = std::array::from_fn(|byte| 255 - byte as u8);
    let (one, two) = (builder.table(&table), builder.table(&table));
    let turned = builder.layer(
        "table",
        &[resized],
        12,
        GRID,
        Operator::Table { table: one },
    );
    let average = Operator::Average {
        window: window(3, 1),
        factor: 1.0,
        range: Range { zero: 0.0, ..WHOLE },
    };
    let averaged = builder.layer("average", &[turned], 12, GRID, average);
    let add = Operator::Add {
        left: 0.5,
        right: 0.5,
        range: Range { zero: 0.0, ..WHOLE },
    };
    let added = builder.layer("add", &[averaged, turned], 12, GRID, add);
    let concat = Operator::Concat {
        tables: vec![one, two],
    };
    let joined = builder.layer("concat", &[added, turned], 24, GRID, concat);
    builder.tap("joined", joined);
    builder.tap("narrow", narrow);
    builder.finish().unwrap()
}

fn photo(width: u32, height: u32) -> Pixels {
    let bytes = (0..width * height * 3).map(|at| (at.wrapping_mul(2_654_435_761) >> 9) as u8);
    Pixels::from_rgb(width, height, bytes.collect()).unwrap()
}

fn load(bytes: Vec<u8>, taps: &[&str]) -> Result<Plan, BackboneError> {
    let taps: Vec<String> = taps.iter().map(|tap| (*tap).to_owned()).collect();
    Plan::load(Arc::new(bytes), &taps)
}

#[test]
fn every_instruction_set_and_number_of_threads_gives_the_same_maps() {
    let plan = load(plan(), &["narrow", "joined"]).unwrap();
    for size in [(64, 64), (96, 32), (33, 47), (320, 256)] {
        let photo = photo(size.0, size.1);
        let run = |cpu: Cpu, threads| {
            let options = RunOptions {
                cpu: Some(cpu.name()),
                threads,
                ..RunOptions::default()
            };
            plan.run(&photo, &options, None).unwrap()
        };
        let expected = run(Cpu::generic(), 1);
        assert_eq!((expected[0].channels(), expected[1].channels()), (20, 24));
        for cpu in Cpu::available() {
            for threads in [1, 2, 5] {
                assert!(run(cpu, threads) == expected, "{} at {size:?}", cpu.name());
            }
        }
    }
}

#[test]
fn only_what_taps_need_is_run() {
    let plan = load(plan(), &["narrow"]).unwrap();
    let mut layers = 0;
    let mut count = |_, _, _| layers += 1;
    plan.run(&photo(64, 64), &RunOptions::default(), Some(&mut count))
        .unwrap();
    assert_eq!(layers, 4);
}

#[test]
fn a_run_can_be_stopped() {
    let plan = load(plan(), &["narrow"]).unwrap();
    let cancel = AtomicBool::new(true);
    let options = RunOptions {
        cancel: Some(&cancel),
        ..RunOptions::default()
    };
    let stopped = plan.run(&photo(64, 64), &options, None);
    assert!(matches!(stopped, Err(BackboneError::Cancelled)));
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let plan = load(plan(), &["joined"]).unwrap();
    for size in [(8192, 8192), (1, 1)] {
        let refused = plan.run(&photo(size.0, size.1), &RunOptions::default(), None);
        assert!(
            size.0 == 1 || matches!(refused, Err(BackboneError::Unrunnable { .. })),
            "{size:?}"
        );
    }
}

#[test]
fn refusals_say_what_is_wrong() {
    let sound = plan();
    let refusal = |bytes: Vec<u8>| match load(bytes, &["joined"]) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    };
    let length = u32::from_le_bytes(*sound[4..].first_chunk().unwrap()) as usize;
    let json: serde_json::Value = serde_json::from_slice(&sound[8..8 + length]).unwrap();
    let edited = |edit: &dyn Fn(&mut serde_json::Value)| {
        let mut json = json.clone();
        edit(&mut json);
        let json = serde_json::to_vec(&json).unwrap();
        let mut bytes = sound[..4].to_vec();
        bytes.extend((json.len() as u32).to_le_bytes());
        bytes.extend(&json);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        bytes.extend(&sound[(8 + length).next_multiple_of(ALIGNMENT)..]);
        bytes
    };
    let cases: [(Vec<u8>, &str); 10] = [
        (Vec::new(), "at least 8 bytes"),
        (
            [&2u32.to_le_bytes(), &sound[4..]].concat(),
            "version 1 expected, found 2",
        ),
        (sound[..100].to_vec(), "a description of"),
        (sound[..sound.len() - 64].to_vec(), "reach"),
        (
            edited(&|json| json["layers"][2]["inputs"][0] = 3.into()),
            "before it is there",
        ),
        (
            edited(&|json| json["layers"][0]["channels"] = 0.into()),
            "channels",
        ),
        (
            edited(&|json| json["layers"][1]["scale"] = (-1).into()),
            "scale must be above 0",
        ),
        (
            edited(&|json| {
                json["layers"][0]["operator"]["convolution"]["weights"] = u32::MAX.into();
            }),
            "reach beyond",
        ),
        (
            edited(&|json| json["layers"][4]["operator"]["convolution"]["groups"] = 3.into()),
            "groups do not divide",
        ),
        (edited(&|json| json["taps"] = serde_json::json!([])), "taps"),
    ];
    for (bytes, expected) in cases {
        let told = refusal(bytes);
        assert!(told.contains(expected), "{told}, expected {expected}");
    }
    let missing = load(sound, &["elsewhere"]);
    assert!(matches!(missing, Err(BackboneError::MissingTap { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn changed_bytes_never_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        in_description in any::<bool>(),
    ) {
        let mut bytes = plan();
        let length = u32::from_le_bytes(*bytes[4..].first_chunk().unwrap()) as usize;
        let end = if in_description { 8 + length } else { bytes.len() };
        for (at, value) in changes {
            let at = at.index(end);
            // Digits for digits keep the description readable more often.
            bytes[at] = if bytes[at].is_ascii_digit() { b'0' + value % 10 } else { value };
        }
        if let Ok(plan) = load(bytes, &["joined", "narrow"]) {
            let _ = plan.run(&photo(40, 24), &RunOptions::default(), None);
        }
    }
}
