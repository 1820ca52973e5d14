package dev.pocketlens.android

import android.content.Context
import android.content.res.AssetManager
import dev.pocketlens.Index
import dev.pocketlens.Lens
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.withContext
import java.io.File
import kotlin.coroutines.coroutineContext

private const val MANIFEST = "manifest.json"

/**
 * Installs an index that is shipped in the assets, once, and opens it.
 *
 * Assets cannot be mapped, so the files are copied into the app's folder: beside the old index, verified byte by byte,
 * and then put in its place as a whole. The index is only copied again when its manifest in the assets is another; what
 * updates over the air made of it stays until then.
 *
 * @param asset folder in the assets, such as `shop.plx`.
 * @throws dev.pocketlens.PocketlensException.Damaged when what was copied is not sound; the old index stays.
 */
suspend fun Context.openIndex(asset: String): Lens {
    val folder = File(filesDir, "pocketlens")
    val installed = File(folder, asset)
    val mark = File(folder, "$asset.shipped")
    withContext(Dispatchers.IO) {
        val shipped = assets.open("$asset/$MANIFEST").use { it.readBytes() }
        if (File(installed, MANIFEST).isFile && mark.isFile && mark.readBytes().contentEquals(shipped)) return@withContext
        val fresh = File(folder, "$asset.new").apply { deleteRecursively() }
        assets.copyFolder(asset, fresh)
        Index.open(fresh.path).use { it.verify() }
        mark.delete()
        val old = File(folder, "$asset.old").apply { deleteRecursively() }
        if (installed.exists()) check(installed.renameTo(old)) { "$installed: cannot be moved" }
        check(fresh.renameTo(installed)) { "$fresh: cannot be moved" }
        mark.writeBytes(shipped)
        old.deleteRecursively()
    }
    return Lens.open(installed.path)
}

private suspend fun AssetManager.copyFolder(from: String, to: File) {
    check(to.mkdirs()) { "$to: cannot be made" }
    for (name in list(from).orEmpty()) {
        coroutineContext.ensureActive()
        open("$from/$name").use { asset -> File(to, name).outputStream().use(asset::copyTo) }
    }
}
