//! From 8-bit pixels to the numbers that a network was trained on.

use serde::{Deserialize, Serialize};

use crate::image::{Pixels, Sizing};

/// Size and value range of the network's input; part of the fingerprint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// The input's sides: longest side and the multiple that both are rounded to.
    pub sizing: Sizing,
    /// Subtracted from red, green and blue, on the scale 0..=255.
    pub mean: [f32; 3],
    /// Multiplied after the mean was subtracted.
    pub scale: [f32; 3],
}

impl Preprocessing {
    /// Names that [`Self::named`] knows.
    pub const NAMES: [&'static str; 3] = ["mobilenet", "imagenet", "lite"];

    /// How well-known families of networks are trained: `mobilenet` on -1..=1, `imagenet` (torchvision's networks) on the
    /// mean and deviation of ImageNet, `lite` (EfficientNet-Lite) on `(byte - 127) / 128`.
    pub fn named(name: &str) -> Option<Self> {
        let (mean, scale) = match name {
            "mobilenet" => ([127.5; 3], [1.0 / 127.5; 3]),
            "imagenet" => (
                [0.485, 0.456, 0.406].map(|mean: f32| 255.0 * mean),
                [0.229, 0.224, 0.225].map(|deviation: f32| 1.0 / (255.0 * deviation)),
            ),
            "lite" => ([127.0; 3], [1.0 / 128.0; 3]),
            _ => return None,
        };
        Some(Self {
            mean,
            scale,
            ..Self::default()
        })
    }

    /// `H×W×3` bytes to `3×H×W` floats: `(byte - mean) · scale`.
    pub fn planes(&self, pixels: &Pixels) -> Vec<f32> {
        let locations = pixels.data().len() / 3;
        let mut planes = vec![0.0; 3 * locations];
        for (channel, plane) in planes.chunks_exact_mut(locations).enumerate() {
            let (mean, scale) = (self.mean[channel], self.scale[channel]);
            let bytes = pixels.data().iter().skip(channel).step_by(3);
            for (value, &byte) in plane.iter_mut().zip(bytes) {
                *value = (f32::from(byte) - mean) * scale;
            }
        }
        planes
    }
}

/// Longest side 320, multiples of 32, values in -1..=1: what MobileNets are trained on.
impl Default for Preprocessing {
    fn default() -> Self {
        Self {
            sizing: Sizing::default(),
            mean: [127.5; 3],
            scale: [1.0 / 127.5; 3],
        }
    }
}
