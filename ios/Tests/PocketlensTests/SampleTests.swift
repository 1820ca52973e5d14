// What the sample app does without Apple's frameworks.

import Foundation
import Pocketlens
import SampleLogic
import XCTest

final class SampleTests: XCTestCase {
    func testTheReportOfThisMachineHasNoFailure() async throws {
        let golden = try JSONDecoder().decode(
            GoldenVectors.self, from: Data(contentsOf: URL(fileURLWithPath: Faces.variable("POCKETLENS_GOLDEN"))))
        let lens = try await Lens.open(Faces.index)
        let photos = try Faces.photos.prefix(5).map { try Data(contentsOf: $0) }
        let report = await SelfTest(lens: lens, photos: photos, golden: golden).report()
        XCTAssertFalse(report.contains("FAILED"), report)
        for line in [
            "golden descriptors: the same bits, 3 of 3", "camera formats: one descriptor", "search: 5 photos",
            "live camera: 10 hits", "cancellation: ends with its task",
            "golden descriptors\npassed", "accelerator: no ML program",
        ] {
            XCTAssertTrue(report.contains(line), "\(line) is missing in\n\(report)")
        }
    }

    func testTheShopFindsProductsThatMeetItsFilter() async throws {
        let lens = try await Lens.open(Faces.index)
        XCTAssertNil(ShopFilter().query.filter)
        let filter = ShopFilter(kind: "tea", highestPrice: 3)
        let hits = try await lens.search(Faces.photos[0], filter.query).hits
        let products = hits.compactMap(Product.init)
        XCTAssertFalse(products.isEmpty)
        XCTAssertEqual(products.count, hits.count)
        XCTAssertTrue(products.allSatisfy { $0.kind == "tea" && $0.price <= 3 }, "\(products)")
    }

    func testTheCityAnswersWithLandmarksOfHere() async throws {
        let folder = try Faces.folder(of: self)
        let lens = try await Lens.create(folder.appendingPathComponent("city.plx"), bundle: .standard())
        let (gate, island) = (GeoPoint(lat: 52.5163, lon: 13.3777), GeoPoint(lat: 52.5169, lon: 13.4019))
        for (at, (name, place)) in [("Gate", gate), ("Gate", gate), ("Island", island)].enumerated() {
            try await lens.put(
                NewItem(
                    key: "\(at)", photo: Data(contentsOf: Faces.catalogue[at]), group: name,
                    payload: [
                        "name": .text(value: name),
                        "at": ["lat": .decimal(value: place.lat), "lon": .decimal(value: place.lon)],
                    ]))
        }
        let here = GeoPoint(lat: 52.5163, lon: 13.3790)
        func found(_ metres: Double) async throws -> [Landmark] {
            let hits = try await lens.search(Faces.catalogue[2], landmarkQuery(near: here, metres: metres)).hits
            return hits.map { Landmark($0, from: here) }
        }
        let near = try await found(500)
        XCTAssertEqual(near.map(\.name), ["Gate"])
        XCTAssertEqual(try XCTUnwrap(near[0].metres), 88, accuracy: 1)
        let far = try await found(5000)
        XCTAssertEqual(far.map(\.name), ["Island", "Gate"])
        let anywhere = try await lens.search(Faces.catalogue[2], landmarkQuery(near: nil, metres: 1)).hits
        XCTAssertNil(Landmark(anywhere[0], from: nil).metres)
    }

    func testAScreenForgetsWhatTheCameraHasLeft() async throws {
        let lens = try await Lens.open(Faces.index)
        let answer = try await lens.search(Faces.photos[0])
        var screen = LiveScreen()
        XCTAssertEqual(screen.headline, "Hold the camera on it")
        screen.hear(.answered(at: 1, answer))
        XCTAssertEqual(screen.verdict, answer.verdict)
        XCTAssertFalse(screen.headline.isEmpty)
        screen.hear(.left)
        XCTAssertEqual(screen, LiveScreen())
        screen.hear(.failed(at: 2, .Internal(reason: "why")))
        XCTAssertEqual(screen.headline, "why")
    }
}
