// The shop: hold the camera on a package, and see what it is and what it costs, offline.

import Pocketlens
import SwiftUI

struct ShoppingScreen: View {
    @State private var lens: Lens?
    @State private var filter = ShopFilter()
    @State private var problem: String?

    /// Where a server joins in: the sample has none. With a `Server`, and the user's consent:
    ///
    ///     { answer, query in
    ///         let situation = Situation(consent: true, network: .unmetered, live: true)
    ///         return try? await server.upgrade(answer: answer, query: query, situation: situation).answer
    ///     }
    private let upgrade: (@Sendable (Answer, Query) async -> Answer?)? = nil

    var body: some View {
        Group {
            if let lens {
                LiveView(lens: lens, query: filter.query, id: filter, upgrade: upgrade) { screen in
                    filters
                    ForEach(screen.hits, id: \.key) { hit in
                        if let product = Product(hit) {
                            LabeledContent(product.title) { Text(product.price, format: .currency(code: "EUR")) }
                        }
                    }
                }
            } else {
                Text(problem ?? "Opening the catalogue …")
            }
        }
        .task {
            do {
                lens = try await Shipped.lens("shop")
                if lens == nil { problem = "Built without a catalogue: run ios/Sample/prepare" }
            } catch {
                problem = error.localizedDescription
            }
        }
    }

    private var filters: some View {
        HStack {
            Picker("Kind", selection: $filter.kind) {
                Text("Everything").tag(String?.none)
                ForEach(["cereal", "coffee", "tea", "record"], id: \.self) { Text($0).tag(String?.some($0)) }
            }
            Toggle(
                "Under 4 €",
                isOn: Binding(
                    get: { filter.highestPrice != nil },
                    set: { filter.highestPrice = $0 ? 4 : nil }))
        }
    }
}
