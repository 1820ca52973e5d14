package dev.pocketlens.android

import android.content.Context
import dev.pocketlens.DelegateChooser
import dev.pocketlens.DelegateOptions
import dev.pocketlens.DelegateReport
import dev.pocketlens.Faces
import dev.pocketlens.Lens
import dev.pocketlens.search
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment

@RunWith(RobolectricTestRunner::class)
class AcceleratorsTest {
    private val context: Context = RuntimeEnvironment.getApplication()

    @Test
    fun `a device without NNAPI says so, and answers as before`() = runBlocking {
        Lens.open(Faces.index.path).use { lens ->
            val before = lens.search(Faces.photos[0])
            val report = lens.accelerate(context).single()
            assertEquals("nnapi", report.name)
            assertFalse(report.accepted)
            assertTrue(report.explanation, "libneuralnetworks.so" in report.explanation || "deprecated" in report.explanation)
            val after = lens.search(Faces.photos[0])
            assertNull(after.delegate)
            assertEquals(before.hits, after.hits)
            // A refusal is not remembered: what the app changes may mend it.
            assertFalse(lens.accelerate(context).single().remembered)
        }
    }

    @Test
    fun `Android 15 deprecates it`() = runBlocking {
        Lens.open(Faces.index.path).use { lens ->
            val options = DelegateOptions(device = "a phone", androidApi = 35u)
            val chooser = object : DelegateChooser {
                override fun cacheFolder() = context.cacheDir.path
                override fun allows(report: DelegateReport) = error("nothing was accepted: $report")
            }
            val report = lens.accelerate(options, chooser).single()
            assertTrue(report.explanation, "deprecated" in report.explanation)
            assertTrue(lens.accelerate(options.copy(androidApi = null), chooser).isEmpty())
        }
    }
}
