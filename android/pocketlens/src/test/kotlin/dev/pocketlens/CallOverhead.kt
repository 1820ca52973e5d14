package dev.pocketlens

import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import java.awt.image.BufferedImage
import java.io.File
import javax.imageio.ImageIO

private const val WIDTH = 640
private const val HEIGHT = 480

// So many until the virtual machine has compiled what is called.
private const val WARM_UP = 1500

/**
 * What Kotlin adds to a search: the same 640×480 frame (NV21) through [Lens.search], and through Rust's `Lens::search_frame`
 * in a process beside, in turns of so many rounds: of 1, where each finds the caches as the other left them, and of 25, as a
 * camera asks. `android/bench` runs it.
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

    val beside = Beside(rust, Faces.index.path, file.path, "$WIDTH", "$HEIGHT")
    Lens.open(Faces.index).use { lens ->
        suspend fun search(): Kotlin {
            val start = System.nanoTime()
            val answer = lens.search(FrameFormat.NV21, bytes, layout)
            val all = System.nanoTime() - start
            val hit = answer.hits.first()
            return Kotlin(all, answer.times.total.toNanos(), "${hit.key} ${hit.score}")
        }
        repeat(WARM_UP) { search() }
        withContext(Dispatchers.Default) { repeat(WARM_UP) { search() } }
        println("medians of $rounds rounds, 640×480 NV21, ${Runtime.getRuntime().availableProcessors()} cores")
        for (turn in listOf(25, 1)) {
            suspend fun compare(from: String) {
                val (kotlin, ours) = List(rounds.toInt() / turn) {
                    List(turn) { search() } to beside.search(turn)
                }.unzip().let { (kotlin, rust) -> kotlin.flatten() to rust.flatten() }
                for ((one, other) in kotlin zip ours) check(one.hit == other.hit) { "${one.hit} is not Rust's ${other.hit}" }
                report("$turn a turn, from $from", kotlin, ours)
            }
            withContext(Dispatchers.Default) { compare("the background") }
            compare("the main thread")
        }
    }
    beside.close()
}

private fun report(how: String, kotlin: List<Kotlin>, rust: List<Rust>) {
    // What else the machine does in a few of the rounds is not counted.
    fun <T> List<T>.median(of: (T) -> Long) = map(of).sorted()[size / 2] / 1e6
    val (ours, theirs) = kotlin.median { it.all } to rust.median { it.all }
    println("$how: Kotlin %.3f ms, Rust %.3f ms: Kotlin / Rust = %.4f".format(ours, theirs, ours / theirs))
    println(
        "  within Kotlin: work in the library %.3f ms, the way there and back %.3f ms".format(
            kotlin.median { it.work }, kotlin.median { it.all - it.work },
        ),
    )
}

/** One search: nanoseconds of all of it, and in it of the work in the library; the first hit. */
private class Kotlin(val all: Long, val work: Long, val hit: String)

private class Rust(val all: Long, val hit: String)

/** Rust's half of the bench: `bindings/uniffi/examples/search_frame.rs`. */
private class Beside(vararg command: String) : AutoCloseable {
    private val process = ProcessBuilder(*command).redirectError(ProcessBuilder.Redirect.INHERIT).start()
    private val ask = process.outputStream.bufferedWriter()
    private val told = process.inputStream.bufferedReader()

    fun search(times: Int): List<Rust> {
        repeat(times) { ask.newLine() }
        ask.flush()
        return List(times) {
            val (nanos, key, score) = told.readLine().split(' ')
            Rust(nanos.toLong(), "$key ${score.toFloat()}")
        }
    }

    override fun close() = process.destroy()
}
