// Pixel buffers of AVFoundation, ARKit and Vision, read where they lie.

#if canImport(CoreVideo)
@preconcurrency import CoreVideo
import Foundation

extension CameraPicture {
    /// Gives `body` a pixel buffer as a picture, locked for the time of the call: `420f`, `420v` or `BGRA`, which are what
    /// cameras give.
    ///
    /// - Throws: ``PocketlensError/BadInput(reason:)`` for another format; what `body` throws.
    public static func withPicture<T>(
        of buffer: CVPixelBuffer, rotation: Rotation? = nil, region: Region? = nil,
        _ body: (CameraPicture) throws -> T
    ) throws -> T {
        let locked = CVPixelBufferLockBaseAddress(buffer, .readOnly)
        guard locked == kCVReturnSuccess else {
            throw PocketlensError.Internal(reason: "the pixel buffer cannot be locked: \(locked)")
        }
        defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
        return try body(CameraPicture(locked: buffer, rotation: rotation, region: region))
    }

    private init(locked buffer: CVPixelBuffer, rotation: Rotation?, region: Region?) throws {
        let format = CVPixelBufferGetPixelFormatType(buffer)
        let samples: Samples
        var colors: YuvColors?
        switch format {
        case kCVPixelFormatType_420YpCbCr8BiPlanarFullRange, kCVPixelFormatType_420YpCbCr8BiPlanarVideoRange:
            let strides = PlaneStrides(
                lumaRow: UInt32(CVPixelBufferGetBytesPerRowOfPlane(buffer, 0)),
                chromaRow: UInt32(CVPixelBufferGetBytesPerRowOfPlane(buffer, 1)),
                chromaPixel: 2)
            samples = .biPlanar(luma: try plane(buffer, 0), chroma: try plane(buffer, 1), strides)
            let matrix = CVBufferCopyAttachment(buffer, kCVImageBufferYCbCrMatrixKey, nil)
            let isBt709 = matrix.map { CFEqual($0, kCVImageBufferYCbCrMatrix_ITU_R_709_2) } ?? false
            let isFull = format == kCVPixelFormatType_420YpCbCr8BiPlanarFullRange
            colors =
                isBt709 ? (isFull ? .bt709Full : .bt709Video) : (isFull ? .bt601Full : .bt601Video)
        case kCVPixelFormatType_32BGRA:
            let stride = CVPixelBufferGetBytesPerRow(buffer)
            let bytes = try borrowed(
                CVPixelBufferGetBaseAddress(buffer), count: stride * CVPixelBufferGetHeight(buffer))
            samples = .packed(.bgra, bytes, rowStride: stride)
        default:
            throw PocketlensError.BadInput(
                reason: "a pixel buffer of 420f, 420v or BGRA expected, found \(fourCharacters(format))")
        }
        self.init(
            samples,
            FrameLayout(
                width: UInt32(CVPixelBufferGetWidth(buffer)), height: UInt32(CVPixelBufferGetHeight(buffer)),
                rotation: rotation, region: region, colors: colors))
    }
}

extension Frame {
    /// Cuts a pixel buffer to the size that the model reads; the buffer is free when this returns.
    ///
    /// - Throws: ``PocketlensError/BadInput(reason:)`` for another format than `420f`, `420v` or `BGRA`, or when the
    ///   region is outside of the upright picture.
    public static func of(
        _ buffer: CVPixelBuffer, for bundle: ModelBundle, rotation: Rotation? = nil, region: Region? = nil
    ) throws -> Frame {
        try CameraPicture.withPicture(of: buffer, rotation: rotation, region: region) { try of($0, for: bundle) }
    }
}

extension LiveSearch {
    /// Offers a pixel buffer from the camera's callback; it is free when this returns.
    ///
    /// - Throws: ``PocketlensError/BadInput(reason:)`` for another format than `420f`, `420v` or `BGRA`.
    @discardableResult
    public func analyze(
        _ buffer: CVPixelBuffer, at time: TimeInterval, rotation: Rotation? = nil
    ) throws -> Offered {
        try CameraPicture.withPicture(of: buffer, rotation: rotation) { try analyze($0, at: time) }
    }
}

private func plane(_ buffer: CVPixelBuffer, _ plane: Int) throws -> Data {
    let rows = CVPixelBufferGetHeightOfPlane(buffer, plane)
    return try borrowed(
        CVPixelBufferGetBaseAddressOfPlane(buffer, plane),
        count: CVPixelBufferGetBytesPerRowOfPlane(buffer, plane) * rows)
}

/// A format's code as it is written: `L008`.
private func fourCharacters(_ code: OSType) -> String {
    String(decoding: [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: code >> $0) }, as: UTF8.self)
}

/// The memory itself, for as long as the buffer is locked.
private func borrowed(_ memory: UnsafeMutableRawPointer?, count: Int) throws -> Data {
    guard let memory else { throw PocketlensError.BadInput(reason: "the pixel buffer has no memory of the processor") }
    return Data(bytesNoCopy: memory, count: count, deallocator: .none)
}
#endif

#if canImport(CoreMedia)
@preconcurrency import CoreMedia

extension LiveSearch {
    /// Offers what `captureOutput(_:didOutput:from:)` is given. Nothing but a picture is answered.
    ///
    /// - Throws: ``PocketlensError/BadInput(reason:)`` for another format than `420f`, `420v` or `BGRA`.
    @discardableResult
    public func analyze(_ sample: CMSampleBuffer, rotation: Rotation? = nil) throws -> Offered? {
        guard let buffer = CMSampleBufferGetImageBuffer(sample) else { return nil }
        let time = CMSampleBufferGetPresentationTimeStamp(sample).seconds
        return try analyze(buffer, at: time, rotation: rotation)
    }
}
#endif
