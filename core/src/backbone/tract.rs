//! ONNX networks through tract, in float: the reference that every faster plan is held to.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use tract_onnx::prelude::*;

use super::{BackboneError, FeatureMap, Preprocessing};
use crate::image::Pixels;

/// Plans kept at a time. A plan holds packed weights (as large as the network in float), and the
/// photos of one catalogue come in few shapes.
const PLANS_KEPT: usize = 6;

/// No map of a sane network is larger (values), whatever a hostile model declares.
const LARGEST_MAP: usize = 1 << 26;

type Plan = Arc<RunnableModel<TypedFact, Box<dyn TypedOp>>>;

/// A network with its taps, ready for any input size.
pub(super) struct FloatNetwork {
    model: InferenceModel,
    taps: Vec<String>,
    /// Least recently used first.
    plans: Mutex<Vec<((u32, u32), Plan)>>,
}

impl FloatNetwork {
    /// Reads an ONNX model with one input `1×3×H×W` and the taps as named outputs.
    ///
    /// # Errors
    /// [`BackboneError::Unreadable`] and [`BackboneError::MissingTap`].
    pub(super) fn from_onnx(onnx: &[u8], taps: &[String]) -> Result<Self, BackboneError> {
        if onnx.get(4..8) == Some(b"TFL3") {
            let reason =
                "a TFLite file: `pocketlens bundle convert` makes a bundle of it".to_owned();
            return Err(BackboneError::Unreadable { reason });
        }
        let read = || tract_onnx::onnx().model_for_read(&mut std::io::Cursor::new(onnx));
        let model = guarded(read).map_err(|reason| BackboneError::Unreadable { reason })?;
        if model.inputs.len() != 1 {
            let reason = format!("one input was expected, found {}", model.inputs.len());
            return Err(BackboneError::Unreadable { reason });
        }
        let outputs: Vec<String> = model
            .outputs
            .iter()
            .map(|&outlet| match model.outlet_label(outlet) {
                Some(label) => label.to_string(),
                None => model.node(outlet.node).name.clone(),
            })
            .collect();
        let mut positions = Vec::with_capacity(taps.len());
        for tap in taps {
            match outputs.iter().position(|output| output == tap) {
                Some(position) => positions.push(position),
                None => {
                    return Err(BackboneError::MissingTap {
                        tap: tap.clone(),
                        outputs,
                    });
                }
            }
        }
        // Everything behind the last tap in use is dropped here: it is dead once no output needs it.
        let mut model = model;
        model.outputs = positions
            .iter()
            .map(|&position| model.outputs[position])
            .collect();
        Ok(Self {
            model,
            taps: taps.to_vec(),
            plans: Mutex::default(),
        })
    }

    /// Runs the network on an input of the size that [`Preprocessing::sizing`] asks for; one map a
    /// tap, in the order of the taps.
    ///
    /// # Errors
    /// [`BackboneError::Unrunnable`] and [`BackboneError::NotAMap`].
    pub(super) fn run(
        &self,
        pixels: &Pixels,
        preprocessing: &Preprocessing,
    ) -> Result<Vec<FeatureMap>, BackboneError> {
        let (width, height) = (pixels.width(), pixels.height());
        let unrunnable = |reason| BackboneError::Unrunnable {
            width,
            height,
            reason,
        };
        let plan = self.plan(width, height)?;
        let shape = [1, 3, height as usize, width as usize];
        let outputs = guarded(|| {
            let input = Tensor::from_shape(&shape, &preprocessing.planes(pixels))?;
            plan.run(tvec!(input.into_tvalue()))
        })
        .map_err(unrunnable)?;
        self.taps
            .iter()
            .zip(&outputs)
            .map(|(tap, output)| feature_map(tap, output))
            .collect()
    }

    fn plan(&self, width: u32, height: u32) -> Result<Plan, BackboneError> {
        let size = (width, height);
        {
            let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = plans.iter().position(|(planned, _)| *planned == size) {
                let recent = plans.remove(at);
                let plan = recent.1.clone();
                plans.push(recent);
                return Ok(plan);
            }
        }
        // Planned outside of the lock: other threads go on with the sizes that are ready.
        let plan = guarded(|| {
            let fact = f32::fact([1, 3, height as usize, width as usize]);
            let model = self
                .model
                .clone()
                .with_input_fact(0, fact.into())?
                .into_optimized()?;
            for outlet in &model.outputs {
                let values = usize::try_from(&model.outlet_fact(*outlet)?.shape.volume())?;
                if values > LARGEST_MAP {
                    return Err(TractError::msg(format!(
                        "a tap of {values} values is too large"
                    )));
                }
            }
            model.into_runnable()
        })
        .map_err(|reason| BackboneError::Unrunnable {
            width,
            height,
            reason,
        })?;
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.iter().all(|(planned, _)| *planned != size) {
            if plans.len() == PLANS_KEPT {
                plans.remove(0);
            }
            plans.push((size, plan.clone()));
        }
        Ok(plan)
    }
}

fn feature_map(tap: &str, output: &Tensor) -> Result<FeatureMap, BackboneError> {
    let not_a_map = || BackboneError::NotAMap {
        tap: tap.to_owned(),
        found: format!("{:?} of {:?}", output.shape(), output.datum_type()),
    };
    let &[1, channels, height, width] = output.shape() else {
        return Err(not_a_map());
    };
    let planes = output
        .try_as_plain_ram()
        .and_then(|view| view.as_slice::<f32>().map(<[f32]>::to_vec));
    let planes = planes.map_err(|_| not_a_map())?;
    FeatureMap::from_planes(channels, height, width, &planes).ok_or_else(not_a_map)
}

/// Runs tract with its errors as text, and with its panics on malformed models as errors too.
fn guarded<T>(work: impl FnOnce() -> TractResult<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(format!("{error:#}")),
        Err(panic) => Err(format!(
            "the ONNX engine gave up: {}",
            panic_text(panic.as_ref())
        )),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic")
}
