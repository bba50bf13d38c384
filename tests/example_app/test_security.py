"""What a browser is let do: whose cookie it is, who may use it, and what a page may run."""

from contextlib import asynccontextmanager

import httpx

from chatstore.settings import load_settings
from examples.app.issuer import Issuer
from tests.example_app.conftest import served

SECRETS = ("HttpOnly", "SameSite=strict", "Path=/")


@asynccontextmanager
async def browser_of(site, user_id, **headers):
    """A client as a browser is one: logged in by the cookie, and saying where its page is from; and the log in."""
    async with httpx.AsyncClient(base_url=site.url, headers={"Origin": site.url} | headers, trust_env=False) as http:
        answer = await http.post("/login", json={"token": await site.token(user_id)}, headers={"Origin": site.url})
        assert answer.json() == {"user_id": user_id}
        yield http, answer


async def test_the_token_is_in_a_cookie_that_no_script_reads_and_no_other_site_sends(site):
    async with browser_of(site, "ann") as (http, answer):
        cookie = answer.headers["Set-Cookie"]
        assert all(secret in cookie for secret in SECRETS), cookie
        assert "Secure" not in cookie  # by http, on this machine
        assert (await http.get("/api/me")).json() == {"user_id": "ann"}
        assert (await http.post("/logout")).status_code == 204
        assert (await http.get("/api/me")).status_code == 401


async def test_another_sites_page_changes_nothing_though_the_browser_sends_the_cookie(site):
    for origin in ("https://evil.example", "null", ""):
        async with browser_of(site, "ann", Origin=origin) as (http, _):
            assert (await http.post("/api/sessions", json={})).status_code == 403
            assert (await http.post("/api/documents", files={"file": ("a.txt", b"Hello")})).status_code == 403
            assert (await http.post("/logout")).status_code == 403
            assert (await http.post("/login", json={"token": await site.token("eve")})).status_code == 403
            assert (await http.get("/api/sessions")).json()["items"] == []


async def test_a_header_wins_over_the_cookie(site):
    async with browser_of(site, "ann") as (http, _):
        token = await site.token("ben")
        assert (await http.get("/api/me", headers={"Authorization": f"Bearer {token}"})).json() == {"user_id": "ben"}
        assert (await http.get("/api/me", headers={"Authorization": "Basic x"})).status_code == 401


async def test_a_token_of_another_issuer_and_one_that_was_changed_are_refused(site):
    async with httpx.AsyncClient(base_url=site.url, trust_env=False) as http:
        stranger = Issuer(site.url).token("ann")
        for token in (stranger, stranger[:-4] + "AAAA"):
            answer = await http.get("/api/me", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 401
            assert token not in answer.text


async def test_a_page_may_run_the_apps_own_scripts_only(site):
    async with httpx.AsyncClient(base_url=site.url, trust_env=False) as http:
        page = await http.get("/")
        policy = page.headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "<script>" not in page.text
        assert "style=" not in page.text
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert (await http.get("/api/me")).headers["Cache-Control"] == "no-store"
        assert (await http.get("/static/../main.py")).status_code == 404


async def test_with_an_issuer_of_ones_own_nobody_gets_a_token_for_a_name(redis_database, own_settings):
    given = load_settings(redis_url=redis_database, token_issuer="https://clerk.example.com", _env_file=None)
    async with (
        served(given, own_settings, None) as site,
        httpx.AsyncClient(base_url=site.url, headers={"Origin": site.url}, trust_env=False) as http,
    ):
        assert (await http.post("/dev/token", json={"user_id": "ann"})).status_code == 404
        assert (await http.get("/.well-known/jwks.json")).status_code == 404
        assert (await http.get("/api/settings")).json() == {"by_name": False, "sign_in_url": None}
