//! Luma and two chromas to red, green and blue: what a camera's frame needs before anything else.
//!
//! Integers throughout, so that the bits are the same; the files differ in what they are compiled for.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod generic;
#[cfg(test)]
mod tests;

use super::Cpu;

/// Fraction bits of the factors.
pub(crate) const FRACTION: u32 = 16;

/// What a luma and two chromas mean, in units of 2⁻¹⁶; each is 0 to 2¹⁹ away from 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factors {
    /// The luma of black, 0 to 255.
    pub(crate) black: i32,
    pub(crate) luma: i32,
    pub(crate) red_of_red: i32,
    pub(crate) green_of_blue: i32,
    pub(crate) green_of_red: i32,
    pub(crate) blue_of_blue: i32,
}

/// `out[i] = (r, g, b)` of `luma[i]`, `blue[i]` and `red[i]`: rows of one length, `out` three times as long. Panics when
/// the lengths disagree.
pub(crate) type ToRgb = fn(factors: &Factors, planes: [&[u8]; 3], out: &mut [u8]);

/// The fastest implementation for a processor.
pub(crate) fn to_rgb(cpu: Cpu) -> ToRgb {
    #[cfg(target_arch = "x86_64")]
    if let Some(kernel) = avx2::to_rgb(cpu) {
        return kernel;
    }
    let _ = cpu;
    generic::to_rgb
}

impl Factors {
    /// One pixel, by definition: rounded, halves up.
    #[inline(always)]
    fn rgb(&self, luma: u8, blue: u8, red: u8) -> [u8; 3] {
        let y = (i32::from(luma) - self.black) * self.luma + (1 << (FRACTION - 1));
        let (u, v) = (i32::from(blue) - 128, i32::from(red) - 128);
        [
            y + v * self.red_of_red,
            y + u * self.green_of_blue + v * self.green_of_red,
            y + u * self.blue_of_blue,
        ]
        .map(|channel| (channel >> FRACTION).clamp(0, 255) as u8)
    }
}
