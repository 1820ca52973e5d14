package dev.pocketlens.sample

import android.content.Context
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageAnalysis
import androidx.camera.core.ImageProxy
import androidx.camera.core.Preview
import androidx.camera.lifecycle.ProcessCameraProvider
import androidx.camera.view.PreviewView
import androidx.lifecycle.Lifecycle
import androidx.lifecycle.LifecycleOwner
import androidx.lifecycle.LifecycleRegistry
import dev.pocketlens.PlanarImage
import dev.pocketlens.Plane
import java.util.concurrent.Executors

/** The camera at the back, through CameraX. */
class CameraXCamera(private val context: Context) : Camera, LifecycleOwner {
    override val view = PreviewView(context)

    /** The tab's, not the activity's: its camera is on while the tab is seen. */
    override val lifecycle = LifecycleRegistry(this).apply { currentState = Lifecycle.State.CREATED }
    private val thread = Executors.newSingleThreadExecutor()
    private var wanted = false

    override fun start(onImage: (PlanarImage) -> Unit) {
        wanted = true
        val provider = ProcessCameraProvider.getInstance(context)
        provider.addListener({ if (wanted) bind(provider.get(), onImage) }, context.mainExecutor())
    }

    override fun stop() {
        wanted = false
        lifecycle.currentState = Lifecycle.State.CREATED
    }

    private fun bind(cameras: ProcessCameraProvider, onImage: (PlanarImage) -> Unit) {
        val preview = Preview.Builder().build().apply { setSurfaceProvider(view.surfaceProvider) }
        // 640 × 480 in YUV_420_888, the newest alone: both are CameraX's defaults.
        val analysis = ImageAnalysis.Builder().setBackpressureStrategy(ImageAnalysis.STRATEGY_KEEP_ONLY_LATEST).build()
        analysis.setAnalyzer(thread) { proxy -> proxy.use { onImage(CameraImage(it)) } }
        cameras.unbindAll()
        cameras.bindToLifecycle(this, CameraSelector.DEFAULT_BACK_CAMERA, preview, analysis)
        lifecycle.currentState = Lifecycle.State.RESUMED
    }
}

/** CameraX's picture as the library reads it. */
private class CameraImage(private val proxy: ImageProxy) : PlanarImage {
    override val width get() = proxy.width
    override val height get() = proxy.height
    override val rotationDegrees get() = proxy.imageInfo.rotationDegrees
    override val timestampNanos get() = proxy.imageInfo.timestamp
    override val planes get() = proxy.planes.map { Plane(it.buffer, it.rowStride, it.pixelStride) }
}

/** `Context.getMainExecutor`, which is of API 28. */
private fun Context.mainExecutor() = java.util.concurrent.Executor { android.os.Handler(mainLooper).post(it) }
