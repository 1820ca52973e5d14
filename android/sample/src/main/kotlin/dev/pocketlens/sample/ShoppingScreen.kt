package dev.pocketlens.sample

import android.content.Context
import android.net.ConnectivityManager
import android.text.Editable
import android.text.InputType
import android.text.TextWatcher
import android.view.View
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.EditText
import android.widget.Spinner
import android.widget.TextView
import dev.pocketlens.Answer
import dev.pocketlens.Index
import dev.pocketlens.Lens
import dev.pocketlens.LiveResult
import dev.pocketlens.LiveSearch
import dev.pocketlens.Network
import dev.pocketlens.PocketlensException
import dev.pocketlens.Query
import dev.pocketlens.Server
import dev.pocketlens.ServerOptions
import dev.pocketlens.ServerTransport
import dev.pocketlens.Situation
import dev.pocketlens.Source
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
    private val transport: ServerTransport = UrlTransport(),
) : Screen {
    private val choice = Spinner(context)
    private val price = EditText(context).apply {
        hint = "at most"
        inputType = InputType.TYPE_CLASS_NUMBER or InputType.TYPE_NUMBER_FLAG_DECIMAL
    }

    // Whoever types an address here agrees that descriptors are sent there.
    private val address = EditText(context).apply {
        hint = "https://… asked when the shop does not know"
        inputType = InputType.TYPE_CLASS_TEXT or InputType.TYPE_TEXT_VARIATION_URI
    }

    /** The verdict in words. */
    val headline = TextView(context)

    /** A line a hit. */
    val hits = TextView(context)
    override val title = "Shopping"
    override val view = column(context, camera.view, row(context, choice, price), address, headline, hits)

    private val wish = MutableStateFlow(Wish())
    private var lens: Lens? = null
    private var server: Server? = null
    private var work: Job? = null

    init {
        choice.onItemSelectedListener = object : AdapterView.OnItemSelectedListener {
            override fun onItemSelected(parent: AdapterView<*>, view: View?, position: Int, id: Long) =
                wish.update { it.copy(choice = (parent.getItemAtPosition(position) as String).takeIf { name -> name != ANY }) }

            override fun onNothingSelected(parent: AdapterView<*>) = wish.update { it.copy(choice = null) }
        }
        price.onText { text -> wish.update { it.copy(atMost = text.toDoubleOrNull()) } }
        address.onText(::ask)
    }

    /** Asked from now on where the phone does not know; nobody where there is no such address. */
    private fun ask(url: String) {
        server?.close()
        server = try {
            Server(url, transport, null, ServerOptions())
        } catch (incomplete: PocketlensException.BadInput) {
            null
        }
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
                live.results.collectLatest { result ->
                    tell(result)
                    if (result is LiveResult.Answered) upgrade(result.answer, wish.options().query)?.let { tell(result.copy(answer = it)) }
                }
            } finally {
                camera.stop()
            }
        }
    }

    /** The server's answer; null where there is none, or the phone knows enough. */
    private suspend fun upgrade(answer: Answer, query: Query): Answer? {
        val server = server ?: return null
        val situation = Situation(consent = true, network = network(context), live = true)
        return server.upgrade(answer, query, situation).answer.takeIf { it.source == Source.SERVER }
    }

    private fun tell(result: LiveResult) {
        headline.text = headline(result)
        hits.text = when (result) {
            is LiveResult.Answered -> result.answer.hits.joinToString("\n", transform = ::line)
            else -> ""
        }
    }
}

private fun EditText.onText(hear: (String) -> Unit) = addTextChangedListener(object : TextWatcher {
    override fun afterTextChanged(text: Editable) = hear(text.toString().trim())
    override fun beforeTextChanged(text: CharSequence, start: Int, count: Int, after: Int) = Unit
    override fun onTextChanged(text: CharSequence, start: Int, before: Int, count: Int) = Unit
})

private fun network(context: Context): Network {
    val networks = context.getSystemService(ConnectivityManager::class.java)
    return when {
        networks.activeNetwork == null -> Network.OFFLINE
        networks.isActiveNetworkMetered -> Network.METERED
        else -> Network.UNMETERED
    }
}
