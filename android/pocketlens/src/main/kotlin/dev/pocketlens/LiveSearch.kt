package dev.pocketlens

import kotlinx.coroutines.channels.BufferOverflow
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableSharedFlow
import kotlinx.coroutines.flow.asSharedFlow
import java.time.Duration

/** What a live camera tells. */
sealed interface LiveResult {
    /** An answer to the frame of this time. */
    data class Answered(val at: Duration, val answer: Answer) : LiveResult

    /** The camera has left what was answered last: what is shown of it is out of date. */
    data object Left : LiveResult

    /** There is no answer to the frame of this time. */
    data class Failed(val at: Duration, val error: PocketlensException) : LiveResult
}

/**
 * Answers a live camera: when it rests, the newest frame, as often as the options say and the phone bears.
 *
 * ```
 * val live = LiveSearch(lens, LiveOptions(query = Query(k = 3u)))
 * analysis.setAnalyzer(executor) { proxy -> proxy.use { live.analyze(CameraImage(it)) } }
 * live.results.collect { result -> … }
 * ```
 */
class LiveSearch(lens: Lens, options: LiveOptions = LiveOptions(Query())) : AutoCloseable {
    // Whoever collects late or slowly sees the newest: an old answer is of no use in front of a camera.
    private val newest = MutableSharedFlow<LiveResult>(
        replay = 1, extraBufferCapacity = 4, onBufferOverflow = BufferOverflow.DROP_OLDEST,
    )
    private val session = LiveSession.start(lens, options, Listener(newest))

    @Volatile
    private var closed = false

    /** What is told, the newest first to whoever begins to collect. */
    val results: Flow<LiveResult> = newest.asSharedFlow()

    /**
     * Offers a picture from the camera's callback. Its buffers may go back when this returns; frames that are not
     * answered cost a few microseconds.
     *
     * @throws PocketlensException.BadInput when planes are too short.
     */
    fun analyze(image: PlanarImage): Offered = try {
        session.offer(image)
    } catch (gone: IllegalStateException) {
        // A camera's last picture may come when this was closed already.
        if (closed) Offered.CLOSED else throw gone
    }

    /** How warm the phone is now. */
    fun setThermal(thermal: Thermal) = session.setThermal(thermal)

    /** Whether the battery is low: half of the answers. */
    fun setSaving(saving: Boolean) = session.setSaving(saving)

    /** Answers what the camera rests on anew: after an update of the index, say. */
    fun refresh() = session.refresh()

    override fun close() {
        closed = true
        session.end()
        session.destroy()
    }

    private class Listener(private val newest: MutableSharedFlow<LiveResult>) : LiveListener {
        override fun answered(at: Duration, answer: Answer) {
            newest.tryEmit(LiveResult.Answered(at, answer))
        }

        override fun left() {
            newest.tryEmit(LiveResult.Left)
        }

        override fun failed(at: Duration, error: PocketlensException) {
            newest.tryEmit(LiveResult.Failed(at, error))
        }
    }
}
