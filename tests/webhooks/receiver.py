"""A bot's end of a webhook on loopback: real sockets, real TLS, and answers byte for byte, faults included."""

import asyncio
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Answering = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Received(msgspec.Struct, frozen=True):
    """A request as it arrived; header names in lower case."""

    target: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """`answer` is what every request gets: bytes, or a function that writes to the connection. It closes the connection if `hangs_up`."""

    def __init__(self) -> None:
        self.port = 0
        self.answer: bytes | Answering = OK
        self.hangs_up = False
        self.requests: list[Received] = []
        self.connections = 0
        self._conversations: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        conversation = asyncio.create_task(self._converse(reader, writer))
        self._conversations.add(conversation)
        conversation.add_done_callback(self._conversations.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                request_line, *lines = head.decode("latin-1").split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.requests.append(Received(request_line.split(" ")[1], headers, body))
                if isinstance(self.answer, bytes):
                    writer.write(self.answer)
                    await writer.drain()
                else:
                    await self.answer(writer)
                if self.hangs_up:
                    return
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            return
        finally:
            writer.close()

    async def end(self) -> None:
        for conversation in list(self._conversations):
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)


@asynccontextmanager
async def receiver_on(host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.accept, host, port, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await receiver.end()
        await server.wait_closed()


class Certificate:
    """A self-signed certificate for a name or an address, and the two sides of TLS with it. `asked_names` is what clients sent as SNI."""

    def __init__(self, host: str, *, lifetime: timedelta = timedelta(days=1)) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver")])
        begins_at = datetime.now(UTC) - timedelta(days=2)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins_at)
            .not_valid_after(datetime.now(UTC) + lifetime)
            .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, SHA256())
        )
        self.pem = certificate.public_bytes(Encoding.PEM)
        self._key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.asked_names: list[str | None] = []

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(self.pem + self._key_pem)
            context.load_cert_chain(file.name)
        context.sni_callback = lambda _socket, name, _context: self.asked_names.append(name)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Trusts this certificate alone."""
        return ssl.create_default_context(cadata=self.pem.decode())


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class Names:
    """A resolver in the test's hands. Each name has its answers in turn, the last one for ever; `asked` is what was looked up."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self._answers = answers
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        answers = self._answers[host.removesuffix(".example")]
        return answers.pop(0) if len(answers) > 1 else answers[0]


@contextmanager
def full_backlog(host: str) -> Iterator[int]:
    """A port that lets connections hang: its queue is full and nobody takes from it."""
    with ExitStack() as sockets:
        listening = sockets.enter_context(socket.socket())
        listening.bind((host, 0))
        listening.listen(0)
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]
