package dev.pocketlens.sample

import android.Manifest
import android.content.Context
import android.content.pm.PackageManager
import android.location.LocationManager
import android.widget.Button
import android.widget.TextView
import dev.pocketlens.Frame
import dev.pocketlens.GeoPoint
import dev.pocketlens.Lens
import dev.pocketlens.PlanarImage
import dev.pocketlens.PocketlensException
import dev.pocketlens.Verdict
import dev.pocketlens.android.openIndex
import dev.pocketlens.of
import dev.pocketlens.reason
import dev.pocketlens.search
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Job
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.launch
import java.util.concurrent.atomic.AtomicBoolean

private const val ASSET = "city.plx"

/** One question at a time: which of the landmarks around here is this? Without a network. */
class LandmarksScreen(
    private val context: Context,
    private val scope: CoroutineScope,
    private val camera: Camera,
) : Screen {
    private val wanted = AtomicBoolean()

    /** Asks about what the camera sees. */
    val ask = Button(context).apply {
        text = "What is this?"
        setOnClickListener { wanted.set(true) }
    }

    /** A line a landmark, nearest in looks first. */
    val answer = TextView(context)
    override val title = "Landmarks"
    override val view = column(context, camera.view, ask, answer)

    private var lens: Lens? = null
    private var work: Job? = null

    override fun show() {
        work = scope.launch {
            explaining(ASSET, answer::setText) {
                val lens = lens ?: context.openIndex(ASSET).also { lens = it }
                try {
                    camera.start { image -> if (wanted.compareAndSet(true, false)) search(lens, image) }
                    awaitCancellation()
                } finally {
                    camera.stop()
                }
            }
        }
    }

    override fun hide() {
        work?.cancel()
    }

    /** On the camera's thread, which has its buffers back when this returns. */
    private fun search(lens: Lens, image: PlanarImage) {
        val frame = try {
            Frame.of(lens.bundle(), image)
        } catch (error: PocketlensException) {
            scope.launch { answer.text = error.reason }
            return
        }
        scope.launch {
            explaining(ASSET, answer::setText) {
                val here = here()
                val found = frame.use { lens.search(it, landmarksNear(here)) }
                answer.text = if (found.hits.isEmpty() || found.verdict == Verdict.NO_MATCH) {
                    "No landmark that this city pack knows."
                } else {
                    found.hits.joinToString("\n") { line(it, here) }
                }
            }
        }
    }

    /** Where the phone was last, if the user lets us know; that is near enough for a city. */
    private fun here(): GeoPoint? {
        if (context.checkSelfPermission(Manifest.permission.ACCESS_COARSE_LOCATION) != PackageManager.PERMISSION_GRANTED) return null
        val places = context.getSystemService(LocationManager::class.java)
        val last = places.getProviders(true).mapNotNull(places::getLastKnownLocation).maxByOrNull { it.time }
        return last?.let { GeoPoint(it.latitude, it.longitude) }
    }
}
