package dev.pocketlens

import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File

class LiveTest {
    private val image = Faces.yuv(Faces.photos[0], chromaPixel = 2)

    /** A camera that rests: frames every 33 ms until one is taken. */
    private fun LiveSearch.rest(image: YuvImage, from: Long): Long {
        var at = from
        do {
            image.timestampNanos = at * 1_000_000
            at += 33
        } while (analyze(image) != Offered.TAKEN)
        return at
    }

    @Test
    fun `a resting camera is answered as a flow`() = runBlocking {
        Lens.open(Faces.index).use { lens ->
            LiveSearch(lens, LiveOptions(Query(k = 3u))).use { live ->
                assertEquals(Offered.UNSTEADY, live.analyze(image))
                live.rest(image, 33)
                val told = live.results.filterIsInstance<LiveResult.Answered>().first()
                val asked = lens.search(Frame.of(lens.bundle(), image), Query(k = 3u))
                assertEquals(asked.hits, told.answer.hits)
                assertTrue(told.at.toMillis() >= 150)
            }
        }
    }

    @Test
    fun `a live query has all that a query has`() = runBlocking {
        Lens.open(Faces.index).use { lens ->
            val query = Query(k = 3u, focus = Focus.SALIENCY)
            LiveSearch(lens, LiveOptions(query)).use { live ->
                live.rest(image, 0)
                val told = live.results.filterIsInstance<LiveResult.Answered>().first().answer
                val asked = lens.search(Frame.of(lens.bundle(), image), query)
                assertEquals(asked.copy(times = told.times), told)
            }
        }
    }

    @Test
    fun `after an update the same scene is answered from the new index`(@TempDir folder: File) = runBlocking {
        Lens.open(Faces.copyOfIndex(folder)).use { lens ->
            LiveSearch(lens).use { live ->
                val at = live.rest(image, 0)
                val before = live.results.filterIsInstance<LiveResult.Answered>().first().answer.hits.first()
                lens.remove(before.key)
                live.refresh()
                live.rest(image, at + 1000)
                val after = live.results.filterIsInstance<LiveResult.Answered>().first { it.at.toMillis() > at }
                assertTrue(after.answer.hits.none { it.key == before.key })
            }
        }
    }

    @Test
    fun `heat and the end stop it`() = runBlocking {
        Lens.open(Faces.index).use { lens ->
            val live = LiveSearch(lens)
            live.setThermal(Thermal.CRITICAL)
            assertEquals(Offered.PAUSED, live.analyze(image))
            live.setThermal(Thermal.NOMINAL)
            live.close()
            assertEquals(Offered.CLOSED, live.analyze(image))
        }
    }
}
