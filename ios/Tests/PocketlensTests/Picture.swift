// Pictures of the golden vectors in every layout that a camera has.

import Foundation
import SampleLogic

@testable import Pocketlens

struct Picture {
    let width: Int
    let height: Int
    /// Red, green, blue.
    let rgb: [UInt8]

    /// A picture of the golden vectors.
    init(width: Int, height: Int, seed: Int) {
        self.init(width: width, height: height, rgb: GoldenPicture(width: width, height: height, seed: seed).rgb)
    }

    private init(width: Int, height: Int, rgb: [UInt8]) {
        (self.width, self.height, self.rgb) = (width, height, rgb)
    }

    /// Half a turn.
    var turned: Picture {
        let pixels = stride(from: rgb.count - 3, through: 0, by: -3).flatMap { rgb[$0..<$0 + 3] }
        return Picture(width: width, height: height, rgb: pixels)
    }

    func layout(
        rotation: Rotation? = nil, region: Region? = nil, colors: YuvColors? = nil
    ) -> FrameLayout {
        FrameLayout(
            width: UInt32(width), height: UInt32(height), rotation: rotation, region: region, colors: colors)
    }

    /// Three bytes a pixel: treated as a decoded photo is.
    var photo: CameraPicture { CameraPicture(.packed(.rgb, Data(rgb)), layout()) }

    /// Four bytes a pixel, rows with gaps.
    func fourBytes(_ format: FrameFormat, gap: Int = 0) -> Data {
        var bytes = Data(repeating: 77, count: (width * 4 + gap) * height)
        let order = format == .bgra ? [2, 1, 0] : [0, 1, 2]
        for y in 0..<height {
            for x in 0..<width {
                for (at, channel) in order.enumerated() {
                    bytes[y * (width * 4 + gap) + x * 4 + at] = rgb[(y * width + x) * 3 + channel]
                }
            }
        }
        return bytes
    }

    /// Luma and chroma (BT.601), chroma in planes of their own or in turns, rows with gaps.
    func yuv(isVideoRange: Bool = false, chromaPixel: Int = 1, gap: Int = 0) -> Yuv {
        Yuv(self, isVideoRange: isVideoRange, chromaPixel: chromaPixel, gap: gap)
    }
}

/// A picture as luma, blue and red chroma.
struct Yuv {
    private(set) var luma: Data
    private(set) var blue: Data
    private(set) var red: Data
    let strides: PlaneStrides
    private let picture: Picture
    private var columns: Int { (picture.width + 1) / 2 }
    private var rows: Int { (picture.height + 1) / 2 }

    fileprivate init(_ picture: Picture, isVideoRange: Bool, chromaPixel: Int, gap: Int) {
        self.picture = picture
        let (width, height) = (picture.width, picture.height)
        let (lumaRow, chromaRow) = (width + gap, (width + 1) / 2 * chromaPixel + gap)
        strides = PlaneStrides(
            lumaRow: UInt32(lumaRow), chromaRow: UInt32(chromaRow), chromaPixel: UInt32(chromaPixel))
        luma = Data(repeating: 99, count: lumaRow * height)
        blue = Data(repeating: 99, count: chromaRow * ((height + 1) / 2))
        red = blue
        let (floor, lumaShare, chromaShare) = isVideoRange ? (16.0, 219.0 / 255, 224.0 / 255) : (0, 1, 1)
        func weigh(_ x: Int, _ y: Int, _ weights: (Double, Double, Double), _ share: Double, _ plus: Double) -> UInt8 {
            let at = (y * width + x) * 3
            let rgb = (Double(picture.rgb[at]), Double(picture.rgb[at + 1]), Double(picture.rgb[at + 2]))
            let sum = weights.0 * rgb.0 + weights.1 * rgb.1 + weights.2 * rgb.2
            return UInt8(min(255, max(0, (sum * share + plus).rounded())))
        }
        for y in 0..<height {
            for x in 0..<width {
                luma[y * lumaRow + x] = weigh(x, y, (0.299, 0.587, 0.114), lumaShare, floor)
            }
        }
        for y in 0..<rows {
            for x in 0..<columns {
                let at = y * chromaRow + x * chromaPixel
                blue[at] = weigh(2 * x, 2 * y, (-0.168736, -0.331264, 0.5), chromaShare, 128)
                red[at] = weigh(2 * x, 2 * y, (0.5, -0.418688, -0.081312), chromaShare, 128)
            }
        }
        if chromaPixel == 2 {
            // Blue and red in turns are one plane; what lies between them there is never looked at.
            for at in stride(from: 0, to: blue.count - 1, by: 2) { blue[at + 1] = red[at] }
        }
    }

    /// Three planes.
    func planes(_ layout: FrameLayout? = nil) -> CameraPicture {
        CameraPicture(.planes(luma: luma, blue: blue, red: red, strides), layout ?? picture.layout())
    }

    /// Luma, and both chromas in turns; of one with `chromaPixel` 2.
    func biPlanar(_ layout: FrameLayout? = nil) -> CameraPicture {
        CameraPicture(.biPlanar(luma: luma, chroma: blue, strides), layout ?? picture.layout())
    }

    /// All of it in one buffer without gaps, as `format` orders it; of one without gaps and in planes of their own.
    func packed(_ format: FrameFormat) -> CameraPicture {
        var bytes = luma
        switch format {
        case .i420: bytes += blue + red
        case .nv12: for cell in 0..<blue.count { bytes += [blue[cell], red[cell]] }
        case .nv21: for cell in 0..<blue.count { bytes += [red[cell], blue[cell]] }
        default: fatalError("no YUV: \(format)")
        }
        return CameraPicture(.packed(format, bytes), picture.layout())
    }
}
