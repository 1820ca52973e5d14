package dev.pocketlens.sample

import android.content.Context
import android.view.View
import android.view.ViewGroup.LayoutParams.MATCH_PARENT
import android.view.ViewGroup.LayoutParams.WRAP_CONTENT
import android.widget.LinearLayout
import dev.pocketlens.PocketlensException
import dev.pocketlens.reason
import kotlinx.coroutines.CancellationException
import java.io.IOException

/** A tab of the app. */
interface Screen {
    /** Stands on the tab. */
    val title: String

    /** What is seen. */
    val view: View

    /** Begins to work: the user looks at it. */
    fun show()

    /** Ends what [show] began. */
    fun hide()
}

/** Views below each other; the first takes the room that the others leave. */
internal fun column(context: Context, first: View, vararg others: View) = LinearLayout(context).apply {
    orientation = LinearLayout.VERTICAL
    addView(first, LinearLayout.LayoutParams(MATCH_PARENT, 0, 1f))
    for (view in others) addView(view, LinearLayout.LayoutParams(MATCH_PARENT, WRAP_CONTENT))
}

/** Views beside each other, equally wide. */
internal fun row(context: Context, vararg views: View) = LinearLayout(context).apply {
    orientation = LinearLayout.HORIZONTAL
    for (view in views) addView(view, LinearLayout.LayoutParams(0, WRAP_CONTENT, 1f))
}

/** Runs [work]; where it fails, [tell] hears why in the words of the library. */
internal suspend fun explaining(asset: String, tell: (String) -> Unit, work: suspend () -> Unit) {
    try {
        work()
    } catch (error: CancellationException) {
        throw error
    } catch (error: PocketlensException) {
        tell(error.reason)
    } catch (error: IOException) {
        tell("No index $asset in this app: see README.md. ${error.message.orEmpty()}")
    }
}
