"""When the issuer's keys are fetched: as seldom as can be, once for all who wait, and never as often as tokens say."""

import asyncio
import base64
import json

import pytest

from chatstore.errors import TokenRefusedError, UnavailableError
from chatstore.identity import IssuerKeys, TokenVerifier
from tests.identity.issuer import public_jwk


def verifier_with(issuer, **options):
    return TokenVerifier(issuer.url, keys=IssuerKeys(f"{issuer.url}/.well-known/jwks.json", **options))


def under_another_key(token, kid):
    _, claims, signature = token.split(".")
    header = json.dumps({"alg": "RS256", "kid": kid}).encode()
    return f"{base64.urlsafe_b64encode(header).rstrip(b'=').decode()}.{claims}.{signature}"


async def test_keys_are_fetched_once_for_many_tokens(issuer, verifier):
    for user in ("ann", "ben", "ann"):
        assert (await verifier.verify(issuer.token(user))).user_id == user
    assert issuer.fetches == 1


async def test_a_key_that_came_with_a_rotation_is_fetched_and_one_that_went_is_refused(issuer):
    verifier = verifier_with(issuer, pause=0)
    old = issuer.token("ann")
    await verifier.verify(old)
    issuer.keys = [public_jwk("ins_1"), public_jwk("ins_2")]
    assert await verifier.verify(issuer.token("ann", kid="ins_2"))
    assert await verifier.verify(old)
    assert issuer.fetches == 2
    issuer.keys = [public_jwk("ins_2")]
    # What is named no more is trusted no more, as soon as that is known.
    with pytest.raises(TokenRefusedError):
        await verifier.verify(issuer.token("ann", kid="ins_9"))
    with pytest.raises(TokenRefusedError, match="does not name"):
        await verifier.verify(old)


async def test_a_flood_of_made_up_keys_is_no_flood_of_fetches(issuer):
    verifier = verifier_with(issuer, pause=3600)
    good = issuer.token("ann")
    assert await verifier.verify(good)
    flood = [verifier.verify(under_another_key(good, f"made-up-{i}")) for i in range(500)]
    assert {type(result) for result in await asyncio.gather(*flood, return_exceptions=True)} == {TokenRefusedError}
    assert await verifier.verify(good)
    assert issuer.fetches == 1


async def test_many_who_wait_share_one_fetch_and_the_event_loop_goes_on(issuer, verifier):
    issuer.open.clear()
    waiting = [asyncio.create_task(verifier.verify(issuer.token(f"user-{i}"))) for i in range(20)]
    assert await asyncio.to_thread(issuer.asked.wait, 60)
    # Whoever goes away meanwhile takes the fetch from nobody, and no further one begins for that.
    waiting.pop().cancel()
    waiting.append(asyncio.create_task(verifier.verify(issuer.token("late"))))
    await asyncio.sleep(0.01)
    assert not any(task.done() for task in waiting[:-1])
    issuer.open.set()
    assert [(await task).user_id for task in waiting] == [*(f"user-{i}" for i in range(19)), "late"]
    assert issuer.fetches == 1


async def test_keys_grow_old_and_are_fetched_again(issuer):
    verifier = verifier_with(issuer, lifetime=0, pause=0)
    token = issuer.token("ann")
    await verifier.verify(token)
    await verifier.verify(token)
    assert issuer.fetches == 2
    issuer.keys = [public_jwk("ins_2")]
    with pytest.raises(TokenRefusedError, match="does not name"):
        await verifier.verify(token)


@pytest.mark.parametrize(
    "outage",
    [
        {"status": 503},
        {"status": 302},
        {"body": b"<html>"},
        {"body": b"[]"},
        {"body": b'{"keys": []}'},
        {"body": b'{"keys": ["k"]}'},
        {"body": b'{"keys": [{"kty": "RSA", "kid": "ins_1", "n": "!", "e": "!"}]}'},
        {"body": b'{"keys": [{"kty": "oct", "kid": "ins_1", "k": "c2VjcmV0"}]}'},
        {"body": b"[" * 100_000},
        {"body": b" " * 2_000_000},
        {"keys": [public_jwk("ins_1", use="enc")]},
        {"keys": [public_jwk("ins_1", kid=None)]},
    ],
    ids=lambda outage: str(outage)[:50],
)
async def test_while_the_issuer_gives_no_keys_the_last_ones_are_taken_and_without_any_nobody_is_let_in(issuer, outage):
    known = verifier_with(issuer, lifetime=0, pause=0)
    token = issuer.token("ann")
    await known.verify(token)
    for name, value in outage.items():
        setattr(issuer, name, value)
    assert (await known.verify(token)).user_id == "ann"
    assert issuer.fetches == 2
    for verifier in (verifier_with(issuer), verifier_with(issuer, keep=0)):
        with pytest.raises(UnavailableError, match="CHATSTORE_TOKEN_ISSUER"):
            await verifier.verify(token)


async def test_keys_that_could_not_be_fetched_for_long_are_not_trusted_for_ever(issuer):
    verifier = verifier_with(issuer, lifetime=0, keep=0, pause=0)
    # Known for an instant only: no longer by the time it is looked.
    with pytest.raises(UnavailableError):
        await verifier.verify(issuer.token("ann"))
    assert issuer.fetches == 1


async def test_an_issuer_that_is_away_is_not_asked_by_every_request(issuer):
    verifier = verifier_with(issuer, pause=3600)
    issuer.status = 500
    for _ in range(3):
        with pytest.raises(UnavailableError, match="status 500"):
            await verifier.verify(issuer.token("ann"))
    assert issuer.fetches == 1


async def test_an_issuer_that_is_silent_is_given_up(issuer):
    verifier = verifier_with(issuer, timeout=0.1)
    issuer.open.clear()
    with pytest.raises(UnavailableError, match="TimeoutError"):
        await verifier.verify(issuer.token("ann"))


def test_one_verifier_serves_one_event_loop_after_another(issuer, verifier):
    issuer.open.clear()

    async def given_up():
        async with asyncio.timeout(0.1):
            await verifier.verify(issuer.token("ann"))

    with pytest.raises(TimeoutError):
        asyncio.run(given_up())
    issuer.open.set()
    verifier._keys._tried_at = None
    assert asyncio.run(verifier.verify(issuer.token("ann"))).user_id == "ann"
