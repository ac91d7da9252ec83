"""Whether a Ray listens at an address: asked before anything is built, as Ray itself takes a minute to give up, in
lines of its native code."""

import os
import socket

PATIENCE = 5.0
"""Seconds until a host that says nothing is given up."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""How a client begins HTTP/2, which Ray speaks: the magic words and an empty frame of settings."""

SETTINGS = 4
"""The type of the frame that a server begins with; a frame's type follows the three bytes of its length."""


def parted(address: str) -> tuple[str, int] | None:
    """Host and port of `host:port` or `[host]:port`; None where it is not of that form."""
    host, colon, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host or "/" in host:
        return None
    number = int(port) if port.isascii() and port.isdigit() else 0
    return (host, number) if colon and host and not set(host) & set(" /@") and 0 < number < 65536 else None


def why_no_ray(address: str, seconds: float = PATIENCE) -> str | None:
    """Why no Ray answers at `host:port`, None where one seems to."""
    if (found := parted(address)) is None:
        return "it is not of the form host:port"
    try:
        with socket.create_connection(found, seconds) as line:
            line.sendall(PREFACE)
            answer = line.recv(4)
    except socket.gaierror as error:
        return f"the host {found[0]} is not known ({error.strerror})"
    except TimeoutError:
        return f"nothing answers within {seconds:.0f} seconds"
    except OSError as error:
        return f"nothing listens there ({error.strerror})"
    encrypted = os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true")
    if encrypted or answer[3:] == bytes((SETTINGS,)):
        return None
    return "what listens there is no Ray; the port is the one that `ray start` prints, usually 6379, no dashboard's"
