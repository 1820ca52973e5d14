// The guide's Swift, as it stands in the guide: what is between anchors is shown there.

import Foundation
import Pocketlens
import XCTest

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

final class GuideTests: XCTestCase {
    private var shown: [String] = []

    private func show(_ text: String) { shown.append(text) }

    func testOneCall() async throws {
        let (index, photo) = (Faces.index, Faces.photos[0])
        // ANCHOR: open
        let lens = try await Lens.open(index)
        // ANCHOR_END: open
        // ANCHOR: search
        let answer = try await lens.search(photo, Query(k: 3))
        for hit in answer.hits { show("\(hit.key) \(hit.score) \(hit.text("title") ?? "")") }
        // ANCHOR_END: search
        XCTAssertEqual(shown.count, 3)
        // ANCHOR: filter
        let cheap = Filter.must(.below("price", 5), .anyOf("kind", ["cereal", "coffee"]))
            .mustNot(.equals("colour", "magenta"))
        let some = try await lens.search(photo, Query(filter: cheap, groupBy: .group))
        // ANCHOR_END: filter
        XCTAssertFalse(some.hits.isEmpty)
        // ANCHOR: focus
        let near = try await lens.search(photo, Query(focus: .saliency))
        if let place = near.place { show("it is at \(place.x), \(place.y), \(place.width) wide") }
        for word in near.attributes { show("\(word.name): \(word.label)") }
        // ANCHOR_END: focus
        // ANCHOR: limits
        let hasty = try await Lens.open(index, limits: Limits(photoPixels: 12_000_000, milliseconds: 2_000))
        // ANCHOR_END: limits
        XCTAssertEqual(hasty.limits().milliseconds, 2_000)
        shown = Array(shown.prefix(3))
        // ANCHOR: verdict
        switch answer.verdict {
        case .match: show("This is \(answer.hits[0].key)")
        case .unsure: show("Is it one of these?")
        case .noMatch: show("We do not have this")
        }
        // ANCHOR_END: verdict
        // ANCHOR: measure
        let times = answer.times
        show("network \(times.backbone * 1000) ms, index \(times.search * 1000) ms")
        // ANCHOR_END: measure
        XCTAssertEqual(shown.count, 5)
    }

    func testALiveCamera() async throws {
        let lens = try await Lens.open(Faces.index)
        let picture = Picture(width: 320, height: 240, seed: 5).yuv(chromaPixel: 2).biPlanar()
        // ANCHOR: live
        let live = try LiveSearch(lens, LiveOptions(query: Query(k: 3), answersPerSecond: 4))
        let results = live.results
        // In the camera's callback, for each frame (`analyze(sampleBuffer)` takes AVFoundation's):
        try live.analyze(picture, at: 0)
        // ANCHOR_END: live
        XCTAssertEqual(try live.analyze(picture, at: 0.2), .taken)
        var reader = results.makeAsyncIterator()
        guard case .answered? = await reader.next() else { return XCTFail("an answer expected") }
    }

    func testAnIndexIsKeptUpToDate() async throws {
        let folder = try Faces.folder(of: self)
        let (index, photo) = (try Faces.copyOfIndex(in: folder), Faces.photos[0])
        let lens = try await Lens.open(index)
        let bytes = try Data(contentsOf: photo)
        // ANCHOR: update
        try await lens.put(NewItem(key: "mug", photo: bytes, payload: ["price": 12, "kind": "mug"]))
        try await lens.remove("altiplano-coffee-peru")
        // ANCHOR_END: update
        let found = try await lens.search(photo)
        XCTAssertEqual(found.hits.first?.key, "mug")
        let pack = folder.appendingPathComponent("update.pack")
        try Data("no pack".utf8).write(to: pack)
        let key = String(repeating: "00", count: 32)
        // ANCHOR: pack
        do {
            try await lens.apply(pack, to: index, signedBy: key)
        } catch let refused as PocketlensError {
            show(refused.reason)  // the index is as it was
        }
        // ANCHOR_END: pack
        XCTAssertEqual(shown.count, 1)
    }

