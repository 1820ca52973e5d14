package dev.pocketlens

import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir
import java.io.File

class SearchTest {
    @Test
    fun `answers are those that Rust gives`() = runBlocking {
        Lens.open(Faces.index).use { lens ->
            for ((photo, expected) in Faces.photos.zip(Faces.answers)) {
                val answer = lens.search(photo)
                assertEquals(expected.field("verdict"), answer.verdict.name.lowercase())
                val first = expected.substringAfter("\"hits\":[")
                assertEquals(first.field("key"), answer.hits.first().key)
                assertEquals(first.field("score").toFloat(), answer.hits.first().score)
                assertEquals(answer, lens.search(photo.readBytes()).copy(times = answer.times))
            }
        }
    }

    @Test
    fun `descriptors are those of Rust, bit for bit`() = runBlocking {
        Bundle.standard().use { bundle ->
            for ((photo, expected) in Faces.photos.zip(Faces.descriptors)) {
                val descriptor = bundle.describe(photo.readBytes())
                assertEquals(expected.field("fingerprint"), descriptor.fingerprint)
                val numbers = expected.substringAfter("\"descriptor\":[").substringBefore(']').split(',')
                assertEquals(numbers.map { it.toFloat().toRawBits() }, descriptor.values.map { it.toRawBits() })
            }
        }
    }

    @Test
    fun `filters leave what meets them, and payloads come back`() = runBlocking {
        Lens.open(Faces.index).use { lens ->
            val cheap = filter {
                must("price" below 4, "kind" oneOf listOf("cereal", "coffee"))
                mustNot("colour" equalTo "magenta")
            }
            val hits = lens.search(Faces.photos[0], Query(k = 50u, filter = cheap)).hits
            assertTrue(hits.isNotEmpty())
            for (hit in hits) {
                assertTrue(hit.number("price")!! < 4 && hit.text("kind") in listOf("cereal", "coffee"), hit.toString())
                assertTrue(hit.text("colour") != "magenta")
            }
            val same = filterFromJson("""{"must": [{"key": "price", "range": {"lt": 4}}]}""")
            assertEquals(filter { must("price" below 4) }, same)
        }
    }

    @Test
    fun `a group answers as one, and says where it matched`() = runBlocking {
        Lens.open(Faces.index).use { lens ->
            val hits = lens.search(Faces.photos[0], Query(k = 5u, groupBy = GroupBy.Group, explain = true)).hits
            assertEquals(hits.size, hits.map { it.group }.toSet().size)
            val heat = hits[0].explanation!!
            assertEquals((heat.columns * heat.rows).toInt(), heat.shares.size)
            assertEquals(hits[0].score.toDouble(), heat.shares.sumOf { it.toDouble() }, 0.01)
        }
    }

    @Test
    fun `a focus looks at a place in the photo too, and says where`() = runBlocking {
        Lens.open(Faces.index).use { lens ->
            val focused = Query(focus = Focus.SALIENCY)
            val answers = Faces.photos.map { photo -> photo to lens.search(photo, focused) }
            for ((photo, answer) in answers) {
                val place = answer.place ?: continue
                assertTrue(place.x >= 0 && place.x + place.width <= 1 && place.width > 0, "$place")
                assertTrue(place.y >= 0 && place.y + place.height <= 1 && place.height > 0, "$place")
                assertTrue(place.score in 0f..1f, "$place")
                val there = lens.search(photo, Query(region = place.region)).hits.first()
                assertEquals(answer.hits.first().key, there.key)
                assertTrue(there.score > lens.search(photo).hits.first().score)
            }
            assertTrue(answers.any { (_, answer) -> answer.place != null })
            // This model has neither a detector nor words.
            val photo = Faces.photos[0]
            val detected = lens.search(photo, Query(focus = Focus.DETECTOR))
            assertEquals(lens.search(photo).copy(times = detected.times), detected)
            assertEquals(emptyList<Attribute>(), detected.attributes)
        }
    }

