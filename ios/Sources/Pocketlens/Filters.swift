// Filters in Swift:
//
//     Filter.must(.anyOf("brand", ["Nike", "Puma"]), .below("price", 100)).mustNot(.isAbsent("stock"))

import Foundation

extension Filter {
    /// All of these hold.
    public static func must(_ conditions: Condition...) -> Filter { Filter(must: conditions) }

    /// One of these holds.
    public static func should(_ conditions: Condition...) -> Filter { Filter(should: conditions) }

    /// None of these holds.
    public static func mustNot(_ conditions: Condition...) -> Filter { Filter(mustNot: conditions) }

    /// And all of these hold.
    public func must(_ conditions: Condition...) -> Filter {
        Filter(must: must + conditions, should: should, mustNot: mustNot)
    }

    /// And one of these holds, or of those before.
    public func should(_ conditions: Condition...) -> Filter {
        Filter(must: must, should: should + conditions, mustNot: mustNot)
    }

    /// And none of these holds.
    public func mustNot(_ conditions: Condition...) -> Filter {
        Filter(must: must, should: should, mustNot: mustNot + conditions)
    }

    /// Reads a filter of JSON, in the vocabulary of Qdrant: for filters that a server sends.
    ///
    /// - Throws: ``PocketlensError/BadInput(reason:)`` with the place.
    public init(json: String) throws {
        self = try filterFromJson(json: json)
    }
}

extension Condition {
    /// The field is, or its list holds, this value.
    public static func equals(_ key: String, _ value: Scalar) -> Condition { .equals(key: key, value: value) }

    /// The field is one of these.
    public static func anyOf(_ key: String, _ values: [Scalar]) -> Condition { .anyOf(key: key, values: values) }

    /// The field has a value that is none of these.
    public static func noneOf(_ key: String, _ values: [Scalar]) -> Condition { .noneOf(key: key, values: values) }

    /// The field is a number below this.
    public static func below(_ key: String, _ value: Double) -> Condition {
        .between(key: key, range: NumberRange(lt: value))
    }

    /// The field is this number or less.
    public static func atMost(_ key: String, _ value: Double) -> Condition {
        .between(key: key, range: NumberRange(lte: value))
    }

    /// The field is a number above this.
    public static func above(_ key: String, _ value: Double) -> Condition {
        .between(key: key, range: NumberRange(gt: value))
    }

    /// The field is this number or more.
    public static func atLeast(_ key: String, _ value: Double) -> Condition {
        .between(key: key, range: NumberRange(gte: value))
    }

    /// The field is a number of this range, its end left out.
    public static func between(_ key: String, _ range: Range<Double>) -> Condition {
        .between(key: key, range: NumberRange(gte: range.lowerBound, lt: range.upperBound))
    }

    /// The field is a number of this range, its end included.
    public static func between(_ key: String, _ range: ClosedRange<Double>) -> Condition {
        .between(key: key, range: NumberRange(gte: range.lowerBound, lte: range.upperBound))
    }

    /// The field is a time from this one on.
    public static func since(_ key: String, _ time: Date) -> Condition { .during(key: key, from: time, before: nil) }

    /// The field is a time before this one.
    public static func before(_ key: String, _ time: Date) -> Condition { .during(key: key, from: nil, before: time) }

    /// The field is a point within so many metres of another.
    public static func within(_ key: String, metres: Double, of center: GeoPoint) -> Condition {
        .within(key: key, center: center, radius: metres)
    }

    /// The field is absent, null or an empty list.
    public static func isAbsent(_ key: String) -> Condition { .isEmpty(key: key) }

    /// The key of the item is one of these.
    public static func hasKey(_ keys: String...) -> Condition { .hasId(keys: keys) }

    /// A filter in the filter.
    public static func all(_ filter: Filter) -> Condition { .nested(filter: filter) }
}

extension Scalar: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral
{
    /// Text.
    public init(stringLiteral value: String) { self = .text(value: value) }

    /// A whole number.
    public init(integerLiteral value: Int64) { self = .integer(value: value) }

    /// Any number.
    public init(floatLiteral value: Double) { self = .decimal(value: value) }

    /// True or false.
    public init(booleanLiteral value: Bool) { self = .flag(value: value) }
}
