package dev.pocketlens.android

import android.graphics.Bitmap
import dev.pocketlens.Bundle
import dev.pocketlens.Frame
import dev.pocketlens.FrameFormat
import dev.pocketlens.FrameLayout
import dev.pocketlens.Region
import java.nio.ByteBuffer

/**
 * A frame of an upright bitmap. Other configurations than `ARGB_8888`, hardware bitmaps among them, are copied into one.
 *
 * @throws dev.pocketlens.PocketlensException.BadInput when the region is outside of the bitmap.
 */
fun Frame.Companion.of(bundle: Bundle, bitmap: Bitmap, region: Region? = null): Frame {
    // The bytes of ARGB_8888 lie in the order red, green, blue, alpha.
    val pixels = if (bitmap.config == Bitmap.Config.ARGB_8888) bitmap else bitmap.copy(Bitmap.Config.ARGB_8888, false)
    val bytes = ByteBuffer.allocateDirect(pixels.rowBytes * pixels.height)
    pixels.copyPixelsToBuffer(bytes)
    bytes.flip()
    val layout = FrameLayout(pixels.width.toUInt(), pixels.height.toUInt(), region = region)
    return packed(bundle, FrameFormat.RGBA, bytes, pixels.rowBytes.toUInt(), layout)
}
