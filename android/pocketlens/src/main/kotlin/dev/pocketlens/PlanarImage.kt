package dev.pocketlens

import java.nio.ByteBuffer

/**
 * A picture in planes, as Android's cameras give it. CameraX's `ImageProxy` and `android.media.Image` have these very
 * members; an adapter is three lines:
 *
 * ```
 * class CameraImage(private val proxy: ImageProxy) : PlanarImage {
 *     override val width get() = proxy.width
 *     override val height get() = proxy.height
 *     override val rotationDegrees get() = proxy.imageInfo.rotationDegrees
 *     override val timestampNanos get() = proxy.imageInfo.timestamp
 *     override val planes get() = proxy.planes.map { Plane(it.buffer, it.rowStride, it.pixelStride) }
 * }
 * ```
 */
interface PlanarImage {
    /** Columns, as the sensor has them. */
    val width: Int

    /** Rows, as the sensor has them. */
    val height: Int

    /** Clockwise turn that makes it upright: 0, 90, 180 or 270. */
    val rotationDegrees: Int

    /** Of any clock that does not stand still. */
    val timestampNanos: Long

    /** Luma, blue and red chroma of `YUV_420_888`, or one plane of RGBA. */
    val planes: List<Plane>
}

/** Samples of one kind in a direct buffer: they are read where they lie, and not after the call. */
class Plane(
    /** From the first sample on. */
    val buffer: ByteBuffer,
    /** Bytes from one row to the next. */
    val rowStride: Int,
    /** Bytes from one sample to the next. */
    val pixelStride: Int,
)

/**
 * Cuts a picture to the size that the model reads. The camera may have its buffers back when this returns.
 *
 * @throws PocketlensException.BadInput when planes are too short, or the region is outside of the upright picture.
 */
fun Frame.Companion.of(bundle: Bundle, image: PlanarImage, region: Region? = null): Frame {
    val layout = image.layout(region)
    return when (image.planes.size) {
        1 -> image.planes[0].let { plane ->
            lend(plane.buffer) { packed(bundle, it, PackedLayout(FrameFormat.RGBA, layout, plane.rowStride.toUInt())) }
        }
        else -> image.lendYuv { luma, blue, red -> planes(bundle, luma, blue, red, image.strides(), layout) }
    }
}

/**
 * A frame of one buffer without gaps: of what is left in it. A direct one is read where it lies.
 *
 * @throws PocketlensException.BadInput when the bytes are too few.
 */
fun Frame.Companion.of(bundle: Bundle, format: FrameFormat, bytes: ByteBuffer, layout: FrameLayout): Frame =
    lend(bytes) { packed(bundle, it, PackedLayout(format, layout)) }

/** Offers a picture; see [LiveSearch], which calls this. */
internal fun LiveSession.offer(image: PlanarImage): Offered {
    val at = java.time.Duration.ofNanos(image.timestampNanos)
    val layout = image.layout(null)
    return when (image.planes.size) {
        1 -> image.planes[0].let { plane ->
            lend(plane.buffer) { offerPacked(it, PackedLayout(FrameFormat.RGBA, layout, plane.rowStride.toUInt()), at) }
        }
        else -> image.lendYuv { luma, blue, red -> offerPlanes(luma, blue, red, image.strides(), layout, at) }
    }
}

private inline fun <T> PlanarImage.lendYuv(call: (ByteBuffer, ByteBuffer, ByteBuffer) -> T): T {
    if (planes.size != 3) throw PocketlensException.BadInput("one plane of RGBA or three of YUV expected, found ${planes.size}")
    val (luma, blue, red) = planes
    return lend(luma.buffer) { y -> lend(blue.buffer) { u -> lend(red.buffer) { v -> call(y, u, v) } } }
}

private fun PlanarImage.strides() = PlaneStrides(
    lumaRow = planes[0].rowStride.toUInt(),
    chromaRow = planes[1].rowStride.toUInt(),
    chromaPixel = planes[1].pixelStride.toUInt(),
)

private fun PlanarImage.layout(region: Region?) = FrameLayout(
    width = width.toUInt(),
    height = height.toUInt(),
    rotation = rotation(rotationDegrees),
    region = region,
)

private fun rotation(degrees: Int): Rotation? = when (Math.floorMod(degrees, 360)) {
    0 -> null
    90 -> Rotation.CLOCKWISE90
    180 -> Rotation.HALF
    270 -> Rotation.CLOCKWISE270
    else -> throw PocketlensException.BadInput("a rotation of 0, 90, 180 or 270 degrees expected, found $degrees")
}
