package dev.pocketlens.sample

import android.content.Context
import android.text.Editable
import android.text.InputType
import android.text.TextWatcher
import android.view.View
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.EditText
import android.widget.Spinner
import android.widget.TextView
import dev.pocketlens.Index
import dev.pocketlens.Lens
import dev.pocketlens.LiveResult
import dev.pocketlens.LiveSearch
import dev.pocketlens.android.followPower
import dev.pocketlens.android.indexFolder
import dev.pocketlens.android.openIndex
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Job
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.collectLatest
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.launch

private const val ASSET = "shop.plx"
private const val ANY = "any"

/** The camera answers as it is pointed at things: what is it, what does it cost, is it of this brand. */
class ShoppingScreen(
    private val context: Context,
    private val scope: CoroutineScope,
    private val camera: Camera,
) : Screen {
    private val choice = Spinner(context)
    private val price = EditText(context).apply {
        hint = "at most"
        inputType = InputType.TYPE_CLASS_NUMBER or InputType.TYPE_NUMBER_FLAG_DECIMAL
    }

    /** The verdict in words. */
    val headline = TextView(context)

    /** A line a hit. */
    val hits = TextView(context)
    override val title = "Shopping"
    override val view = column(context, camera.view, row(context, choice, price), headline, hits)

    private val wish = MutableStateFlow(Wish())
    private var lens: Lens? = null
    private var work: Job? = null

    init {
        choice.onItemSelectedListener = object : AdapterView.OnItemSelectedListener {
            override fun onItemSelected(parent: AdapterView<*>, view: View?, position: Int, id: Long) =
                wish.update { it.copy(choice = (parent.getItemAtPosition(position) as String).takeIf { name -> name != ANY }) }

            override fun onNothingSelected(parent: AdapterView<*>) = wish.update { it.copy(choice = null) }
        }
        price.addTextChangedListener(object : TextWatcher {
            override fun afterTextChanged(text: Editable) = wish.update { it.copy(atMost = text.toString().toDoubleOrNull()) }
            override fun beforeTextChanged(text: CharSequence, start: Int, count: Int, after: Int) = Unit
            override fun onTextChanged(text: CharSequence, start: Int, before: Int, count: Int) = Unit
        })
    }

    override fun show() {
        work = scope.launch {
            explaining(ASSET, headline::setText) {
                val lens = lens ?: open().also { lens = it }
                // Whoever wishes for something else gets another session.
                wish.collectLatest { answer(lens, it) }
            }
        }
    }

    override fun hide() {
        work?.cancel()
    }

    private suspend fun open(): Lens {
        val lens = context.openIndex(ASSET)
        Index.open(context.indexFolder(ASSET).path).use { Facet.of(it) }?.let { facet ->
            wish.update { it.copy(facet = facet.field) }
            val values = listOf(ANY) + facet.values
            choice.adapter = ArrayAdapter(context, android.R.layout.simple_spinner_dropdown_item, values)
        }
        return lens
    }

    private suspend fun answer(lens: Lens, wish: Wish) = LiveSearch(lens, wish.options()).use { live ->
        live.followPower(context).use {
            try {
                camera.start { live.analyze(it) }
                live.results.collect(::tell)
            } finally {
                camera.stop()
            }
        }
    }

    private fun tell(result: LiveResult) {
        headline.text = headline(result)
        hits.text = when (result) {
            is LiveResult.Answered -> result.answer.hits.joinToString("\n", transform = ::line)
            else -> ""
        }
    }
}
