// A live camera with its answers below: what both tabs share.

import AVFoundation
import Pocketlens
import SwiftUI

/// Shows the camera and asks `query` of it; begins anew when `id` changes.
struct LiveView<ID: Hashable & Sendable, Content: View>: View {
    let lens: Lens
    let query: Query
    let id: ID
    /// Asks a server where the phone does not know; nobody is asked when nil.
    var upgrade: (@Sendable (Answer, Query) async -> Answer?)?
    @ViewBuilder let content: (LiveScreen) -> Content
    @State private var camera = Camera()
    @State private var screen = LiveScreen()
    @State private var problem: String?

    var body: some View {
        VStack(spacing: 0) {
            CameraPreview(session: camera.session).ignoresSafeArea(edges: .top)
            VStack(alignment: .leading, spacing: 8) {
                Text(problem ?? screen.headline).font(.headline)
                content(screen)
            }
            .padding()
            .frame(maxWidth: .infinity, minHeight: 220, alignment: .topLeading)
            .background(.background)
        }
        .task {
            do {
                try await camera.start()
            } catch {
                problem = error.localizedDescription
            }
        }
        .task(id: id) { await answer() }
        .onDisappear { camera.stop() }
    }

    private func answer() async {
        do {
            let live = try LiveSearch(lens, LiveOptions(query: query))
            camera.answer(with: live)
            defer {
                camera.answer(with: nil)
                live.end()
            }
            async let power: Void = live.followPower()
            for await result in live.results {
                screen.hear(result)
                guard case .answered(_, let answer) = result, answer.verdict != .match else { continue }
                // What the camera sees meanwhile is told next: results keep the newest.
                if let better = await upgrade?(answer, query) { screen.show(better) }
            }
            await power
        } catch {
            problem = error.localizedDescription
        }
    }
}

/// What the camera sees.
private struct CameraPreview: UIViewRepresentable {
    let session: AVCaptureSession

    final class Preview: UIView {
        override class var layerClass: AnyClass { AVCaptureVideoPreviewLayer.self }
    }

    func makeUIView(context: Context) -> Preview {
        let view = Preview()
        if let layer = view.layer as? AVCaptureVideoPreviewLayer {
            layer.session = session
            layer.videoGravity = .resizeAspectFill
        }
        return view
    }

    func updateUIView(_ view: Preview, context: Context) {}
}
