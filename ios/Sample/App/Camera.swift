// The back camera: its pictures go to a live search, on a queue of their own.

@preconcurrency import AVFoundation
import Pocketlens

/// The back camera. Its session is used on its queue only; the search is guarded by a lock.
final class Camera: NSObject, AVCaptureVideoDataOutputSampleBufferDelegate, @unchecked Sendable {
    /// For the preview.
    let session = AVCaptureSession()
    private let queue = DispatchQueue(label: "dev.pocketlens.sample.camera")
    private let lock = NSLock()
    private var search: LiveSearch?

    /// Who answers the pictures from now on; nobody when nil.
    func answer(with search: LiveSearch?) {
        lock.withLock { self.search = search }
    }

    /// Asks for the camera and starts it.
    func start() async throws {
        guard await AVCaptureDevice.requestAccess(for: .video) else { throw Problem.denied }
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            queue.async {
                continuation.resume(
                    with: Result {
                        try self.configure()
                        self.session.startRunning()
                    })
            }
        }
    }

    /// Stops it.
    func stop() {
        queue.async { self.session.stopRunning() }
    }

    func captureOutput(
        _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer, from connection: AVCaptureConnection
    ) {
        // The sensor lies on its side; the library turns what little it reads, which costs nothing.
        let search = lock.withLock { self.search }
        _ = try? search?.analyze(sampleBuffer, rotation: .clockwise90)
    }

    private func configure() throws {
        guard session.inputs.isEmpty else { return }
        guard let device = AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: .back) else {
            throw Problem.none
        }
        session.beginConfiguration()
        defer { session.commitConfiguration() }
        session.sessionPreset = .vga640x480
        session.addInput(try AVCaptureDeviceInput(device: device))
        let output = AVCaptureVideoDataOutput()
        output.videoSettings = [
            kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_420YpCbCr8BiPlanarFullRange
        ]
        output.alwaysDiscardsLateVideoFrames = true
        output.setSampleBufferDelegate(self, queue: queue)
        session.addOutput(output)
    }

    private enum Problem: String, LocalizedError {
        case denied = "Allow the camera in Settings"
        case none = "This device has no camera"
        var errorDescription: String? { rawValue }
    }
}
