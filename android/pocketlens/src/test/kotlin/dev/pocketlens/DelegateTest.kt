package dev.pocketlens

import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir
import java.io.File

/** An accelerator that is a double of NNAPI's library (`tests/nnapi_double`), however slow. */
class DelegateTest {
    @TempDir lateinit var cache: File
    private val options = DelegateOptions("a phone", 34u, nnapiLibrary = Faces.nnapiDouble.path, leastSpeedup = 0f)
    private val heard = mutableListOf<DelegateReport>()

    private fun chooser(allows: (DelegateReport) -> Boolean) = object : DelegateChooser {
        override fun cacheFolder() = File(cache, "verdicts").path
        override fun allows(report: DelegateReport): Boolean {
            heard += report
            return allows(report)
        }
    }

    @Test
    fun `the app has the last word on an accelerator, and says where verdicts are kept`() = runBlocking {
        Lens.open(Faces.index).use { lens ->
            val frame = Frame.of(lens.bundle(), FrameFormat.NV21, Faces.yuv(Faces.photos[0]).packed(FrameFormat.NV21), layout())
            val refused = lens.accelerate(options, chooser { false }).single()
            assertFalse(refused.accepted)
            assertTrue("the app does not allow it" in refused.explanation, refused.explanation)
            assertTrue(heard.single().accepted && heard[0].leastCosine!! > 0.99f, "$heard")
            assertTrue(File(cache, "verdicts").list()!!.isNotEmpty())
            assertNull(lens.search(frame).delegate)

            val allowed = lens.accelerate(options, chooser { it.remembered }).single()
            assertTrue(allowed.accepted && allowed.remembered, "$allowed")
            assertEquals("nnapi", lens.search(frame).delegate?.name)
        }
    }

    @Test
    fun `what the app's own code fails with leaves the plan`(): Unit = runBlocking {
        Lens.open(Faces.index).use { lens ->
            val failed = assertThrows<PocketlensException.Internal> {
                runBlocking { lens.accelerate(options, chooser { error("undecided") }) }
            }
            assertTrue("undecided" in failed.reason, failed.reason)
            assertNull(lens.search(Faces.photos[0]).delegate)
        }
    }

    private fun layout() = Faces.yuv(Faces.photos[0]).let { FrameLayout(it.width.toUInt(), it.height.toUInt()) }
}
