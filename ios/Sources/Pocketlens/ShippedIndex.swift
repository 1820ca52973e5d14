// An index that is shipped with the app, installed where it can be updated: copied beside the old one, verified byte by
// byte, then put in its place as a whole.

import Foundation

/// An index among the resources of an app.
///
/// An index that is only read can be opened where it is: `Lens.open(url)`. One that is updated on the device, by packs or
/// by `Lens.put`, is installed first: `Lens.open(shipped: url)`.
public struct ShippedIndex: Sendable {
    /// The shipped folder, such as `shop.plx`.
    public let source: URL

    /// Where it is installed: under its own name in the folder that was given.
    public let installed: URL

    /// An index that is shipped at `source` and installed in `folder`; in `Application Support/Pocketlens` where none is
    /// given.
    ///
    /// - Throws: ``PocketlensError/Storage(reason:)`` when there is no such folder.
    public init(_ source: URL, in folder: URL? = nil) throws {
        self.source = source
        installed = try (folder ?? ShippedIndex.standardFolder()).appendingPathComponent(source.lastPathComponent)
    }

    /// Installs it, unless this very index was installed before; what updates made of that one stays. One installation
    /// of a place at a time: who comes second waits for the first.
    ///
    /// - Throws: ``PocketlensError/Storage(reason:)``; ``PocketlensError/Damaged(reason:)`` when what was copied is not
    ///   sound. The old index stays then.
    public func install() async throws {
        try await Installations.shared.run(self)
    }

    private static func standardFolder() throws -> URL {
        try storing("Application Support") {
            try FileManager.default
                .url(for: .applicationSupportDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
                .appendingPathComponent("Pocketlens", isDirectory: true)
        }
    }

    fileprivate func installNow() async throws {
        let files = FileManager.default
        let folder = installed.deletingLastPathComponent()
        let manifest = "manifest.json"
        let shipped = try storing(source.path) { try Data(contentsOf: source.appendingPathComponent(manifest)) }
        let mark = installed.appendingPathExtension("shipped")
        let isThere = files.fileExists(atPath: installed.appendingPathComponent(manifest).path)
        if isThere, (try? Data(contentsOf: mark)) == shipped { return }

        let fresh = installed.appendingPathExtension("new")
        try storing(fresh.path) {
            try files.createDirectory(at: folder, withIntermediateDirectories: true)
            try? files.removeItem(at: fresh)
            // On APFS a clone, which takes no room until it is changed.
            try files.copyItem(at: source, to: fresh)
        }
        try await Index.open(fresh).verify()
        try storing(installed.path) {
            // Whatever ends between these lines, the next installation begins anew.
            try? files.removeItem(at: mark)
            try put(fresh, inPlaceOf: installed)
            try leaveOutOfBackups(installed)
            try shipped.write(to: mark, options: .atomic)
        }
    }
}

extension Lens {
    /// Installs an index that is shipped with the app, once, and opens it:
    ///
    ///     let lens = try await Lens.open(shipped: Bundle.main.url(forResource: "shop", withExtension: "plx")!)
    ///
    /// - Throws: as ``ShippedIndex/install()`` and `Lens.open`.
    public static func open(
        shipped source: URL, in folder: URL? = nil, limits: Limits = Limits()
    ) async throws -> Lens {
        let index = try ShippedIndex(source, in: folder)
        try await index.install()
        return try await open(index.installed, limits: limits)
    }
}

/// Installations that run, by place.
private actor Installations {
    static let shared = Installations()
    private var running: [URL: Task<Void, any Error>] = [:]

    func run(_ index: ShippedIndex) async throws {
        while let before = running[index.installed] { _ = await before.result }
        let task = Task { try await index.installNow() }
        running[index.installed] = task
        defer { running[index.installed] = nil }
        try await task.value
    }
}

/// Puts a folder in the place of another, which goes: in one step where the system can, else with a moment between in
/// which there is none.
private func put(_ fresh: URL, inPlaceOf installed: URL) throws {
    let files = FileManager.default
    #if canImport(Darwin)
    if renamex_np(fresh.path, installed.path, UInt32(RENAME_SWAP)) == 0 {
        try? files.removeItem(at: fresh)
        return
    }
    #endif
    let old = installed.appendingPathExtension("old")
    try? files.removeItem(at: old)
    let isReplaced = (try? files.moveItem(at: installed, to: old)) != nil
    do {
        try files.moveItem(at: fresh, to: installed)
    } catch {
        if isReplaced { try? files.moveItem(at: old, to: installed) }
        throw error
    }
    try? files.removeItem(at: old)
}

/// What was shipped can be shipped again.
private func leaveOutOfBackups(_ url: URL) throws {
    #if canImport(Darwin)
    var url = url
    var values = URLResourceValues()
    values.isExcludedFromBackup = true
    try url.setResourceValues(values)
    #endif
}

private func storing<T>(_ path: String, _ work: () throws -> T) throws -> T {
    do {
        return try work()
    } catch {
        throw PocketlensError.Storage(reason: "\(path): \(error.localizedDescription)")
    }
}
