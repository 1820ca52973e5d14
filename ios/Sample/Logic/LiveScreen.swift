// What a screen with a live camera shows: results in, the state of the screen out.

import Foundation
import Pocketlens

/// The state of a screen with a live camera.
public struct LiveScreen: Sendable, Equatable {
    /// What to show, best first.
    public private(set) var hits: [Hit] = []
    /// Whether to believe the first; nil while the camera moves.
    public private(set) var verdict: Verdict?
    /// How sure that is, 0 to 1.
    public private(set) var confidence: Float = 0
    /// Seconds that the answer took.
    public private(set) var seconds: TimeInterval = 0
    /// What went wrong, in words for developers.
    public private(set) var problem: String?

    /// A screen on which nothing was seen yet.
    public init() {}

    /// Takes up what the live search tells.
    public mutating func hear(_ result: LiveResult) {
        switch result {
        case .answered(_, let answer): show(answer)
        case .left:
            self = LiveScreen()
        case .failed(_, let error):
            self = LiveScreen()
            problem = error.reason
        }
    }

    /// Shows an answer: the live search's, or a better one of a server.
    public mutating func show(_ answer: Answer) {
        hits = answer.verdict == .noMatch ? [] : answer.hits
        verdict = answer.verdict
        confidence = answer.confidence
        seconds = answer.times.total
        problem = nil
    }

    /// One line above the hits.
    public var headline: String {
        if let problem { return problem }
        switch verdict {
        case .match?: return "Found (\(Int((confidence * 100).rounded())) % sure)"
        case .unsure?: return "It may be one of these"
        case .noMatch?: return "Not in the catalogue"
        case nil: return "Hold the camera on it"
        }
    }
}
