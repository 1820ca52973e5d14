package dev.pocketlens.android

import android.graphics.Bitmap
import android.graphics.Color
import dev.pocketlens.Bundle
import dev.pocketlens.Frame
import dev.pocketlens.FrameFormat
import dev.pocketlens.FrameLayout
import dev.pocketlens.PocketlensException
import dev.pocketlens.Region
import dev.pocketlens.describe
import dev.pocketlens.of
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertThrows
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.GraphicsMode
import java.nio.ByteBuffer

@RunWith(RobolectricTestRunner::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class BitmapsTest {
    private val width = 201
    private val height = 150
    private val layout = FrameLayout(width.toUInt(), height.toUInt())

    private fun color(x: Int, y: Int) = Color.rgb(x, y, (x + y) % 256)

    private fun bitmap() = Bitmap.createBitmap(width, height, Bitmap.Config.ARGB_8888).apply {
        for (y in 0 until height) for (x in 0 until width) setPixel(x, y, color(x, y))
    }

    private fun rgba(color: (Int, Int) -> Int = ::color): ByteBuffer {
        val bytes = ByteBuffer.allocateDirect(width * height * 4)
        for (y in 0 until height) for (x in 0 until width) color(x, y).let {
            bytes.put(Color.red(it).toByte()).put(Color.green(it).toByte()).put(Color.blue(it).toByte()).put(-1)
        }
        return bytes.flip() as ByteBuffer
    }

    private fun Bundle.bits(frame: Frame) = frame.use { runBlocking { describe(it) }.values.map(Float::toRawBits) }

    @Test
    fun `a bitmap has the descriptor of its bytes`() {
        Bundle.standard().use { bundle ->
            val expected = bundle.bits(Frame.of(bundle, FrameFormat.RGBA, rgba(), layout))
            assertEquals(expected, bundle.bits(Frame.of(bundle, bitmap())))
        }
    }

    @Test
    fun `a region is looked at alone`() {
        Bundle.standard().use { bundle ->
            val region = Region.Pixels(20, 30, 90u, 60u)
            val expected = bundle.bits(Frame.of(bundle, FrameFormat.RGBA, rgba(), layout.copy(region = region)))
            assertEquals(expected, bundle.bits(Frame.of(bundle, bitmap(), region)))
            assertNotEquals(expected, bundle.bits(Frame.of(bundle, bitmap())))
            val outside = Region.Pixels(500, 0, 10u, 10u)
            assertThrows(PocketlensException.BadInput::class.java) { Frame.of(bundle, bitmap(), outside) }
        }
    }

    @Test
    fun `other configurations are converted, and stay as they are`() {
        Bundle.standard().use { bundle ->
            val coarse = bitmap().copy(Bitmap.Config.RGB_565, false)
            // What the conversion back makes of it, read pixel by pixel.
            val expected = bundle.bits(Frame.of(bundle, FrameFormat.RGBA, rgba(coarse::getPixel), layout))
            assertEquals(expected, bundle.bits(Frame.of(bundle, coarse)))
            assertEquals(Bitmap.Config.RGB_565, coarse.config)
            val half = bitmap().copy(Bitmap.Config.RGBA_F16, false)
            assertEquals(bundle.bits(Frame.of(bundle, bitmap())), bundle.bits(Frame.of(bundle, half)))
        }
    }
}
