"""A stand-in of the Hugging Face Hub in a thread: the part of its HTTP API that pushes and pulls of huggingface_hub use."""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_secretsecretsecretsecret"
LFS_ENDINGS = (".safetensors", ".parquet")


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Repository:
    def __init__(self, private: bool):
        self.private = private
        self.commits = {"0" * 40: {}}  # commit -> path -> content
        self.branches = {"main": "0" * 40}

    def at(self, revision: str):
        commit = self.branches.get(revision, revision)
        return (commit, self.commits[commit]) if commit in self.commits else None

    def commit(self, branch: str, files: dict) -> str:
        number = len(self.commits)
        commit = hashlib.sha1(f"{branch} {number} {sorted(files)}".encode()).hexdigest()
        self.commits[commit], self.branches[branch] = files, commit
        return commit


class Hub(ThreadingHTTPServer):
    """The stand-in; ``repositories`` maps (type, owner/name) to its content."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories, self.large, self.requests = {}, {}, []
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.other_host = self.url.replace(
            "127.0.0.1", "localhost"
        )  # large files come from another host than the Hub's
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def files(self, repo_type: str, name: str, revision: str = "main") -> dict:
        return self.repositories[repo_type, name].at(revision)[1]

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *args) -> None:
        pass

    # answers ---------------------------------------------------------------------------------------------------------
    def _send(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        headers = {"Content-Length": str(len(content)), **{k.replace("_", "-"): v for k, v in headers.items()}}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self, value, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode(), Content_Type="application/json")

    def _error(self, status: int, code: str) -> None:
        self._send(status, json.dumps({"error": code}).encode(), X_Error_Code=code, X_Error_Message=code)

    # requests --------------------------------------------------------------------------------------------------------
    @property
    def _authorised(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _repository(self, repo_type: str, name: str):
        found = self.server.repositories.get((repo_type, name))
        if found is None or (found.private and not self._authorised):
            self._error(404 if self._authorised else 401, "RepoNotFound")
            return None
        return found

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append((self.command, path))
        if found := re.fullmatch(r"/large/(\w+)", path):
            return self._send(200, self.server.large[found[1]])
        if found := re.fullmatch(r"/api/(model|dataset)s/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            return self._info(*found.groups())
        if found := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._resolve("dataset" if found[1] else "model", found[2], found[3], found[4])
        self._error(404, "EntryNotFound")

    do_HEAD = do_GET

    def _info(self, repo_type: str, name: str, revision) -> None:
        repository = self._repository(repo_type, name)
        if repository is None:
            return
        at = repository.at(revision or "main")
        if at is None:
            return self._error(404, "RevisionNotFound")
        siblings = [{"rfilename": path, "size": len(content)} for path, content in at[1].items()]
        self._json({"id": name, "sha": at[0], "siblings": siblings, "private": repository.private, "tags": []})

    def _resolve(self, repo_type: str, name: str, revision: str, path: str) -> None:
        repository = self._repository(repo_type, name)
        if repository is None:
            return
        at = repository.at(revision)
        if at is None:
            return self._error(404, "RevisionNotFound")
        if path not in at[1]:
            return self._error(404, "EntryNotFound")
        content = at[1][path]
        if path.endswith(LFS_ENDINGS):
            oid = hashlib.sha256(content).hexdigest()
            linked = {"X_Linked_Etag": f'"{oid}"', "X_Linked_Size": str(len(content))}
            return self._send(302, Location=f"{self.server.other_host}/large/{oid}", X_Repo_Commit=at[0], **linked)
        self._send(200, content, ETag=f'"{git_hash(content)}"', X_Repo_Commit=at[0])

    def do_PUT(self) -> None:
        content = self._body()
        oid = self.path.rpartition("/")[2]
        assert hashlib.sha256(content).hexdigest() == oid
        self.server.large[oid] = content
        self._send(200)

    def do_POST(self) -> None:
        path, body = unquote(urlsplit(self.path).path), self._body()
        self.server.requests.append((self.command, path))
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if not self._authorised:
            return self._error(401, "Unauthorized")
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if found := re.fullmatch(r"/(?:datasets/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            return self._batch(json.loads(body))
        found = re.fullmatch(r"/api/(model|dataset)s/([^/]+/[^/]+)/(branch|preupload|commit)/(.+)", path)
        if not found:
            return self._error(404, "EntryNotFound")
        repository = self._repository(found[1], found[2])
        if repository is None:
            return
        if found[3] == "branch":
            if found[4] in repository.branches:
                return self._error(409, "Conflict")
            repository.branches[found[4]] = repository.branches["main"]
            return self._json({})
        if found[3] == "preupload":
            files = [
                {
                    "path": f["path"],
                    "uploadMode": "lfs" if f["path"].endswith(LFS_ENDINGS) else "regular",
                    "shouldIgnore": False,
                }
                for f in json.loads(body)["files"]
            ]
            return self._json({"files": files})
        self._commit(repository, f"{'datasets/' * (found[1] == 'dataset')}{found[2]}", found[4], body)

    def _create(self, wanted: dict) -> None:
        key = (wanted.get("type") or "model", "/".join(filter(None, (wanted.get("organization"), wanted["name"]))))
        answer = {"url": f"{self.server.url}/{'datasets/' * (key[0] == 'dataset')}{key[1]}"}
        if key in self.server.repositories:
            return self._json({**answer, "error": "You already created this repository"}, 409)
        self.server.repositories[key] = Repository(wanted.get("private") or wanted.get("visibility") == "private")
        self._json(answer)

    def _batch(self, wanted: dict) -> None:
        objects = [
            {**entry, "actions": {"upload": {"href": f"{self.server.url}/large/{entry['oid']}"}}}
            for entry in wanted["objects"]
        ]
        self._json({"transfer": "basic", "objects": objects})

    def _commit(self, repository: Repository, place: str, branch: str, body: bytes) -> None:
        files = dict(repository.at(branch)[1])
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        commit = repository.commit(branch, files)
        self._json({"commitUrl": f"{self.server.url}/{place}/commit/{commit}", "commitOid": commit, "success": True})
