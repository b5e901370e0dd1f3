"""A hub on this machine: as much of the Hugging Face hub's HTTP interface as its client asks for, files in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

Files = dict[str, bytes]


class Hub(ThreadingHTTPServer):
    """Repositories by their names USER/NAME, each a dict of files."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Files] = {}
        self.private: dict[str, bool] = {}
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        """What goes into HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        path, body = self._path(), self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            self.server.repositories.setdefault(name, {})
            self.server.private[name] = bool(asked.get("private")) or asked.get("visibility") == "private"
            self._json({"url": f"{self.server.address}/{name}", "id": name})
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main", path):
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            self._json({"files": files})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            files = self.server.repositories[match[1]]
            for line in body.splitlines():
                said = json.loads(line)
                if said["key"] == "file":
                    files[said["value"]["path"]] = base64.b64decode(said["value"]["content"])
                elif said["key"] == "deletedFile":
                    files.pop(said["value"]["path"])
            address = f"{self.server.address}/{match[1]}/commit/{_commit(files)}"
            self._json({"success": True, "commitUrl": address, "commitOid": _commit(files)})
        else:
            self._refuse()

    def do_HEAD(self) -> None:
        self._file(send=False)

    def do_GET(self) -> None:
        path = self._path()
        match = re.match(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/[^/]+)?$", path)
        if match is None:
            self._file(send=True)
            return
        files = self.server.repositories.get(match[1])
        if files is None:
            self._refuse()
        elif match[2] == "tree":
            self._json([{"type": "file", "path": p, "size": len(c), "oid": _hash(c)} for p, c in files.items()])
        else:
            siblings = [{"rfilename": p, "size": len(c)} for p, c in files.items()]
            self._json({"id": match[1], "sha": _commit(files), "siblings": siblings, "private": False, "tags": []})

    def _file(self, *, send: bool) -> None:
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", self._path())
        files = self.server.repositories.get(match[1]) if match else None
        if match is None or files is None or match[2] not in files:
            self._refuse()
            return
        content = files[match[2]]
        self.send_response(200)
        self.send_header("ETag", f'"{_hash(content)}"')
        self.send_header("X-Repo-Commit", _commit(files))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if send:
            self.wfile.write(content)

    def _path(self) -> str:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(f"{self.command} {path}")
        return path

    def _json(self, said: Any) -> None:
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("X-Error-Message", "Repository not found")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _commit(files: Files) -> str:
    return hashlib.sha1("".join(path + _hash(content) for path, content in sorted(files.items())).encode()).hexdigest()


@contextmanager
def hub() -> Iterator[Hub]:
    """A hub at work."""
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
