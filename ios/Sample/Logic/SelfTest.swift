// A report of this device, to be copied: whether it gives the same bits as every other, and how fast it is.

import Foundation
import Pocketlens

/// Tests of a device.
public struct SelfTest: Sendable {
    private let lens: Lens
    private let photos: [Data]
    private let golden: GoldenVectors?
    private let program: URL?

    /// Tests with an index, photos to search it with, the vectors that the index's model is known to give, and its network
    /// for Core ML (`.mlpackage`).
    public init(lens: Lens, photos: [Data], golden: GoldenVectors?, program: URL? = nil) {
        self.lens = lens
        self.photos = photos
        self.golden = golden
        self.program = program
    }

    /// Runs them; a line a test, `FAILED` where one did.
    public func report() async -> String {
        var lines = [
            "Pocketlens \(version())",
            "\(ProcessInfo.processInfo.operatingSystemVersionString), \(ProcessInfo.processInfo.activeProcessorCount) cores",
            "model \(lens.bundle().info().name) \(lens.info().fingerprint)",
            "index: \(lens.info().items) items, \(lens.info().photos) photos",
        ]
        let tests: [(String, @Sendable () async throws -> String)] = [
            ("golden descriptors", goldenBits), ("instruction sets", instructionSets), ("camera formats", cameraFormats), ("search", search),
            ("live camera", liveCamera), ("cancellation", cancellation), ("accelerator", accelerator),
        ]
        for (name, test) in tests {
            do {
                lines.append("\(name): \(try await test())")
            } catch {
                lines.append("\(name): FAILED: \(error.localizedDescription)")
            }
        }
        return lines.joined(separator: "\n")
    }

    @Sendable private func goldenBits() async throws -> String {
        let bundle = lens.bundle()
        guard let golden, golden.fingerprint == bundle.info().fingerprint else { return "none of this model" }
        for (seed, vector) in golden.vectors.enumerated() {
            let picture = vector.golden(seed: seed)
            let layout = FrameLayout(width: UInt32(picture.width), height: UInt32(picture.height))
            let frame = try Frame.of(CameraPicture(.packed(.rgb, Data(picture.rgb)), layout), for: bundle)
            let bits = try await bundle.describe(frame).values.map(\.bitPattern)
            guard bits == vector.bits else { throw Failure("picture \(seed) has other bits") }
        }
        return "the same bits, \(golden.vectors.count) of \(golden.vectors.count)"
    }

    @Sendable private func instructionSets() async throws -> String {
        let report = try await lens.selfTest(device: ProcessInfo.processInfo.operatingSystemVersionString)
        guard report.passed else { throw Failure(report.text) }
        return report.text
    }

    @Sendable private func accelerator() async throws -> String {
        guard let program else { return "no ML program" }
        let reports = try await lens.accelerate(package: program)
        guard reports.contains(where: \.accepted) else { return reports.map(\.explanation).joined(separator: "; ") }
        return "\(reports.map(\.explanation).joined(separator: "; ")); with it: \(try await search())"
    }

    @Sendable private func cameraFormats() async throws -> String {
        let bundle = lens.bundle()
        let grey = GreyPicture(seed: 3)
        var descriptors: Set<[Float]> = []
        for picture in [grey.biPlanar, grey.packed(.nv12), grey.packed(.nv21), grey.packed(.i420)] {
            descriptors.insert(try await bundle.describe(Frame.of(picture, for: bundle)).values)
        }
        guard descriptors.count == 1 else { throw Failure("\(descriptors.count) descriptors of one picture") }
        return "one descriptor"
    }

    @Sendable private func search() async throws -> String {
        guard let first = photos.first else { return "no photos" }
        _ = try await lens.search(first)
        var milliseconds: [Double] = []
        var verdicts: [Verdict: Int] = [:]
        for photo in photos {
            let answer = try await lens.search(photo)
            verdicts[answer.verdict, default: 0] += 1
            milliseconds.append(answer.times.total * 1000)
        }
        milliseconds.sort()
        let median = String(format: "%.1f", milliseconds[milliseconds.count / 2])
        let slowest = String(format: "%.1f", milliseconds[milliseconds.count - 1])
        return "\(photos.count) photos, median \(median) ms, slowest \(slowest) ms, \(verdicts[.match] ?? 0) matches"
    }

    @Sendable private func liveCamera() async throws -> String {
        let live = try LiveSearch(lens)
        var time = 0.0
        while try live.analyze(GreyPicture(seed: 3).biPlanar, at: time) != .taken { time += 1.0 / 30 }
        for await result in live.results {
            guard case .answered(let at, let answer) = result else { throw Failure("\(result)") }
            let resting = String(format: "%.2f", at)
            return "\(answer.hits.count) hits after \(resting) s at rest"
        }
        throw Failure("no answer")
    }

    @Sendable private func cancellation() async throws -> String {
        guard let photo = photos.first else { return "no photos" }
        let search = Task { try await lens.search(photo, Query(rotations: true)) }
        search.cancel()
        guard case .failure(let error) = await search.result, error is CancellationError else {
            throw Failure("a cancelled search was answered")
        }
        return "ends with its task"
    }

    private struct Failure: LocalizedError {
        let errorDescription: String?
        init(_ reason: String) { errorDescription = reason }
    }
}

/// A picture without colours, in the formats of cameras.
private struct GreyPicture {
    private let width = 320
    private let height = 240
    private let luma: Data

    init(seed: Int) {
        let picture = GoldenPicture(width: width, height: height, seed: seed)
        luma = Data(stride(from: 0, to: picture.rgb.count, by: 3).map { picture.rgb[$0] })
    }

    private var layout: FrameLayout { FrameLayout(width: UInt32(width), height: UInt32(height)) }
    private var chroma: Data { Data(repeating: 128, count: luma.count / 2) }

    var biPlanar: CameraPicture {
        let strides = PlaneStrides(lumaRow: UInt32(width), chromaRow: UInt32(width), chromaPixel: 2)
        return CameraPicture(.biPlanar(luma: luma, chroma: chroma, strides), layout)
    }

    func packed(_ format: FrameFormat) -> CameraPicture { CameraPicture(.packed(format, luma + chroma), layout) }
}
