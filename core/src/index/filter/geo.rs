//! Points on the earth: great-circle distance on a sphere, and boxes that may cross the date line.
//!
//! Sines and roots are those of `libm`, so that a point on the edge is in or out on every platform
//! alike.

/// Mean radius of the earth in metres (IUGG), as the engines take it.
const EARTH: f64 = 6_371_008.8;

/// A point on the earth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GeoPoint {
    /// Degrees north, -90 to 90.
    pub lat: f64,
    /// Degrees east, -180 to 180.
    pub lon: f64,
}

/// All points within a distance, its edge included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GeoRadius {
    /// The middle.
    pub center: GeoPoint,
    /// Metres, 0 or more.
    pub radius: f64,
}

/// All points between two parallels and two meridians, edges included. With the left edge east of
/// the right one it crosses the date line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GeoBox {
    /// North-west corner.
    pub top_left: GeoPoint,
    /// South-east corner.
    pub bottom_right: GeoPoint,
}

impl GeoPoint {
    pub(crate) fn is_valid(self) -> bool {
        (-90.0..=90.0).contains(&self.lat) && (-180.0..=180.0).contains(&self.lon)
    }

    /// Metres along the great circle (haversine formula).
    pub fn distance(self, other: Self) -> f64 {
        let half = |a: f64, b: f64| libm::sin((b - a).to_radians() / 2.0);
        let (north, east) = (half(self.lat, other.lat), half(self.lon, other.lon));
        let cosines = libm::cos(self.lat.to_radians()) * libm::cos(other.lat.to_radians());
        let h = north * north + cosines * east * east;
        2.0 * EARTH * libm::asin(h.sqrt().min(1.0))
    }
}

impl GeoRadius {
    /// Whether a point is at most `radius` away.
    pub fn contains(&self, point: GeoPoint) -> bool {
        // Most points are too far north or south, which needs no trigonometry; the margin is far
        // above the rounding of the formula.
        let apart = (point.lat - self.center.lat).abs().to_radians() * EARTH;
        apart <= self.radius * (1.0 + 1e-9) + 0.01 && self.center.distance(point) <= self.radius
    }
}

impl GeoBox {
    /// Whether a point lies in the box, its edge included. -180 and 180 degrees are one meridian.
    pub fn contains(&self, point: GeoPoint) -> bool {
        let (left, right) = (self.top_left.lon, self.bottom_right.lon);
        let is_across = |lon: f64| {
            if left <= right {
                (left..=right).contains(&lon)
            } else {
                lon >= left || lon <= right
            }
        };
        let is_date_line = point.lon.abs() == 180.0;
        let across = is_across(point.lon) || is_date_line && is_across(-point.lon);
        across && (self.bottom_right.lat..=self.top_left.lat).contains(&point.lat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(lat: f64, lon: f64) -> GeoPoint {
        GeoPoint { lat, lon }
    }

    #[test]
    fn distances_of_the_sphere() {
        let quarter = EARTH * std::f64::consts::FRAC_PI_2;
        for (a, b, metres) in [
            (at(0.0, 0.0), at(0.0, 90.0), quarter),
            (at(90.0, 0.0), at(0.0, 77.0), quarter),
            (at(0.0, 179.5), at(0.0, -179.5), quarter / 90.0),
            (at(0.0, 0.0), at(0.0, 180.0), 2.0 * quarter),
            (at(52.5, 13.4), at(48.86, 2.35), 876_215.9),
        ] {
            let found = a.distance(b);
            assert!((found - metres).abs() < 1.0, "{a:?} {b:?} {found}");
            assert!(
                GeoRadius {
                    center: a,
                    radius: found
                }
                .contains(b)
            );
            assert!(
                !GeoRadius {
                    center: a,
                    radius: found - 0.1
                }
                .contains(b)
            );
        }
    }

    #[test]
    fn a_box_crosses_the_date_line() {
        let fiji = GeoBox {
            top_left: at(-15.0, 177.0),
            bottom_right: at(-20.0, -178.0),
        };
        assert!(fiji.contains(at(-18.0, 178.4)) && fiji.contains(at(-18.0, -179.0)));
        assert!(fiji.contains(at(-15.0, 180.0)) && fiji.contains(at(-20.0, -180.0)));
        let east = GeoBox {
            top_left: at(10.0, 0.0),
            bottom_right: at(0.0, 180.0),
        };
        assert!(east.contains(at(5.0, -180.0)) && !east.contains(at(5.0, -179.9)));
        assert!(!fiji.contains(at(-18.0, 0.0)) && !fiji.contains(at(-14.9, 178.0)));
    }
}
