//! Chroma that is coarser than the picture, spread over its pixels.
//!
//! Twice as coarse is interpolated with a triangle, as libjpeg does: three quarters of the nearer
//! sample, one of the farther. Other ratios, which hardly a file has, take the nearest sample.

use super::component::{Plane, Ratio};

/// Writes a plane into its channel of the pixels of an image of `size` (columns, rows).
pub(super) fn write(plane: &Plane, channel: usize, size: (usize, usize), pixels: &mut [u8]) {
    // Four times the samples, so that rounding happens once.
    let mut mixed = vec![0_u16; plane.width];
    let smooth = [plane.across, plane.down]
        .iter()
        .all(|ratio| ratio.is_half() || ratio.is_whole());
    for (y, pixels) in pixels.chunks_exact_mut(3 * size.0).enumerate() {
        let row = |at: usize| &plane.samples[at * plane.width..][..plane.width];
        let near = plane.down.nearest(y).min(plane.height - 1);
        let far = match y % 2 {
            _ if !(smooth && plane.down.is_half()) => near,
            0 => near.saturating_sub(1),
            _ => (near + 1).min(plane.height - 1),
        };
        for ((mixed, &near), &far) in mixed.iter_mut().zip(row(near)).zip(row(far)) {
            *mixed = 3 * u16::from(near) + u16::from(far);
        }
        spread(&mixed, plane.across, smooth, channel, pixels);
    }
}

/// A row of samples times four, spread over the channel of a row of pixels.
fn spread(mixed: &[u16], across: Ratio, smooth: bool, channel: usize, pixels: &mut [u8]) {
    if smooth && across.is_half() {
        for (x, pixels) in pixels.chunks_mut(6).enumerate() {
            let left = mixed[x.saturating_sub(1)];
            let right = mixed[(x + 1).min(mixed.len() - 1)];
            let near = 3 * mixed[x] + 8;
            pixels[channel] = ((near + left) >> 4) as u8;
            if let Some(second) = pixels.get_mut(3 + channel) {
                *second = ((near + right) >> 4) as u8;
            }
        }
    } else {
        for (x, pixel) in pixels.chunks_exact_mut(3).enumerate() {
            let near = across.nearest(x).min(mixed.len() - 1);
            pixel[channel] = ((mixed[near] + 2) >> 2) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread_row(samples: &[u8], across: Ratio, width: usize) -> Vec<u8> {
        let plane = Plane {
            samples: samples.to_vec(),
            width: samples.len(),
            height: 1,
            across,
            down: Ratio {
                pixels: 8,
                samples: 8,
            },
        };
        let mut pixels = vec![0; 3 * width];
        write(&plane, 1, (width, 1), &mut pixels);
        assert!(pixels.iter().step_by(3).all(|&other| other == 0));
        pixels.into_iter().skip(1).step_by(3).collect()
    }

    #[test]
    fn half_as_many_samples_are_interpolated_and_others_repeated() {
        let ratio = |pixels, samples| Ratio { pixels, samples };
        assert_eq!(
            spread_row(&[0, 100, 200], ratio(16, 8), 5),
            [0, 25, 75, 125, 175]
        );
        assert_eq!(spread_row(&[7], ratio(16, 8), 1), [7]);
        assert_eq!(spread_row(&[10, 20], ratio(24, 8), 4), [10, 10, 10, 20]);
        assert_eq!(
            spread_row(&[10, 20, 30], ratio(24, 16), 4),
            [10, 20, 20, 30]
        );
    }
}
