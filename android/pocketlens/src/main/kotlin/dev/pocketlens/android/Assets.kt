package dev.pocketlens.android

import android.content.Context
import android.content.res.AssetManager
import dev.pocketlens.Index
import dev.pocketlens.Lens
import dev.pocketlens.Limits
import dev.pocketlens.Threads
import dev.pocketlens.open
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import kotlinx.coroutines.withContext
import java.io.File
import kotlin.coroutines.coroutineContext

private const val MANIFEST = "manifest.json"

/** One installation at a time: two screens may ask for one index at once. */
private val installing = Mutex()

/** Where [openIndex] puts the index of this folder in the assets: for packs that update it. */
fun Context.indexFolder(asset: String): File = File(File(filesDir, "pocketlens"), asset)

/**
 * Installs an index that is shipped in the assets, once, and opens it.
 *
 * Assets cannot be mapped, so the files are copied into the app's folder: beside the old index, verified byte by byte,
 * and then put in its place as a whole. Whenever the app is killed on the way, there is the old index or the new one
 * afterwards. The index is only copied again when its manifest in the assets is another; what updates over the air made
 * of it stays until then.
 *
 * @param asset folder in the assets, such as `shop.plx`.
 * @param limits what every question keeps.
 * @throws java.io.IOException when the assets have no such index, or the storage is full; the old index stays.
 * @throws dev.pocketlens.PocketlensException.Damaged when what was copied is not sound; the old index stays.
 */
suspend fun Context.openIndex(asset: String, limits: Limits = Limits()): Lens {
    Threads.stay()
    val installed = indexFolder(asset)
    installing.withLock {
        withContext(Dispatchers.IO) { Installation(installed).bringUpToDate(assets, asset) }
    }
    return Lens.open(installed, limits)
}

/** The folders of one index: the one that is open, and what stands beside it while it is replaced. */
private class Installation(private val installed: File) {
    private val fresh = beside("new")
    private val old = beside("old")

    /** The manifest in the assets that `installed` was copied from; missing while it is replaced. */
    private val mark = beside("shipped")

    suspend fun bringUpToDate(assets: AssetManager, asset: String) {
        takeBack()
        val shipped = assets.open("$asset/$MANIFEST").use { it.readBytes() }
        if (File(installed, MANIFEST).isFile && mark.isFile && mark.readBytes().contentEquals(shipped)) return
        fresh.deleteRecursively()
        try {
            assets.copyFolder(asset, fresh)
            Index.open(fresh.path).use { it.verify() }
            mark.delete()
            if (installed.exists()) installed.moveTo(old)
            fresh.moveTo(installed)
        } finally {
            takeBack()
            fresh.deleteRecursively()
        }
        mark.writeBytes(shipped)
    }

    /** After an end between the two moves, the old index again; after one behind them, room for the next. */
    private fun takeBack() {
        if (!installed.exists() && old.exists()) old.moveTo(installed)
        old.deleteRecursively()
    }

    private fun beside(ending: String) = File(installed.parentFile, "${installed.name}.$ending")
}

private fun File.moveTo(target: File) {
    if (!renameTo(target)) throw java.io.IOException("$this: cannot be moved to $target")
}

private suspend fun AssetManager.copyFolder(from: String, to: File) {
    if (!to.mkdirs()) throw java.io.IOException("$to: cannot be made")
    for (name in list(from).orEmpty()) {
        coroutineContext.ensureActive()
        open("$from/$name").use { asset ->
            File(to, name).outputStream().use { file ->
                asset.copyTo(file)
                // On the disk before the folder is moved: the battery may end, too.
                file.fd.sync()
            }
        }
    }
}
