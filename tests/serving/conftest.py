"""A served model and a certificate, for all tests of a session."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).absolute().parents[2]
ADDRESSES = "AWD_KERAS_TF_SERVING"


@dataclasses.dataclass
class Served:
    """Where a server answers, and whose model `tiny_model` it has, version 1."""

    grpc: str
    rest: str
    is_local: bool = False

    def addresses(self):
        return {"grpc": self.grpc, "rest": self.rest}


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """The folder `tiny` of `tiny/1/saved_model.pb`, an export of `tiny_model`."""
    from tests.serving.exported import exported

    folder = tmp_path_factory.mktemp("models") / "tiny"
    shutil.copytree(exported().export.path, folder / "1")
    return folder


@contextlib.contextmanager
def started(*arguments, stderr=subprocess.PIPE):
    """`python -m serving.local` that answers, with the process and the lines it wrote."""
    command = [sys.executable, "-m", "serving.local", "--port=0", "--rest_api_port=0", *arguments]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
    ) as process:
        try:
            lines = []
            while not (lines and lines[-1].startswith("REST: ")):
                lines.append(process.stdout.readline())
                assert lines[-1], process.stderr and process.stderr.read()
            yield process, "".join(lines)
        finally:
            process.kill()


@pytest.fixture(scope="session")
def local(model_folder, tmp_path_factory):
    """`serving.local`, in a process of its own, which has nothing to complain of."""
    path = tmp_path_factory.mktemp("local") / "stderr"
    with path.open("w") as stderr:
        arguments = f"--model={model_folder}", "--label=stable"
        with started(*arguments, stderr=stderr) as (_, said):
            grpc, rest = (line.split()[1] for line in said.splitlines()[-2:])
            yield Served(grpc, rest.partition("/v1/")[0], is_local=True)
    assert "Traceback" not in path.read_text()


@pytest.fixture(scope="session")
def tf_serving(model_folder):
    """TensorFlow's own server, started here or somewhere else."""
    if os.environ.get(ADDRESSES):
        yield Served(*os.environ[ADDRESSES].split(","))
        return
    binary = shutil.which("tensorflow_model_server")
    if binary is None:
        pytest.skip(
            f"tensorflow_model_server is not on the PATH, and {ADDRESSES} names no address "
            "(host:port,http://host:port)"
        )
    ports = [_free_port(), _free_port()]
    command = [
        binary,
        f"--port={ports[0]}",
        f"--rest_api_port={ports[1]}",
        "--model_name=tiny",
        f"--model_base_path={model_folder}",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for port in ports:
                _wait_for(port)
            yield Served(f"127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}")
        finally:
            process.kill()


@pytest.fixture(scope="session", params=["local", "tf_serving"])
def served(request):
    """Every server there is: the tests that use it pass on all of them unchanged."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """(certificate file, key file) of localhost."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes a certificate, is not on the PATH")
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "1",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-out",
            files[0],
            "-keyout",
            files[1],
        ],
        check=True,
        capture_output=True,
    )
    return files


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _wait_for(port):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port}")
