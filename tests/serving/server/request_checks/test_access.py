"""Who may use the server: hosts, origins and the token."""

import base64
import hashlib
import re

import pytest
from asgi_client import ask, service_of

from semenet.errors import SemenetError
from semenet.serving.server.options import ServerOptions
from semenet.serving.server.request_checks.access import TOKEN_VARIABLE, is_loopback, read_token

TOKEN = "0123456789abcdef"
PATHS = ["/metrics", "/healthz", "/v1/models/m"]


def service(token=None, **options):
    return service_of(None, {}, ServerOptions(**options), token)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("", 200),
        ("localhost", 200),
        ("LocalHost:80", 200),
        ("127.0.0.1:8501", 200),
        ("10.1.2.3", 200),
        ("[::1]:8501", 200),
        ("served.example.org:8501", 200),
        ("proxy", 200),
        ("attacker.example", 403),
        ("127.0.0.1.attacker.example", 403),
        ("localhost.attacker.example:8501", 403),
        ("localhost:x", 403),
        ("user@attacker.example", 403),
        ("[::1", 403),
        ("attacker.example/localhost", 403),
    ],
)
def test_a_name_that_leads_here_by_dns_rebinding_is_refused(path, host, status):
    served = service(host="served.example.org", allow_host=("Proxy",))
    answer = ask(served, "GET", path, host=host)
    assert answer.status == status
    assert status == 200 or "--allow-host" in answer.content["error"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://viewer.example"}, 200),
        ({"origin": "http://127.0.0.1:8501"}, 200),
        ({"origin": "https://viewer.example:444"}, 403),
        ({"origin": "http://viewer.example"}, 403),
        ({"origin": "http://127.0.0.1:3000"}, 403),
        ({"origin": "null"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"sec_fetch_site": "none"}, 200),
    ],
)
def test_a_page_of_another_site_is_refused_unless_allowed(path, headers, status):
    answer = ask(service(allow_origin=("https://viewer.example",)), "GET", path, **headers)
    assert answer.status == status
    assert status == 200 or "--allow-origin" in answer.content["error"]


def test_a_browser_sees_the_answer_if_its_origin_is_allowed():
    served = service(TOKEN, allow_origin=("https://viewer.example",))
    origin = {"origin": "https://viewer.example"}
    preflight = {"access_control_request_method": "POST", "access_control_request_headers": "authorization"}
    allowed = ask(served, "OPTIONS", "/v1/models/m:predict", **origin, **preflight)
    assert allowed.status == 200
    assert "POST" in allowed.headers["access-control-allow-methods"]
    assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
    answer = ask(served, "GET", "/metrics", authorization=f"Bearer {TOKEN}", **origin)
    assert answer.headers["access-control-allow-origin"] == "https://viewer.example"
    other = ask(served, "OPTIONS", "/v1/models/m:predict", origin="https://other.example", **preflight)
    assert other.status == 403


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN}", 200),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Basic {TOKEN}", 401),
        ("Bearer é", 401),
        ("Bearer", 401),
        ("", 401),
    ],
)
def test_all_but_health_needs_the_token(sent, status):
    for path in PATHS:
        answer = ask(service(TOKEN), "GET", path, authorization=sent)
        assert answer.status == (200 if path == "/healthz" else status)
        if answer.status == 401:
            assert answer.headers["www-authenticate"] == "Bearer"
            assert TOKEN not in answer.content["error"]


def test_the_token_comes_from_a_file_or_the_environment(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert read_token(ServerOptions(), {}) is None
    assert read_token(ServerOptions(), {TOKEN_VARIABLE: TOKEN}) == TOKEN
    assert read_token(ServerOptions(token_file=file), {}) == TOKEN
    with pytest.raises(SemenetError, match="one place"):
        read_token(ServerOptions(token_file=file), {TOKEN_VARIABLE: TOKEN})
    with pytest.raises(SemenetError, match="must be a text file. Received: .*missing"):
        read_token(ServerOptions(token_file=tmp_path / "missing"), {})
    for wrong in (b"", b"short", b"two words of a token", b"\xff" * 20):
        file.write_bytes(wrong)
        with pytest.raises(SemenetError, match="Received: .*token"):
            read_token(ServerOptions(token_file=file), {})


def test_only_loopback_addresses_are_this_machine():
    addresses = ("127.0.0.1", "127.8.9.1", "::1", "0.0.0.0", "::", "192.168.1.2", "fe80::1%eth0")
    assert [address for address in addresses if is_loopback(address)] == ["127.0.0.1", "127.8.9.1", "::1"]


@pytest.mark.parametrize(
    "options",
    [
        {"allow_origin": ("https://viewer.example/",)},
        {"allow_origin": ("viewer.example",)},
        {"allow_origin": ("*",)},
        {"allow_host": ("http://proxy",)},
        {"allow_host": ("proxy:80",)},
        {"grace": 0},
    ],
)
def test_wrong_options_are_refused(options):
    with pytest.raises(SemenetError, match="Received: "):
        ServerOptions(**options)


LINK = {"sec_fetch_site": "cross-site", "sec_fetch_dest": "document"}


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 200),
        ("/", LINK, 200),
        ("/", LINK | {"sec_fetch_dest": "iframe"}, 403),
        ("/", LINK | {"origin": "https://attacker.example"}, 403),
        ("/", LINK | {"host": "attacker.example"}, 403),
        ("/look", LINK | {"authorization": f"Bearer {TOKEN}"}, 403),
        ("/look", {}, 401),
    ],
)
def test_the_page_needs_no_token_and_may_be_linked_to_but_nothing_else(path, headers, status):
    assert ask(service(TOKEN), "GET", path, **headers).status == status


def test_no_page_leaves_its_addresses_out():
    for path in ("/", "/look"):
        assert ask(service(page=False), "GET", path).status == 404
    assert ask(service(TOKEN, page=False), "GET", "/", **LINK).status == 403


def test_the_page_trusts_only_its_own_script_and_style():
    answer = ask(service(), "GET", "/")
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    for tag in ("script", "style"):
        text = answer.body.decode().partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    # The one address in it names a namespace.
    assert set(re.findall(r"https?://[^\"'\s]+", answer.body.decode())) == {"http://www.w3.org/2000/svg"}
