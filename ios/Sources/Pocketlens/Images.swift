// Images that are decoded already. A photo that is still encoded is better given as `Data`: it is decoded at the size
// that is needed, with the same bytes on every platform.

#if canImport(CoreGraphics)
import CoreGraphics
import Foundation

extension Frame {
    /// A frame of an image: drawn once, over white, in sRGB.
    ///
    /// - Throws: ``PocketlensError/BadInput(reason:)`` when the image cannot be drawn or the region is outside of it.
    public static func of(
        _ image: CGImage, for bundle: ModelBundle, rotation: Rotation? = nil, region: Region? = nil
    ) throws -> Frame {
        let (width, height) = (image.width, image.height)
        var bytes = Data(repeating: 255, count: width * height * 4)
        let isDrawn = bytes.withUnsafeMutableBytes { memory in
            guard let space = CGColorSpace(name: CGColorSpace.sRGB),
                let context = CGContext(
                    data: memory.baseAddress, width: width, height: height, bitsPerComponent: 8,
                    bytesPerRow: width * 4, space: space,
                    bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue | CGBitmapInfo.byteOrder32Big.rawValue)
            else { return false }
            context.draw(image, in: CGRect(x: 0, y: 0, width: width, height: height))
            return true
        }
        guard isDrawn else { throw PocketlensError.BadInput(reason: "an image of \(width)×\(height) cannot be drawn") }
        let layout = FrameLayout(
            width: UInt32(width), height: UInt32(height), rotation: rotation, region: region)
        return try of(CameraPicture(.packed(.rgba, bytes), layout), for: bundle)
    }
}
#endif

#if canImport(ImageIO)
import ImageIO

extension Rotation {
    /// The turn that makes an image of this orientation upright; nil for none.
    ///
    /// - Throws: ``PocketlensError/BadInput(reason:)`` for a mirrored image: no turn makes it upright.
    public static func of(_ orientation: CGImagePropertyOrientation) throws -> Rotation? {
        switch orientation {
        case .up: return nil
        case .right: return .clockwise90
        case .down: return .half
        case .left: return .clockwise270
        default: throw PocketlensError.BadInput(reason: "an image that is not mirrored expected, found \(orientation)")
        }
    }
}
#endif
