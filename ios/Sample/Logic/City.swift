// The city: one answer a landmark, and only landmarks that can be seen from here.

import Foundation
import Pocketlens

/// A landmark, as the payload of a city pack has it: `{"name": …, "at": {"lat": …, "lon": …}}`.
public struct Landmark: Sendable, Equatable {
    /// Its name.
    public let name: String
    /// Metres from the user; nil where either place is not known.
    public let metres: Double?

    /// The landmark that was found, seen from `here`.
    public init(_ hit: Hit, from here: GeoPoint?) {
        name = hit.text("name") ?? hit.group
        let place = hit.place("at")
        metres = here.flatMap { here in place.map { here.distance(to: $0) } }
    }
}

/// What is asked of each frame: one hit a landmark, within so many metres of here where here is known.
public func landmarkQuery(near here: GeoPoint?, metres: Double) -> Query {
    Query(
        k: 3,
        filter: here.map { .must(.within("at", metres: metres, of: $0)) },
        groupBy: .group)
}
