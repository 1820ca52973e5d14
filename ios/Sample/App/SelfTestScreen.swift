// A report of this phone, to be copied.

import Pocketlens
import SwiftUI

struct SelfTestScreen: View {
    @State private var report = ""
    @State private var isRunning = false

    var body: some View {
        NavigationStack {
            ScrollView {
                Text(report.isEmpty ? "Tests this phone: bits, formats, times." : report)
                    .font(.footnote.monospaced())
                    .textSelection(.enabled)
                    .frame(maxWidth: .infinity, alignment: .leading)
                    .padding()
            }
            .navigationTitle("Self-test")
            .toolbar {
                Button("Copy") { UIPasteboard.general.string = report }.disabled(report.isEmpty)
                Button("Run") { Task { await run() } }.disabled(isRunning)
            }
        }
    }

    private func run() async {
        isRunning = true
        defer { isRunning = false }
        do {
            guard let lens = try await Shipped.lens("shop") else {
                report = "Built without a catalogue: run ios/Sample/prepare"
                return
            }
            let test = try SelfTest(lens: lens, photos: Shipped.photos(), golden: Shipped.golden(), program: Shipped.program())
            report = await test.report() + "\n\(UIDevice.current.model), iOS \(UIDevice.current.systemVersion)"
        } catch {
            report = "FAILED: \(error.localizedDescription)"
        }
    }
}
