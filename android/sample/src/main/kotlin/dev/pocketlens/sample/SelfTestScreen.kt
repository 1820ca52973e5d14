package dev.pocketlens.sample

import android.content.Context
import android.content.Intent
import android.widget.Button
import android.widget.ScrollView
import android.widget.TextView
import dev.pocketlens.android.openIndex
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.launch

private const val ASSET = "shop.plx"
private const val GOLDEN = "golden.json"

/** Runs [SelfTest] when it is looked at, and shares what it says. */
class SelfTestScreen(private val context: Context, private val scope: CoroutineScope) : Screen {
    /** The report. */
    val report = TextView(context).apply { setTextIsSelectable(true) }
    private val share = Button(context).apply {
        text = "Share"
        setOnClickListener { send() }
    }
    override val title = "Self-test"
    override val view = column(context, ScrollView(context).apply { addView(report) }, share)

    override fun show() {
        report.text = "…"
        scope.launch {
            explaining(ASSET, report::setText) {
                val golden = context.assets.open(GOLDEN).bufferedReader().use { it.readText() }
                report.text = context.openIndex(ASSET).use { SelfTest(context, it, golden).report() }
            }
        }
    }

    override fun hide() = Unit

    private fun send() {
        val text = Intent(Intent.ACTION_SEND).setType("text/plain").putExtra(Intent.EXTRA_TEXT, report.text.toString())
        context.startActivity(Intent.createChooser(text, "Pocketlens self-test").addFlags(Intent.FLAG_ACTIVITY_NEW_TASK))
    }
}
