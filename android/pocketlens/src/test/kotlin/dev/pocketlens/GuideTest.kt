package dev.pocketlens

import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File

/** The guide's Kotlin, as it stands in the guide: what is between anchors is shown there. */
class GuideTest {
    @TempDir lateinit var folder: File
    private val photo = Faces.photos[0]
    private val shown = mutableListOf<String>()

    private fun show(text: String) { shown += text }

    @Test
    fun `one call`() = runBlocking {
        val index = Faces.index
        // ANCHOR: open
        val lens = Lens.open(index)
        // ANCHOR_END: open
        // ANCHOR: search
        val answer = lens.search(photo, Query(k = 3u))
        for (hit in answer.hits) show("${hit.key} ${hit.score} ${hit.text("title")}")
        // ANCHOR_END: search
        assertEquals(3, shown.size)
        // ANCHOR: filter
        val cheap = filter {
            must("price" below 5, "kind" oneOf listOf("cereal", "coffee"))
            mustNot("colour" equalTo "magenta")
        }
        val some = lens.search(photo, Query(filter = cheap, groupBy = GroupBy.Group))
        // ANCHOR_END: filter
        assertTrue(some.hits.all { it.number("price")!! < 5 })
        // ANCHOR: focus
        val near = lens.search(photo, Query(focus = Focus.SALIENCY))
        near.place?.let { show("it is at ${it.x}, ${it.y}, ${it.width} wide") }
        for (word in near.attributes) show("${word.name}: ${word.label}")
        // ANCHOR_END: focus
        // ANCHOR: limits
        val hasty = Lens.open(index, Limits(milliseconds = 2_000u, photoPixels = 12_000_000uL))
        // ANCHOR_END: limits
        hasty.close()
        // ANCHOR: verdict
        when (answer.verdict) {
            Verdict.MATCH -> show("This is ${answer.hits.first().key}")
            Verdict.UNSURE -> show("Is it one of these?")
            Verdict.NO_MATCH -> show("We do not have this")
        }
        // ANCHOR_END: verdict
        // ANCHOR: measure
        val times = answer.times
        show("network ${times.backbone.toNanos() / 1e6} ms, index ${times.search.toNanos() / 1e6} ms")
        // ANCHOR_END: measure
        lens.close()
    }

    @Test
    fun `a live camera`() = runBlocking {
        val lens = Lens.open(Faces.index)
        val image: PlanarImage = Faces.yuv(photo, chromaPixel = 2)
        // ANCHOR: live
        val live = LiveSearch(lens, LiveOptions(Query(k = 3u), answersPerSecond = 4.0))
        val results: Flow<LiveResult> = live.results
        // In the camera's callback, for each frame:
        live.analyze(image)
        // ANCHOR_END: live
        (image as YuvImage).timestampNanos = 200_000_000
        assertEquals(Offered.TAKEN, live.analyze(image))
        assertTrue(results.first() is LiveResult.Answered)
        live.close()
    }

    @Test
    fun `an index is kept up to date`() = runBlocking {
        val index = Faces.copyOfIndex(folder)
        val lens = Lens.open(index)
        val bytes = photo.readBytes()
        // ANCHOR: update
        lens.put(NewItem("mug", bytes, payload = payloadOf("price" to 12, "kind" to "mug")))
        lens.remove("altiplano-coffee-peru")
        // ANCHOR_END: update
        assertEquals("mug", lens.search(photo).hits.first().key)
        val pack = File(folder, "update.pack").apply { writeText("no pack") }
        val key = "00".repeat(32)
        // ANCHOR: pack
        try {
            lens.apply(index, pack, key)
        } catch (refused: PocketlensException) {
            show(refused.reason)   // the index is as it was
        }
        // ANCHOR_END: pack
        assertEquals(1, shown.size)
    }

    @Test
    fun `a server is asked when the device does not know`() = runBlocking {
        val lens = Lens.open(Faces.index)
        val query = Query(k = 3u)
        val answer = lens.search(photo, query)
        // ANCHOR: server
        val server = Server("http://localhost:1", OkHttpTransport(), tokens = null, ServerOptions())
        val situation = Situation(consent = true, network = Network.UNMETERED)
        show(answer.verdict.name)
        val upgrade = server.upgrade(answer, query, situation)   // 1.5 s at most
        show(upgrade.answer.verdict.name)
        // ANCHOR_END: server
        assertEquals(answer.hits, upgrade.answer.hits)
        server.close()
        val wanted = Server("http://localhost:1", OkHttpTransport(), null, ServerOptions(ServerMode.PREFER_SERVER))
        val tried = wanted.upgrade(answer, query, situation)
        assertEquals(Decision.Asked(Reason.WANTED), tried.decision)
        assertTrue("connection" in tried.failure!!, tried.failure)
        val blocked = wanted.upgrade(answer, query, situation.copy(consent = false))
        assertEquals(Decision.LocalOnly(Blocked.NO_CONSENT), blocked.decision)
    }

    @Test
    fun `errors say what to do`() = runBlocking {
        val path = File(folder, "nothing.plx")
        // ANCHOR: errors
        try {
            Lens.open(path)
        } catch (error: PocketlensException) {
            when (error) {
                is PocketlensException.Storage -> show("try again later: ${error.reason}")
                is PocketlensException.Damaged -> show("fetch it again: ${error.reason}")
                is PocketlensException.Incompatible -> show("update the app: ${error.reason}")
                else -> show(error.reason)
            }
        }
        // ANCHOR_END: errors
        assertTrue(shown.single().startsWith("try again later: ${path.path}"), shown.toString())
    }
}
