//! The capture simulator: what a phone does to a catalogue picture.
//!
//! Whitening learned from simulated views beats whitening learned from photos alone, and the
//! verdict is calibrated with views whose answer is known. A view is made in the order in which
//! light travels: the picture is placed in its [`surroundings`] at an angle ([`geometry`],
//! [`warp`]), something gets in front of it ([`occlusion`]), it is lit ([`light`]), and a camera
//! takes it ([`blur`], [`sensor`]). Everything is drawn from one random generator: the same seed
//! gives the same view.

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use crate::image::Pixels;

pub mod blur;
pub mod geometry;
pub mod light;
pub mod occlusion;
mod range;
pub mod sensor;
pub mod surroundings;
pub mod warp;

pub use geometry::Geometry;
pub use light::Light;
pub use occlusion::Occlusion;
pub use range::Range;
pub use sensor::Sensor;

/// How strong each change is. [`Settings::capture`] is the measured default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Longest side of a view in pixels, at least 1.
    pub longest_side: u32,
    /// Probability, 0 to 1, that a backdrop that is at hand is used; otherwise the picture lies on
    /// a plain surface.
    pub clutter: f32,
    /// Where the camera stands.
    pub geometry: Geometry,
    /// What is in front of the picture.
    pub occlusion: Occlusion,
    /// How it is lit.
    pub light: Light,
    /// What the camera loses.
    pub sensor: Sensor,
}

impl Settings {
    /// A phone held by a customer in front of a product: geometry changes most (scale above all,
    /// as networks lack that invariance), light mildly, and other things are around it.
    pub const fn capture() -> Self {
        Self {
            longest_side: 320,
            clutter: 0.9,
            geometry: Geometry::capture(),
            occlusion: Occlusion::capture(),
            light: Light::capture(),
            sensor: Sensor::capture(),
        }
    }

    /// As [`Settings::capture`], from farther off and from nearer: scale is the invariance that
    /// networks lack most, and whitenings that are learned from many photos gain by more of it.
    pub const fn wide() -> Self {
        Self {
            geometry: Geometry::wide(),
            ..Self::capture()
        }
    }

    /// What is searched with: a capture by a user who points at the product. Verdicts are calibrated
    /// on these; whitening learns more from the wider range of [`Settings::capture`].
    pub const fn aimed() -> Self {
        Self {
            geometry: Geometry::aimed(),
            ..Self::capture()
        }
    }

    /// No change but the size: a view is the photo, scaled.
    pub const fn none() -> Self {
        Self {
            longest_side: 320,
            clutter: 0.0,
            geometry: Geometry::none(),
            occlusion: Occlusion::none(),
            light: Light::none(),
            sensor: Sensor::none(),
        }
    }
}

/// Makes views of photos.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CaptureSimulator {
    /// What may happen, and how much of it.
    pub settings: Settings,
}

impl CaptureSimulator {
    /// A simulator with these settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// One view of the photo, on the backdrop (another photo) where there is one.
    ///
    /// Takes milliseconds for photos of up to twice the view's sides; larger ones cost one pass
    /// over their pixels, so scale them down first where many views are made of each. Never fails,
    /// whatever the shape of the photo.
    ///
    /// # Examples
    /// ```
    /// use pocketlens::image::Pixels;
    /// use pocketlens::simulate::{CaptureSimulator, Settings};
    ///
    /// let photo = Pixels::from_rgb(64, 48, vec![200; 64 * 48 * 3]).unwrap();
    /// let simulator = CaptureSimulator::new(Settings::capture());
    /// let view = |seed| simulator.view(&photo, None, &mut fastrand::Rng::with_seed(seed));
    /// assert!(view(1) == view(1) && view(1) != view(2));
    /// assert_eq!(view(1).width().max(view(1).height()), 320);
    /// ```
    pub fn view(&self, photo: &Pixels, backdrop: Option<&Pixels>, rng: &mut Rng) -> Pixels {
        let Settings {
            longest_side,
            clutter,
            geometry,
            occlusion,
            light,
            sensor,
        } = self.settings;
        let shape = [photo.width(), photo.height()];
        let [width, height] = geometry.view_size(shape, longest_side.max(1), rng);
        let quad = geometry.place(shape, [width, height], rng);
        let backdrop = backdrop.filter(|_| rng.f32() < clutter);
        let mut view = surroundings::surroundings(backdrop, width, height, rng);
        let [wide, high] = shape.map(f64::from);
        if let Some(map) = warp::Homography::from_rectangle(wide, high, &quad) {
            warp::paste(photo, &mut view, &map);
        }
        occlusion.apply(&mut view, &quad, backdrop, rng);
        light.apply(&mut view, rng);
        sensor.apply(view, rng)
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use proptest::prelude::{
        Just, ProptestConfig, any, prop, prop_assert_eq, prop_oneof, proptest,
    };

    use super::*;
    use crate::image::{Crop, resize};

    fn photo(width: u32, height: u32, seed: u64) -> Pixels {
        let mut rng = Rng::with_seed(seed);
        let data = (0..width * height * 3).map(|_| rng.u8(..)).collect();
        Pixels::from_rgb(width, height, data).unwrap()
    }

    #[test]
    fn without_changes_a_view_is_the_photo_scaled() {
        let simulator = CaptureSimulator::new(Settings::none());
        for (width, height, to_width, to_height) in [
            (320, 240, 320, 240),
            (640, 480, 320, 240),
            (333, 500, 213, 320),
            (1000, 1, 320, 1),
        ] {
            let photo = photo(width, height, 1);
            let view = simulator.view(&photo, None, &mut Rng::with_seed(2));
            let expected = resize(&photo, Crop::whole(width, height), to_width, to_height);
            assert!(view == expected, "{width}×{height}");
        }
    }

    #[test]
    fn a_seed_decides_a_view() {
        let simulator = CaptureSimulator::new(Settings::capture());
        let (photo, backdrop) = (photo(200, 150, 1), photo(90, 120, 2));
        let view = |seed| simulator.view(&photo, Some(&backdrop), &mut Rng::with_seed(seed));
        for seed in 0..8 {
            assert!(view(seed) == view(seed));
            assert!(view(seed) != view(seed + 1));
        }
    }

    #[test]
    fn settings_are_json() {
        for settings in [Settings::capture(), Settings::none()] {
            let text = serde_json::to_string(&settings).unwrap();
            assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
        }
        assert!(serde_json::from_str::<Settings>("{}").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn photos_of_every_shape_give_a_view(
            shape in prop_oneof![Just((1, 1)), Just((1, 500)), Just((500, 1)), (1..40u32, 1..40u32)],
            behind in prop::option::of(prop_oneof![Just((1, 1)), Just((1, 500)), (1..40u32, 1..40u32)]),
            longest_side in 1..200u32,
            seed in any::<u64>(),
        ) {
            let photo = photo(shape.0, shape.1, seed);
            let backdrop = behind.map(|(width, height)| self::photo(width, height, !seed));
            let settings = Settings { longest_side, ..Settings::capture() };
            let mut rng = Rng::with_seed(seed);
            let view = CaptureSimulator::new(settings).view(&photo, backdrop.as_ref(), &mut rng);
            prop_assert_eq!(view.width().max(view.height()), longest_side);
        }
    }
}
