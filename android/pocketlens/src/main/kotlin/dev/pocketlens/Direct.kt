package dev.pocketlens

import com.sun.jna.Native
import com.sun.jna.Pointer
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.Collections
import java.util.WeakHashMap

/**
 * Searches by numbers and addresses alone, because JNA makes an object of each structure that crosses: the half of what a
 * search of a frame costs beside Rust's. Records go as UniFFI writes them; the other half is `bindings/uniffi/src/direct.rs`.
 */
internal object Direct {
    init {
        Native.register(Direct::class.java, System.getProperty("uniffi.component.pocketlens_ffi.libraryOverride") ?: "pocketlens_ffi")
    }

    /** What a reply holds: its length, then one of these, then that. */
    private const val ANSWER: Byte = 0
    private const val ERROR: Byte = 1
    private const val CLOSED: Byte = 2
    private const val HEAD = 9L

    private val ids = Collections.synchronizedMap(WeakHashMap<Lens, Long>())

    @Suppress("FunctionName", "LongParameterList")
    private external fun pocketlens_search(
        lens: Long, token: Long, first: ByteBuffer, firstLength: Long, second: ByteBuffer?, secondLength: Long,
        third: ByteBuffer?, thirdLength: Long, asked: ByteArray, askedLength: Long,
    ): Long

    @Suppress("FunctionName")
    private external fun pocketlens_release(reply: Long)

    /**
     * Searches with one buffer or three, which are direct and begin where they are read.
     *
     * @throws PocketlensException as [Lens.search].
     * @throws IllegalStateException when the lens was closed.
     */
    fun search(
        lens: Lens, cancel: Cancel, asked: FrameSearch, first: ByteBuffer, second: ByteBuffer? = null, third: ByteBuffer? = null,
    ): Answer {
        val written = FfiConverterTypeFrameSearch.written(asked)
        fun left(buffer: ByteBuffer?) = buffer?.remaining()?.toLong() ?: 0
        val reply = pocketlens_search(
            id(lens), cancel.id, first, left(first), second, left(second), third, left(third), written, written.size.toLong(),
        )
        return try {
            answer(Pointer(reply))
        } finally {
            pocketlens_release(reply)
        }
    }

    private fun id(lens: Lens): Long = ids[lens] ?: lens.directId().toLong().also { ids[lens] = it }

    private fun answer(reply: Pointer): Answer {
        val content = reply.getByteBuffer(HEAD, reply.getLong(0)).order(ByteOrder.BIG_ENDIAN)
        return when (reply.getByte(HEAD - 1)) {
            ANSWER -> FfiConverterTypeAnswer.read(content)
            ERROR -> throw FfiConverterTypePocketlensError.read(content)
            CLOSED -> throw IllegalStateException("Lens object has already been destroyed")
            else -> throw InternalException(FfiConverterString.read(content))
        }
    }

    private fun <T> FfiConverterRustBuffer<T>.written(value: T): ByteArray {
        val buffer = ByteBuffer.allocate(allocationSize(value).toInt())
        write(value, buffer)
        return buffer.array().copyOf(buffer.position())
    }
}
