package dev.pocketlens.sample

import com.sun.net.httpserver.HttpServer
import dev.pocketlens.HttpHeader
import dev.pocketlens.OkHttpTransport
import dev.pocketlens.ServerRequest
import dev.pocketlens.ServerTransport
import dev.pocketlens.TransportFailure
import org.junit.After
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Before
import org.junit.Test
import java.net.InetAddress
import java.net.InetSocketAddress
import java.net.ServerSocket
import java.time.Duration

class UrlTransportTest : TransportTest(UrlTransport())

class OkHttpTransportTest : TransportTest(OkHttpTransport())

/** What the library expects of any HTTP stack, against a real server. */
abstract class TransportTest(private val transport: ServerTransport) {
    private val server = HttpServer.create(InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0)
    private val address = "http://localhost:${server.address.port}"
    private var heard = ""

    @Before
    fun serve() {
        fun answer(path: String, status: Int, body: ByteArray, vararg headers: Pair<String, String>) =
            server.createContext(path) { exchange ->
                heard = "${exchange.requestMethod} ${exchange.requestHeaders.getFirst("Authorization")} " +
                    exchange.requestBody.readBytes().decodeToString()
                for ((name, value) in headers) exchange.responseHeaders.add(name, value)
                exchange.sendResponseHeaders(status, body.size.toLong())
                exchange.responseBody.use { it.write(body) }
            }
        answer("/good", 200, "yes".toByteArray(), "Retry-After" to "3")
        answer("/bad", 503, "later".toByteArray())
        answer("/elsewhere", 302, "there".toByteArray(), "Location" to "$address/good")
        answer("/large", 200, ByteArray(100_000))
        server.start()
    }

    @After
    fun stop() = server.stop(0)

    private fun request(url: String, body: String = "", most: ULong = 1000u) = ServerRequest(
        if (body.isEmpty()) "GET" else "POST", url, listOf(HttpHeader("Authorization", "Bearer t")), body.toByteArray(),
        Duration.ofSeconds(5), Duration.ofSeconds(5), most,
    )

    @Test
    fun `a request arrives as it was given, and the reply comes back`() {
        val reply = transport.send(request("$address/good", "what is this?"))
        assertEquals("POST Bearer t what is this?", heard)
        assertEquals(200.toUShort(), reply.status)
        assertArrayEquals("yes".toByteArray(), reply.body)
        assertEquals("3", reply.headers.single { it.name.equals("Retry-After", ignoreCase = true) }.value)
    }

    @Test
    fun `errors of the server are replies, and a redirect is not followed`() {
        val bad = transport.send(request("$address/bad"))
        assertEquals("503 later", "${bad.status} ${bad.body.decodeToString()}")
        assertEquals(302.toUShort(), transport.send(request("$address/elsewhere")).status)
    }

    @Test
    fun `no more is read than is wanted`() {
        val size = transport.send(request("$address/large")).body.size
        assert(size in 1001..10_000) { "$size" }
    }

    @Test
    fun `a closed door is refused, a silent one times out`() {
        val closed = ServerSocket(0).use { it.localPort }
        assertThrows(TransportFailure.Refused::class.java) { transport.send(request("http://localhost:$closed/")) }
        ServerSocket(0, 1, InetAddress.getLoopbackAddress()).use { silent ->
            val request = request("http://localhost:${silent.localPort}/").copy(timeout = Duration.ofMillis(50))
            assertThrows(TransportFailure.TimedOut::class.java) { transport.send(request) }
        }
    }
}
