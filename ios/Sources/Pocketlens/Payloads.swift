// Payloads as Swift's own values: written as literals, read by field or decoded as a whole.

import Foundation

extension Value: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    /// Text.
    public init(stringLiteral value: String) { self = .text(value: value) }

    /// A whole number.
    public init(integerLiteral value: Int64) { self = .integer(value: value) }

    /// Any number.
    public init(floatLiteral value: Double) { self = .decimal(value: value) }

    /// True or false.
    public init(booleanLiteral value: Bool) { self = .flag(value: value) }

    /// A list.
    public init(arrayLiteral elements: Value...) { self = .array(values: elements) }

    /// An object; of a name that is there twice, the last value counts.
    public init(dictionaryLiteral elements: (String, Value)...) {
        self = .object(members: Dictionary(elements) { _, last in last })
    }

    /// JSON's null.
    public init(nilLiteral: ()) { self = .null }
}

extension Value {
    /// The text, where it is text.
    public var text: String? { if case .text(let value) = self { value } else { nil } }

    /// The number, where it is one.
    public var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .decimal(let value): value
        default: nil
        }
    }

    /// True or false, where it is that.
    public var flag: Bool? { if case .flag(let value) = self { value } else { nil } }

    /// The place, where it is `{"lat": …, "lon": …}`.
    public var place: GeoPoint? {
        guard case .object(let members) = self, let lat = members["lat"]?.number, let lon = members["lon"]?.number
        else { return nil }
        return GeoPoint(lat: lat, lon: lon)
    }
}

extension Hit {
    /// The field as text; nil where there is none, or it is of another kind.
    public func text(_ name: String) -> String? { payload[name]?.text }

    /// The field as a number; nil where there is none, or it is of another kind.
    public func number(_ name: String) -> Double? { payload[name]?.number }

    /// The field as a place, `{"lat": …, "lon": …}`; nil where there is none.
    public func place(_ name: String) -> GeoPoint? { payload[name]?.place }

    /// The payload as a type of the app:
    ///
    ///     struct Product: Decodable { let title: String; let price: Double }
    ///     let product = try hit.decode(Product.self)
    ///
    /// - Throws: `DecodingError` names the field that does not fit.
    public func decode<T: Decodable>(_ type: T.Type, with decoder: JSONDecoder = JSONDecoder()) throws -> T {
        try decoder.decode(type, from: JSONEncoder().encode(payload))
    }
}

extension Value: Encodable {
    /// Writes it as the JSON that it is.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .flag(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .decimal(let value): try container.encode(value)
        case .text(let value): try container.encode(value)
        case .array(let values): try container.encode(values)
        case .object(let members): try container.encode(members)
        }
    }
}
