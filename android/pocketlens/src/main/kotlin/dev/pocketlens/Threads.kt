package dev.pocketlens

import com.sun.jna.CallbackThreadInitializer
import com.sun.jna.Native
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.suspendCancellableCoroutine
import kotlinx.coroutines.withContext

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

/** Runs work that blocks where it may, and raises its token when the coroutine is cancelled. */
internal suspend fun <T> offTheMainThread(work: (Cancel) -> T): T = withContext(Dispatchers.Default) {
    suspendCancellableCoroutine { waiting ->
        val cancel = cancels.get() ?: Cancel().also(cancels::set)
        waiting.invokeOnCancellation { cancel.token.cancel() }
        waiting.resumeWith(runCatching { work(cancel) })
        // Whoever has cancelled may raise it later than this. The garbage collector closes it.
        if (waiting.isCancelled) cancels.remove()
    }
}

/** A token, and the number that stands for it. */
internal class Cancel {
    val token = CancelToken()
    val id = token.directId().toLong()
}

/** One a thread, until it is raised: making one and letting it go costs a tenth of what a call does. */
private val cancels = ThreadLocal<Cancel>()
