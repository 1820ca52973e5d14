package dev.pocketlens.sample

import android.view.View
import dev.pocketlens.PlanarImage

/** A live camera with its preview. `CameraXCamera` is one; tests feed pictures of their own. */
interface Camera {
    /** What it sees. */
    val view: View

    /** Gives each picture to [onImage], on a thread of its own; the picture's buffers go back when that returns. */
    fun start(onImage: (PlanarImage) -> Unit)

    /** Ends it; a last picture may still be on its way. */
    fun stop()
}