    func testAServerIsAskedWhenTheDeviceDoesNotKnow() async throws {
        let lens = try await Lens.open(Faces.index)
        let query = Query(k: 3)
        let answer = try await lens.search(Faces.photos[0], query)
        // ANCHOR: server
        let server = try Server(
            url: "http://localhost:1", transport: SessionTransport(), tokens: nil, options: ServerOptions())
        let situation = Situation(consent: true, network: .unmetered)
        show("\(answer.verdict)")
        let upgrade = try await server.upgrade(answer: answer, query: query, situation: situation)  // 1.5 s at most
        show("\(upgrade.answer.verdict)")
        // ANCHOR_END: server
        XCTAssertEqual(upgrade.answer.hits, answer.hits)
        let wanted = try Server(
            url: "http://localhost:1", transport: SessionTransport(), tokens: nil,
            options: ServerOptions(mode: .preferServer))
        let tried = try await wanted.upgrade(answer: answer, query: query, situation: situation)
        XCTAssertEqual(tried.decision, .asked(reason: .wanted))
        XCTAssertNotNil(tried.failure)
        // As seconds, times may lose a nanosecond on the way there and back; all else is the same.
        XCTAssertEqual(tried.answer.times.total, answer.times.total, accuracy: 1e-6)
        XCTAssertEqual(tried.answer.hits, answer.hits)
        XCTAssertEqual(tried.answer.verdict, answer.verdict)
        XCTAssertEqual(tried.answer.confidence, answer.confidence)
        XCTAssertEqual(tried.answer.rival, answer.rival)
        XCTAssertEqual(tried.answer.descriptor, answer.descriptor)
        XCTAssertEqual(tried.answer.source, answer.source)
        XCTAssertEqual(tried.answer.delegate, answer.delegate)
        XCTAssertEqual(tried.answer.place, answer.place)
        XCTAssertEqual(tried.answer.attributes, answer.attributes)
        let without = Situation(consent: false, network: .unmetered)
        let blocked = try await wanted.upgrade(answer: answer, query: query, situation: without)
        XCTAssertEqual(blocked.decision, .localOnly(blocked: .noConsent))
    }

    func testErrorsSayWhatToDo() async throws {
        let path = try Faces.folder(of: self).appendingPathComponent("nothing.plx")
        // ANCHOR: errors
        do {
            _ = try await Lens.open(path)
        } catch let error as PocketlensError {
            switch error {
            case .Storage(let reason): show("try again later: \(reason)")
            case .Damaged(let reason): show("fetch it again: \(reason)")
            case .Incompatible(let reason): show("update the app: \(reason)")
            default: show(error.reason)
            }
        }
        // ANCHOR_END: errors
        XCTAssertTrue(shown.first?.hasPrefix("try again later: \(path.path)") == true, "\(shown)")
    }
}

// ANCHOR: transport
/// URLSession, waited for on the library's thread.
final class SessionTransport: NSObject, ServerTransport, URLSessionTaskDelegate, @unchecked Sendable {
    func send(request: ServerRequest) throws -> ServerReply {
        guard let url = URL(string: request.url) else { throw TransportFailure.Refused(reason: "no URL") }
        var sent = URLRequest(url: url, timeoutInterval: request.timeout)
        sent.httpMethod = request.method
        for header in request.headers { sent.setValue(header.value, forHTTPHeaderField: header.name) }
        if !request.body.isEmpty { sent.httpBody = request.body }
        let session = URLSession(configuration: .ephemeral, delegate: self, delegateQueue: nil)
        defer { session.finishTasksAndInvalidate() }
        let done = DispatchSemaphore(value: 0)
        nonisolated(unsafe) var reply: Result<ServerReply, TransportFailure> = .failure(.TimedOut(reason: "no reply"))
        let task = session.dataTask(with: sent) { body, response, error in
            if let response = response as? HTTPURLResponse {
                let headers = response.allHeaderFields.map { HttpHeader(name: "\($0.key)", value: "\($0.value)") }
                let status = UInt16(response.statusCode)
                reply = .success(ServerReply(status: status, headers: headers, body: body ?? Data()))
            } else if let error = error as? URLError, error.code == .timedOut {
                reply = .failure(.TimedOut(reason: "\(error)"))
            } else {
                reply = .failure(.Refused(reason: error.map { "\($0)" } ?? "no reply"))
            }
            done.signal()
        }
        task.resume()
        if done.wait(timeout: .now() + request.timeout) == .timedOut {
            task.cancel()
            throw TransportFailure.TimedOut(reason: "no reply in time")
        }
        return try reply.get()
    }

    /// No redirect is followed: a token must not travel on.
    func urlSession(
        _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
        newRequest request: URLRequest, completionHandler: @escaping (URLRequest?) -> Void
    ) { completionHandler(nil) }
}
// ANCHOR_END: transport
