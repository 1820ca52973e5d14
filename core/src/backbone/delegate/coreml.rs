//! Core ML, Apple's way to the neural engine: an ML program that `models/coreml/export.py` writes beside
//! the bundle, with the same weights and taps.
//!
//! It is compiled once and kept in the app's cache. Its arithmetic is half-precision floats where the
//! plan's is integers, so that its descriptors are near the plan's, and never the same bits.

// Every call crosses a foreign interface.
#![allow(unsafe_code)]

use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use objc2::AnyThread as _;
use objc2::rc::{Retained, autoreleasepool};
use objc2::runtime::{AnyObject, ProtocolObject};
use objc2_core_ml::{
    MLComputeUnits, MLDictionaryFeatureProvider, MLFeatureProvider, MLFeatureValue, MLModel,
    MLModelConfiguration, MLMultiArray, MLMultiArrayDataType,
};
use objc2_foundation::{NSArray, NSDictionary, NSError, NSNumber, NSString, NSURL};
use sha2::{Digest, Sha256};

use super::{Delegate, DelegateDescription, DelegateError, Network, PreparedNetwork};
use crate::backbone::FeatureMap;
use crate::image::Pixels;

/// The model's one input: pixels 0..=255 as 32-bit floats, `1×3×H×W`.
const INPUT: &str = "image";

/// An ML program, compiled and loaded.
pub struct CoreMl {
    model: Shared,
    device: String,
}

/// A loaded model, which any thread may ask.
#[derive(Clone)]
struct Shared(Retained<MLModel>);

// SAFETY: Apple documents `MLModel` predictions as safe from several threads; it is never changed here.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl CoreMl {
    /// Loads `package` (`.mlpackage`), compiled before in `cache` or now. `device` names the device and its
    /// system.
    ///
    /// # Errors
    /// [`DelegateError::Unavailable`] without the package, [`DelegateError::Failed`] when Core ML refuses it.
    pub fn open(
        package: &Path,
        cache: &Path,
        device: impl Into<String>,
    ) -> Result<Self, DelegateError> {
        autoreleasepool(|_| {
            let (digest, path) = compiled(package, cache)?;
            let compiled = url(&path)?;
            // SAFETY: plain setters and constructors of objects that are ours alone.
            let model = unsafe {
                let configuration = MLModelConfiguration::new();
                configuration.setComputeUnits(MLComputeUnits::All);
                MLModel::modelWithContentsOfURL_configuration_error(&compiled, &configuration)
            };
            Ok(Self {
                model: Shared(model.map_err(|error| failed("loading the model", &error))?),
                device: format!("{}, program {digest}", device.into()),
            })
        })
    }
}

/// The package's digest, and the compiled model in the cache, which is made where it is missing.
fn compiled(package: &Path, cache: &Path) -> Result<(String, PathBuf), DelegateError> {
    let io = |path: &Path, error: std::io::Error| DelegateError::Unavailable {
        reason: format!("{}: {error}", path.display()),
    };
    let specification = package.join("Data/com.apple.CoreML/model.mlmodel");
    let weights = package.join("Data/com.apple.CoreML/weights/weight.bin");
    let mut hash = Sha256::new();
    for part in [&specification, &weights] {
        hash.update(std::fs::read(part).map_err(|error| io(part, error))?);
    }
    let name: String = hash.finalize()[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let kept = cache.join(format!("coreml-{name}.mlmodelc"));
    if kept.is_dir() {
        return Ok((name, kept));
    }
    std::fs::create_dir_all(cache).map_err(|error| io(cache, error))?;
    let from = url(package)?;
    #[allow(
        deprecated,
        reason = "the asynchronous one answers on a queue of its own; this is called on a thread that may wait"
    )]
    // SAFETY: a file URL.
    let made = unsafe { MLModel::compileModelAtURL_error(&from) };
    let made = made.map_err(|error| failed("compiling the model", &error))?;
    let made = made.path().map(|path| PathBuf::from(path.to_string()));
    let made = made.ok_or_else(|| DelegateError::Failed {
        call: "compiling the model".to_owned(),
        reason: "it has no path".to_owned(),
    })?;
    // Another process may have been faster: its result is as good.
    match std::fs::rename(&made, &kept) {
        Err(error) if !kept.is_dir() => Err(io(&kept, error)),
        _ => Ok((name, kept)),
    }
}

fn url(path: &Path) -> Result<Retained<NSURL>, DelegateError> {
    let text = path.to_str().ok_or_else(|| DelegateError::Unavailable {
        reason: format!("{}: no text that Foundation reads", path.display()),
    })?;
    Ok(NSURL::fileURLWithPath(&NSString::from_str(text)))
}

fn failed(call: &str, error: &NSError) -> DelegateError {
    DelegateError::Failed {
        call: call.to_owned(),
        reason: error.localizedDescription().to_string(),
    }
}

impl Delegate for CoreMl {
    fn describe(&self) -> DelegateDescription {
        DelegateDescription {
            name: "coreml".to_owned(),
            device: self.device.clone(),
        }
    }

