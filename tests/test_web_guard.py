"""Who may ask, and how much; what is refused is refused before anything is read."""

from __future__ import annotations

import socket

import pytest
from web_server import serving

from scanmend.cli import main
from scanmend.web import app
from scanmend.web.settings import Settings

TOKEN = "correct-horse"


@pytest.fixture(scope="module")
def client():
    with serving(Settings(upload_bytes=3 << 20)) as client:
        yield client


@pytest.fixture(scope="module")
def guarded():
    with serving(Settings(token=TOKEN, names=("stm.example",))) as client:
        yield client


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.7", "", "[::", "a b"]
)
def test_another_host_name_is_refused(client, host):
    answer = client.get("/api/about", headers={"host": host})
    assert answer.status_code in (400, 421)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8765", "127.0.0.1", "[::1]:8765"])
def test_the_names_of_this_machine_are_known(client, host):
    assert client.get("/api/about", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH"])
def test_pages_of_other_sites_change_nothing(client, method, headers):
    answer = client.request(method, "/api/jobs/x", headers=headers)
    assert answer.status_code == 403
    assert answer.json() == {"error": "a page of another site may change nothing here"}


def test_our_own_page_may(client):
    own = {"origin": str(client.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}
    assert client.delete("/api/jobs/x", headers=own).status_code == 404


@pytest.mark.parametrize("path", ["/", "/api", "/api/about", "/api/jobs/x", "/nothing"])
def test_every_answer_forbids_what_is_not_ours(client, path):
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'self';") and "frame-ancestors 'none'" in policy
    assert "http" not in policy and "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"]


def test_without_a_token_nothing_is_told(guarded):
    for path in ("/", "/api/about", "/style.css", "/?token=wrong", "/api/about?token="):
        answer = guarded.get(path)
        assert answer.status_code == 401
        assert "a token is needed" in answer.json()["error"]
    assert guarded.get("/api/about", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert guarded.get("/api/about", headers={"cookie": b"scanmend=\xe9; =; ;;"}).status_code == 401


def test_a_token_in_the_address_becomes_a_cookie(guarded):
    answer = guarded.get("/?token=correct-horse&page=2")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?page=2")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie
    assert guarded.get("/api/about").status_code == 200
    guarded.cookies.clear()
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert guarded.get("/api/about", headers=bearer).status_code == 200


def test_a_token_leads_to_no_other_host(guarded):
    answer = guarded.get(f"{guarded.base_url}/evil.example/?token={TOKEN}")
    assert answer.headers["location"] == "/evil.example/"
    guarded.cookies.clear()


def test_a_name_that_was_given_is_known(guarded):
    headers = {"host": "stm.example", "authorization": f"Bearer {TOKEN}"}
    assert guarded.get("/api/about", headers=headers).status_code == 200


def test_nobody_outside_is_served_without_a_token():
    with pytest.raises(ValueError, match=r"a server at 0\.0\.0\.0 needs a token"):
        app.create(Settings(host="0.0.0.0"))


def raw(client, head: bytes, chunks) -> bytes:
    """What comes back for a request that is written by hand."""
    url = client.base_url
    with socket.create_connection((url.host, url.port), timeout=20) as connection:
        answer = b""
        try:
            connection.sendall(head)
            for chunk in chunks:
                connection.sendall(chunk)
        except OSError:
            pass  # the server has had enough: what it said is still there to read
        try:
            while part := connection.recv(65536):
                answer += part
        except OSError:
            pass
        return answer


HEAD = b"POST /api/files HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
FORM = HEAD + b"Content-Type: multipart/form-data; boundary=b\r\n"
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.sxm"\r\n\r\n'


def test_two_gigabytes_are_refused_before_they_are_sent(client):
    answer = raw(client, FORM + b"Content-Length: 2147483648\r\n\r\n", [])
    assert answer.startswith(b"HTTP/1.1 413 ") and b"3145728 bytes at most" in answer


def test_what_has_no_length_is_counted_as_it_comes(client):
    def chunks():
        yield b"%x\r\n%s\r\n" % (len(PART), PART)
        for _ in range(200):
            yield b"8000\r\n" + bytes(0x8000) + b"\r\n"

    answer = raw(client, FORM + b"Transfer-Encoding: chunked\r\n\r\n", chunks())
    assert answer.startswith(b"HTTP/1.1 413 ") and b'{"error":' in answer


def test_json_may_have_less(client):
    answer = client.post("/api/files", content=b" " * (2 << 20), headers={"content-type": "a/json"})
    assert answer.status_code == 413


def test_a_client_that_leaves_in_the_middle_harms_nothing(client):
    raw_head = FORM + b"Content-Length: 100000\r\n\r\n" + PART
    with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
        connection.sendall(raw_head)
    assert client.get("/api/about").status_code == 200


def test_the_command_says_what_is_in_its_way(capsys, tmp_path):
    assert main(["serve", str(tmp_path / "none"), "--no-browser", "--port", "0"]) == 1
    assert (
        capsys.readouterr().err
        == f"scanmend: {tmp_path}/none is no folder: name one that is there\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--no-browser", "--port", str(port)]) == 1
    assert "choose another --port" in capsys.readouterr().err


def test_the_command_says_what_to_install(capsys, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve", "--no-browser"]) == 1
    error = capsys.readouterr().err
    assert error.endswith('packages: pip install "scanmend[web]"\n') and error.count("\n") == 1
