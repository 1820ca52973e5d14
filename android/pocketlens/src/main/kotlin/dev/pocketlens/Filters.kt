package dev.pocketlens

import java.time.Instant

/**
 * A filter in Kotlin:
 *
 * ```
 * filter {
 *     must("brand" oneOf listOf("Nike", "Puma"))
 *     must("price" below 100)
 *     mustNot("stock".isAbsent())
 * }
 * ```
 */
fun filter(build: FilterBuilder.() -> Unit): Filter = FilterBuilder().apply(build).filter()

/** Collects conditions; see [filter]. */
class FilterBuilder internal constructor() {
    private val must = mutableListOf<Condition>()
    private val should = mutableListOf<Condition>()
    private val mustNot = mutableListOf<Condition>()

    /** All of these hold. */
    fun must(vararg conditions: Condition) { must += conditions }

    /** One of these holds. */
    fun should(vararg conditions: Condition) { should += conditions }

    /** None of these holds. */
    fun mustNot(vararg conditions: Condition) { mustNot += conditions }

    /** The field is, or its list holds, this value. */
    infix fun String.equalTo(value: String): Condition = Condition.Equals(this, Scalar.Text(value))

    /** The field is, or its list holds, this number. */
    infix fun String.equalTo(value: Number): Condition = Condition.Equals(this, scalar(value))

    /** The field is this. */
    infix fun String.equalTo(value: Boolean): Condition = Condition.Equals(this, Scalar.Flag(value))

    /** The field is one of these. */
    infix fun String.oneOf(values: Collection<Any>): Condition = Condition.AnyOf(this, values.map(::scalar))

    /** The field has a value that is none of these. */
    infix fun String.noneOf(values: Collection<Any>): Condition = Condition.NoneOf(this, values.map(::scalar))

    /** The field is a number below this. */
    infix fun String.below(value: Number): Condition = Condition.Between(this, NumberRange(lt = value.toDouble()))

    /** The field is this number or less. */
    infix fun String.atMost(value: Number): Condition = Condition.Between(this, NumberRange(lte = value.toDouble()))

    /** The field is a number above this. */
    infix fun String.above(value: Number): Condition = Condition.Between(this, NumberRange(gt = value.toDouble()))

    /** The field is this number or more. */
    infix fun String.atLeast(value: Number): Condition = Condition.Between(this, NumberRange(gte = value.toDouble()))

    /** The field is a time from this one on. */
    infix fun String.since(time: Instant): Condition = Condition.During(this, from = time, before = null)

    /** The field is a time before this one. */
    infix fun String.before(time: Instant): Condition = Condition.During(this, from = null, before = time)

    /** The field is a point within so many metres of another. */
    fun String.within(metres: Double, of: GeoPoint): Condition = Condition.Within(this, of, metres)

    /** The field is absent, null or an empty list. */
    fun String.isAbsent(): Condition = Condition.IsEmpty(this)

    /** A filter in the filter. */
    fun all(build: FilterBuilder.() -> Unit): Condition = Condition.Nested(dev.pocketlens.filter(build))

    internal fun filter() = Filter(must, should, mustNot)

    private fun scalar(value: Any): Scalar = when (value) {
        is String -> Scalar.Text(value)
        is Boolean -> Scalar.Flag(value)
        is Byte, is Short, is Int, is Long -> Scalar.Integer((value as Number).toLong())
        is Number -> Scalar.Decimal(value.toDouble())
        else -> throw IllegalArgumentException("text, a number or a boolean expected, found ${value::class.simpleName}")
    }
}
