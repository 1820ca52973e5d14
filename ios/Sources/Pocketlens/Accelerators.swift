// The neural engine, through Core ML.

import Foundation

extension Lens {
    /// Judges Core ML against the plan, and lets it run the network for what is asked from now on where it is as good and
    /// faster and the app allows it. What is put into the index is described by the plan all the same.
    ///
    /// Takes seconds at the first start after an install or an update of the system: the program is compiled, and the
    /// verdict remembered. A crash while it is tried is remembered as well; it is not tried again.
    ///
    /// What it knows is kept in the app's caches; another place is a ``DelegateChooser`` of the app's own.
    ///
    /// - Parameters:
    ///   - package: the network of this index's model as an `.mlpackage`, made by `models/coreml/export.py`.
    ///   - allows: whether what was judged as good and faster may run.
    /// - Returns: what was looked at, for the app's log; the first that is `accepted` runs.
    public func accelerate(
        package: URL, allows: @escaping @Sendable (DelegateReport) -> Bool = { _ in true }
    ) async throws -> [DelegateReport] {
        let device = ProcessInfo.processInfo.operatingSystemVersionString
        return try await accelerate(
            options: DelegateOptions(device: device, coreMlPackage: package.path), chooser: InCaches(say: allows))
    }
}

/// The app's caches, and what it says.
private final class InCaches: DelegateChooser {
    private let say: @Sendable (DelegateReport) -> Bool

    init(say: @escaping @Sendable (DelegateReport) -> Bool) { self.say = say }

    func cacheFolder() throws -> String {
        let caches = FileManager.default.urls(for: .cachesDirectory, in: .userDomainMask).first
        return (caches ?? FileManager.default.temporaryDirectory).appendingPathComponent("pocketlens").path
    }

    func allows(report: DelegateReport) throws -> Bool { say(report) }
}
