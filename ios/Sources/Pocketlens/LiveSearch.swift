// A live camera: pictures in, results out as an asynchronous sequence, the newest first.

import Foundation

/// What a live camera tells.
public enum LiveResult: Sendable, Equatable {
    /// An answer to the picture of this time.
    case answered(at: TimeInterval, Answer)
    /// The camera has left what was answered last: what is shown of it is out of date.
    case left
    /// There is no answer to the picture of this time.
    case failed(at: TimeInterval, PocketlensError)
}

/// Answers a live camera: when it rests, the newest picture, as often as the options say and the phone bears.
///
///     let live = try LiveSearch(lens, LiveOptions(query: Query(k: 3)))
///     // In captureOutput(_:didOutput:from:):
///     try live.analyze(sampleBuffer)
///     // In a task of the screen:
///     for await result in live.results { … }
///
/// Ends with `end()`, or when nobody holds it any more.
public final class LiveSearch: Sendable {
    private let news: LiveNews
    private let session: LiveSession

    /// Starts. After an update of the lens, the next answer comes from the new index.
    ///
    /// - Throws: ``PocketlensError/BadInput(reason:)`` for an impossible query.
    public init(_ lens: Lens, _ options: LiveOptions = LiveOptions(query: Query())) throws {
        news = LiveNews()
        session = try LiveSession.start(lens: lens, options: options, listener: news)
    }

    deinit { end() }

    /// What is told from now on, and the newest before. Whoever reads slowly sees the newest: an old answer is of no
    /// use in front of a camera. Each call begins a sequence of its own; all of them end with the search.
    public var results: AsyncStream<LiveResult> { news.results() }

    /// Offers a picture from the camera's callback. Its buffers may go back when this returns; pictures that are not
    /// answered cost a few microseconds. The region is the query's.
    ///
    /// - Parameter time: seconds of any clock that does not stand still.
    /// - Throws: ``PocketlensError/BadInput(reason:)`` when samples are too few.
    @discardableResult
    public func analyze(_ picture: CameraPicture, at time: TimeInterval) throws -> Offered {
        try session.offer(picture, at: time)
    }

    /// How warm the phone is now; see also `followPower()`.
    public func setThermal(_ thermal: Thermal) { session.setThermal(thermal: thermal) }

    /// Whether the battery is low: half of the answers.
    public func setSaving(_ saving: Bool) { session.setSaving(saving: saving) }

    /// Answers what the camera rests on anew: after an update of the index, say.
    public func refresh() { session.refresh() }

    /// Ends the search, cancels its work and ends its sequences.
    public func end() {
        session.end()
        news.end()
    }
}

/// Passes on what the library's thread tells, to any number of sequences.
private final class LiveNews: LiveListener, @unchecked Sendable {
    /// Guards what follows. Nothing foreign is called while it is held, but for `yield`, which calls nobody.
    private let lock = NSLock()
    private var readers: [Int: AsyncStream<LiveResult>.Continuation] = [:]
    private var began = 0
    private var newest: LiveResult?
    private var isOver = false

    func results() -> AsyncStream<LiveResult> {
        AsyncStream(bufferingPolicy: .bufferingNewest(1)) { reader in
            let number: Int? = lock.withLock {
                if let newest { reader.yield(newest) }
                if isOver { return nil }
                began += 1
                readers[began] = reader
                return began
            }
            guard let number else { return reader.finish() }
            reader.onTermination = { [weak self] _ in
                self?.lock.withLock { _ = self?.readers.removeValue(forKey: number) }
            }
        }
    }

    func answered(at: TimeInterval, answer: Answer) { tell(.answered(at: at, answer)) }
    func left() { tell(.left) }
    func failed(at: TimeInterval, error: PocketlensError) { tell(.failed(at: at, error)) }

    private func tell(_ result: LiveResult) {
        lock.withLock {
            if isOver { return }
            newest = result
            for reader in readers.values { reader.yield(result) }
        }
    }

    func end() {
        let readers = lock.withLock {
            isOver = true
            newest = nil
            defer { self.readers = [:] }
            return self.readers.values
        }
        for reader in readers { reader.finish() }
    }
}
