import Foundation
import XCTest

@testable import Pocketlens

final class SearchTests: XCTestCase {
    private struct RustAnswer: Decodable {
        struct Hit: Decodable {
            let key: String
            let group: String
            let score: Double
        }
        let verdict: String
        let confidence: Double
        let hits: [Hit]
    }

    private struct RustDescriptor: Decodable {
        let fingerprint: String
        let descriptor: [Double]
    }

    func testAnswersAreThoseThatRustGives() async throws {
        let lens = try await Lens.open(Faces.index)
        let expected = try Faces.lines("answers.jsonl", of: RustAnswer.self)
        XCTAssertEqual(expected.count, 30)
        for (photo, expected) in zip(Faces.photos, expected) {
            let answer = try await lens.search(photo)
            let verdict: Verdict =
                switch expected.verdict {
                case "match": .match
                case "unsure": .unsure
                default: .noMatch
                }
            XCTAssertEqual(answer.verdict, verdict)
            XCTAssertEqual(answer.confidence, Float(expected.confidence))
            XCTAssertEqual(answer.hits.map(\.key), expected.hits.map(\.key))
            XCTAssertEqual(answer.hits.map(\.group), expected.hits.map(\.group))
            XCTAssertEqual(answer.hits.map(\.score), expected.hits.map { Float($0.score) })
            let encoded = try await lens.search(Data(contentsOf: photo))
            XCTAssertEqual(encoded.hits, answer.hits)
            XCTAssertEqual(encoded.source, .local)
        }
    }

    func testDescriptorsAreThoseOfRustBitForBit() async throws {
        let bundle = try ModelBundle.standard()
        let expected = try Faces.lines("descriptors.jsonl", of: RustDescriptor.self)
        XCTAssertEqual(expected.count, 30)
        for (photo, expected) in zip(Faces.photos, expected) {
            let found = try await bundle.describe(Data(contentsOf: photo))
            XCTAssertEqual(found.fingerprint, expected.fingerprint)
            XCTAssertEqual(found.bits, expected.descriptor.map { Float($0).bitPattern })
        }
    }

