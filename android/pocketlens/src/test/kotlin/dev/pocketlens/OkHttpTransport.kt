package dev.pocketlens

import okhttp3.OkHttpClient
import okhttp3.Request
import okhttp3.RequestBody.Companion.toRequestBody
import java.io.IOException
import java.io.InterruptedIOException
import java.net.ConnectException
import java.net.UnknownHostException
import javax.net.ssl.SSLHandshakeException

// ANCHOR: okhttp
/** The app's own OkHttp: its certificates, its proxy, its interceptors. */
class OkHttpTransport(client: OkHttpClient = OkHttpClient()) : ServerTransport {
    // No redirect is followed: a token must not travel on.
    private val client = client.newBuilder().followRedirects(false).build()

    override fun send(request: ServerRequest): ServerReply {
        val client = client.newBuilder().connectTimeout(request.connectTimeout).callTimeout(request.timeout).build()
        val body = if (request.method == "POST") request.body.toRequestBody() else null
        val sent = Request.Builder().url(request.url).method(request.method, body)
        for (header in request.headers) sent.addHeader(header.name, header.value)
        return try {
            client.newCall(sent.build()).execute().use { reply ->
                // One byte more than is allowed at most, which the library refuses.
                val most = request.maxReplyBytes.toLong() + 1
                val source = reply.body!!.source().apply { request(most) }
                val bytes = source.buffer.readByteArray(minOf(most, source.buffer.size))
                ServerReply(reply.code.toUShort(), reply.headers.map { (name, value) -> HttpHeader(name, value) }, bytes)
            }
        } catch (late: InterruptedIOException) {
            throw TransportFailure.TimedOut(late.toString())
        } catch (failed: IOException) {
            val unsent = failed is ConnectException || failed is UnknownHostException || failed is SSLHandshakeException
            throw if (unsent) TransportFailure.Refused(failed.toString()) else TransportFailure.Broken(failed.toString())
        }
    }
}
// ANCHOR_END: okhttp
