// Pixel buffers: Apple's on Apple's systems, those of the stand-ins elsewhere.

#if canImport(CoreVideo)
import CoreMedia
import CoreVideo
import Foundation
import XCTest

@testable import Pocketlens

final class PixelBufferTests: XCTestCase {
    private let picture = Picture(width: 322, height: 242, seed: 4)

    /// A pixel buffer of these rows, plane by plane.
    private func buffer(_ format: OSType, _ planes: [(bytes: Data, row: Int)]) throws -> CVPixelBuffer {
        var made: CVPixelBuffer?
        XCTAssertEqual(
            CVPixelBufferCreate(nil, picture.width, picture.height, format, nil, &made), kCVReturnSuccess)
        let buffer = try XCTUnwrap(made)
        XCTAssertEqual(CVPixelBufferLockBaseAddress(buffer, []), kCVReturnSuccess)
        defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
        for (plane, (bytes, row)) in planes.enumerated() {
            let isPlanar = planes.count > 1
            let stride =
                isPlanar ? CVPixelBufferGetBytesPerRowOfPlane(buffer, plane) : CVPixelBufferGetBytesPerRow(buffer)
            let memory = try XCTUnwrap(
                isPlanar ? CVPixelBufferGetBaseAddressOfPlane(buffer, plane) : CVPixelBufferGetBaseAddress(buffer))
            for y in 0..<bytes.count / row {
                bytes.copyBytes(
                    to: memory.advanced(by: y * stride).assumingMemoryBound(to: UInt8.self),
                    from: y * row..<(y + 1) * row)
            }
        }
        return buffer
    }

    private func biPlanar(_ format: OSType, _ yuv: Yuv) throws -> CVPixelBuffer {
        try buffer(format, [(yuv.luma, Int(yuv.strides.lumaRow)), (yuv.blue, Int(yuv.strides.chromaRow))])
    }

    private func bits(_ frame: Frame, _ bundle: ModelBundle) async throws -> [UInt32] {
        try await bundle.describe(frame).bits
    }

    func testBiPlanarBuffersAreTheFrameThatTheirPlanesAre() async throws {
        let bundle = try ModelBundle.standard()
        for isVideoRange in [false, true] {
            let yuv = picture.yuv(isVideoRange: isVideoRange, chromaPixel: 2)
            let format =
                isVideoRange
                ? kCVPixelFormatType_420YpCbCr8BiPlanarVideoRange : kCVPixelFormatType_420YpCbCr8BiPlanarFullRange
            let pixels = try biPlanar(format, yuv)
            for (matrix, full, video) in [
                (nil, YuvColors.bt601Full, YuvColors.bt601Video),
                (kCVImageBufferYCbCrMatrix_ITU_R_709_2, .bt709Full, .bt709Video),
                (kCVImageBufferYCbCrMatrix_ITU_R_601_4, .bt601Full, .bt601Video),
            ] {
                if let matrix {
                    CVBufferSetAttachment(pixels, kCVImageBufferYCbCrMatrixKey, matrix, .shouldPropagate)
                }
                let layout = picture.layout(colors: isVideoRange ? video : full)
                let expected = try await bits(Frame.of(yuv.biPlanar(layout), for: bundle), bundle)
                let found = try await bits(Frame.of(pixels, for: bundle), bundle)
                XCTAssertEqual(found, expected, "\(layout)")
            }
        }
    }

    func testBgraIsTheFrameThatItsBytesAre() async throws {
        let bundle = try ModelBundle.standard()
        let bytes = picture.fourBytes(.bgra)
        let pixels = try buffer(kCVPixelFormatType_32BGRA, [(bytes, picture.width * 4)])
        let region = Region.relative(x: 0.1, y: 0.2, width: 0.5, height: 0.5)
        let layout = picture.layout(rotation: .clockwise90, region: region)
        let expected = try await bits(Frame.of(CameraPicture(.packed(.bgra, bytes), layout), for: bundle), bundle)
        let found = try await bits(Frame.of(pixels, for: bundle, rotation: .clockwise90, region: region), bundle)
        XCTAssertEqual(found, expected)
    }

    func testOtherFormatsAreNamed() async throws {
        let bundle = try ModelBundle.standard()
        let grey = try buffer(kCVPixelFormatType_OneComponent8, [])
        let reason = await badInput { _ = try Frame.of(grey, for: bundle) }
        XCTAssertTrue(reason.contains("L008"), reason)
    }

    func testALiveSearchTakesPixelBuffers() async throws {
        let lens = try await Lens.open(Faces.index)
        let live = try LiveSearch(lens)
        var reader = live.results.makeAsyncIterator()
        let yuv = picture.yuv(chromaPixel: 2)
        let pixels = try biPlanar(kCVPixelFormatType_420YpCbCr8BiPlanarFullRange, yuv)
        var time = 0.0
        while try live.analyze(pixels, at: time) != .taken { time += 0.033 }
        guard case .answered(let at, let answer)? = await reader.next() else { return XCTFail("no answer") }
        XCTAssertEqual(at, time, accuracy: 1e-6)
        let asked = try await lens.search(Frame.of(pixels, for: lens.bundle()))
        XCTAssertEqual(answer.hits, asked.hits)
    }

    #if os(Linux)
    func testALiveSearchTakesSampleBuffers() async throws {
        let live = try await LiveSearch(Lens.open(Faces.index))
        let pixels = try biPlanar(
            kCVPixelFormatType_420YpCbCr8BiPlanarFullRange, picture.yuv(chromaPixel: 2))
        XCTAssertEqual(try live.analyze(CMSampleBuffer(standIn: pixels, seconds: 1)), .unsteady)
        XCTAssertNil(try live.analyze(CMSampleBuffer(standIn: nil, seconds: 2)))
    }
    #endif
}
#endif
