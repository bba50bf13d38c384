"""An issuer of tokens as Clerk is one: RSA keys with ids, published as a JWKS over HTTP, and changed now and then."""

import base64
import functools
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

APP = "https://app.example.com"


@functools.cache
def private_key(name, bits=2048):
    """The key of an id: the same in all tests, as making one takes a while."""
    del name
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@functools.cache
def curve_key(name):
    """A P-256 key, as Supabase Auth has."""
    del name
    return ec.generate_private_key(ec.SECP256R1())


def public_jwk(name, **other):
    """What a JWKS says of an RSA key."""
    numbers = private_key(name).public_key().public_numbers()
    return {
        "use": "sig",
        "kty": "RSA",
        "kid": name,
        "alg": "RS256",
        "n": _number(numbers.n),
        "e": _number(numbers.e),
    } | other


def curve_jwk(name):
    numbers = curve_key(name).public_key().public_numbers()
    return {"kty": "EC", "crv": "P-256", "kid": name, "alg": "ES256", "x": _number(numbers.x), "y": _number(numbers.y)}


def _number(value):
    return base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8, "big")).rstrip(b"=").decode()


class Issuer:
    """What a test changes of the issuer.

    Attributes:
        url: Its `iss`.
        keys: What its JWKS says.
        status: With what status it answers.
        body: What it answers instead of the JWKS, if not None.
        fetches: How often the JWKS was asked for.
        asked: Set when it was asked.
        open: It answers while this is set, and holds requests while it is not.
    """

    def __init__(self):
        self.url = ""
        self.keys = [public_jwk("ins_1")]
        self.status = 200
        self.body = None
        self.fetches = 0
        self.asked = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def claims(self, user, **changed):
        """What Clerk's session tokens say, with the integration with Supabase; None takes a claim out.

        Clerk's are good for a minute; a test on a busy machine may take longer.
        """
        now = int(time.time())
        claims = {
            "azp": APP, "exp": now + 3600, "fva": [0, -1], "iat": now, "iss": self.url, "jti": "j1", "nbf": now - 10,
            "role": "authenticated", "sid": "sess_1", "sts": "active", "sub": user, "v": 2,
        } | changed  # fmt: skip
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, user, *, key=None, kid="ins_1", alg="RS256", **changed):
        """A user's session token."""
        return jwt.encode(self.claims(user, **changed), key or private_key(kid), alg, headers={"kid": kid})


@contextmanager
def running_issuer():
    """An issuer that serves its JWKS on a free port."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            issuer.fetches += self.path == "/.well-known/jwks.json"
            issuer.asked.set()
            issuer.open.wait(60)
            body = json.dumps({"keys": issuer.keys}).encode() if issuer.body is None else issuer.body
            self.send_response(issuer.status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with serving(Handler) as url:
        issuer.url = url
        yield issuer
        issuer.open.set()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Nothing: a client that goes away is no error, and others are seen by the client."""


@contextmanager
def serving(handler):
    """A server of a handler's, on a free port, in a thread of its own; gives its URL."""
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
