package dev.pocketlens.android

import android.graphics.Bitmap
import android.graphics.Color
import dev.pocketlens.Bundle
import dev.pocketlens.Frame
import dev.pocketlens.FrameFormat
import dev.pocketlens.FrameLayout
import dev.pocketlens.PackedLayout
import dev.pocketlens.Region
import dev.pocketlens.lend
import java.nio.Buffer
import java.nio.ByteBuffer

/**
 * A frame of an upright bitmap. Other configurations than `ARGB_8888`, hardware bitmaps among them, are copied into one.
 *
 * @throws dev.pocketlens.PocketlensException.BadInput when the region is outside of the bitmap.
 */
fun Frame.Companion.of(bundle: Bundle, bitmap: Bitmap, region: Region? = null): Frame {
    val pixels = if (bitmap.config == Bitmap.Config.ARGB_8888) bitmap else bitmap.copy(Bitmap.Config.ARGB_8888, false)
    val layout = FrameLayout(pixels.width.toUInt(), pixels.height.toUInt(), region = region)
    return lend(pixels.bytes()) { packed(bundle, it, PackedLayout(order, layout, pixels.rowBytes.toUInt())) }
}

private fun Bitmap.bytes(): ByteBuffer {
    val bytes = ByteBuffer.allocateDirect(rowBytes * height)
    copyPixelsToBuffer(bytes)
    // As a Buffer: ByteBuffer's own `rewind` is not on phones before API 29.
    (bytes as Buffer).rewind()
    return bytes
}

/** How the bytes of `ARGB_8888` lie: red first on phones, blue first where Robolectric draws on a desktop. */
private val order: FrameFormat by lazy {
    val red = Bitmap.createBitmap(intArrayOf(Color.RED), 1, 1, Bitmap.Config.ARGB_8888)
    if (red.bytes().get(0) == 0.toByte()) FrameFormat.BGRA else FrameFormat.RGBA
}
