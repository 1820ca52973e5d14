// Stands in for Apple's CoreVideo where there is none: the functions that the adapters call, over memory of its own. As
// there, memory can be reached while a buffer is locked and not otherwise, and rows have gaps.

public typealias OSType = UInt32
public typealias CVReturn = Int32
public typealias CFTypeRef = AnyObject
public typealias CFAllocator = AnyObject
public typealias CFDictionary = AnyObject
public typealias CVBuffer = CVPixelBuffer
public typealias CVImageBuffer = CVPixelBuffer

public final class CFString: Sendable {
    let text: String
    init(_ text: String) { self.text = text }
}

public func CFEqual(_ one: CFTypeRef, _ other: CFTypeRef) -> Bool {
    if let one = one as? CFString, let other = other as? CFString { return one.text == other.text }
    return one === other
}

public struct CVPixelBufferLockFlags: OptionSet, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public static let readOnly = CVPixelBufferLockFlags(rawValue: 1)
}

public enum CVAttachmentMode: UInt32, Sendable {
    case shouldNotPropagate
    case shouldPropagate
}

public let kCVReturnSuccess: CVReturn = 0
public let kCVReturnInvalidPixelFormat: CVReturn = -6680
public let kCVPixelFormatType_420YpCbCr8BiPlanarFullRange: OSType = 0x3432_3066
public let kCVPixelFormatType_420YpCbCr8BiPlanarVideoRange: OSType = 0x3432_3076
public let kCVPixelFormatType_32BGRA: OSType = 0x4247_5241
public let kCVPixelFormatType_OneComponent8: OSType = 0x4C30_3038
public let kCVImageBufferYCbCrMatrixKey = CFString("CVImageBufferYCbCrMatrix")
public let kCVImageBufferYCbCrMatrix_ITU_R_709_2 = CFString("ITU_R_709_2")
public let kCVImageBufferYCbCrMatrix_ITU_R_601_4 = CFString("ITU_R_601_4")

public final class CVPixelBuffer {
    struct Plane {
        let memory: UnsafeMutableRawPointer
        let stride: Int
        let width: Int
        let height: Int
    }
    let format: OSType
    let planes: [Plane]
    var locks = 0
    var attachments: [String: CFTypeRef] = [:]

    init(_ format: OSType, _ sizes: [(width: Int, height: Int, bytes: Int)]) {
        self.format = format
        planes = sizes.map { size in
            let stride = (size.width * size.bytes + 64) / 64 * 64
            let memory = UnsafeMutableRawPointer.allocate(byteCount: stride * size.height, alignment: 64)
            memory.initializeMemory(as: UInt8.self, repeating: 88, count: stride * size.height)
            return Plane(memory: memory, stride: stride, width: size.width, height: size.height)
        }
    }

    deinit {
        precondition(locks == 0, "a pixel buffer was left locked")
        for plane in planes { plane.memory.deallocate() }
    }
}

public func CVPixelBufferCreate(
    _ allocator: CFAllocator?, _ width: Int, _ height: Int, _ pixelFormatType: OSType,
    _ pixelBufferAttributes: CFDictionary?, _ pixelBufferOut: UnsafeMutablePointer<CVPixelBuffer?>
) -> CVReturn {
    switch pixelFormatType {
    case kCVPixelFormatType_420YpCbCr8BiPlanarFullRange, kCVPixelFormatType_420YpCbCr8BiPlanarVideoRange:
        let half = ((width + 1) / 2, (height + 1) / 2, 2)
        pixelBufferOut.pointee = CVPixelBuffer(pixelFormatType, [(width, height, 1), half])
    case kCVPixelFormatType_32BGRA:
        pixelBufferOut.pointee = CVPixelBuffer(pixelFormatType, [(width, height, 4)])
    case kCVPixelFormatType_OneComponent8:
        pixelBufferOut.pointee = CVPixelBuffer(pixelFormatType, [(width, height, 1)])
    default: return kCVReturnInvalidPixelFormat
    }
    return kCVReturnSuccess
}

public func CVPixelBufferLockBaseAddress(_ pixelBuffer: CVPixelBuffer, _ flags: CVPixelBufferLockFlags) -> CVReturn {
    pixelBuffer.locks += 1
    return kCVReturnSuccess
}

@discardableResult
public func CVPixelBufferUnlockBaseAddress(_ pixelBuffer: CVPixelBuffer, _ flags: CVPixelBufferLockFlags) -> CVReturn {
    precondition(pixelBuffer.locks > 0, "a pixel buffer was unlocked that was not locked")
    pixelBuffer.locks -= 1
    return kCVReturnSuccess
}

public func CVPixelBufferGetPixelFormatType(_ pixelBuffer: CVPixelBuffer) -> OSType { pixelBuffer.format }
public func CVPixelBufferGetWidth(_ pixelBuffer: CVPixelBuffer) -> Int { pixelBuffer.planes[0].width }
public func CVPixelBufferGetHeight(_ pixelBuffer: CVPixelBuffer) -> Int { pixelBuffer.planes[0].height }
public func CVPixelBufferGetBytesPerRow(_ pixelBuffer: CVPixelBuffer) -> Int { pixelBuffer.planes[0].stride }

public func CVPixelBufferGetBaseAddress(_ pixelBuffer: CVPixelBuffer) -> UnsafeMutableRawPointer? {
    CVPixelBufferGetBaseAddressOfPlane(pixelBuffer, 0)
}

public func CVPixelBufferGetBaseAddressOfPlane(_ pixelBuffer: CVPixelBuffer, _ plane: Int) -> UnsafeMutableRawPointer? {
    pixelBuffer.locks > 0 ? pixelBuffer.planes[plane].memory : nil
}

public func CVPixelBufferGetBytesPerRowOfPlane(_ pixelBuffer: CVPixelBuffer, _ plane: Int) -> Int {
    pixelBuffer.planes[plane].stride
}

public func CVPixelBufferGetHeightOfPlane(_ pixelBuffer: CVPixelBuffer, _ plane: Int) -> Int {
    pixelBuffer.planes[plane].height
}

public func CVBufferSetAttachment(
    _ buffer: CVBuffer, _ key: CFString, _ value: CFTypeRef, _ attachmentMode: CVAttachmentMode
) {
    buffer.attachments[key.text] = value
}

public func CVBufferCopyAttachment(
    _ buffer: CVBuffer, _ key: CFString, _ attachmentMode: UnsafeMutablePointer<CVAttachmentMode>?
) -> CFTypeRef? {
    buffer.attachments[key.text]
}
