// The ten lines of the readme: compiled here, and held to be the same.

#if canImport(CoreMedia)
import CoreMedia
import Foundation
import Pocketlens
import XCTest

final class ReadmeTests: XCTestCase {
    private func tenLines(photo: Data, sampleBuffer: CMSampleBuffer) async throws {
        let shipped = Bundle.main.url(forResource: "shop", withExtension: "plx")!
        let lens = try await Lens.open(shipped: shipped)
        let query = Query(k: 3, filter: .must(.below("price", 100)).mustNot(.equals("brand", "Puma")))
        let answer = try await lens.search(photo, query)
        if answer.verdict == .match, let hit = answer.hits.first { print(hit.text("title") ?? hit.key, hit.score) }

        let live = try LiveSearch(lens, LiveOptions(query: query))
        try live.analyze(sampleBuffer, rotation: .clockwise90)  // in captureOutput(_:didOutput:from:)
        for await result in live.results { print(result) }  // in a task of the screen
    }

    func testTheReadmeShowsWhatIsCompiledHere() throws {
        let here = URL(fileURLWithPath: #filePath)
        let package = here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let readme = try String(contentsOf: package.appendingPathComponent("README.md"), encoding: .utf8)
        let compiled = try String(contentsOf: here, encoding: .utf8).split(separator: "\n")
            .map { $0.trimmingCharacters(in: .whitespaces) }
        let blocks = readme.components(separatedBy: "```swift\n").dropFirst()
        XCTAssertFalse(blocks.isEmpty)
        for block in blocks {
            for line in block.components(separatedBy: "\n```")[0].split(separator: "\n") {
                XCTAssertTrue(compiled.contains(String(line)), "not compiled: \(line)")
            }
        }
    }
}
#endif
