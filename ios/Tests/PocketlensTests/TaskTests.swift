import Foundation
import XCTest

@testable import Pocketlens

final class TaskTests: XCTestCase {
    func testARaisedTokenEndsASearch() async throws {
        let lens = try await Lens.open(Faces.index)
        let token = CancelToken()
        token.cancel()
        XCTAssertTrue(token.isCancelled())
        let error = await thrown {
            _ = try await lens.searchFile(path: Faces.photos[0].path, query: Query(), cancel: token)
        }
        guard case .Cancelled? = error as? PocketlensError else { return XCTFail("\(String(describing: error))") }
    }

    func testTheEndOfATaskEndsItsSearchInTheLibrary() async throws {
        let lens = try await Lens.open(Faces.index)
        let photo = Faces.photos[0]
        for _ in 0..<20 {
            // Begins, and is cancelled on the way: a search in four turns takes longer than it takes to say so.
            let (begins, begun) = AsyncStream.makeStream(of: Void.self)
            let search = Task {
                begun.finish()
                return try await lens.search(photo, Query(rotations: true))
            }
            for await _ in begins {}
            search.cancel()
            let error = await thrown { _ = try await search.value }
            // The library's own error became Swift's: it was the library that ended the search.
            XCTAssertTrue(error is CancellationError, "\(String(describing: error))")
        }
        let again = try await lens.search(photo)
        XCTAssertFalse(again.hits.isEmpty)
    }

    func testATaskThatWasCancelledBeforeBeginsNothing() async throws {
        let bundle = try ModelBundle.standard()
        let photo = try Data(contentsOf: Faces.photos[0])
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        let describe = Task {
            for await _ in gate {}
            return try await bundle.describe(photo)
        }
        describe.cancel()
        open.finish()
        let error = await thrown { _ = try await describe.value }
        XCTAssertTrue(error is CancellationError, "\(String(describing: error))")
    }

    func testManySearchesAtOnceGiveTheAnswersOfOneAtATime() async throws {
        let lens = try await Lens.open(Faces.index)
        let photos = Array(Faces.photos.prefix(8))
        var alone: [[Hit]] = []
        for photo in photos { alone.append(try await lens.search(photo).hits) }
        let together = try await withThrowingTaskGroup(of: (Int, [Hit]).self) { group in
            for (at, photo) in photos.enumerated() { group.addTask { (at, try await lens.search(photo).hits) } }
            return try await group.reduce(into: [Int: [Hit]]()) { $0[$1.0] = $1.1 }
        }
        XCTAssertEqual(photos.indices.map { together[$0] }, alone)
    }

    func testAnObserverHearsMessagesAndTimes() async throws {
        final class Ear: Observer, @unchecked Sendable {
            private let lock = NSLock()
            private var texts: [String] = []
            private var times: [Times] = []
            func log(level: LogLevel, text: String) { lock.withLock { texts.append(text) } }
            func timed(times: Times) { lock.withLock { self.times.append(times) } }
            var heard: ([String], [Times]) { lock.withLock { (texts, times) } }
        }
        let ear = Ear()
        setObserver(observer: ear)
        defer { setObserver(observer: nil) }
        _ = try await Lens.open(Faces.index).search(Faces.photos[0])
        let (texts, times) = ear.heard
        XCTAssertTrue(texts.contains { $0.contains("items") }, "\(texts)")
        XCTAssertEqual(times.count, 1)
        XCTAssertGreaterThan(try XCTUnwrap(times.first).backbone, 0)
    }

    #if os(Linux)
    func testAThousandCallsLeaveNothingBehind() async throws {
        let lens = try await Lens.open(Faces.index)
        let picture = Picture(width: 640, height: 480, seed: 2).yuv(chromaPixel: 2).biPlanar()
        let bad = Data(count: 5)
        func work(_ times: Int) async throws {
            for _ in 0..<times {
                _ = try await lens.search(Frame.of(picture, for: lens.bundle()), Query(k: 1))
                _ = await badInput { _ = try await lens.search(bad) }
            }
        }
        try await work(200)
        let before = try residentMegabytes()
        try await work(1000)
        let grown = try residentMegabytes() - before
        XCTAssertLessThan(grown, 20, "\(grown) MB more after a thousand calls")
    }

    /// What the system says of this process.
    private func residentMegabytes() throws -> Int {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = try XCTUnwrap(status.split(separator: "\n").first { $0.hasPrefix("VmRSS") })
        return try XCTUnwrap(Int(line.filter(\.isNumber))) / 1024
    }
    #endif
}
