package dev.pocketlens

import kotlinx.coroutines.runBlocking
import java.awt.image.BufferedImage
import java.io.File
import javax.imageio.ImageIO

private const val WIDTH = 640
private const val HEIGHT = 480
private const val WARM_UP = 50

/**
 * What Kotlin adds to a search: the same 640×480 frame (NV21) through [Frame.Companion.of] and [Lens.search], and through
 * Rust's `Lens::search_frame` in a process beside, in turns. `android/bench` runs it.
 */
fun main(arguments: Array<String>) = runBlocking {
    val (rust, rounds) = arguments
    val picture = BufferedImage(WIDTH, HEIGHT, BufferedImage.TYPE_INT_RGB).apply {
        createGraphics().drawImage(ImageIO.read(Faces.photos[0]), 0, 0, WIDTH, HEIGHT, null)
    }
    val bytes = YuvImage(picture, 1, 0).packed(FrameFormat.NV21)
    val file = File.createTempFile("frame", ".nv21").apply { deleteOnExit() }
    file.outputStream().channel.use { it.write(bytes.duplicate()) }
    val layout = FrameLayout(WIDTH.toUInt(), HEIGHT.toUInt())

    val beside = ProcessBuilder(rust, Faces.index.path, file.path, "$WIDTH", "$HEIGHT")
        .redirectError(ProcessBuilder.Redirect.INHERIT).start()
    val ask = beside.outputStream.bufferedWriter()
    val told = beside.inputStream.bufferedReader()
    Lens.open(Faces.index).use { lens ->
        val pairs = List(WARM_UP + rounds.toInt()) {
            val start = System.nanoTime()
            val hit = Frame.of(lens.bundle(), FrameFormat.NV21, bytes, layout).use { lens.search(it) }.hits.first()
            val kotlin = System.nanoTime() - start
            ask.newLine()
            ask.flush()
            val (nanos, key, score) = told.readLine().split(' ')
            check(hit.key == key && hit.score == score.toFloat()) { "$hit is not Rust's $key $score" }
            kotlin to nanos.toLong()
        }.drop(WARM_UP)
        // Medians: what else the machine does in a few of the rounds is not counted.
        val (kotlin, native) = pairs.unzip().let { (kotlin, native) -> kotlin.sorted()[rounds.toInt() / 2] to native.sorted()[rounds.toInt() / 2] }
        println("Kotlin %.3f ms, Rust %.3f ms, medians of %s rounds: Kotlin / Rust = %.4f".format(kotlin / 1e6, native / 1e6, rounds, kotlin.toDouble() / native))
    }
    beside.destroy()
}
