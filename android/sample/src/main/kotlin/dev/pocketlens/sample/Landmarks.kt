package dev.pocketlens.sample

import android.location.Location
import dev.pocketlens.Condition
import dev.pocketlens.Filter
import dev.pocketlens.GeoPoint
import dev.pocketlens.GroupBy
import dev.pocketlens.Hit
import dev.pocketlens.Query
import dev.pocketlens.place
import dev.pocketlens.text

/** The field that says where a landmark is. */
private const val PLACE = "place"

/** What is asked at a place: landmarks within so many metres, each answering once; all of them where nobody knows. */
fun landmarksNear(here: GeoPoint?, metres: Double = 2000.0) = Query(
    k = 5u,
    groupBy = GroupBy.Group,
    filter = here?.let { Filter(must = listOf(Condition.Within(PLACE, it, metres))) },
)

/** A landmark in one line: its title, or its group; how far it is, where that is known. */
fun line(hit: Hit, here: GeoPoint?): String {
    val there = hit.place(PLACE)
    val distance = if (here != null && there != null) metres(here, there) else null
    return listOfNotNull(hit.text("title") ?: hit.group, distance?.let(::spoken)).joinToString(" · ")
}

private fun metres(from: GeoPoint, to: GeoPoint): Float {
    val result = FloatArray(1)
    Location.distanceBetween(from.lat, from.lon, to.lat, to.lon, result)
    return result[0]
}

private fun spoken(metres: Float) = if (metres < 1000) "%.0f m".format(metres) else "%.1f km".format(metres / 1000)
