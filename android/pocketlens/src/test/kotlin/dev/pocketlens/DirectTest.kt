package dev.pocketlens

import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import java.nio.ByteBuffer
import java.util.concurrent.atomic.AtomicInteger

/** A camera's picture, searched with in one call. */
class DirectTest {
    private val picture = Faces.yuv(Faces.photos[0])
    private val layout = FrameLayout(picture.width.toUInt(), picture.height.toUInt())

    @Test
    fun `a picture in one call finds what its frame finds`() = runBlocking {
        Lens.open(Faces.index).use { lens ->
            val middle = Region.Relative(0.2, 0.2, 0.6, 0.6)
            for (region in listOf(null, middle)) {
                val query = Query(k = 5u, region = region, explain = true)
                val expected = Frame.of(lens.bundle(), picture, region).use { lens.search(it, query) }.hits
                assertEquals(5, expected.size)
                assertEquals(expected, lens.search(picture, query).hits)
                assertEquals(expected, lens.search(Faces.yuv(Faces.photos[0], chromaPixel = 2, padding = 13), query).hits)
                for (format in listOf(FrameFormat.I420, FrameFormat.NV12, FrameFormat.NV21)) {
                    assertEquals(expected, lens.search(format, picture.packed(format), layout, query).hits, "$format")
                }
            }
        }
    }

    @Test
    fun `four bytes a pixel, with gaps, and three without`() = runBlocking {
        Lens.open(Faces.index).use { lens ->
            fun pixels(bytes: Int, gap: Int): ByteBuffer {
                val stride = picture.width * bytes + gap
                return ByteBuffer.allocateDirect(stride * picture.height).also {
                    for (y in 0 until picture.height) for (x in 0 until picture.width) {
                        listOf(x, y, x + y).forEachIndexed { at, value -> it.put(y * stride + x * bytes + at, value.toByte()) }
                    }
                }
            }
            val expected = lens.search(FrameFormat.RGBA, pixels(4, 0), layout).hits
            val gaps = object : PlanarImage by picture {
                override val planes = listOf(Plane(pixels(4, 12), picture.width * 4 + 12, 4))
            }
            assertEquals(expected, lens.search(gaps).hits)
            val rgb = Frame.of(lens.bundle(), FrameFormat.RGB, pixels(3, 0), layout).use { lens.search(it) }
            assertEquals(rgb.hits, lens.search(FrameFormat.RGB, pixels(3, 0), layout).hits)
        }
    }

    @Test
    fun `what cannot be answered is refused by its kind`() {
        val lens = runBlocking { Lens.open(Faces.index) }
        fun refused(work: suspend () -> Unit) {
            assertThrows<PocketlensException.BadInput> { runBlocking { work() } }
        }
        val few = ByteBuffer.allocateDirect(100)
        for (format in FrameFormat.entries) refused { lens.search(format, few, layout) }
        refused { lens.search(FrameFormat.NV21, ByteBuffer.allocate(0), layout) }
        refused { lens.search(picture, Query(region = Region.Pixels(9000, 0, 10u, 10u))) }
        refused { lens.search(picture, Query(filter = filter { must("price" equalTo "much") })) }
        refused { lens.search(Faces.yuv(Faces.photos[0]).apply { rotationDegrees = 45 }) }
        lens.close()
        val closed = assertThrows<IllegalStateException> { runBlocking { lens.search(picture) } }
        assertTrue("destroyed" in closed.message!!, closed.message)
    }

    @Test
    fun `a search ends with its coroutine, and the next one on its thread is answered`() = runBlocking {
        Lens.open(Faces.index).use { lens ->
            val expected = lens.search(picture).hits
            val done = AtomicInteger()
            repeat(40) {
                val began = CompletableDeferred<Unit>()
                val search = launch(Dispatchers.Default) {
                    began.complete(Unit)
                    lens.search(picture, Query(rotations = true, focus = Focus.SALIENCY))
                    done.incrementAndGet()
                }
                began.await()
                search.cancelAndJoin()
                assertEquals(expected, lens.search(picture).hits)
            }
            // A busy machine may let some of them end before they are cancelled.
            assertTrue(done.get() < 20, "$done of 40 went on to their end")
        }
    }
}