    fn prepare(&self, network: &Network) -> Result<Box<dyn PreparedNetwork>, DelegateError> {
        // SAFETY: reads of an immutable description.
        let outputs = unsafe { self.model.0.modelDescription().outputDescriptionsByName() };
        for tap in &network.tap_names {
            if outputs.objectForKey(&NSString::from_str(tap)).is_none() {
                return Err(DelegateError::Unsupported {
                    layer: tap.clone(),
                    reason: "the ML program has no such output; export it again of this bundle"
                        .to_owned(),
                });
            }
        }
        let shapes = network.taps.iter().map(|&tap| network.values[tap].shape);
        Ok(Box::new(Prepared {
            model: self.model.clone(),
            input: network.values[0].shape,
            taps: network.tap_names.iter().cloned().zip(shapes).collect(),
        }))
    }
}

/// The model at one size of input.
struct Prepared {
    model: Shared,
    /// Rows, columns, channels.
    input: [usize; 3],
    taps: Vec<(String, [usize; 3])>,
}

impl PreparedNetwork for Prepared {
    fn run(&self, pixels: &Pixels) -> Result<Vec<FeatureMap>, DelegateError> {
        autoreleasepool(|_| {
            let input = self.input(pixels)?;
            // SAFETY: the dictionary holds feature values under names, as the constructor asks.
            let given = unsafe {
                let value = MLFeatureValue::featureValueWithMultiArray(&input);
                let value: &AnyObject = &value;
                let name = NSString::from_str(INPUT);
                let values = NSDictionary::<NSString, AnyObject>::from_slices(&[&*name], &[value]);
                MLDictionaryFeatureProvider::initWithDictionary_error(
                    MLDictionaryFeatureProvider::alloc(),
                    &values,
                )
            };
            let given = given.map_err(|error| failed("giving the input", &error))?;
            let given: &ProtocolObject<dyn MLFeatureProvider> = ProtocolObject::from_ref(&*given);
            // SAFETY: a prediction reads the model and what it is given.
            let found = unsafe { self.model.0.predictionFromFeatures_error(given) };
            let found = found.map_err(|error| failed("the prediction", &error))?;
            let maps = self.taps.iter().map(|(name, shape)| {
                // SAFETY: a read by name.
                let array = unsafe {
                    let value = found.featureValueForName(&NSString::from_str(name));
                    value.and_then(|value| value.multiArrayValue())
                };
                array
                    .and_then(|array| map(&array, *shape))
                    .ok_or_else(|| DelegateError::Failed {
                        call: format!("reading {name}"),
                        reason: format!("1×C×H×W floats expected, C, H, W of {shape:?}"),
                    })
            });
            maps.collect()
        })
    }
}

impl Prepared {
    /// The pixels as `1×3×H×W` floats.
    fn input(&self, pixels: &Pixels) -> Result<Retained<MLMultiArray>, DelegateError> {
        let [rows, columns, _] = self.input;
        let found = [pixels.height() as usize, pixels.width() as usize];
        if found != [rows, columns] {
            return Err(DelegateError::Failed {
                call: "reading the input".to_owned(),
                reason: format!("{columns}×{rows} expected, found {}×{}", found[1], found[0]),
            });
        }
        let shape = [1, 3, rows, columns].map(NSNumber::new_usize);
        let shape = NSArray::from_retained_slice(&shape);
        // SAFETY: a shape of four sides; the array is ours alone while it is filled, and has
        // 3 · rows · columns floats, the first axis outermost, as this constructor promises.
        unsafe {
            let array = MLMultiArray::initWithShape_dataType_error(
                MLMultiArray::alloc(),
                &shape,
                MLMultiArrayDataType::Float32,
            );
            let array = array.map_err(|error| failed("making the input", &error))?;
            #[allow(deprecated, reason = "the block interface copies nothing less")]
            let data: NonNull<f32> = array.dataPointer().cast();
            let plane = rows * columns;
            for (place, pixel) in pixels.data().chunks_exact(3).enumerate() {
                for (channel, &byte) in pixel.iter().enumerate() {
                    data.add(channel * plane + place).write(f32::from(byte));
                }
            }
            Ok(array)
        }
    }
}

/// `1×C×H×W` floats, at whatever strides, as a map; `None` where they have another shape or type.
fn map(array: &MLMultiArray, shape: [usize; 3]) -> Option<FeatureMap> {
    let [rows, columns, channels] = shape;
    let numbers = |list: Retained<NSArray<NSNumber>>| -> Vec<usize> {
        list.iter().map(|number| number.as_usize()).collect()
    };
    // SAFETY: reads; every place that is read lies inside of the array's own shape.
    unsafe {
        let [1, c, h, w] = numbers(array.shape())[..] else {
            return None;
        };
        if [h, w, c] != shape || array.dataType() != MLMultiArrayDataType::Float32 {
            return None;
        }
        let [_, by_channel, by_row, by_column] = numbers(array.strides())[..] else {
            return None;
        };
        #[allow(deprecated, reason = "as above")]
        let data: NonNull<f32> = array.dataPointer().cast();
        let mut values = Vec::with_capacity(rows * columns * channels);
        for (row, column) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
            let place = row * by_row + column * by_column;
            values
                .extend((0..channels).map(|channel| data.add(channel * by_channel + place).read()));
        }
        FeatureMap::new(rows, columns, channels, values)
    }
}
