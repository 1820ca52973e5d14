package dev.pocketlens.sample

import android.content.Context

/** The app: the tabs of [SampleActivity] with the phone's camera. */
class MainActivity : SampleActivity() {
    override fun camera(context: Context) = CameraXCamera(context)
}
