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
fun Frame.Companion.of(bundle: Bundle, image: PlanarImage, region: Region? = null): Frame = when (image.planes.size) {
    1 -> lend(image.planes[0].buffer) { packed(bundle, it, image.packed(region)) }
    else -> image.lendYuv { luma, blue, red -> planes(bundle, luma, blue, red, image.strides(), image.layout(region)) }
}

/** A search; see [search], which calls this on a thread that may wait. */
internal fun PlanarImage.searched(lens: Lens, query: Query, cancel: Cancel): Answer = when (planes.size) {
    1 -> lend(planes[0].buffer) {
        val buffers = FrameBuffers.Packed(FrameFormat.RGBA, planes[0].rowStride.toUInt())
        Direct.search(lens, cancel, FrameSearch(buffers, layout(null), query), it)
    }
    else -> lendYuv { luma, blue, red ->
        val asked = FrameSearch(FrameBuffers.Planes(strides()), layout(null), query)
        Direct.search(lens, cancel, asked, luma, blue, red)
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
    return when (image.planes.size) {
        1 -> lend(image.planes[0].buffer) { offerPacked(it, image.packed(null), at) }
        else -> image.lendYuv { luma, blue, red -> offerPlanes(luma, blue, red, image.strides(), image.layout(null), at) }
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

/** One plane of RGBA. */
private fun PlanarImage.packed(region: Region?) =
    PackedLayout(FrameFormat.RGBA, layout(region), planes[0].rowStride.toUInt())

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
