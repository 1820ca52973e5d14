package dev.pocketlens.android

import android.content.Context
import android.content.ContextWrapper
import android.content.res.AssetManager
import java.io.File
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream

/** An app's context whose package holds these folders, and single files, as assets: as a build would have put them there. */
class Shipped(base: Context, vararg folders: File) : ContextWrapper(base) {
    private val shipped = AssetManager().apply { addAssetPath(packageOf(folders, cacheDir).path) }

    override fun getAssets(): AssetManager = shipped

    // One that is the app's own would hand out the app's own assets.
    override fun getApplicationContext(): Context = this
}

private fun packageOf(folders: Array<out File>, into: File): File {
    val apk = File.createTempFile("shipped", ".apk", into)
    ZipOutputStream(apk.outputStream()).use { zip ->
        for (folder in folders) for (file in folder.walk().filter(File::isFile)) {
            zip.putNextEntry(ZipEntry("assets/${file.relativeTo(folder.parentFile!!)}"))
            file.inputStream().use { it.copyTo(zip) }
        }
    }
    return apk
}
