import Foundation
import SampleLogic
import XCTest

@testable import Pocketlens

final class FrameTests: XCTestCase {
    private let picture = Picture(width: 330, height: 250, seed: 3)

    private func bits(_ picture: CameraPicture, _ bundle: ModelBundle) async throws -> [UInt32] {
        try await bundle.describe(Frame.of(picture, for: bundle)).bits
    }

    func testPicturesOfTheGoldenVectorsHaveTheirDescriptorsBitForBit() async throws {
        let file = URL(fileURLWithPath: Faces.variable("POCKETLENS_GOLDEN"))
        let golden = try JSONDecoder().decode(GoldenVectors.self, from: Data(contentsOf: file))
        let bundle = try ModelBundle.standard()
        XCTAssertEqual(bundle.info().fingerprint, golden.fingerprint)
        XCTAssertEqual(golden.vectors.count, 3)
        for (seed, vector) in golden.vectors.enumerated() {
            let picture = Picture(width: vector.picture[0], height: vector.picture[1], seed: seed)
            let found = try await bits(picture.photo, bundle)
            XCTAssertEqual(found, vector.bits, "picture \(seed)")
        }
    }

    func testEveryFormatOfOnePictureHasOneDescriptor() async throws {
        let bundle = try ModelBundle.standard()
        let yuv = picture.yuv()
        let expected = try await bits(yuv.planes(), bundle)
        for format in [FrameFormat.i420, .nv12, .nv21] {
            let found = try await bits(yuv.packed(format), bundle)
            XCTAssertEqual(found, expected, "\(format)")
        }
        let others = [
            picture.yuv(gap: 13).planes(), picture.yuv(chromaPixel: 2, gap: 14).planes(),
            picture.yuv(chromaPixel: 2).biPlanar(), picture.yuv(chromaPixel: 2, gap: 62).biPlanar(),
        ]
        for (at, other) in others.enumerated() {
            let found = try await bits(other, bundle)
            XCTAssertEqual(found, expected, "\(at)")
        }
    }

    func testVideoRangeShowsTheSamePicture() async throws {
        let bundle = try ModelBundle.standard()
        let full = try await bundle.describe(Frame.of(picture.yuv(chromaPixel: 2).biPlanar(), for: bundle))
        let video = picture.yuv(isVideoRange: true, chromaPixel: 2)
        let layout = picture.layout(colors: .bt601Video)
        let told = try await bundle.describe(Frame.of(video.biPlanar(layout), for: bundle))
        let untold = try await bundle.describe(Frame.of(video.biPlanar(), for: bundle))
        func cosine(_ other: Descriptor) -> Float { zip(full.values, other.values).reduce(0) { $0 + $1.0 * $1.1 } }
        XCTAssertGreaterThan(cosine(told), 0.995)
        XCTAssertGreaterThan(cosine(told), cosine(untold))
    }

    func testRgbaAndBgraHaveOneDescriptorAndGapsAreNotRead() async throws {
        let bundle = try ModelBundle.standard()
        func found(_ format: FrameFormat, gap: Int) async throws -> [UInt32] {
            let bytes = picture.fourBytes(format, gap: gap)
            let stride = gap == 0 ? nil : picture.width * 4 + gap
            return try await bits(CameraPicture(.packed(format, bytes, rowStride: stride), picture.layout()), bundle)
        }
        let expected = try await found(.rgba, gap: 0)
        for (format, gap) in [(FrameFormat.bgra, 0), (.rgba, 12), (.bgra, 64)] {
            let other = try await found(format, gap: gap)
            XCTAssertEqual(other, expected, "\(format), \(gap)")
        }
    }

    func testATurnedFrameIsTurnedBack() async throws {
        let bundle = try ModelBundle.standard()
        func rgba(_ picture: Picture, _ rotation: Rotation?) -> CameraPicture {
            CameraPicture(.packed(.rgba, picture.fourBytes(.rgba)), picture.layout(rotation: rotation))
        }
        let expected = try await bits(rgba(picture, nil), bundle)
        let found = try await bits(rgba(picture.turned, .of(degrees: -180)), bundle)
        XCTAssertEqual(found, expected)
        XCTAssertEqual(try Rotation.of(degrees: 450), .clockwise90)
        XCTAssertEqual(try Rotation.of(degrees: -90), .clockwise270)
        XCTAssertNil(try Rotation.of(degrees: 360))
        XCTAssertThrowsError(try Rotation.of(degrees: 45))
    }

    func testMemoryOfACameraIsReadWhereItLies() async throws {
        let bundle = try ModelBundle.standard()
        let yuv = picture.yuv(chromaPixel: 2)
        let expected = try await bits(yuv.biPlanar(), bundle)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: yuv.luma.count, alignment: 64)
        yuv.luma.withUnsafeBytes { memory.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        let luma = Data(bytesNoCopy: memory, count: yuv.luma.count, deallocator: .none)
        let samples = CameraPicture.Samples.biPlanar(luma: luma, chroma: yuv.blue, yuv.strides)
        let frame = try Frame.of(CameraPicture(samples, picture.layout()), for: bundle)
        // The camera has its memory back, and writes the next frame.
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: yuv.luma.count)
        memory.deallocate()
        let found = try await bundle.describe(frame)
        XCTAssertEqual(found.bits, expected)
    }

    func testAFrameFindsWhatItsLayoutShows() async throws {
        let lens = try await Lens.open(Faces.index)
        let region = Region.relative(x: 0.25, y: 0.25, width: 0.5, height: 0.5)
        let bytes = Data(picture.rgb)
        let part = CameraPicture(.packed(.rgb, bytes), picture.layout(region: region))
        let whole = try await lens.search(Frame.of(picture.photo, for: lens.bundle()))
        let centre = try await lens.search(Frame.of(part, for: lens.bundle()))
        XCTAssertEqual(whole.hits.count, 10)
        XCTAssertNotEqual(whole.hits, centre.hits)
    }

    func testShortBuffersAndSenselessSizesAreRefused() async throws {
        let bundle = try ModelBundle.standard()
        let few = Data(count: 100)
        for format in [FrameFormat.nv21, .nv12, .i420, .rgba, .bgra, .rgb] {
            _ = await badInput {
                _ = try Frame.of(CameraPicture(.packed(format, few), picture.layout()), for: bundle)
            }
        }
        let yuv = picture.yuv(chromaPixel: 2)
        let samples: [CameraPicture.Samples] = [
            .planes(luma: few, blue: yuv.blue, red: yuv.red, yuv.strides),
            .biPlanar(luma: yuv.luma, chroma: Data(), yuv.strides),
            .packed(.rgba, few, rowStride: -1),
        ]
        for samples in samples {
            _ = await badInput { _ = try Frame.of(CameraPicture(samples, picture.layout()), for: bundle) }
        }
        _ = await badInput {
            _ = try Frame.of(CameraPicture(.packed(.nv21, few), FrameLayout(width: 0, height: 0)), for: bundle)
        }
        let outside = picture.layout(region: .pixels(x: 9000, y: 0, width: 10, height: 10))
        _ = await badInput { _ = try Frame.of(picture.yuv().planes(outside), for: bundle) }
    }
}
