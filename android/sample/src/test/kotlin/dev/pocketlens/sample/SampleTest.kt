package dev.pocketlens.sample

import android.Manifest
import android.content.Context
import android.location.Location
import android.location.LocationManager
import android.net.ConnectivityManager
import android.net.NetworkInfo
import android.view.View
import com.sun.net.httpserver.HttpServer
import dev.pocketlens.Bundle
import dev.pocketlens.Faces
import dev.pocketlens.Lens
import dev.pocketlens.NewItem
import dev.pocketlens.PlanarImage
import dev.pocketlens.YuvImage
import dev.pocketlens.android.Shipped
import dev.pocketlens.field
import dev.pocketlens.payloadOf
import dev.pocketlens.put
import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.robolectric.shadows.ShadowNetworkInfo
import java.io.File
import java.net.InetAddress
import java.net.InetSocketAddress
import java.util.concurrent.Executor
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import kotlin.math.roundToInt

/** The sample app from its first screen on: real library, real indexes, a camera of still pictures. */
@RunWith(RobolectricTestRunner::class)
class SampleTest {
    @get:Rule
    val folder = TemporaryFolder()

    @Before
    fun ship() {
        val shop = File(folder.root, "shop.plx").also { Faces.index.copyRecursively(it) }
        val golden = File(folder.newFolder("golden"), "golden.json")
        File(System.getProperty("pocketlens.golden")!!).copyTo(golden)
        shipped = listOf(shop, city(), golden)
    }

    /** Two landmarks of two photos each, near and far. */
    private fun city() = File(folder.root, "city.plx").also { index ->
        val photos = Faces.catalogue.listFiles { file -> file.extension == "jpg" }!!.sorted()
        fun item(at: Int, landmark: String, lat: Double) = NewItem(
            "$landmark-$at", photos[at].readBytes(), landmark,
            payloadOf("title" to landmark, "place" to mapOf("lat" to lat, "lon" to 11.58)),
        )
        runBlocking {
            Lens.create(index.path, Bundle.standard()).use {
                it.put(item(0, "Frauenkirche", 48.138), item(1, "Frauenkirche", 48.138))
                it.put(item(30, "Walhalla", 49.031), item(60, "Walhalla", 49.031))
            }
        }
    }

    private fun start(): ActivityController<TestActivity> {
        TestActivity.turns = Turns()
        return Robolectric.buildActivity(TestActivity::class.java).setup()
    }

    private val ActivityController<TestActivity>.turns get() = TestActivity.turns

    @After
    fun end() {
        shipped = emptyList()
    }

    @Test
    fun `shopping tells what the camera rests on, and only what is wished for`() {
        // The photo that Rust is surest of.
        val (photo, surest) = Faces.photos.zip(Faces.answers).maxBy { (_, answer) -> answer.field("confidence").toFloat() }
        val title = surest.field("title")
        val cents = (surest.field("price").toDouble() * 100).roundToInt()
        start().use { app ->
            val screen = app.get().screens[0] as ShoppingScreen
            val camera = app.get().cameras[0]
            app.turns.until { camera.running }
            camera.rest(Faces.yuv(photo))
            app.turns.until { screen.hits.text.isNotEmpty() }
            assertTrue(screen.headline.text.toString(), screen.headline.text.startsWith("This is it"))
            assertTrue(screen.hits.text.toString(), screen.hits.text.startsWith("$title · ${"%.2f".format(cents / 100.0)}"))
            // Dearer things are hidden as soon as a price is said.
            val shown = screen.hits.text.toString()
            screen.price("${(cents - 1) / 100.0}")
            app.turns.until { camera.starts == 2 }
            camera.rest(Faces.yuv(photo))
            app.turns.until { screen.hits.text.isNotEmpty() && screen.hits.text.toString() != shown }
            assertFalse(screen.hits.text.toString(), title in screen.hits.text)
            assertTrue(screen.choices().toString(), screen.choices().containsAll(listOf("any", "can", "tea")))
        }
    }

    @Test
    fun `a server is asked for what the shop does not know`() {
        val fingerprint = Faces.descriptors[0].field("fingerprint")
        val server = HttpServer.create(InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0)
        fun reply(path: String, json: String) = server.createContext(path) { exchange ->
            exchange.requestBody.readBytes()
            exchange.responseHeaders.add("Content-Type", "application/json")
            exchange.sendResponseHeaders(200, json.length.toLong())
            exchange.responseBody.use { it.write(json.toByteArray()) }
        }
        reply("/v1/meta", """{"model_id": "$fingerprint", "dim": 256, "index_version": "1"}""")
        reply("/v1/search", """{"hits": [{"key": "far", "score": 0.97, "payload": {"title": "From afar", "price": 3}}], "index_version": "1"}""")
        server.start()
        val networks = RuntimeEnvironment.getApplication().getSystemService(ConnectivityManager::class.java)
        shadowOf(networks).setActiveNetworkInfo(
            ShadowNetworkInfo.newInstance(NetworkInfo.DetailedState.CONNECTED, ConnectivityManager.TYPE_WIFI, 0, true, true),
        )
        // A photo that Rust is not sure of.
        val (photo, _) = Faces.photos.zip(Faces.answers).first { (_, answer) -> answer.field("verdict") == "unsure" }
        start().use { app ->
            val screen = app.get().screens[0] as ShoppingScreen
            val camera = app.get().cameras[0]
            app.turns.until { camera.running }
            screen.address("http://localhost:${server.address.port}")
            camera.rest(Faces.yuv(photo))
            app.turns.until { "from the server" in screen.hits.text }
            assertTrue(screen.hits.text.toString(), screen.hits.text.startsWith("From afar · 3.00"))
        }
        server.stop(0)
    }