    @Test
    fun `limits are kept, and named`(): Unit = runBlocking {
        suspend fun refused(limits: Limits, ask: suspend (Lens) -> Unit) = Lens.open(Faces.index, limits).use { lens ->
            assertEquals(limits, lens.limits())
            assertThrows<PocketlensException.BadInput> { runBlocking { ask(lens) } }.reason
        }
        val photo = Faces.photos[0]
        val reasons = listOf(
            "area in pixels is limited to 1000" to refused(Limits(photoPixels = 1000uL)) { it.search(photo) },
            "file size in bytes is limited to 99" to refused(Limits(photoBytes = 99uL)) { it.search(photo.readBytes()) },
            "number of hits is limited to 5" to refused(Limits(hits = 5u)) { it.search(photo, Query(k = 6u)) },
            "milliseconds is limited to 0" to refused(Limits(milliseconds = 0u)) { it.search(photo) },
            "at most 1 conditions" to refused(Limits(filterConditions = 1u)) { lens ->
                lens.search(photo, Query(filter = filter { must("price" below 4, "price" above 1) }))
            },
        )
        for ((expected, reason) in reasons) assertTrue(expected in reason, reason)
        assertThrows<PocketlensException.BadInput> { runBlocking { Lens.open(Faces.index, Limits(networkBytes = 9uL)) } }
        // What is written beside each field is what the library has.
        Lens.open(Faces.index).use { assertEquals(Limits(), it.limits()) }
        Lens.open(Faces.index.path).use { assertEquals(Limits(), it.limits()) }
        Bundle.standard(Limits(photoSide = 10u)).use { bundle ->
            assertThrows<PocketlensException.BadInput> { runBlocking { bundle.describe(photo.readBytes()) } }
        }
    }

    @Test
    fun `a catalogue grows on the device`(@TempDir folder: File) = runBlocking {
        Lens.create(File(folder, "own.plx").path, Bundle.standard()).use { lens ->
            val (first, second) = Faces.catalogue.listFiles { file -> file.extension == "jpg" }!!.sorted()
            lens.put(
                NewItem("a", first.readBytes(), payload = payloadOf("price" to 3, "tags" to listOf("x", "y"))),
                NewItem("b", second.readBytes(), group = "g"),
            )
            assertEquals(2uL, lens.info().items)
            val hit = lens.search(first).hits.first()
            assertEquals("a", hit.key)
            assertEquals(Value.Array(listOf(Value.Text("x"), Value.Text("y"))), hit.payload["tags"])
            assertEquals(1uL, lens.remove("a").items)
            assertEquals(listOf("b"), lens.search(first).hits.map { it.key })
        }
    }

    @Test
    fun `errors say what to do about them`(@TempDir folder: File): Unit = runBlocking {
        assertThrows<PocketlensException.Storage> { runBlocking { Lens.open(File(folder, "nothing.plx")) } }
        Lens.open(Faces.copyOfIndex(folder)).use { lens ->
            val bad = assertThrows<PocketlensException.BadInput> { runBlocking { lens.search(ByteArray(9)) } }
            assertTrue("expected JPEG, PNG or WebP" in bad.reason, bad.reason)
            assertThrows<PocketlensException.BadInput> { runBlocking { lens.search(Faces.photos[0], Query(precision = 7.0)) } }
            val price = filter { must("price" within GeoPoint(0.0, 0.0)) }
            assertThrows<PocketlensException.BadInput> { runBlocking { lens.search(Faces.photos[0], Query(filter = price)) } }
            val twice = NewItem("x", ByteArray(3))
            val refused = assertThrows<PocketlensException.BadInput> { runBlocking { lens.put(twice) } }
            assertTrue("\"x\"" in refused.reason, refused.reason)
        }
        val damaged = File(folder, "store.plx").listFiles()!!.first { it.extension == "seg" }
        damaged.writeBytes(damaged.readBytes().also { it[it.size / 2] = (it[it.size / 2] + 1).toByte() })
        Index.open(File(folder, "store.plx").path).use { index ->
            val found = assertThrows<PocketlensException.Damaged> { runBlocking { index.verify() } }
            assertTrue(damaged.name in found.reason, found.reason)
        }
    }

    private infix fun String.within(point: GeoPoint) = Condition.Within(this, point, 10.0)
}
