// What the app is shipped with: see `prepare`.

import Foundation
import Pocketlens

enum Shipped {
    /// Installs an index of the resources, once, and opens it; nil where the app was built without it.
    static func lens(_ name: String) async throws -> Lens? {
        let index = folder.appendingPathComponent("\(name).plx", isDirectory: true)
        guard FileManager.default.fileExists(atPath: index.path) else { return nil }
        return try await Lens.open(shipped: index)
    }

    /// Photos for the self-test.
    static func photos() throws -> [Data] {
        let photos = folder.appendingPathComponent("photos", isDirectory: true)
        let files = try FileManager.default.contentsOfDirectory(at: photos, includingPropertiesForKeys: nil)
        return try files.sorted { $0.path < $1.path }.map { try Data(contentsOf: $0) }
    }

    /// The golden vectors of the default model.
    static func golden() throws -> GoldenVectors {
        try JSONDecoder().decode(
            GoldenVectors.self, from: Data(contentsOf: folder.appendingPathComponent("golden.json")))
    }

    /// The default model's network for Core ML; nil where the app was built without it.
    static func program() -> URL? {
        let program = folder.appendingPathComponent("network.mlpackage", isDirectory: true)
        return FileManager.default.fileExists(atPath: program.path) ? program : nil
    }

    private static var folder: URL {
        Bundle.main.bundleURL.appendingPathComponent("Shipped", isDirectory: true)
    }
}