    @Test
    fun `a landmark answers once, with its distance, and far ones do not`() {
        val app = RuntimeEnvironment.getApplication()
        shadowOf(app).grantPermissions(Manifest.permission.ACCESS_COARSE_LOCATION)
        val places = shadowOf(app.getSystemService(LocationManager::class.java))
        places.setProviderEnabled(LocationManager.NETWORK_PROVIDER, true)
        places.setLastKnownLocation(LocationManager.NETWORK_PROVIDER, Location("").apply { latitude = 48.137; longitude = 11.58 })
        assertEquals("Frauenkirche · 111 m", ask(0))
        places.setLastKnownLocation(LocationManager.NETWORK_PROVIDER, Location("").apply { latitude = 49.0; longitude = 11.58 })
        assertEquals("No landmark that this city pack knows.", ask(0))
    }

    @Test
    fun `without a location every landmark may answer`() {
        assertEquals("Frauenkirche", ask(0).lines().first())
        assertEquals("Walhalla", ask(30).lines().first())
    }

    private fun ask(photo: Int): String = start().use { app ->
        val screen = app.get().screens[1] as LandmarksScreen
        app.get().show(screen)
        val camera = app.get().cameras[1]
        app.turns.until { camera.running }
        screen.ask.performClick()
        val photos = Faces.catalogue.listFiles { file -> file.extension == "jpg" }!!.sorted()
        camera.see(Faces.yuv(photos[photo]))
        app.turns.until { screen.answer.text.isNotEmpty() }
        screen.answer.text.toString()
    }

    @Test
    fun `the self-test finds the golden descriptors`() {
        start().use { app ->
            val screen = app.get().screens[2] as SelfTestScreen
            app.get().show(screen)
            app.turns.until { screen.report.text.length > 1 }
            val report = screen.report.text.toString()
            assertTrue(report, "golden descriptors: 3 of 3 are the same bits" in report)
            assertTrue(report, "nnapi" in report)
            assertEquals(report, "passed", report.lines().last())
        }
    }

    @Test
    fun `an app without an index says what is missing`() {
        shipped = emptyList()
        start().use { app ->
            val screen = app.get().screens[0] as ShoppingScreen
            app.turns.until { screen.headline.text.isNotEmpty() }
            assertTrue(screen.headline.text.toString(), "shop.plx" in screen.headline.text)
        }
    }

    @Test
    fun `a tab that is left has its camera no longer`() {
        start().use { app ->
            app.turns.until { app.get().cameras[0].running }
            app.get().show(app.get().screens[1])
            app.turns.until { !app.get().cameras[0].running && app.get().cameras[1].running }
            app.pause()
            app.turns.until { !app.get().cameras[1].running }
        }
    }
}

private var shipped: List<File> = emptyList()

/** What would run on the main thread runs when a test waits for it: no test sleeps. */
class Turns : Executor {
    private val waiting = LinkedBlockingQueue<Runnable>()

    override fun execute(turn: Runnable) = waiting.put(turn)

    fun until(done: () -> Boolean) {
        while (!done()) (waiting.poll(60, TimeUnit.SECONDS) ?: throw AssertionError("nothing more happens")).run()
    }
}

class TestActivity : SampleActivity() {
    val cameras = mutableListOf<StillCamera>()

    override fun attachBaseContext(base: Context) = super.attachBaseContext(Shipped(base, *shipped.toTypedArray()))

    override fun camera(context: Context) = StillCamera(context).also { cameras += it }

    override fun executor() = turns

    companion object {
        lateinit var turns: Turns
    }
}

/** Sees one picture after the other. */
class StillCamera(context: Context) : Camera {
    override val view = View(context)
    private var onImage: ((PlanarImage) -> Unit)? = null
    private var at = 0L

    /** How often it was started. */
    var starts = 0

    val running get() = onImage != null

    override fun start(onImage: (PlanarImage) -> Unit) {
        this.onImage = onImage
        starts++
    }

    override fun stop() {
        onImage = null
    }

    fun see(image: YuvImage) {
        at += 33_000_000
        image.timestampNanos = at
        onImage!!(image)
    }

    /** The same for half a second. */
    fun rest(image: YuvImage) = repeat(15) { see(image) }
}

private fun ShoppingScreen.price(text: String) = inputs().filterIsInstance<android.widget.EditText>().single().setText(text)

private fun ShoppingScreen.choices(): List<String> = inputs().filterIsInstance<android.widget.Spinner>().single()
    .adapter.let { adapter -> List(adapter.count) { adapter.getItem(it) as String } }

private fun ShoppingScreen.inputs(): List<View> = (view.getChildAt(1) as android.view.ViewGroup)
    .let { row -> List(row.childCount) { row.getChildAt(it) } }

private fun ShoppingScreen.address(text: String) = (view.getChildAt(2) as android.widget.EditText).setText(text)
