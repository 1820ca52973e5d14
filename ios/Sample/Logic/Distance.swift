// How far away a place is.

import Foundation
import Pocketlens

extension GeoPoint {
    /// Metres along the surface to another place, taking the earth for a ball (haversine).
    public func distance(to other: GeoPoint) -> Double {
        let (here, there) = (lat * .pi / 180, other.lat * .pi / 180)
        let (north, east) = (there - here, (other.lon - lon) * .pi / 180)
        let chord = pow(sin(north / 2), 2) + cos(here) * cos(there) * pow(sin(east / 2), 2)
        return 2 * 6_371_008.8 * asin(min(1, chord.squareRoot()))
    }
}
