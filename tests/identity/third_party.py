"""A Supabase project that trusts an issuer of one's own, as a hosted one does by "third-party auth".

The lightweight server knows tokens of its own secret only. So this stands in front of it and does what hosted Supabase
does first: it verifies a user's token by the issuer's keys. It then sends the same claims on under the server's secret.
"""

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import httpx
import jwt

from chatstore.local import user_token
from tests.identity.issuer import private_key, serving

SERVICE = "the service"


class Project:
    """A project behind its gateway.

    Attributes:
        url: Its SUPABASE_URL.
        asked: Which function was asked for by whom: a user's id, or `SERVICE`.
        keys: The values of `apikey` that requests of users came with.
    """

    def __init__(self):
        self.url = ""
        self.asked = []
        self.keys = set()


@contextmanager
def trusting(issuer, settings):
    """A project that trusts an issuer."""
    project = Project()
    http = httpx.Client(trust_env=False, timeout=60)

    class Gateway(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            bearer = self.headers["Authorization"].removeprefix("Bearer ")
            function = self.path.rpartition("/")[2]
            if bearer == settings.supabase_secret_key:
                project.asked.append((function, SERVICE))
            else:
                try:
                    name = jwt.get_unverified_header(bearer)["kid"]
                    claims = jwt.decode(bearer, private_key(name).public_key(), ["RS256"], issuer=issuer.url)
                except (jwt.PyJWTError, KeyError) as error:
                    return self.answer(401, b'{"code": "PGRST301", "message": "%s"}' % type(error).__name__.encode())
                project.asked.append((function, claims["sub"]))
                project.keys.add(self.headers["apikey"])
                bearer = user_token(settings.supabase_jwt_secret, claims["sub"], role=claims["role"])
            headers = {"apikey": self.headers["apikey"], "Authorization": f"Bearer {bearer}"}
            for name in ("Content-Type", "Prefer", "Accept"):
                if name in self.headers:
                    headers[name] = self.headers[name]
            answer = http.post(settings.supabase_url + self.path, content=body, headers=headers)
            return self.answer(answer.status_code, answer.content)

        def answer(self, status, body):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http, serving(Gateway) as url:
        project.url = url
        yield project
