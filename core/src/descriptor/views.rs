//! Several looks at one photo: scales and a mirror image.
//!
//! Each part's pooled unit vectors of all views are averaged before they are whitened (multi-scale
//! as in Radenović, Tolias & Chum 2019, section 3.3, with the plain mean). Quarter turns are the
//! query's matter (`Query::rotations`): turned photos of a catalogue would only be searched in vain.

use serde::{Deserialize, Serialize};

use crate::image::{Crop, Orientation, Pixels, Sizing, resize};

/// The views of a photo that one descriptor is made of. Each costs a run of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Views {
    /// Sides of the network's input, in units of the usual ones; 0.25 to 2 each, 1 to 5 of them.
    #[serde(default = "only_one")]
    pub scales: Vec<f32>,
    /// Whether the mirror image is looked at too.
    #[serde(default)]
    pub mirrored: bool,
}

fn only_one() -> Vec<f32> {
    vec![1.0]
}

/// The photo as it is, alone.
impl Default for Views {
    fn default() -> Self {
        Self {
            scales: only_one(),
            mirrored: false,
        }
    }
}

impl Views {
    /// Whether the photo as it is is all there is.
    pub fn is_single(&self) -> bool {
        *self == Self::default()
    }

    /// Runs of the network for one photo.
    pub fn count(&self) -> usize {
        self.scales.len() * if self.mirrored { 2 } else { 1 }
    }

    /// The inputs of all views, from the network's usual input of a photo: scale by scale, the
    /// mirror image behind each.
    pub fn inputs(&self, input: &Pixels, sizing: &Sizing) -> Vec<Pixels> {
        let mut inputs = Vec::with_capacity(self.count());
        for &scale in &self.scales {
            let side = |side: u32| {
                let multiples = f64::from(side) * f64::from(scale) / f64::from(sizing.multiple);
                (multiples.round() as u32).max(1) * sizing.multiple
            };
            let (width, height) = (side(input.width()), side(input.height()));
            let view = if (width, height) == (input.width(), input.height()) {
                input.clone()
            } else {
                let whole = Crop::whole(input.width(), input.height());
                resize(input, whole, width, height)
            };
            let mirror = self
                .mirrored
                .then(|| Orientation::FlipHorizontal.apply(view.clone()));
            inputs.push(view);
            inputs.extend(mirror);
        }
        inputs
    }

    /// Bytes that [`Self::inputs`] takes for an input of this size, at most.
    pub(crate) fn input_bytes(&self, sizing: &Sizing) -> u64 {
        let side = |scale: f32| {
            let side = f64::from(sizing.longest_side) * f64::from(scale);
            side as u64 + u64::from(sizing.multiple)
        };
        let area: u64 = self.scales.iter().map(|&scale| side(scale).pow(2)).sum();
        area * 3 * if self.mirrored { 2 } else { 1 }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.scales.is_empty() || self.scales.len() > 5 {
            return Err(format!("views: 1 to 5 scales, found {}", self.scales.len()));
        }
        match self.scales.iter().find(|s| !(0.25..=2.0).contains(*s)) {
            Some(scale) => Err(format!("views: scales must be 0.25 to 2, found {scale}")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_multiples_and_mirrors_follow() {
        let input = Pixels::from_rgb(96, 64, (0..96 * 64 * 3).map(|i| i as u8).collect()).unwrap();
        let views = Views {
            scales: vec![1.0, 0.7],
            mirrored: true,
        };
        assert_eq!(views.check(), Ok(()));
        let sizing = Sizing {
            longest_side: 96,
            multiple: 32,
        };
        let inputs = views.inputs(&input, &sizing);
        let sizes: Vec<_> = inputs.iter().map(|i| (i.width(), i.height())).collect();
        assert_eq!(sizes, [(96, 64), (96, 64), (64, 32), (64, 32)]);
        assert!(inputs[0] == input);
        assert_eq!(inputs[1].get(0, 5), input.get(95, 5));
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let views = |scales: &[f32]| Views {
            scales: scales.to_vec(),
            mirrored: false,
        };
        assert!(views(&[]).check().is_err());
        assert!(views(&[1.0, 3.0]).check().unwrap_err().contains("found 3"));
        assert!(views(&[f32::NAN]).check().is_err());
    }
}
