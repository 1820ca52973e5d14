package dev.pocketlens

import java.awt.image.BufferedImage
import java.io.File
import java.nio.ByteBuffer
import javax.imageio.ImageIO

/** What `tests/faces/prepare` made: a store, its index, camera pictures and what Rust says of them. */
object Faces {
    private val root = File(System.getProperty("pocketlens.faces"))
    val index = File(root, "store/store.plx")
    val photos: List<File> = File(root, "store/queries").listFiles { file -> file.extension == "jpg" }!!.sorted()
    val nnapiDouble = File(root, "lib/libpocketlens_nnapi_double.so").absoluteFile
    val catalogue = File(root, "store/catalogue")
    val descriptors: List<String> = File(root, "descriptors.jsonl").readLines()
    val answers: List<String> = File(root, "answers.jsonl").readLines()

    /** A copy that a test may change. */
    fun copyOfIndex(folder: File): File = File(folder, "store.plx").also { index.copyRecursively(it) }

    /** A photo as a camera of such a size sees it, in the three planes of `YUV_420_888`. */
    fun yuv(photo: File, chromaPixel: Int = 1, padding: Int = 0): YuvImage {
        val picture = ImageIO.read(photo)
        return YuvImage(picture, chromaPixel, padding)
    }
}

/** A field of a line of JSON that Rust wrote: numbers and strings only, which is all that is compared here. */
fun String.field(name: String): String = substringAfter("\"$name\":").trimStart().let { rest ->
    if (rest.startsWith('"')) rest.drop(1).substringBefore('"') else rest.takeWhile { it !in ",}" }
}

/** Luma and chroma of a picture (BT.601, full range), planar or interleaved, rows padded or not. */
class YuvImage(picture: BufferedImage, private val chromaPixel: Int, private val padding: Int) : PlanarImage {
    override val width = picture.width
    override val height = picture.height
    override var rotationDegrees = 0
    override var timestampNanos = 0L
    private val columns = (width + 1) / 2
    private val rows = (height + 1) / 2
    private val chromaRow = columns * chromaPixel + padding
    val luma: ByteBuffer = ByteBuffer.allocateDirect((width + padding) * height)
    val blue: ByteBuffer
    val red: ByteBuffer

    init {
        val rgb = { x: Int, y: Int -> picture.getRGB(minOf(x, width - 1), minOf(y, height - 1)) }
        for (y in 0 until height) for (x in 0 until width) {
            luma.put(y * (width + padding) + x, weigh(rgb(x, y), 0.299, 0.587, 0.114, 0.0))
        }
        val bytes = chromaRow * rows + 1
        if (chromaPixel == 2) {
            // As phones do it: one buffer, red a byte behind blue.
            val both = ByteBuffer.allocateDirect(bytes)
            blue = both.slice(0, bytes - 1)
            red = both.slice(1, bytes - 1)
        } else {
            blue = ByteBuffer.allocateDirect(bytes)
            red = ByteBuffer.allocateDirect(bytes)
        }
        for (y in 0 until rows) for (x in 0 until columns) {
            val pixel = rgb(2 * x, 2 * y)
            blue.put(y * chromaRow + x * chromaPixel, weigh(pixel, -0.168736, -0.331264, 0.5, 128.0))
            red.put(y * chromaRow + x * chromaPixel, weigh(pixel, 0.5, -0.418688, -0.081312, 128.0))
        }
    }

    override val planes get() = listOf(
        Plane(luma, width + padding, 1), Plane(blue, chromaRow, chromaPixel), Plane(red, chromaRow, chromaPixel),
    )

    /** All of it in one buffer, as `format` orders it. */
    fun packed(format: FrameFormat): ByteBuffer {
        val bytes = ByteBuffer.allocateDirect(width * height + 2 * columns * rows)
        for (y in 0 until height) for (x in 0 until width) bytes.put(luma.get(y * (width + padding) + x))
        fun at(plane: ByteBuffer, cell: Int) = plane.get(cell / columns * chromaRow + cell % columns * chromaPixel)
        val cells = 0 until columns * rows
        when (format) {
            FrameFormat.I420 -> { cells.forEach { bytes.put(at(blue, it)) }; cells.forEach { bytes.put(at(red, it)) } }
            FrameFormat.NV12 -> cells.forEach { bytes.put(at(blue, it)).put(at(red, it)) }
            FrameFormat.NV21 -> cells.forEach { bytes.put(at(red, it)).put(at(blue, it)) }
            else -> error("no YUV: $format")
        }
        return bytes.flip()
    }

    private fun weigh(rgb: Int, red: Double, green: Double, blue: Double, plus: Double): Byte {
        val sum = red * (rgb shr 16 and 255) + green * (rgb shr 8 and 255) + blue * (rgb and 255) + plus
        return Math.round(sum).coerceIn(0, 255).toInt().toByte()
    }
}
