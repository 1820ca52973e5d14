//! Where an output location looks in the input: sliding windows and resizing, shared by the float
//! graph and the quantised plan.

use serde::{Deserialize, Serialize};

/// Largest side, stride and dilation of a window, and most padding on one side.
const LARGEST: usize = 64;
/// Largest side of a map after resizing, whatever a file asks for.
const LARGEST_SIDE: usize = 1 << 14;

/// A sliding window: rows first, then columns.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    pub(super) size: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    pub(super) padding: Padding,
    /// Pooling: the last window may reach beyond the padding.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) ceil: bool,
    /// Average pooling: padding counts as zeros.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) count_padding: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde calls"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// What lies around a map.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Padding {
    /// Top, left, bottom, right.
    Explicit([usize; 4]),
    /// As much as gives `ceil(size / stride)` outputs; the odd one at the end, or at the start.
    Same { odd_at_start: bool },
}

impl Window {
    /// One location, no padding.
    #[cfg(any(test, feature = "build"))]
    pub(super) const POINT: Self = Self {
        size: [1, 1],
        stride: [1, 1],
        dilation: [1, 1],
        padding: Padding::Explicit([0; 4]),
        ceil: false,
        count_padding: false,
    };

    pub(super) fn area(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Whether every output is computed from the one input at its place.
    pub(super) fn is_point(&self) -> bool {
        let unpadded = match self.padding {
            Padding::Explicit(pads) => pads == [0; 4],
            Padding::Same { .. } => true,
        };
        self.size == [1, 1] && self.stride == [1, 1] && unpadded
    }

    /// Refuses windows that no network has and that would make sums overflow; `Err` says what is
    /// expected and what was found.
    pub(super) fn check(&self) -> Result<(), String> {
        for (what, values) in [
            ("size", self.size),
            ("stride", self.stride),
            ("dilation", self.dilation),
        ] {
            if values.iter().any(|value| !(1..=LARGEST).contains(value)) {
                return Err(format!("{what} must be 1 to {LARGEST}, found {values:?}"));
            }
        }
        if let Padding::Explicit(pads) = self.padding {
            // A window inside of the padding alone would have nothing to read.
            let fits = (0..2).all(|axis| {
                let reach = (self.size[axis] - 1) * self.dilation[axis] + 1;
                pads[axis] < reach.max(2) && pads[axis + 2] < reach.max(2)
            });
            if !fits {
                return Err(format!(
                    "padding must be smaller than the window, found {pads:?} around {:?}",
                    self.size
                ));
            }
        }
        Ok(())
    }

    /// Outputs and the padding in front, along one axis (0 rows, 1 columns) of `input` locations;
    /// `None` when the window does not fit.
    pub(super) fn outputs(&self, axis: usize, input: usize) -> Option<(usize, usize)> {
        let reach = (self.size[axis] - 1) * self.dilation[axis] + 1;
        let stride = self.stride[axis];
        match self.padding {
            Padding::Same { odd_at_start } => {
                let outputs = input.div_ceil(stride);
                let padding = (outputs.checked_sub(1)? * stride + reach).saturating_sub(input);
                let front = if odd_at_start {
                    padding.div_ceil(2)
                } else {
                    padding / 2
                };
                Some((outputs, front))
            }
            Padding::Explicit(pads) => {
                let (front, back) = (pads[axis], pads[axis + 2]);
                let free = (input + front + back).checked_sub(reach)?;
                let mut outputs = free / stride + 1;
                // A last window must still begin inside of the input or the padding in front.
                if self.ceil && free % stride > 0 && outputs * stride < input + front {
                    outputs += 1;
                }
                Some((outputs, front))
            }
        }
    }

    /// The part of `0..size` along an axis that lies inside of `input` when the window of output
    /// `at` begins `front` before the input.
    pub(super) fn inside(
        &self,
        axis: usize,
        at: usize,
        front: usize,
        input: usize,
    ) -> std::ops::Range<usize> {
        let (start, dilation) = (at * self.stride[axis], self.dilation[axis]);
        let first = front.saturating_sub(start).div_ceil(dilation);
        let last = (input + front).saturating_sub(start).div_ceil(dilation);
        let last = last.min(self.size[axis]);
        first.min(last)..last
    }
}

/// Enlarging or shrinking a map.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resize {
    /// Output rows and columns by input rows and columns.
    pub(super) scale: [f32; 2],
    pub(super) linear: bool,
    pub(super) coordinates: Coordinates,
}

