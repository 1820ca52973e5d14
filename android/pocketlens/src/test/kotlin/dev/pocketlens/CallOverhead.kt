package dev.pocketlens

import kotlinx.coroutines.runBlocking
import java.awt.image.BufferedImage
import java.io.File
import javax.imageio.ImageIO

private const val WIDTH = 640
private const val HEIGHT = 480

// So many until the virtual machine has compiled what is called.
private const val WARM_UP = 1500

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
    val measured = Lens.open(Faces.index).use { lens ->
        val bundle = lens.bundle()
        List(WARM_UP + rounds.toInt()) {
            val start = System.nanoTime()
            val frame = Frame.of(bundle, FrameFormat.NV21, bytes, layout)
            val framed = System.nanoTime()
            val answer = frame.use { lens.search(it) }
            val end = System.nanoTime()
            ask.newLine()
            ask.flush()
            val (nanos, key, score) = told.readLine().split(' ')
            val hit = answer.hits.first()
            check(hit.key == key && hit.score == score.toFloat()) { "$hit is not Rust's $key $score" }
            Round(end - start, framed - start, answer.times.total.toNanos(), nanos.toLong())
        }.drop(WARM_UP)
    }
    beside.destroy()
    // Medians: what else the machine does in a few of the rounds is not counted.
    fun median(of: (Round) -> Long) = measured.map(of).sorted()[measured.size / 2] / 1e6
    val ratio = median { it.kotlin } / median { it.rust }
    println("Kotlin %.3f ms, Rust %.3f ms: Kotlin / Rust = %.4f".format(median { it.kotlin }, median { it.rust }, ratio))
    println(
        "within Kotlin: frame %.3f ms, work in the library %.3f ms, the way there and back %.3f ms".format(
            median { it.frame }, median { it.work }, median { it.kotlin - it.frame - it.work },
        ),
    )
    println("medians of $rounds rounds in turns, 640×480 NV21, ${Runtime.getRuntime().availableProcessors()} cores")
}

/** Nanoseconds of one round: all of Kotlin's, in it the frame and the work in the library; and all of Rust's. */
private class Round(val kotlin: Long, val frame: Long, val work: Long, val rust: Long)
