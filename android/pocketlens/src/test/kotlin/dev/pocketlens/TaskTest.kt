package dev.pocketlens

import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.atomic.AtomicInteger

class TaskTest {
    @Test
    fun `a raised token ends a search, and so does the end of its coroutine`() = runBlocking {
        Lens.open(Faces.index).use { lens ->
            val photo = Faces.photos[0].path
            val token = CancelToken().apply { cancel() }
            assertThrows<PocketlensException.Cancelled> { runBlocking { lens.searchFile(photo, Query(), token) } }
            val done = AtomicInteger()
            repeat(20) {
                // Begins at once on this thread, waits for the library's, and is cancelled there.
                val search = launch(Dispatchers.Default, CoroutineStart.UNDISPATCHED) {
                    lens.searchFile(photo, Query(rotations = true), null)
                    done.incrementAndGet()
                }
                search.cancelAndJoin()
            }
            assertEquals(0, done.get())
            assertTrue(lens.search(Faces.photos[0]).hits.isNotEmpty())
        }
    }

    @Test
    fun `a frame's search ends with its coroutine, and the next one on its thread is answered`() = runBlocking {
        Lens.open(Faces.index).use { lens ->
            val frame = Frame.of(lens.bundle(), Faces.yuv(Faces.photos[0]))
            val expected = lens.search(frame).hits
            val long = Query(rotations = true, focus = Focus.SALIENCY)
            val done = AtomicInteger()
            repeat(40) {
                val began = CompletableDeferred<Unit>()
                val search = launch(Dispatchers.Default) {
                    began.complete(Unit)
                    lens.search(frame, long)
                    done.incrementAndGet()
                }
                began.await()
                search.cancelAndJoin()
                assertEquals(expected, lens.search(frame).hits)
            }
            // A busy machine may let some of them end before they are cancelled.
            assertTrue(done.get() < 20, "$done of 40 went on to their end")
        }
    }

    @Test
    fun `many searches at once give the answers of one at a time`() = runBlocking {
        Lens.open(Faces.index).use { lens ->
            val alone = Faces.photos.take(8).map { lens.search(it).hits }
            val together = Faces.photos.take(8).map { async { lens.search(it).hits } }.awaitAll()
            assertEquals(alone, together)
        }
    }

    @Test
    fun `an observer hears messages and times, and one that fails harms nobody`() = runBlocking {
        val texts = ConcurrentLinkedQueue<String>()
        val heard = ConcurrentLinkedQueue<Times>()
        try {
            setObserver(object : Observer {
                override fun log(level: LogLevel, text: String) { texts += text }
                override fun timed(times: Times) { heard += times }
            })
            Lens.open(Faces.index).use { it.search(Faces.photos[0]) }
            assertTrue(texts.any { "items" in it }, texts.toString())
            assertFalse(heard.single().backbone.isZero)
            setObserver(object : Observer {
                override fun log(level: LogLevel, text: String) = error("no")
                override fun timed(times: Times) = error("no")
            })
            Lens.open(Faces.index).use { assertTrue(it.search(Faces.photos[0]).hits.isNotEmpty()) }
        } finally {
            setObserver(null)
        }
    }

    @Test
    fun `a thousand calls leave nothing behind`() = runBlocking {
        Lens.open(Faces.index).use { lens ->
            val image = Faces.yuv(Faces.photos[0], chromaPixel = 2)
            suspend fun work(times: Int) = repeat(times) {
                Frame.of(lens.bundle(), image).use { frame -> lens.search(frame, Query(k = 1u)) }
                lens.search(image, Query(k = 1u))
                assertThrows<PocketlensException.BadInput> { runBlocking { lens.search(ByteArray(5)) } }
            }
            work(200)
            val before = residentMegabytes()
            work(1000)
            val grown = residentMegabytes() - before
            assertTrue(grown < 20, "$grown MB more after a thousand calls")
        }
    }

    /** What the system says of this process, garbage collected first. */
    private fun residentMegabytes(): Long {
        repeat(3) { System.gc() }
        val line = java.io.File("/proc/self/status").readLines().first { it.startsWith("VmRSS") }
        return line.filter(Char::isDigit).toLong() / 1024
    }
}