    func testFiltersLeaveWhatMeetsThemAndPayloadsComeBack() async throws {
        struct Product: Decodable {
            let title: String
            let price: Double
        }
        let lens = try await Lens.open(Faces.index)
        let cheap = Filter.must(.below("price", 4), .anyOf("kind", ["cereal", "coffee"]))
            .mustNot(.equals("colour", "magenta"))
        let hits = try await lens.search(Faces.photos[0], Query(k: 50, filter: cheap)).hits
        XCTAssertFalse(hits.isEmpty)
        for hit in hits {
            XCTAssertLessThan(try XCTUnwrap(hit.number("price")), 4)
            XCTAssertTrue(["cereal", "coffee"].contains(hit.text("kind")), "\(hit)")
            XCTAssertNotEqual(hit.text("colour"), "magenta")
            let product = try hit.decode(Product.self)
            XCTAssertEqual(product.title, hit.text("title"))
            XCTAssertEqual(product.price, hit.number("price"))
        }
        let fromServer = try Filter(json: #"{"must": [{"key": "price", "range": {"lt": 4}}]}"#)
        XCTAssertEqual(fromServer, .must(.below("price", 4)))
        let reason = await badInput { _ = try Filter(json: #"{"must": [{"key": "price"}]}"#) }
        XCTAssertTrue(reason.contains("must"), reason)
    }

    func testAGroupAnswersAsOneAndSaysWhereItMatched() async throws {
        let lens = try await Lens.open(Faces.index)
        let hits = try await lens.search(Faces.photos[0], Query(k: 5, groupBy: .group, explain: true)).hits
        XCTAssertEqual(hits.count, 5)
        XCTAssertEqual(Set(hits.map(\.group)).count, hits.count)
        let heat = try XCTUnwrap(hits[0].explanation)
        XCTAssertEqual(Int(heat.columns * heat.rows), heat.shares.count)
        XCTAssertEqual(heat.shares.reduce(0, +), hits[0].score, accuracy: 0.01)
        let kinds = try await lens.search(Faces.photos[0], Query(k: 3, groupBy: .field(name: "kind"))).hits
        XCTAssertEqual(Set(kinds.map { $0.text("kind") }).count, kinds.count)
    }

    func testAFocusLooksAtAPlaceInThePhotoTooAndSaysWhere() async throws {
        let lens = try await Lens.open(Faces.index)
        var places = 0
        for photo in Faces.photos {
            let answer = try await lens.search(photo, Query(focus: .saliency))
            guard let place = answer.place else { continue }
            places += 1
            XCTAssertTrue(place.x >= 0 && place.x + place.width <= 1 && place.width > 0, "\(place)")
            XCTAssertTrue(place.y >= 0 && place.y + place.height <= 1 && place.height > 0, "\(place)")
            XCTAssertTrue((0...1).contains(place.score), "\(place)")
            let there = try await lens.search(photo, Query(region: place.region))
            XCTAssertEqual(there.hits.first?.key, answer.hits.first?.key)
        }
        XCTAssertGreaterThan(places, 0)
        // This model has neither a detector nor words.
        let detected = try await lens.search(Faces.photos[0], Query(focus: .detector))
        XCTAssertNil(detected.place)
        XCTAssertEqual(detected.attributes, [])
    }

    func testLimitsAreKeptAndNamed() async throws {
        let photo = Faces.photos[0]
        func refused(_ limits: Limits, _ query: Query = Query()) async throws -> String {
            let lens = try await Lens.open(Faces.index, limits: limits)
            XCTAssertEqual(lens.limits(), limits)
            return await badInput { _ = try await lens.search(photo, query) }
        }
        let two = Filter.must(.below("price", 4), .above("price", 1))
        let reasons = [
            ("area in pixels is limited to 1000", try await refused(Limits(photoPixels: 1000))),
            ("file size in bytes is limited to 99", try await refused(Limits(photoBytes: 99))),
            ("number of hits is limited to 5", try await refused(Limits(hits: 5), Query(k: 6))),
            ("milliseconds is limited to 0", try await refused(Limits(milliseconds: 0))),
            ("at most 1 conditions", try await refused(Limits(filterConditions: 1), Query(filter: two))),
        ]
        for (expected, reason) in reasons { XCTAssertTrue(reason.contains(expected), reason) }
        _ = await badInput { _ = try await Lens.open(Faces.index, limits: Limits(networkBytes: 9)) }
        // What is written beside each field is what the library has.
        let lens = try await Lens.open(Faces.index)
        XCTAssertEqual(lens.limits(), Limits())
        let bundle = try ModelBundle.standard(limits: Limits(photoSide: 10))
        _ = await badInput { _ = try await bundle.describe(Data(contentsOf: photo)) }
    }

    func testACatalogueGrowsOnTheDevice() async throws {
        let folder = try Faces.folder(of: self)
        let index = folder.appendingPathComponent("own.plx")
        let lens = try await Lens.create(index, bundle: .standard())
        let (first, second) = (Faces.catalogue[0], Faces.catalogue[1])
        try await lens.put(
            NewItem(
                key: "a", photo: Data(contentsOf: first),
                payload: ["price": 3, "tags": ["x", "y"], "at": ["lat": 1.5, "lon": 2], "sold": false, "note": nil]),
            NewItem(key: "b", photo: Data(contentsOf: second), group: "g"))
        XCTAssertEqual(lens.info().items, 2)
        let hits = try await lens.search(first).hits
        let hit = try XCTUnwrap(hits.first)
        XCTAssertEqual(hit.key, "a")
        XCTAssertEqual(hit.payload["tags"], ["x", "y"])
        XCTAssertEqual(hit.place("at"), GeoPoint(lat: 1.5, lon: 2))
        XCTAssertEqual(hit.payload["sold"]?.flag, false)
        XCTAssertEqual(hit.payload["note"], .some(.null))
        let near = Query(filter: .must(.within("at", metres: 1000, of: GeoPoint(lat: 1.5, lon: 2.001))))
        let nearby = try await lens.search(second, near).hits
        XCTAssertEqual(nearby.map(\.key), ["a"])
        let left = try await lens.remove("a")
        XCTAssertEqual(left.items, 1)
        let rest = try await lens.search(first).hits
        XCTAssertEqual(rest.map(\.key), ["b"])
        let items = try await Index.open(index).items(after: nil, limit: 10)
        XCTAssertEqual(items.map(\.group), ["g"])
    }

    func testErrorsSayWhatToDoAboutThem() async throws {
        let folder = try Faces.folder(of: self)
        let nothing = await thrown { _ = try await Lens.open(folder.appendingPathComponent("nothing.plx")) }
        guard case .Storage? = nothing as? PocketlensError else { return XCTFail("\(String(describing: nothing))") }

        let index = try Faces.copyOfIndex(in: folder)
        let lens = try await Lens.open(index)
        let few = await badInput { _ = try await lens.search(Data(count: 9)) }
        XCTAssertTrue(few.contains("expected JPEG, PNG or WebP"), few)
        _ = await badInput { _ = try await lens.search(Faces.photos[0], Query(precision: 7)) }
        let price = Filter.must(.within("price", metres: 10, of: GeoPoint(lat: 0, lon: 0)))
        _ = await badInput { _ = try await lens.search(Faces.photos[0], Query(filter: price)) }
        let refused = await badInput { try await lens.put(NewItem(key: "x", photo: Data(count: 3))) }
        XCTAssertTrue(refused.contains("\"x\""), refused)
        let notANumber = NewItem(key: "y", photo: Data(), payload: ["price": .decimal(value: .nan)])
        let nan = await badInput { try await lens.put(notANumber) }
        XCTAssertEqual(PocketlensError.BadInput(reason: nan).localizedDescription, nan)

        let files = try FileManager.default.contentsOfDirectory(at: index, includingPropertiesForKeys: nil)
        let segment = try XCTUnwrap(files.first { $0.pathExtension == "seg" })
        var bytes = try Data(contentsOf: segment)
        bytes[bytes.count / 2] &+= 1
        try bytes.write(to: segment)
        let opened = try await Index.open(index)
        let found = await thrown { try await opened.verify() }
        guard case .Damaged(let reason)? = found as? PocketlensError else {
            return XCTFail("\(String(describing: found))")
        }
        XCTAssertTrue(reason.contains(segment.lastPathComponent), reason)
    }

    #if os(Linux)
    func testTheAppHasTheLastWordOnAnAccelerator() async throws {
        final class Chooser: DelegateChooser {
            let folder: String
            let say: Bool
            init(_ folder: String, _ say: Bool) { (self.folder, self.say) = (folder, say) }
            func cacheFolder() throws -> String { folder }
            func allows(report: DelegateReport) throws -> Bool { report.accepted && say }
        }
        let lens = try await Lens.open(Faces.index)
        let double = Faces.root.appendingPathComponent("lib/libpocketlens_nnapi_double.so").path
        let options = DelegateOptions(device: "a phone", androidApi: 34, nnapiLibrary: double, leastSpeedup: 0)
        let folder = try Faces.folder(of: self).path
        let refused = try await lens.accelerate(options: options, chooser: Chooser(folder, false))
        XCTAssertEqual(refused.map(\.accepted), [false])
        XCTAssertTrue(refused[0].explanation.contains("the app does not allow it"), refused[0].explanation)
        let frame = try Frame.of(Picture(width: 640, height: 512, seed: 2).photo, for: lens.bundle())
        var answer = try await lens.search(frame)
        XCTAssertNil(answer.delegate)
        let allowed = try await lens.accelerate(options: options, chooser: Chooser(folder, true))
        XCTAssertEqual(allowed.map(\.accepted), [true])
        answer = try await lens.search(frame)
        XCTAssertEqual(answer.delegate?.name, "nnapi")
    }
    #endif

    func testWhatIsNoAcceleratorLeavesThePlan() async throws {
        let lens = try await Lens.open(Faces.index)
        let before = try await lens.search(Faces.photos[0])
        // Elsewhere than on Apple's systems there is nothing to judge.
        let reports = try await lens.accelerate(package: URL(fileURLWithPath: "/no/such.mlpackage"))
        XCTAssertFalse(reports.contains(where: \.accepted))
        let after = try await lens.search(Faces.photos[0])
        XCTAssertNil(after.delegate)
        XCTAssertEqual(after.hits, before.hits)
        let report = try await lens.selfTest(device: "a test")
        XCTAssertTrue(report.passed, report.text)
    }
}
