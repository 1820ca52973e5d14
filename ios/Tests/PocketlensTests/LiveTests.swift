import Foundation
import XCTest

@testable import Pocketlens

final class LiveTests: XCTestCase {
    private let picture = Picture(width: 320, height: 240, seed: 5).yuv(chromaPixel: 2).biPlanar()
    private let other = Picture(width: 320, height: 240, seed: 1).yuv(chromaPixel: 2).biPlanar()

    /// A camera that rests: pictures every 33 ms until one is taken; when that was.
    private func rest(_ live: LiveSearch, on picture: CameraPicture, from start: TimeInterval) throws -> TimeInterval {
        var time = start
        while try live.analyze(picture, at: time) != .taken { time += 0.033 }
        return time
    }

    /// The next answer that is told to a reader.
    private func answer(
        _ reader: inout AsyncStream<LiveResult>.Iterator
    ) async throws -> (at: TimeInterval, answer: Answer) {
        while let result = await reader.next() {
            switch result {
            case .answered(let at, let answer): return (at, answer)
            case .failed(_, let error): throw error
            case .left: continue
            }
        }
        throw PocketlensError.Internal(reason: "the sequence ended without an answer")
    }

    func testARestingCameraIsAnsweredAsASequence() async throws {
        let lens = try await Lens.open(Faces.index)
        let live = try LiveSearch(lens, LiveOptions(query: Query(k: 3)))
        var reader = live.results.makeAsyncIterator()
        XCTAssertEqual(try live.analyze(picture, at: 0), .unsteady)
        let taken = try rest(live, on: picture, from: 0.033)
        let told = try await answer(&reader)
        XCTAssertEqual(told.at, taken, accuracy: 1e-6)
        XCTAssertGreaterThanOrEqual(told.at, 0.15)
        let asked = try await lens.search(Frame.of(picture, for: lens.bundle()), Query(k: 3))
        XCTAssertEqual(told.answer.hits, asked.hits)
        // Who comes late hears the newest at once.
        var late = live.results.makeAsyncIterator()
        let heard = try await answer(&late)
        XCTAssertEqual(heard.answer, told.answer)
    }

    func testWhoReadsSlowlySeesTheNewest() async throws {
        let lens = try await Lens.open(Faces.index)
        let live = try LiveSearch(lens, LiveOptions(query: Query(k: 1)))
        var (slow, quick) = (live.results.makeAsyncIterator(), live.results.makeAsyncIterator())
        var time = try rest(live, on: picture, from: 0)
        let first = try await answer(&quick)
        time = try rest(live, on: other, from: time + 5)
        var second = try await answer(&quick)
        while second.at == first.at { second = try await answer(&quick) }
        XCTAssertEqual(second.at, time, accuracy: 1e-6)
        let seen = try await answer(&slow)
        XCTAssertEqual(seen.at, second.at)
    }

    func testACameraThatMovesOnIsTold() async throws {
        let lens = try await Lens.open(Faces.index)
        let live = try LiveSearch(lens)
        var reader = live.results.makeAsyncIterator()
        let time = try rest(live, on: picture, from: 0)
        _ = try await answer(&reader)
        XCTAssertEqual(try live.analyze(other, at: time + 0.033), .unsteady)
        let next = await reader.next()
        XCTAssertEqual(next, .left)
    }

    func testAfterAnUpdateTheSameSceneIsAnsweredFromTheNewIndex() async throws {
        let lens = try await Lens.open(Faces.copyOfIndex(in: Faces.folder(of: self)))
        let live = try LiveSearch(lens)
        var reader = live.results.makeAsyncIterator()
        let time = try rest(live, on: picture, from: 0)
        let before = try await answer(&reader)
        let best = try XCTUnwrap(before.answer.hits.first)
        try await lens.remove(best.key)
        live.refresh()
        _ = try rest(live, on: picture, from: time + 1)
        let after = try await answer(&reader)
        XCTAssertGreaterThan(after.at, before.at)
        XCTAssertFalse(after.answer.hits.contains { $0.key == best.key })
    }

    func testHeatAndTheEndStopIt() async throws {
        let lens = try await Lens.open(Faces.index)
        let live = try LiveSearch(lens)
        live.setThermal(.critical)
        XCTAssertEqual(try live.analyze(picture, at: 0), .paused)
        live.setThermal(.nominal)
        live.setSaving(true)
        var reader = live.results.makeAsyncIterator()
        live.end()
        XCTAssertEqual(try live.analyze(picture, at: 1), .closed)
        let last = await reader.next()
        XCTAssertNil(last)
        var late = live.results.makeAsyncIterator()
        let nothing = await late.next()
        XCTAssertNil(nothing)
    }

    func testItEndsWhenNobodyHoldsIt() async throws {
        let lens = try await Lens.open(Faces.index)
        var live: LiveSearch? = try LiveSearch(lens)
        weak var held = live
        var reader = try XCTUnwrap(live).results.makeAsyncIterator()
        live = nil
        XCTAssertNil(held)
        let last = await reader.next()
        XCTAssertNil(last)
    }

    func testSenselessTimesAndPicturesAreRefused() async throws {
        let lens = try await Lens.open(Faces.index)
        let live = try LiveSearch(lens)
        for time in [-1, .nan, .infinity, 1e300] {
            _ = await badInput { try live.analyze(picture, at: time) }
        }
        var short = picture
        short.layout = FrameLayout(width: 4000, height: 3000)
        _ = await badInput { try live.analyze(short, at: 0) }
        _ = await badInput { _ = try LiveSearch(lens, LiveOptions(query: Query(precision: 2))) }
    }
}
