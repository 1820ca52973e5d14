package dev.pocketlens.android

import android.content.Context
import dev.pocketlens.Faces
import dev.pocketlens.Index
import dev.pocketlens.Lens
import dev.pocketlens.PocketlensException
import dev.pocketlens.remove
import dev.pocketlens.reason
import dev.pocketlens.search
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import java.io.File
import java.io.IOException

@RunWith(RobolectricTestRunner::class)
class AssetsTest {
    @get:Rule
    val folder = TemporaryFolder()
    private val app: Context = RuntimeEnvironment.getApplication()
    private lateinit var first: File
    private lateinit var second: File

    /** Two versions of one index, the second with an item less. */
    @Before
    fun ship() = runBlocking {
        first = Faces.copyOfIndex(folder.newFolder("first"))
        second = Faces.copyOfIndex(folder.newFolder("second"))
        Lens.open(second.path).use { it.remove(removed); Unit }
    }

    private val removed = "tamarin-teehaus-chamomile"
    private val installed = app.indexFolder("store.plx")
    private fun beside(ending: String) = File(installed.parentFile, "store.plx.$ending")
    private suspend fun items(context: Context) = context.openIndex("store.plx").use { it.info().items }

    /** The second with one bit another. */
    private fun damaged(): File {
        val index = File(folder.newFolder(), second.name).also { second.copyRecursively(it) }
        val segment = index.listFiles()!!.first { it.extension == "seg" }
        segment.writeBytes(segment.readBytes().also { it[it.size / 2] = (it[it.size / 2] + 1).toByte() })
        return index
    }

    @Test
    fun `an index is installed from the assets, sound, and answers`() = runBlocking {
        Shipped(app, first).openIndex("store.plx").use { lens ->
            assertEquals(removed, lens.search(Faces.photos[0]).hits.first().key)
        }
        Index.open(installed.path).use { it.verify() }
        assertEquals(setOf("store.plx", "store.plx.shipped"), installed.parentFile!!.list()!!.toSet())
        assertEquals(first.list()!!.toSet(), installed.list()!!.toSet())
    }

    @Test
    fun `what is installed is not copied again, and keeps its updates`() = runBlocking {
        val context = Shipped(app, first)
        val all = context.openIndex("store.plx").use { lens ->
            lens.info().items.also { lens.remove(removed) }
        }
        val times = installed.listFiles()!!.associate { it.name to it.lastModified() }
        assertEquals(all - 1u, items(context))
        assertEquals(times, installed.listFiles()!!.associate { it.name to it.lastModified() })
    }

    @Test
    fun `an index that is shipped anew replaces the old one`() = runBlocking {
        val all = items(Shipped(app, first))
        assertEquals(all - 1u, items(Shipped(app, second)))
        assertEquals(all, items(Shipped(app, first)))
        assertFalse(beside("old").exists() || beside("new").exists())
    }

    @Test
    fun `a damaged one is refused and the old one stays`() = runBlocking {
        val all = items(Shipped(app, first))
        val context = Shipped(app, damaged())
        val refused = assertThrows(PocketlensException.Damaged::class.java) { runBlocking { items(context) } }
        assertTrue(refused.reason, ".seg" in refused.reason)
        assertEquals(all, Lens.open(installed.path).use { it.info().items })
        assertFalse(beside("new").exists())
        // And a sound one takes its place later.
        assertEquals(all - 1u, items(Shipped(app, second)))
    }

    @Test
    fun `assets without the index say so`() {
        assertThrows(IOException::class.java) { runBlocking { Shipped(app, first).openIndex("other.plx") } }
        assertFalse(app.indexFolder("other.plx").exists())
    }

    /** The app killed after each step of a replacement. */
    @Test
    fun `wherever it was killed, there is one whole index afterwards`() = runBlocking {
        val steps = listOf<() -> Unit>(
            { beside("new").mkdirs(); File(second, "manifest.json").copyTo(File(beside("new"), "manifest.json")) },
            { second.copyRecursively(beside("new"), overwrite = true) },
            { beside("shipped").delete() },
            { installed.renameTo(beside("old")) },
            { beside("new").renameTo(installed) },
            { beside("shipped").writeText("half of a mani") },
            { File(second, "manifest.json").copyTo(beside("shipped"), overwrite = true) },
        )
        val all = Index.open(first.path).use { it.info().items }
        for (done in 1..steps.size) for (next in listOf("sound", "damaged")) {
            installed.parentFile!!.deleteRecursively()
            items(Shipped(app, first))
            steps.take(done).forEach { it() }
            val context = if (next == "sound") Shipped(app, second) else Shipped(app, damaged())
            // After the last step it is installed: what is in the assets is not looked at.
            if (next == "sound" || done == steps.size) {
                assertEquals("killed after step $done", all - 1u, items(context))
            } else {
                assertThrows(PocketlensException.Damaged::class.java) { runBlocking { items(context) } }
            }
            Index.open(installed.path).use { it.verify() }
            assertFalse("step $done, $next", beside("old").exists() || beside("new").exists())
        }
    }

    @Test
    fun `two who ask at once get one index`() = runBlocking {
        val context = Shipped(app, first)
        val found = List(4) { async(kotlinx.coroutines.Dispatchers.Default) { items(context) } }.awaitAll()
        assertEquals(1, found.toSet().size)
    }
}
