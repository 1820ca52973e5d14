//! A circle on the earth as a box that can be asked for: what lies in the box and not in the circle is left out afterwards.

use pocketlens::index::filter::{GeoBox, GeoPoint, GeoRadius};

/// Less than the earth's mean radius in metres, so that a circle's box is rather too wide.
const EARTH: f64 = 6_371_000.0;

/// All points of a circle lie in it.
pub(super) fn box_around(circle: &GeoRadius) -> GeoBox {
    let GeoPoint { lat, lon } = circle.center;
    let angle = circle.radius / EARTH;
    // Degrees: some ten metres more than the edge.
    let margin = 1e-4;
    let (north, south) = (
        lat + angle.to_degrees() + margin,
        lat - angle.to_degrees() - margin,
    );
    let reach = match north < 90.0 && south > -90.0 {
        true => (angle.sin() / lat.to_radians().cos()).asin().to_degrees() + margin,
        // Around a pole lie all meridians.
        false => 180.0,
    };
    let (west, east) = match reach < 180.0 {
        true => (lon - reach, lon + reach),
        false => (-180.0, 180.0),
    };
    let corner = |lat: f64, lon: f64| GeoPoint {
        lat,
        lon: match lon {
            lon if lon < -180.0 => lon + 360.0,
            lon if lon > 180.0 => lon - 360.0,
            lon => lon,
        },
    };
    GeoBox {
        top_left: corner(north, west),
        bottom_right: corner(south, east),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_lies_in_its_box() {
        let mut random = fastrand::Rng::with_seed(5);
        let mut inside = 0;
        for _ in 0..200_000 {
            let mut point = || GeoPoint {
                lat: random.f64() * 180.0 - 90.0,
                lon: random.f64() * 360.0 - 180.0,
            };
            let (center, point) = (point(), point());
            let radius = 10f64.powf(2.0 + random.f64() * 5.5);
            let circle = GeoRadius { center, radius };
            if circle.contains(point) {
                inside += 1;
                assert!(box_around(&circle).contains(point), "{circle:?} {point:?}");
            }
        }
        assert!(inside > 1000);
    }
}
