// A picture in the memory of whoever took it: planes, strides, the turn that makes it upright. Adapters of cameras make
// one for the time of a call; nothing is copied but what the model reads.

import Foundation

/// A picture as a camera gives it. Its bytes are read where they lie, and not after the call that it is given to.
public struct CameraPicture: Sendable {
    /// Where its samples lie.
    public enum Samples: Sendable {
        /// One buffer; `rowStride` is the bytes from row to row of RGBA and BGRA where there are gaps.
        case packed(FrameFormat, Data, rowStride: Int? = nil)
        /// Luma, blue and red chroma.
        case planes(luma: Data, blue: Data, red: Data, PlaneStrides)
        /// Luma, and blue and red chroma in turns.
        case biPlanar(luma: Data, chroma: Data, PlaneStrides)
    }

    /// Where its samples lie.
    public var samples: Samples

    /// Its size, its turn, where to look, what luma and chroma mean.
    public var layout: FrameLayout

    /// A picture of samples and their layout.
    public init(_ samples: Samples, _ layout: FrameLayout) {
        self.samples = samples
        self.layout = layout
    }
}

extension Frame {
    /// Cuts a picture to the size that the model reads. The camera may have its buffers back when this returns.
    ///
    /// - Throws: ``PocketlensError/BadInput(reason:)`` when samples are too few, or the region is outside of the
    ///   upright picture.
    public static func of(_ picture: CameraPicture, for bundle: ModelBundle) throws -> Frame {
        let layout = picture.layout
        switch picture.samples {
        case .packed(let format, let bytes, let stride):
            let packing = PackedLayout(format: format, layout: layout, rowStride: try rows(stride))
            return try packed(bundle: bundle, bytes: bytes, packed: packing)
        case .planes(let luma, let blue, let red, let strides):
            return try planes(bundle: bundle, luma: luma, blue: blue, red: red, strides: strides, layout: layout)
        case .biPlanar(let luma, let chroma, let strides):
            return try biPlanar(bundle: bundle, luma: luma, chroma: chroma, strides: strides, layout: layout)
        }
    }
}

extension LiveSession {
    /// Offers a picture; see ``LiveSearch``, which calls this.
    func offer(_ picture: CameraPicture, at time: TimeInterval) throws -> Offered {
        guard time >= 0, time < TimeInterval(Int32.max) else {
            throw PocketlensError.BadInput(reason: "a time of 0 seconds to 68 years expected, found \(time)")
        }
        let layout = picture.layout
        switch picture.samples {
        case .packed(let format, let bytes, let stride):
            let packing = PackedLayout(format: format, layout: layout, rowStride: try rows(stride))
            return try offerPacked(bytes: bytes, packed: packing, at: time)
        case .planes(let luma, let blue, let red, let strides):
            return try offerPlanes(luma: luma, blue: blue, red: red, strides: strides, layout: layout, at: time)
        case .biPlanar(let luma, let chroma, let strides):
            return try offerBiPlanar(luma: luma, chroma: chroma, strides: strides, layout: layout, at: time)
        }
    }
}

extension Rotation {
    /// The clockwise turn of so many degrees that makes a picture upright; nil for none.
    ///
    /// - Throws: ``PocketlensError/BadInput(reason:)`` when it is no quarter turn.
    public static func of(degrees: Int) throws -> Rotation? {
        switch ((degrees % 360) + 360) % 360 {
        case 0: return nil
        case 90: return .clockwise90
        case 180: return .half
        case 270: return .clockwise270
        default:
            throw PocketlensError.BadInput(
                reason: "a rotation of 0, 90, 180 or 270 degrees expected, found \(degrees)")
        }
    }
}

private func rows(_ stride: Int?) throws -> UInt32? {
    guard let stride else { return nil }
    guard let bytes = UInt32(exactly: stride) else {
        throw PocketlensError.BadInput(reason: "a row of 0 to 4294967295 bytes expected, found \(stride)")
    }
    return bytes
}