/// Where an output location lies in the input.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Coordinates {
    HalfPixel,
    Asymmetric,
    AlignCorners,
}

impl Resize {
    pub(super) fn check(&self) -> Result<(), String> {
        if self
            .scale
            .iter()
            .all(|scale| (1.0 / 64.0..=64.0).contains(scale))
        {
            return Ok(());
        }
        Err(format!("scale must be 1/64 to 64, found {:?}", self.scale))
    }

    /// Outputs along an axis of `input` locations.
    pub(super) fn outputs(&self, axis: usize, input: usize) -> Option<usize> {
        let outputs = (f64::from(self.scale[axis]) * input as f64).floor() as usize;
        (1..=LARGEST_SIDE).contains(&outputs).then_some(outputs)
    }

    /// The two inputs that output `at` lies between, and the share of the second. Nearest: the share
    /// is 0.
    pub(super) fn source(
        &self,
        axis: usize,
        at: usize,
        input: usize,
        outputs: usize,
    ) -> (usize, usize, f32) {
        let scale = self.scale[axis];
        let place = match self.coordinates {
            Coordinates::HalfPixel => (at as f32 + 0.5) / scale - 0.5,
            Coordinates::Asymmetric => at as f32 / scale,
            Coordinates::AlignCorners if outputs > 1 => {
                at as f32 * ((input - 1) as f32 / (outputs - 1) as f32)
            }
            Coordinates::AlignCorners => 0.0,
        };
        let last = (input - 1) as f32;
        let place = place.clamp(0.0, last);
        if !self.linear {
            // Halves down, as ONNX's default; asymmetric sources are floored by every exporter.
            let nearest = match self.coordinates {
                Coordinates::Asymmetric => place.floor(),
                _ => (place - 0.5).ceil(),
            };
            let nearest = nearest.clamp(0.0, last) as usize;
            return (nearest, nearest, 0.0);
        }
        let first = place.floor();
        let first_index = first as usize;
        (first_index, (first_index + 1).min(input - 1), place - first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_puts_the_odd_one_at_the_end() {
        let window = Window {
            size: [3, 3],
            stride: [2, 2],
            padding: Padding::Same {
                odd_at_start: false,
            },
            ..Window::POINT
        };
        assert_eq!(window.outputs(0, 224), Some((112, 0)));
        assert_eq!(window.outputs(0, 7), Some((4, 1)));
        assert_eq!(window.inside(0, 111, 0, 224), 0..2);
        assert_eq!(window.inside(0, 0, 1, 7), 1..3);
    }

    #[test]
    fn windows_that_do_not_fit_have_no_outputs() {
        let window = Window {
            size: [7, 7],
            ..Window::POINT
        };
        assert_eq!(window.outputs(1, 6), None);
        assert_eq!(window.outputs(1, 7), Some((1, 0)));
        let padded = Window {
            padding: Padding::Explicit([7, 0, 0, 0]),
            ..window
        };
        assert!(padded.check().is_err());
    }

    #[test]
    fn ceil_mode_adds_a_window_that_begins_inside() {
        let window = Window {
            size: [2, 2],
            stride: [2, 2],
            ceil: true,
            ..Window::POINT
        };
        assert_eq!(window.outputs(0, 5), Some((3, 0)));
        assert_eq!(window.inside(0, 2, 0, 5), 0..1);
    }
}
