package dev.pocketlens

/** The field as text; null where there is none, or it is of another kind. */
fun Hit.text(name: String): String? = (payload[name] as? Value.Text)?.value

/** The field as a number; null where there is none, or it is of another kind. */
fun Hit.number(name: String): Double? = when (val value = payload[name]) {
    is Value.Integer -> value.value.toDouble()
    is Value.Decimal -> value.value
    else -> null
}

/** The field as a place, `{"lat": …, "lon": …}`; null where there is none. */
fun Hit.place(name: String): GeoPoint? {
    val members = (payload[name] as? Value.Object)?.members ?: return null
    fun degrees(name: String) = when (val value = members[name]) {
        is Value.Integer -> value.value.toDouble()
        is Value.Decimal -> value.value
        else -> null
    }
    return GeoPoint(degrees("lat") ?: return null, degrees("lon") ?: return null)
}

/** A payload of Kotlin's own values: strings, numbers, booleans, lists and maps. */
fun payloadOf(vararg fields: Pair<String, Any?>): Map<String, Value> = fields.associate { (name, value) -> name to valueOf(value) }

private fun valueOf(value: Any?): Value = when (value) {
    null -> Value.Null
    is Value -> value
    is Boolean -> Value.Flag(value)
    is Byte, is Short, is Int, is Long -> Value.Integer((value as Number).toLong())
    is Number -> Value.Decimal(value.toDouble())
    is String -> Value.Text(value)
    is Collection<*> -> Value.Array(value.map(::valueOf))
    is Map<*, *> -> Value.Object(value.entries.associate { (name, member) -> name.toString() to valueOf(member) })
    else -> throw IllegalArgumentException("a payload holds JSON, found ${value::class.simpleName}")
}

/** What was wrong, and what to do about it. */
val PocketlensException.reason: String
    get() = when (this) {
        is PocketlensException.BadInput -> reason
        is PocketlensException.Storage -> reason
        is PocketlensException.Damaged -> reason
        is PocketlensException.Incompatible -> reason
        is PocketlensException.Cancelled -> reason
        is PocketlensException.Internal -> reason
    }
