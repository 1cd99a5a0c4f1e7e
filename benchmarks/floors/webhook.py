"""The floor of a webhook, as a process: a POST on an open connection. URL, number. Each body is the time at which it was sent."""

import socket
import sys
import time
from urllib.parse import urlsplit

PAUSE_S = 0.02

if __name__ == "__main__":
    _, url, count = sys.argv
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(int(count)):
            time.sleep(PAUSE_S)
            body = f"{time.time():.7f}"
            connection.sendall(f"POST / HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            connection.recv(1024)
