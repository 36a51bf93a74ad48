"""The status page, ``/metrics`` and ``/healthz``: read only, and without patient data."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from xraycodec.gateway.config import StatusPage

_TIMEOUT_SECONDS = 10
Page = Callable[[], tuple[int, str, str]]


class StatusServer:
    """Serves pages by path.

    Args:
        where: address and port.
        pages: by path, each gives HTTP status, content type and text.
    """

    def __init__(self, where: StatusPage, pages: dict[str, Page]) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = _TIMEOUT_SECONDS
            server_version = "xraycodec"
            sys_version = ""

            def do_GET(self) -> None:
                page = pages.get(self.path.split("?")[0])
                try:
                    status, kind, text = page() if page else (404, "text/plain", "not found\n")
                except Exception:
                    # The disk is broken, say; that is for the page to tell, not to die of.
                    status, kind, text = 503, "text/plain", "the gateway cannot read its state\n"
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", f"{kind}; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.send_header("X-Content-Type-Options", "nosniff")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing: the gateway's log has its own form."""

        self._server = ThreadingHTTPServer((where.address, where.port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="status", daemon=True
        )

    def start(self) -> int:
        """Serve; return the port."""
        self._thread.start()
        return int(self._server.server_address[1])

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def table(caption: str, header: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """An HTML table; every cell is escaped."""

    def row(cells: tuple[object, ...], tag: str) -> str:
        inner = "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells)
        return f"<tr>{inner}</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    return f"<table><caption>{html.escape(caption)}</caption>{row(header, 'th')}{body}</table>"


def document(title: str, body: str) -> str:
    """A page that reloads itself."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="refresh" content="10">'
        f"<title>{html.escape(title)}</title><style>"
        "body{font:15px/1.5 system-ui,sans-serif;margin:2rem;max-width:60rem}"
        "table{border-collapse:collapse;margin:1rem 0}caption{text-align:left;font-weight:600}"
        "th,td{border:1px solid #8888;padding:.25rem .7rem;text-align:left}"
        "td{font-variant-numeric:tabular-nums}"
        f"</style></head><body><h1>{html.escape(title)}</h1>{body}</body></html>"
    )
