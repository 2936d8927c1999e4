"""A server on loopback that speaks the part of the Hugging Face Hub's API that semenet uses.

Written after the requests that huggingface-hub sends and the Hub's OpenAPI description: repositories with
commits, branches and tags; files as text in the commit or through Git LFS.
"""

import base64
import contextlib
import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_of_the_tests"


class Hub(http.server.ThreadingHTTPServer):
    """The server and its repositories: `repositories[id][commit]` is a dict of path to bytes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.repositories: dict[str, dict[str, dict[str, bytes]]] = {}
        self.names: dict[str, dict[str, str]] = {}
        self.uploads: dict[str, bytes] = {}
        self.requests: list[str] = []

    def commit(self, repository: str, files: dict[str, bytes], branch: str = "main") -> str:
        """Adds a commit with these files, which the branch (or tag) names from now on; returns its hash."""
        history = self.repositories.setdefault(repository, {})
        content = f"{len(history)} {sorted(files)}".encode() + b"".join(files.values())
        commit = hashlib.sha1(content).hexdigest()
        history[commit] = dict(files)
        self.names.setdefault(repository, {})[branch] = commit
        return commit

    def files(self, repository: str, revision: str = "main") -> dict[str, bytes]:
        return self.repositories[repository][self.resolve(repository, revision)]

    def resolve(self, repository: str, revision: str) -> str | None:
        commit = self.names.get(repository, {}).get(revision, revision)
        return commit if commit in self.repositories.get(repository, {}) else None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = self.route()
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(.+)", path):
            return self.send_information(*match.groups())
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self.send_file(*match.groups())
        return self.send(404)

    def do_HEAD(self):
        self.do_GET()

    def do_POST(self):
        path, body = self.route(), self.body()
        if path == "/api/validate-yaml":
            header = yaml.safe_load(json.loads(body)["content"].split("---\n")[1])
            errors = [] if "license" in header else [{"message": "no license"}]
            return self.send(200, {"warnings": [], "errors": errors})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.send(401, {"error": "Invalid user token."})
        if path == "/api/repos/create":
            asked = json.loads(body)
            repository = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            if repository in self.server.repositories:
                return self.send(409, {"error": "You already created this model repo", "url": path})
            self.server.commit(repository, {".gitattributes": b"*.h5 filter=lfs"})
            return self.send(200, {"url": f"{self.server.address}/{repository}"})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/(.+)", path):
            return self.send_upload_modes(json.loads(body)["files"])
        if re.fullmatch(r"/[^/]+/[^/]+\.git/info/lfs/objects/batch", path):
            return self.send_upload_addresses(json.loads(body)["objects"])
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/(.+)", path):
            return self.add_commit(*match.groups(), [json.loads(line) for line in body.splitlines()])
        return self.send(404)

    def do_PUT(self):
        oid, body = self.route().removeprefix("/lfs/"), self.body()
        if hashlib.sha256(body).hexdigest() != oid:
            return self.send(400)
        self.server.uploads[oid] = body
        return self.send(200)

    def route(self):
        self.server.requests.append(f"{self.command} {self.path}")
        return unquote(urlsplit(self.path).path)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def send_information(self, repository, revision):
        if repository not in self.server.repositories:
            return self.send(404, headers={"X-Error-Code": "RepoNotFound"})
        commit = self.server.resolve(repository, revision)
        if commit is None:
            return self.send(404, headers={"X-Error-Code": "RevisionNotFound"})
        names = self.server.files(repository, commit)
        siblings = [{"rfilename": name} for name in names]
        return self.send(200, {"id": repository, "sha": commit, "siblings": siblings})

    def send_file(self, repository, revision, name):
        commit = self.server.resolve(repository, revision)
        content = None if commit is None else self.server.files(repository, commit).get(name)
        if content is None:
            return self.send(404, headers={"X-Error-Code": "EntryNotFound"})
        headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
        return self.send(200, content, headers)

    def send_upload_modes(self, files):
        modes = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith((".h5", ".npz")) else "regular",
                "shouldIgnore": False,
                "oid": None,
            }
            for file in files
        ]
        return self.send(200, {"files": modes})

    def send_upload_addresses(self, objects):
        answers = [
            found | {"actions": {"upload": {"href": f"{self.server.address}/lfs/{found['oid']}"}}}
            for found in objects
        ]
        return self.send(200, {"transfer": "basic", "objects": answers})

    def add_commit(self, repository, branch, lines):
        files = dict(self.server.files(repository, branch))
        for value in (line["value"] for line in lines if line["key"] == "header"):
            if value.get("parentCommit") not in (None, self.server.resolve(repository, branch)):
                return self.send(412, {"error": "A commit has happened since."})
        for key, value in ((line["key"], line["value"]) for line in lines):
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.server.uploads[value["oid"]]
            elif key == "deletedFile":
                del files[value["path"]]
        commit = self.server.commit(repository, files, branch)
        url = f"{self.server.address}/{repository}/commit/{commit}"
        return self.send(200, {"success": True, "commitOid": commit, "commitUrl": url})

    def send(self, status, content=b"", headers=None):
        if isinstance(content, dict):
            content, headers = json.dumps(content).encode(), {"Content-Type": "application/json"}
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextlib.contextmanager
def running_hub(monkeypatch) -> Iterator[Hub]:
    """Starts the server, and points huggingface-hub and semenet to it."""
    import huggingface_hub.constants

    hub = Hub()
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    # The transfer protocol of the Hub's own storage is not spoken here; Git LFS is what remains.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
