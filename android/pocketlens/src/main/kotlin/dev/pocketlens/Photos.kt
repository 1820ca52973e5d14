package dev.pocketlens

import kotlinx.coroutines.Dispatchers
import java.io.File
import java.nio.ByteBuffer

/**
 * Searches with an encoded photo: JPEG, PNG, or WebP (on Android only where the library was
 * built with it). Ends with the coroutine: what is cancelled costs nothing more.
 *
 * @throws PocketlensException.BadInput when the bytes are no sound photo, or the filter does not fit the payloads.
 */
suspend fun Lens.search(photo: ByteArray, query: Query = Query()): Answer =
    searchPhoto(photo, query, null)

/**
 * Searches with a photo file.
 *
 * @throws PocketlensException.Storage when it cannot be read; else as [search].
 */
suspend fun Lens.search(photo: File, query: Query = Query()): Answer =
    searchFile(photo.path, query, null)

/**
 * Searches with a frame of a camera: see [PlanarImage] and [Frame.Companion]. On a thread of [Dispatchers.Default]; where
 * the coroutine is on one already, there is no way to go.
 */
suspend fun Lens.search(frame: Frame, query: Query = Query()): Answer =
    offTheMainThread { searchBlocking(frame, query, it.token) }

/**
 * Searches with a picture of a camera, in one call. It is read where it lies, and not after this returns: the camera may have
 * its buffers back then. On a thread of [Dispatchers.Default], as above.
 *
 * @throws PocketlensException.BadInput when planes are too short, or the region of the query is outside of the picture.
 */
suspend fun Lens.search(image: PlanarImage, query: Query = Query()): Answer =
    offTheMainThread { image.searched(this, query, it) }

/**
 * Searches with what is left in a buffer: a frame without gaps. A direct buffer is read where it lies; not to be written
 * before this returns.
 *
 * @throws PocketlensException.BadInput when the bytes are too few, or the region is outside of the frame.
 */
suspend fun Lens.search(format: FrameFormat, bytes: ByteBuffer, layout: FrameLayout, query: Query = Query()): Answer =
    offTheMainThread { cancel ->
        val asked = FrameSearch(FrameBuffers.Packed(format, null), layout, query)
        lend(bytes) { Direct.search(this, cancel, asked, it) }
    }

/**
 * Opens an index with the model that it carries. Every question keeps the limits.
 *
 * @throws PocketlensException.BadInput for limits within which no photo could be described.
 */
suspend fun Lens.Companion.open(index: File, limits: Limits = Limits()): Lens {
    Threads.stay()
    return open(index.path, limits)
}

/** Describes an encoded photo: a unit vector of [BundleInfo.dim] numbers, the same bits on every platform. */
suspend fun Bundle.describe(photo: ByteArray, region: Region? = null): Descriptor =
    describePhoto(photo, region, null)

/** Describes a frame. */
suspend fun Bundle.describe(frame: Frame): Descriptor = describe(frame, null)

/** The same place as a region: to look there alone, or to cut it out. */
val Place.region: Region get() = Region.Relative(x, y, width, height)

/** Adds photos of items, or replaces the items of known keys: all of them, or, on an error, none. */
suspend fun Lens.put(vararg items: NewItem): IndexInfo = update(items.asList(), emptyList())

/** Removes items. */
suspend fun Lens.remove(vararg keys: String): IndexInfo = update(emptyList(), keys.asList())

/**
 * Applies a pack that was fetched, and takes up the index that it leads to. With a key, of 64 hexadecimal digits, only
 * one signed with its other half.
 *
 * @throws PocketlensException.Damaged when the pack is damaged or not signed; the index is then as it was.
 */
suspend fun Lens.apply(index: File, pack: File, key: String? = null): IndexInfo {
    applyPack(index.path, pack.path, key).close()
    return reload()
}
