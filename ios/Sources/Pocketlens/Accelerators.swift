// The neural engine, through Core ML.

import Foundation

extension Lens {
    /// Judges Core ML against the plan, and lets it run the network for what is asked from now on where it is as good and
    /// faster. What is put into the index is described by the plan all the same.
    ///
    /// Takes seconds at the first start after an install or an update of the system: the program is compiled, and the
    /// verdict remembered. A crash while it is tried is remembered as well; it is not tried again.
    ///
    /// - Parameter package: the network of this index's model as an `.mlpackage`, made by `models/coreml/export.py`.
    /// - Returns: what was looked at, for the app's log; the first that is `accepted` runs.
    public func accelerate(package: URL) async -> [DelegateReport] {
        let caches = FileManager.default.urls(for: .cachesDirectory, in: .userDomainMask).first
        let folder = caches ?? FileManager.default.temporaryDirectory
        return await accelerate(
            options: DelegateOptions(
                cacheFolder: folder.appendingPathComponent("pocketlens").path,
                device: ProcessInfo.processInfo.operatingSystemVersionString,
                coreMlPackage: package.path))
    }
}
