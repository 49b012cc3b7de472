"""Buckets of a real S3 server on the loopback."""

import json

import pytest

from curate.run import lock


@pytest.fixture(scope="module")
def server():
    import s3fs
    from s3_server import Server

    s3fs.S3FileSystem.clear_instance_cache()  # which know the server of another module
    made = Server()
    serving, environment = made.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield made
    serving.shutdown()


@pytest.fixture
def bucket(server, request, monkeypatch):
    import s3fs

    monkeypatch.setattr(lock, "SETTLE", 0.01)
    server.reset()
    name = f"b{abs(hash(request.node.name)) % 10**9}"
    system = s3fs.S3FileSystem()
    system.mkdir(name)
    for file in "ab":
        rows = [{"id": f"{file}{i}", "text": f"row {i % 40} of {file}"} for i in range(60)]
        system.pipe_file(f"{name}/in/{file}.jsonl", "\n".join(map(json.dumps, rows)).encode())
    yield f"s3://{name}"
    server.reset()
