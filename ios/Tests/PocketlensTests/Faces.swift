// What `tests/faces/prepare` made: a store, its index, camera pictures and what Rust says of them.

import Foundation
import XCTest

@testable import Pocketlens

enum Faces {
    static let root = URL(fileURLWithPath: variable("POCKETLENS_FACES"))
    static let index = root.appendingPathComponent("store/store.plx")
    static let photos = jpegs(root.appendingPathComponent("store/queries"))
    static let catalogue = jpegs(root.appendingPathComponent("store/catalogue"))

    /// Lines of JSON that Rust wrote: one a photo, of the first photos.
    static func lines<T: Decodable>(_ name: String, of type: T.Type) throws -> [T] {
        let lines = try String(contentsOf: root.appendingPathComponent(name), encoding: .utf8).split(separator: "\n")
        return try lines.map { try JSONDecoder().decode(type, from: Data($0.utf8)) }
    }

    /// A folder that a test may change; gone when the test is.
    static func folder(of test: XCTestCase) throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        test.addTeardownBlock { try? FileManager.default.removeItem(at: folder) }
        return folder
    }

    /// A copy of the index that a test may change.
    static func copyOfIndex(in folder: URL) throws -> URL {
        let copy = folder.appendingPathComponent("store.plx")
        try FileManager.default.copyItem(at: index, to: copy)
        return copy
    }

    static func variable(_ name: String) -> String {
        guard let value = ProcessInfo.processInfo.environment[name] else { fatalError("ios/test sets \(name)") }
        return value
    }

    private static func jpegs(_ folder: URL) -> [URL] {
        let files = try! FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        return files.filter { $0.pathExtension == "jpg" }.sorted { $0.path < $1.path }
    }
}

extension Descriptor {
    var bits: [UInt32] { values.map(\.bitPattern) }
}

/// The error of a kind that work ends with.
func thrown(
    _ file: StaticString = #filePath, _ line: UInt = #line, by work: () async throws -> Void
) async -> (any Error)? {
    do {
        try await work()
        XCTFail("nothing was thrown", file: file, line: line)
        return nil
    } catch {
        return error
    }
}

/// The reason of the bad input that work is refused for.
func badInput(
    _ file: StaticString = #filePath, _ line: UInt = #line, by work: () async throws -> Void
) async -> String {
    let error = await thrown(file, line, by: work)
    guard case .BadInput(let reason)? = error as? PocketlensError else {
        XCTFail("bad input expected, found \(String(describing: error))", file: file, line: line)
        return ""
    }
    return reason
}
