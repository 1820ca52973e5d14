package dev.pocketlens

import java.nio.Buffer
import java.nio.ByteBuffer

/**
 * Lends what is left in a buffer to a call of the library, which reads it where it lies. The position stays; a buffer on
 * the heap, which has no address, is copied.
 */
internal inline fun <T> lend(buffer: ByteBuffer, call: (ByteBuffer) -> T): T {
    // The library is given an address, which knows no position: a slice begins where it reads.
    val lent = if (buffer.isDirect) buffer.slice() else direct(buffer)
    try {
        return call(lent)
    } finally {
        // The address does not keep the buffer: its memory must not be collected while it is read.
        synchronized(lent) { }
    }
}

internal fun direct(buffer: ByteBuffer): ByteBuffer {
    val copy = ByteBuffer.allocateDirect(buffer.remaining())
    copy.put(buffer.duplicate())
    // As a Buffer: ByteBuffer's own `rewind` is not on phones before API 29.
    (copy as Buffer).rewind()
    return copy
}
