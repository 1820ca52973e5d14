package dev.pocketlens.sample

import android.content.Context
import android.os.Build
import dev.pocketlens.Bundle
import dev.pocketlens.Frame
import dev.pocketlens.FrameFormat
import dev.pocketlens.FrameLayout
import dev.pocketlens.PackedLayout
import dev.pocketlens.Lens
import dev.pocketlens.android.accelerate
import dev.pocketlens.describe
import dev.pocketlens.search
import dev.pocketlens.version
import org.json.JSONObject
import java.nio.Buffer
import java.nio.ByteBuffer

/** What a phone says of itself: whether descriptors are the same bits as everywhere, and what a search takes. */
class SelfTest(private val context: Context, private val lens: Lens, private val golden: String) {
    /** The report, to be read and shared; its last line is `passed`, `failed` or `not comparable`. */
    suspend fun report(): String = buildString {
        appendLine("pocketlens ${version()} self-test")
        appendLine("device: ${Build.MANUFACTURER} ${Build.MODEL}, Android API ${Build.VERSION.SDK_INT}")
        appendLine("processor: ${Build.SUPPORTED_ABIS.joinToString()}, ${Runtime.getRuntime().availableProcessors()} cores")
        val info = lens.info()
        appendLine("index: ${info.items} items, ${info.photos} photos, model ${info.fingerprint}")
        appendLine(times())
        appendLine(lens.selfTest(Build.FINGERPRINT).text)
        for (report in lens.accelerate(context)) appendLine("${report.name} ${report.device.orEmpty()}: ${report.explanation}")
        appendLine("with it: ${times()}")
        val bundle = lens.bundle()
        val expected = JSONObject(golden)
        if (bundle.info().fingerprint != expected.getString("fingerprint")) {
            appendLine("golden descriptors are of the model ${expected.getString("fingerprint")}")
            append("not comparable")
        } else {
            val vectors = expected.getJSONArray("vectors")
            val differ = (0 until vectors.length()).count { !sameBits(bundle, vectors.getJSONObject(it), it) }
            appendLine("golden descriptors: ${vectors.length() - differ} of ${vectors.length()} are the same bits")
            append(if (differ == 0) "passed" else "failed")
        }
    }

    private suspend fun sameBits(bundle: Bundle, vector: JSONObject, seed: Int): Boolean {
        val numbers = vector.getJSONArray("descriptor")
        val expected = List(numbers.length()) { numbers.getDouble(it).toFloat().toRawBits() }
        val size = vector.getJSONArray("picture")
        return frame(bundle, size.getInt(0), size.getInt(1), seed).use { bundle.describe(it) }.values.map { it.toRawBits() } == expected
    }

    /** Medians of the stages, in milliseconds. */
    private suspend fun times(): String {
        val frame = frame(lens.bundle(), 640, 480, 0)
        val times = List(WARM_UP + ROUNDS) { lens.search(frame).times }.drop(WARM_UP)
        fun median(stage: (dev.pocketlens.Times) -> java.time.Duration) =
            "%.2f".format(times.map { stage(it).toNanos() }.sorted()[ROUNDS / 2] / 1e6)
        return "search of a frame: ${median { it.total }} ms (network ${median { it.backbone }}, descriptor " +
            "${median { it.describe }}, index ${median { it.search }}), medians of $ROUNDS"
    }

    /** The picture that golden descriptors were made of: the same integer arithmetic as `core/tests/golden.rs`. */
    private fun frame(bundle: Bundle, width: Int, height: Int, seed: Int): Frame {
        val bytes = ByteBuffer.allocateDirect(width * height * 3)
        val radius = 30 + 7 * (seed % 9)
        for (y in 0 until height) for (x in 0 until width) {
            val tile = (x / 24 + y / 24 + seed) % 3 == 0
            val (across, down) = Pair(x - width / 2, y - height / 2)
            val inside = across * across + down * down < radius * radius
            for ((a, b) in CHANNELS) {
                val wave = (x * (a + seed % 5) + y * (b + seed % 3) + seed * 31) % 256
                val value = minOf(wave, 255 - wave) * (if (tile) 1 else 2)
                bytes.put((if (inside) 255 - value else value).toByte())
            }
        }
        (bytes as Buffer).rewind()
        return Frame.packed(bundle, bytes, PackedLayout(FrameFormat.RGB, FrameLayout(width.toUInt(), height.toUInt())))
    }

    private companion object {
        const val WARM_UP = 3
        const val ROUNDS = 21
        val CHANNELS = listOf(1 to 2, 3 to 1, 0 to 2)
    }
}
