package dev.pocketlens.sample

import dev.pocketlens.HttpHeader
import dev.pocketlens.ServerReply
import dev.pocketlens.ServerRequest
import dev.pocketlens.ServerTransport
import dev.pocketlens.TransportFailure
import java.io.ByteArrayOutputStream
import java.io.IOException
import java.io.InputStream
import java.net.ConnectException
import java.net.HttpURLConnection
import java.net.SocketTimeoutException
import java.net.URL
import java.net.UnknownHostException
import javax.net.ssl.SSLHandshakeException

/** Asks a server over Android's own HTTP stack. Apps that have OkHttp use that instead. */
class UrlTransport : ServerTransport {
    override fun send(request: ServerRequest): ServerReply {
        val deadline = System.nanoTime() + request.timeout.toNanos()
        val connection = URL(request.url).openConnection() as HttpURLConnection
        return try {
            connection.requestMethod = request.method
            connection.instanceFollowRedirects = false
            connection.connectTimeout = request.connectTimeout.toMillis().toInt()
            connection.readTimeout = request.timeout.toMillis().toInt()
            for (header in request.headers) connection.setRequestProperty(header.name, header.value)
            if (request.body.isNotEmpty()) {
                connection.doOutput = true
                connection.setFixedLengthStreamingMode(request.body.size)
                connection.outputStream.use { it.write(request.body) }
            }
            val status = connection.responseCode
            val stream = if (status < 400) connection.inputStream else connection.errorStream
            val body = stream?.use { it.read(request.maxReplyBytes, deadline) } ?: ByteArray(0)
            // The status line is a header without a name.
            val headers = connection.headerFields.entries.filter { it.key != null }
                .flatMap { (name, values) -> values.map { HttpHeader(name, it) } }
            ServerReply(status.toUShort(), headers, body)
        } catch (late: SocketTimeoutException) {
            throw TransportFailure.TimedOut(late.toString())
        } catch (failed: IOException) {
            val unsent = failed is ConnectException || failed is UnknownHostException || failed is SSLHandshakeException
            throw if (unsent) TransportFailure.Refused(failed.toString()) else TransportFailure.Broken(failed.toString())
        } finally {
            connection.disconnect()
        }
    }

    /** One byte more than is allowed at most, which the library refuses; a server that trickles is not waited for. */
    private fun InputStream.read(most: ULong, deadline: Long): ByteArray {
        val body = ByteArrayOutputStream()
        val part = ByteArray(8192)
        while (body.size().toULong() <= most) {
            val read = read(part)
            if (read < 0) break
            body.write(part, 0, read)
            if (System.nanoTime() > deadline) throw SocketTimeoutException("the reply goes on and on")
        }
        return body.toByteArray()
    }
}
