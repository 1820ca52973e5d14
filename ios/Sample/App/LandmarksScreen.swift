// The city: hold the camera on a landmark, and see its name and how far away it is, offline.

import CoreLocation
import Pocketlens
import SwiftUI

struct LandmarksScreen: View {
    @State private var lens: Lens?
    @State private var here: GeoPoint?
    @State private var problem: String?

    /// So far a landmark can be seen, in metres.
    private let sight = 2000.0

    var body: some View {
        Group {
            if let lens {
                LiveView(lens: lens, query: landmarkQuery(near: here, metres: sight), id: here) { screen in
                    ForEach(screen.hits, id: \.key) { hit in
                        let landmark = Landmark(hit, from: here)
                        LabeledContent(landmark.name) {
                            if let metres = landmark.metres {
                                Text(Measurement(value: metres, unit: UnitLength.meters), format: .measurement(width: .abbreviated))
                            }
                        }
                    }
                }
            } else {
                Text(problem ?? "Opening the city …")
            }
        }
        .task {
            do {
                lens = try await Shipped.lens("city")
                if lens == nil { problem = "Built without a city pack: run ios/Sample/prepare CITY.plx" }
            } catch {
                problem = error.localizedDescription
            }
        }
        .task { await follow() }
    }

    /// Where the user is, again after every hundred metres.
    private func follow() async {
        let manager = CLLocationManager()
        manager.requestWhenInUseAuthorization()
        // Asked for as long as it lives.
        defer { withExtendedLifetime(manager) {} }
        var last: CLLocation?
        do {
            for try await update in CLLocationUpdate.liveUpdates() {
                guard let location = update.location else { continue }
                if let last, location.distance(from: last) < 100 { continue }
                last = location
                here = GeoPoint(lat: location.coordinate.latitude, lon: location.coordinate.longitude)
            }
        } catch {
            // Without a place, every landmark of the pack may answer.
            here = nil
        }
    }
}
