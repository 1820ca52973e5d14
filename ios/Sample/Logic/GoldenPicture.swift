// Pictures made by integer arithmetic, whose descriptors are known bit for bit: `tests/golden`.

import Foundation

/// A picture that is the same on every machine; see `core/tests/golden.rs`.
public struct GoldenPicture: Sendable {
    /// Columns.
    public let width: Int
    /// Rows.
    public let height: Int
    /// Red, green, blue, row by row.
    public let rgb: [UInt8]

    /// The picture of a size and a seed.
    public init(width: Int, height: Int, seed: Int) {
        var rgb: [UInt8] = []
        rgb.reserveCapacity(width * height * 3)
        let radius = 30 + 7 * (seed % 9)
        for y in 0..<height {
            for x in 0..<width {
                let isDark = (x / 24 + y / 24 + seed) % 3 == 0
                let (right, down) = (x - width / 2, y - height / 2)
                let isInside = right * right + down * down < radius * radius
                for (a, b) in [(1, 2), (3, 1), (0, 2)] {
                    let wave = (x * (a + seed % 5) + y * (b + seed % 3) + seed * 31) % 256
                    let value = min(wave, 255 - wave) * (isDark ? 1 : 2)
                    rgb.append(UInt8(isInside ? 255 - value : value))
                }
            }
        }
        (self.width, self.height, self.rgb) = (width, height, rgb)
    }
}

/// The descriptors of golden pictures, as `tests/golden/default.json` has them.
public struct GoldenVectors: Decodable, Sendable {
    /// The descriptor of a picture; its seed is its place in the list.
    public struct Vector: Decodable, Sendable {
        /// Width and height.
        public let picture: [Int]
        /// Single-precision numbers, written so that they can be read back exactly.
        public let descriptor: [Double]

        /// The picture with this seed.
        public func golden(seed: Int) -> GoldenPicture {
            GoldenPicture(width: picture[0], height: picture[1], seed: seed)
        }

        /// The descriptor, as bits.
        public var bits: [UInt32] { descriptor.map { Float($0).bitPattern } }
    }

    /// Of the model that made them.
    public let fingerprint: String
    /// One a picture.
    public let vectors: [Vector]
}
