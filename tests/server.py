"""A web server on this machine that fails as told."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Answers each path with its replies in turn, the last one for ever.

    A reply is (status, body, announced length), or a function of the request's handler that answers as it likes.
    """

    def __init__(self):
        self.replies, self.asked = {}, []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                replies = server.replies.get(self.path, [(404, b"", None)])
                reply = replies.pop(0) if len(replies) > 1 else replies[0]
                if callable(reply):
                    return reply(self)
                status, body, length = reply
                self.send_response(status)
                self.send_header("Content-Length", str(len(body) if length is None else length))
                self.end_headers()
                self.wfile.write(body if self.command == "GET" else b"")

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()

    def put(self, path: str, *replies: tuple | Callable) -> str:
        self.replies[path] = [reply if callable(reply) else (*reply, None)[:3] for reply in replies]
        return self.url + path
