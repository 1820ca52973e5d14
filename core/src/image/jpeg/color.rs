//! Components to RGB, in place.

/// What the components mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColorSpace {
    /// One component.
    Grey,
    /// Full-range BT.601 (JFIF, section 7; T.871).
    YCbCr,
    /// Already RGB.
    Rgb,
}

/// Fraction bits of the factors.
const FRACTION: u32 = 16;

/// Turns pixels of three components into RGB.
pub(super) fn to_rgb(space: ColorSpace, pixels: &mut [u8]) {
    let pixels = pixels.chunks_exact_mut(3);
    match space {
        ColorSpace::Rgb => {}
        ColorSpace::Grey => pixels.for_each(|pixel| pixel.fill(pixel[0])),
        ColorSpace::YCbCr => pixels.for_each(|pixel| {
            let rgb = from_ycbcr([pixel[0], pixel[1], pixel[2]]);
            pixel.copy_from_slice(&rgb);
        }),
    }
}

#[inline(always)]
fn from_ycbcr([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let y = (i32::from(y) << FRACTION) + (1 << (FRACTION - 1));
    let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
    // 1.402, 0.344136, 0.714136 and 1.772.
    [
        y + 91_881 * cr,
        y - 22_554 * cb - 46_802 * cr,
        y + 116_130 * cb,
    ]
    .map(|value| (value >> FRACTION).clamp(0, 255) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_color_is_within_half_a_level_of_the_formula() {
        let values = || (0..=255).step_by(5);
        for y in values() {
            for (cb, cr) in values().flat_map(|cb| values().map(move |cr| (cb, cr))) {
                let (blue, red) = (f64::from(cb) - 128.0, f64::from(cr) - 128.0);
                let y_value = f64::from(y);
                let expected = [
                    y_value + 1.402 * red,
                    y_value - 0.344_136 * blue - 0.714_136 * red,
                    y_value + 1.772 * blue,
                ];
                for (found, expected) in from_ycbcr([y, cb, cr]).into_iter().zip(expected) {
                    let expected = expected.clamp(0.0, 255.0);
                    assert!((f64::from(found) - expected).abs() < 0.502, "{y} {cb} {cr}");
                }
            }
        }
    }
}
