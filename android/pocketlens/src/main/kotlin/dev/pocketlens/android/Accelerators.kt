package dev.pocketlens.android

import android.content.Context
import android.os.Build
import dev.pocketlens.DelegateChooser
import dev.pocketlens.DelegateOptions
import dev.pocketlens.DelegateReport
import dev.pocketlens.Lens
import java.io.File

/**
 * Judges the phone's accelerator (NNAPI) against the plan, and lets it run the network for what is asked from now on where
 * it is as good and faster and the app [allows] it. What is put into the index is described by the plan all the same.
 *
 * Takes seconds at the first start after an install or an update of the system; its verdict is remembered. A driver that
 * ends the process is not tried again. On Android 15 and later, which deprecate NNAPI, nothing is tried unless
 * [allowDeprecated].
 *
 * What it knows is kept in the app's cache; another place is a [DelegateChooser] of the app's own.
 *
 * @return what was looked at, for the app's log; the first that is `accepted` runs.
 */
suspend fun Lens.accelerate(
    context: Context,
    allowDeprecated: Boolean = false,
    allows: (DelegateReport) -> Boolean = { true },
): List<DelegateReport> {
    val chooser = object : DelegateChooser {
        override fun cacheFolder() = File(context.cacheDir, "pocketlens").path
        override fun allows(report: DelegateReport) = allows(report)
    }
    val device = DelegateOptions(Build.FINGERPRINT, Build.VERSION.SDK_INT.toUInt(), allowDeprecated)
    return accelerate(device, chooser)
}
