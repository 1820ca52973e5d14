package dev.pocketlens

import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import java.nio.ByteBuffer

class FrameTest {
    private val picture = Faces.yuv(Faces.photos[0])
    private val layout = FrameLayout(picture.width.toUInt(), picture.height.toUInt())

    private suspend fun Bundle.bits(frame: Frame) = frame.use { describe(it).values.map(Float::toRawBits) }

    @Test
    fun `every format of one picture has one descriptor`() = runBlocking {
        Bundle.standard().use { bundle ->
            val expected = bundle.bits(Frame.of(bundle, picture))
            for (format in listOf(FrameFormat.I420, FrameFormat.NV12, FrameFormat.NV21)) {
                assertEquals(expected, bundle.bits(Frame.of(bundle, format, picture.packed(format), layout)), "$format")
            }
            assertEquals(expected, bundle.bits(Frame.of(bundle, Faces.yuv(Faces.photos[0], chromaPixel = 2, padding = 13))))
        }
    }

    @Test
    fun `RGBA and BGRA of one picture have one descriptor, and gaps between rows are not read`() = runBlocking {
        Bundle.standard().use { bundle ->
            fun frame(format: FrameFormat, gap: Int): Frame {
                val stride = picture.width * 4 + gap
                val bytes = ByteBuffer.allocateDirect(stride * picture.height)
                for (y in 0 until picture.height) for (x in 0 until picture.width) {
                    val rgb = listOf(x, y, x + y).map { it.toByte() }
                    val order = if (format == FrameFormat.BGRA) rgb.reversed() else rgb
                    order.forEachIndexed { at, value -> bytes.put(y * stride + x * 4 + at, value) }
                }
                return Frame.packed(bundle, bytes, PackedLayout(format, layout, stride.toUInt()))
            }
            val expected = bundle.bits(frame(FrameFormat.RGBA, 0))
            assertEquals(expected, bundle.bits(frame(FrameFormat.BGRA, 0)))
            assertEquals(expected, bundle.bits(frame(FrameFormat.RGBA, 12)))
        }
    }

    @Test
    fun `a frame finds what the photo finds`() = runBlocking {
        Lens.open(Faces.index).use { lens ->
            val found = Faces.photos.take(10).count { photo ->
                val frame = Frame.of(lens.bundle(), Faces.yuv(photo))
                lens.search(frame).hits.first().key == lens.search(photo).hits.first().key
            }
            // Colours were rounded on the way; a photo whose best hits are nearly tied may turn.
            assert(found >= 9) { "$found of 10" }
        }
    }

    @Test
    fun `a frame is looked at where something stands out`() = runBlocking {
        Lens.open(Faces.index).use { lens ->
            val places = Faces.photos.take(10).flatMap { photo ->
                val picture = Faces.yuv(photo)
                val layout = FrameLayout(picture.width.toUInt(), picture.height.toUInt())
                listOf(FrameFormat.NV21, FrameFormat.NV12, FrameFormat.I420).map { format ->
                    val frame = Frame.of(lens.bundle(), format, picture.packed(format), layout)
                    frame.use { lens.search(it, Query(focus = Focus.SALIENCY)).place }
                }.distinct()
            }
            assertTrue(places.filterNotNull().isNotEmpty())
            assertTrue(places.filterNotNull().all { it.x >= 0 && it.y >= 0 && it.x + it.width <= 1 && it.y + it.height <= 1 })
            assertEquals(10, places.size, "one place a picture, in whatever format it comes")
        }
    }

    @Test
    fun `a turned frame is turned back`() = runBlocking {
        Bundle.standard().use { bundle ->
            val half = Faces.yuv(Faces.photos[0]).apply { rotationDegrees = 180 }
            val turned = half.packed(FrameFormat.I420).let { bytes ->
                val (luma, chroma) = listOf(picture.width * picture.height, (bytes.remaining() - picture.width * picture.height) / 2)
                val out = ByteBuffer.allocateDirect(bytes.remaining())
                for ((first, count) in listOf(0 to luma, luma to chroma, luma + chroma to chroma)) {
                    for (at in 0 until count) out.put(first + count - 1 - at, bytes.get(first + at))
                }
                out
            }
            val back = layout.copy(rotation = Rotation.HALF)
            assertEquals(
                bundle.bits(Frame.of(bundle, picture)),
                bundle.bits(Frame.of(bundle, FrameFormat.I420, turned, back)),
            )
        }
    }

    @Test
    fun `what is left in a buffer is read, wherever it lies`() = runBlocking {
        Bundle.standard().use { bundle ->
            val bytes = picture.packed(FrameFormat.NV21)
            val expected = bundle.bits(Frame.of(bundle, FrameFormat.NV21, bytes, layout))
            for (place in listOf(ByteBuffer.allocateDirect(bytes.remaining() + 7), ByteBuffer.allocate(bytes.remaining() + 7))) {
                place.position(7)
                place.put(bytes.duplicate()).position(7)
                assertEquals(expected, bundle.bits(Frame.of(bundle, FrameFormat.NV21, place, layout)))
                assertEquals(7, place.position())
            }
        }
    }

    @Test
    fun `short buffers and senseless sizes are refused`() {
        Bundle.standard().use { bundle ->
            val few = ByteBuffer.allocateDirect(100)
            for (format in FrameFormat.entries) {
                assertThrows<PocketlensException.BadInput>(format.name) { Frame.of(bundle, format, few, layout) }
            }
            assertThrows<PocketlensException.BadInput> { Frame.of(bundle, FrameFormat.NV21, few, FrameLayout(0u, 0u)) }
            val outside = Region.Pixels(9000, 0, 10u, 10u)
            assertThrows<PocketlensException.BadInput> { Frame.of(bundle, picture, outside) }
            picture.rotationDegrees = 45
            assertThrows<PocketlensException.BadInput> { Frame.of(bundle, picture) }
        }
    }
}
