// The shop: products of the catalogue, and the filter above them.

import Foundation
import Pocketlens

/// A product, as the payload of the sample store has it.
public struct Product: Decodable, Sendable, Equatable {
    /// Its name.
    public let title: String
    /// What it costs.
    public let price: Double
    /// What it is: tea, cereal, record.
    public let kind: String

    /// The product that was found; nil when its payload is another's.
    public init?(_ hit: Hit) {
        guard let product = try? hit.decode(Product.self) else { return nil }
        self = product
    }
}

/// What the user asks of products.
public struct ShopFilter: Sendable, Equatable, Hashable {
    /// Only this kind; any when nil.
    public var kind: String?
    /// At most this price; any when nil.
    public var highestPrice: Double?

    /// A filter that leaves everything.
    public init(kind: String? = nil, highestPrice: Double? = nil) {
        self.kind = kind
        self.highestPrice = highestPrice
    }

    /// What is asked of each frame: three products, one a variant group.
    public var query: Query { Query(k: 3, filter: filter, groupBy: .group) }

    private var filter: Filter? {
        var conditions: [Condition] = []
        if let kind { conditions.append(.equals("kind", .text(value: kind))) }
        if let highestPrice { conditions.append(.atMost("price", highestPrice)) }
        return conditions.isEmpty ? nil : Filter(must: conditions)
    }
}
