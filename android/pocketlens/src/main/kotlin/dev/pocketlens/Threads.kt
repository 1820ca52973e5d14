package dev.pocketlens

import com.sun.jna.CallbackThreadInitializer
import com.sun.jna.Native

/**
 * The library's threads stay known to the virtual machine from their first answer to their end. JNA would make and unmake
 * them for each answer, which took longer than some answers do.
 */
internal object Threads {
    init {
        val staying = CallbackThreadInitializer(true, false, "pocketlens")
        Native.setCallbackThreadInitializer(uniffiRustFutureContinuationCallbackImpl, staying)
    }

    /** Before the first call that waits for an answer. */
    fun stay() = Unit
}
