//! Defocus and motion: what a moving hand and a slow lens do.
//!
//! Both are one sum over a few shifted copies of the image, with its edge pixels repeated outside.

use crate::image::Pixels;

/// A shift in pixels, right and down, and its weight. Weights sum to 1.
type Tap = (i32, i32, f32);

/// Spreads every pixel over a disc of `radius` pixels: a lens out of focus. Below half a pixel
/// nothing happens. Takes time in the order of pixels × radius².
pub fn defocus(pixels: &mut Pixels, radius: f32) {
    // Finite and small enough for the taps to stay few.
    let radius = radius.clamp(0.0, 32.0);
    let reach = (radius + 0.5).floor() as i32;
    let taps = (-reach..=reach).flat_map(|y| {
        (-reach..=reach).map(move |x| {
            let distance = ((x * x + y * y) as f32).sqrt();
            (x, y, (radius + 0.5 - distance).clamp(0.0, 1.0))
        })
    });
    convolve(pixels, taps.collect());
}

/// Spreads every pixel over a line of `length` pixels at `angle` (radians, from the x axis towards
/// the y axis): a camera that moved during the exposure. Takes time in the order of pixels ×
/// length.
pub fn motion(pixels: &mut Pixels, length: f32, angle: f32) {
    let length = length.clamp(0.0, 64.0);
    let (sine, cosine) = (libm::sinf(angle), libm::cosf(angle));
    let reach = (length / 2.0).ceil() as i32;
    let side = (2 * reach + 3) as usize;
    // The middles of equal pieces of the line, two a pixel, each shared by the four pixels around.
    let points = 2 * length.ceil() as i32;
    let mut kernel = vec![0.0; side * side];
    for point in 0..points {
        let along = length * ((point as f32 + 0.5) / points as f32 - 0.5);
        let (x, y) = (along * cosine, along * sine);
        let (left, top) = (x.floor(), y.floor());
        for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            let (tap_x, tap_y) = (left as i32 + dx, top as i32 + dy);
            let weight = (1.0 - (x - tap_x as f32).abs()) * (1.0 - (y - tap_y as f32).abs());
            kernel[(tap_y + reach + 1) as usize * side + (tap_x + reach + 1) as usize] += weight;
        }
    }
    let taps = kernel.iter().enumerate().map(|(at, &weight)| {
        (
            (at % side) as i32 - reach - 1,
            (at / side) as i32 - reach - 1,
            weight,
        )
    });
    convolve(pixels, taps.collect());
}

fn convolve(pixels: &mut Pixels, mut taps: Vec<Tap>) {
    taps.retain(|&(_, _, weight)| weight > 1e-6);
    let sum: f32 = taps.iter().map(|&(_, _, weight)| weight).sum();
    if taps.len() < 2 {
        return;
    }
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    let reach = taps
        .iter()
        .map(|&(x, y, _)| x.abs().max(y.abs()))
        .max()
        .unwrap_or(0) as usize;
    let padded_width = width + 2 * reach;
    // Rows of floats, longer on both sides by the reach of the kernel.
    let mut padded: Vec<f32> = Vec::with_capacity(3 * padded_width * height);
    for line in pixels.data().chunks_exact(3 * width) {
        let (first, last) = (&line[..3], &line[3 * width - 3..]);
        padded.extend(first.repeat(reach).iter().map(|&value| f32::from(value)));
        padded.extend(line.iter().map(|&value| f32::from(value)));
        padded.extend(last.repeat(reach).iter().map(|&value| f32::from(value)));
    }
    let mut sums = vec![0.0; 3 * width];
    for row in 0..height {
        sums.fill(0.5);
        for &(x, y, weight) in &taps {
            let from = (row as i32 + y).clamp(0, height as i32 - 1) as usize;
            let column = (reach as i32 + x) as usize;
            let line = &padded[3 * (from * padded_width + column)..][..3 * width];
            let weight = weight / sum;
            for (sum, value) in sums.iter_mut().zip(line) {
                *sum += weight * value;
            }
        }
        let line = &mut pixels.data_mut()[3 * row * width..][..3 * width];
        for (value, &sum) in line.iter_mut().zip(&sums) {
            *value = sum as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One white pixel in the middle of black.
    fn dot() -> Pixels {
        let mut dot = Pixels::from_rgb(41, 41, vec![0; 41 * 41 * 3]).unwrap();
        dot.data_mut()[3 * (20 * 41 + 20)..][..3].fill(255);
        dot
    }

    /// Variances of the light's place, across and down, in square pixels.
    fn spread(pixels: &Pixels) -> (f64, f64) {
        let (mut sum, mut across, mut down) = (0.0, 0.0, 0.0);
        for y in 0..41 {
            for x in 0..41 {
                let light = f64::from(pixels.get(x, y)[0]);
                sum += light;
                across += light * (f64::from(x) - 20.0).powi(2);
                down += light * (f64::from(y) - 20.0).powi(2);
            }
        }
        (across / sum, down / sum)
    }

    #[test]
    fn flat_images_stay_flat() {
        for (width, height) in [(1, 1), (1, 50), (50, 1), (30, 20)] {
            for value in [0, 100, 255] {
                let data = vec![value; 3 * width * height];
                let mut flat = Pixels::from_rgb(width as u32, height as u32, data.clone()).unwrap();
                defocus(&mut flat, 3.3);
                motion(&mut flat, 7.7, 1.0);
                assert_eq!(flat.data(), data);
            }
        }
    }

    #[test]
    fn no_blur_changes_nothing() {
        let mut pixels = dot();
        defocus(&mut pixels, 0.0);
        defocus(&mut pixels, f32::NAN);
        motion(&mut pixels, 0.0, 0.7);
        assert!(pixels == dot());
    }

    #[test]
    fn defocus_spreads_like_a_disc() {
        for radius in [2.0, 3.0, 4.0] {
            let mut pixels = dot();
            defocus(&mut pixels, radius);
            let (across, down) = spread(&pixels);
            // Along an axis, the variance of a uniform disc is r² / 4 and that of a pixel 1 / 12.
            let expected = f64::from(radius * radius) / 4.0 + 1.0 / 12.0;
            assert!(
                (across / expected - 1.0).abs() < 0.15,
                "{radius}: {across}, not {expected}"
            );
            assert!((across - down).abs() < 1e-9);
        }
    }

    #[test]
    fn motion_spreads_along_its_line_only() {
        let quarter = std::f32::consts::FRAC_PI_2;
        for length in [4.0, 7.0, 12.0] {
            let mut pixels = dot();
            motion(&mut pixels, length, 0.0);
            let (across, down) = spread(&pixels);
            // The variance of a uniform line is l² / 12.
            let expected = f64::from(length * length) / 12.0;
            assert!(
                (across / expected - 1.0).abs() < 0.2,
                "{length}: {across}, not {expected}"
            );
            assert!(down < 1e-9);
            let mut pixels = dot();
            motion(&mut pixels, length, quarter);
            let (across, down) = spread(&pixels);
            assert!(
                across < 0.05 && (down / expected - 1.0).abs() < 0.2,
                "{across} {down}"
            );
        }
    }
}
