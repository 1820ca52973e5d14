package dev.pocketlens.sample

import dev.pocketlens.Answer
import dev.pocketlens.Hit
import dev.pocketlens.Index
import dev.pocketlens.LiveOptions
import dev.pocketlens.LiveResult
import dev.pocketlens.Query
import dev.pocketlens.Source
import dev.pocketlens.Verdict
import dev.pocketlens.filter
import dev.pocketlens.number
import dev.pocketlens.reason
import dev.pocketlens.text

/** A field of the catalogue that shoppers choose by, and what it says in this catalogue. */
data class Facet(val field: String, val values: List<String>) {
    companion object {
        private val FIELDS = listOf("brand", "kind")
        private const val PAGE = 500u

        /** The first of `brand` and `kind` that the catalogue has; null when it has neither. */
        suspend fun of(index: Index): Facet? {
            val found = FIELDS.associateWith { sortedSetOf<String>() }
            var last: String? = null
            do {
                val items = index.items(last, PAGE)
                for (item in items) for ((field, values) in found) {
                    (item.payload[field] as? dev.pocketlens.Value.Text)?.let { values += it.value }
                }
                last = items.lastOrNull()?.key
            } while (last != null)
            return FIELDS.firstOrNull { found.getValue(it).isNotEmpty() }?.let { Facet(it, found.getValue(it).toList()) }
        }
    }
}

/** What a shopper looks for: any brand and any price where nothing is said. */
data class Wish(val facet: String = "brand", val choice: String? = null, val atMost: Double? = null) {
    /** Asked of the camera: things of such a kind at such a price. */
    fun options() = LiveOptions(
        query = Query(
            k = 5u,
            filter = filter {
                choice?.let { must(facet equalTo it) }
                atMost?.let { must("price" atMost it) }
            }.takeIf { it.must.isNotEmpty() },
        ),
    )
}

/** What stands above the hits. */
fun headline(result: LiveResult): String = when (result) {
    is LiveResult.Answered -> headline(result.answer)
    LiveResult.Left -> "…"
    is LiveResult.Failed -> result.error.reason
}

private fun headline(answer: Answer): String {
    val percent = (100 * answer.confidence).toInt()
    return when (answer.verdict) {
        Verdict.MATCH -> "This is it ($percent %)"
        Verdict.UNSURE -> "It may be one of these ($percent %)"
        Verdict.NO_MATCH -> "Not in this shop. Alike:"
    }
}

/** A hit in one line: its title, or its key; its price, where it has one; how alike it is; whether a server found it. */
fun line(hit: Hit): String = listOfNotNull(
    hit.text("title") ?: hit.key,
    hit.number("price")?.let { "%.2f".format(it) },
    "%.2f".format(hit.score),
    "from the server".takeIf { hit.source == Source.SERVER },
).joinToString(" · ")
