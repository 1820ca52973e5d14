//! Every instruction set against the formula in double precision.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// BT.601, 0 to 255.
const FULL: Factors = Factors {
    black: 0,
    luma: 65_536,
    red_of_red: 91_881,
    green_of_blue: -22_554,
    green_of_red: -46_802,
    blue_of_blue: 116_130,
};

proptest! {
    #[test]
    fn every_processor_gives_the_same_colors_as_the_formula(pixels in vec(any::<[u8; 3]>(), 0..150)) {
        let planes = [0, 1, 2].map(|i| pixels.iter().map(|pixel| pixel[i]).collect::<Vec<_>>());
        let planes = planes.each_ref().map(Vec::as_slice);
        let mut expected = vec![0; 3 * pixels.len()];
        generic::to_rgb(&FULL, planes, &mut expected);
        for (rgb, &[luma, blue, red]) in expected.chunks_exact(3).zip(&pixels) {
            let [y, u, v] = [f64::from(luma), f64::from(blue) - 128.0, f64::from(red) - 128.0];
            let exact = [y + 1.402 * v, y - 0.344_136 * u - 0.714_136 * v, y + 1.772 * u];
            for (&found, exact) in rgb.iter().zip(exact) {
                prop_assert!((f64::from(found) - exact.clamp(0.0, 255.0)).abs() < 0.502);
            }
        }
        for cpu in Cpu::available() {
            let mut found = vec![1; 3 * pixels.len()];
            to_rgb(cpu)(&FULL, planes, &mut found);
            prop_assert_eq!(&found, &expected, "{}", cpu.name());
        }
    }
}

#[test]
#[should_panic(expected = "rows do not match")]
fn rows_of_different_lengths_are_refused() {
    to_rgb(Cpu::native())(&FULL, [&[1, 2], &[1, 2], &[1]], &mut [0; 6]);
}
