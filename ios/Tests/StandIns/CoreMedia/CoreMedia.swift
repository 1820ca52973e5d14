// Stands in for Apple's CoreMedia where there is none: what a camera's callback is given.

import CoreVideo

public struct CMTime: Sendable {
    public var seconds: Double
}

public final class CMSampleBuffer {
    let buffer: CVImageBuffer?
    let time: CMTime

    public init(standIn buffer: CVImageBuffer?, seconds: Double) {
        self.buffer = buffer
        time = CMTime(seconds: seconds)
    }
}

public func CMSampleBufferGetImageBuffer(_ sbuf: CMSampleBuffer) -> CVImageBuffer? { sbuf.buffer }
public func CMSampleBufferGetPresentationTimeStamp(_ sbuf: CMSampleBuffer) -> CMTime { sbuf.time }
