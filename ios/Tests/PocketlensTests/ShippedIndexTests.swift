import Foundation
import XCTest

@testable import Pocketlens

final class ShippedIndexTests: XCTestCase {
    private let files = FileManager.default

    func testAnIndexIsInstalledOnceAndKeepsItsUpdates() async throws {
        let folder = try Faces.folder(of: self)
        let shipped = try Faces.copyOfIndex(in: folder)
        let place = folder.appendingPathComponent("app/data")
        let lens = try await Lens.open(shipped: shipped, in: place)
        let items = lens.info().items
        try await lens.remove(best(lens))
        // The next start of the app: the update is still there, and the shipped files are as they were.
        let again = try await Lens.open(shipped: shipped, in: place)
        XCTAssertEqual(again.info().items, items - 1)
        let original = try await Lens.open(shipped).info().items
        XCTAssertEqual(original, items)
        XCTAssertEqual(try files.contentsOfDirectory(atPath: place.path).sorted(), ["store.plx", "store.plx.shipped"])
    }

    func testANewVersionOfTheAppBringsANewIndex() async throws {
        let folder = try Faces.folder(of: self)
        let shipped = try Faces.copyOfIndex(in: folder)
        let place = folder.appendingPathComponent("data")
        let old = try await Lens.open(shipped: shipped, in: place)
        let items = old.info().items
        try await Lens.open(shipped).remove(best(old))
        let new = try await Lens.open(shipped: shipped, in: place)
        XCTAssertEqual(new.info().items, items - 1)
        // Who has the old one open goes on with it.
        let hits = try await old.search(Faces.photos[0]).hits
        XCTAssertFalse(hits.isEmpty)
        XCTAssertEqual(try files.contentsOfDirectory(atPath: place.path).sorted(), ["store.plx", "store.plx.shipped"])
    }

    func testWhatIsDamagedIsNotInstalledAndTheOldIndexStays() async throws {
        let folder = try Faces.folder(of: self)
        let shipped = try Faces.copyOfIndex(in: folder)
        let place = folder.appendingPathComponent("data")
        let items = try await Lens.open(shipped: shipped, in: place).info().items
        // Another manifest, and a segment with another byte.
        try await Lens.open(shipped).put(
            NewItem(key: "new", photo: Data(contentsOf: Faces.catalogue[0])))
        let names = try files.contentsOfDirectory(at: shipped, includingPropertiesForKeys: nil)
        let segment = try XCTUnwrap(names.first { $0.pathExtension == "seg" })
        var bytes = try Data(contentsOf: segment)
        bytes[bytes.count / 2] &+= 1
        try bytes.write(to: segment)
        let error = await thrown { _ = try await Lens.open(shipped: shipped, in: place) }
        guard case .Damaged? = error as? PocketlensError else { return XCTFail("\(String(describing: error))") }
        let kept = try await Lens.open(place.appendingPathComponent("store.plx")).info().items
        XCTAssertEqual(kept, items)
    }

    func testAnInstallationThatWasCutOffBeginsAnew() async throws {
        let folder = try Faces.folder(of: self)
        let place = folder.appendingPathComponent("data")
        let index = try ShippedIndex(Faces.index, in: place)
        try await index.install()
        try files.removeItem(at: index.installed.appendingPathExtension("shipped"))
        try files.createDirectory(
            at: index.installed.appendingPathExtension("new"), withIntermediateDirectories: true)
        try await index.install()
        XCTAssertEqual(try files.contentsOfDirectory(atPath: place.path).sorted(), ["store.plx", "store.plx.shipped"])
    }

    func testInstallationsOfOnePlaceWaitForEachOther() async throws {
        let place = try Faces.folder(of: self)
        try await withThrowingTaskGroup(of: UInt64.self) { group in
            for _ in 0..<6 {
                group.addTask { try await Lens.open(shipped: Faces.index, in: place).info().items }
            }
            let items = try await group.reduce(into: Set<UInt64>()) { $0.insert($1) }
            XCTAssertEqual(items.count, 1)
        }
    }

    func testWhatIsNotThereIsNamed() async throws {
        let folder = try Faces.folder(of: self)
        let error = await thrown { _ = try await Lens.open(shipped: folder.appendingPathComponent("no.plx"), in: folder) }
        guard case .Storage(let reason)? = error as? PocketlensError else {
            return XCTFail("\(String(describing: error))")
        }
        XCTAssertTrue(reason.contains("no.plx"), reason)
    }

    /// The key of what the first photo shows.
    private func best(_ lens: Lens) async throws -> String {
        let hits = try await lens.search(Faces.photos[0]).hits
        return try XCTUnwrap(hits.first).key
    }
}
