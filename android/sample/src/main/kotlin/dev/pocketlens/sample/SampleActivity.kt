package dev.pocketlens.sample

import android.Manifest
import android.app.Activity
import android.content.Context
import android.os.Bundle
import android.os.Handler
import android.os.Looper
import android.view.ViewGroup
import android.widget.Button
import android.widget.FrameLayout
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.asCoroutineDispatcher
import kotlinx.coroutines.cancel
import java.util.concurrent.Executor

/** Three tabs, without a framework; `MainActivity` gives it its camera. */
abstract class SampleActivity : Activity() {
    /** A camera for one tab. */
    protected abstract fun camera(context: Context): Camera

    /** Where screens are changed: the main thread. */
    protected open fun executor(): Executor = Handler(Looper.getMainLooper()).let { main -> Executor { main.post(it) } }

    private lateinit var scope: CoroutineScope
    private lateinit var content: FrameLayout
    private var shown: Screen? = null
    private var resumed = false

    /** The tabs. */
    lateinit var screens: List<Screen>
        private set

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        scope = CoroutineScope(SupervisorJob() + executor().asCoroutineDispatcher())
        // The application's context: what is installed outlives a turn of the phone.
        val context = applicationContext
        screens = listOf(
            ShoppingScreen(context, scope, camera(context)),
            LandmarksScreen(context, scope, camera(context)),
            SelfTestScreen(context, scope),
        )
        content = FrameLayout(this)
        val tabs = screens.map { screen ->
            Button(this).apply {
                text = screen.title
                setOnClickListener { show(screen) }
            }
        }
        setContentView(column(this, content, row(this, *tabs.toTypedArray())))
        show(screens.first())
        requestPermissions(arrayOf(Manifest.permission.CAMERA, Manifest.permission.ACCESS_COARSE_LOCATION), 0)
    }

    /** Changes the tab. */
    fun show(screen: Screen) {
        if (screen === shown) return
        if (resumed) shown?.hide()
        shown = screen
        content.removeAllViews()
        content.addView(screen.view, ViewGroup.LayoutParams.MATCH_PARENT, ViewGroup.LayoutParams.MATCH_PARENT)
        if (resumed) screen.show()
    }

    override fun onResume() {
        super.onResume()
        resumed = true
        shown?.show()
    }

    override fun onPause() {
        resumed = false
        shown?.hide()
        super.onPause()
    }

    override fun onDestroy() {
        scope.cancel()
        super.onDestroy()
    }
}
