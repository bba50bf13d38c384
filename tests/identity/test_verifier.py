"""Which tokens are taken, and which are not: by their signature, and by what they say."""

import base64
import hmac
import json
import time
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chatstore.errors import ConfigurationError, InvalidRecordError, TokenRefusedError
from chatstore.identity import TokenVerifier, UserToken
from chatstore.models import utc_now
from tests.identity.issuer import APP, curve_jwk, curve_key, private_key, public_jwk

HOUR = 3600


def part(value):
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def by_hand(header, claims, signature="c2ln"):
    return f"{part(header)}.{part(claims)}.{signature}"


def hs256_with_the_public_key(issuer):
    """The classic: the verifier is to take the issuer's public key for a shared secret."""
    pem = private_key("ins_1").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    unsigned = f"{part({'alg': 'HS256', 'kid': 'ins_1'})}.{part(issuer.claims('ann'))}"
    return f"{unsigned}.{part(hmac.digest(pem, unsigned.encode(), 'sha256'))}"


def with_another_users_claims(issuer):
    header, _, signature = issuer.token("ann").split(".")
    return f"{header}.{part(issuer.claims('ben'))}.{signature}"


NOW = time.time()
REFUSED = {
    "alg none": (lambda i: by_hand({"alg": "none", "kid": "ins_1"}, i.claims("ann"), ""), "not signed by RS256 or ES256"),
    "alg NONE": (lambda i: by_hand({"alg": "NoNe", "kid": "ins_1"}, i.claims("ann"), ""), "not signed by RS256 or ES256"),
    "no alg": (lambda i: by_hand({"kid": "ins_1"}, i.claims("ann")), "not signed by RS256 or ES256"),
    "HS256 with the public key as the secret": (hs256_with_the_public_key, "not signed by RS256 or ES256"),
    "HS256 with a secret of one's own": (
        lambda i: jwt.encode(i.claims("ann"), "s" * 32, "HS256", headers={"kid": "ins_1"}),
        "not signed by RS256 or ES256",
    ),
    "RS512, by the right key": (lambda i: i.token("ann", alg="RS512"), "not signed by RS256 or ES256"),
    "ES256 under the id of an RSA key": (
        lambda i: jwt.encode(i.claims("ann"), curve_key("ec"), "ES256", headers={"kid": "ins_1"}),
        "algorithm of the issuer's key",
    ),
    "another key under the right id": (lambda i: i.token("ann", key=private_key("ins_2")), "not by the issuer's key"),
    "another user's claims under the signature": (with_another_users_claims, "not by the issuer's key"),
    "no signature": (lambda i: i.token("ann").rpartition(".")[0] + ".", "not by the issuer's key"),
    "a key that the issuer does not name": (lambda i: i.token("ann", kid="ins_9"), "does not name"),
    "no kid": (lambda i: jwt.encode(i.claims("ann"), private_key("ins_1"), "RS256"), "`kid`"),
    "a kid that is no text": (lambda i: by_hand({"alg": "RS256", "kid": 1}, i.claims("ann")), "header is malformed"),
    "its own key in the header": (
        lambda i: jwt.encode(
            i.claims("ann"), private_key("evil"), "RS256", headers={"kid": "ins_1", "jwk": public_jwk("evil")}
        ),
        "not by the issuer's key",
    ),
    "expired": (lambda i: i.token("ann", exp=int(NOW) - HOUR), "expired"),
    "no exp": (lambda i: i.token("ann", exp=None), "`exp` is missing"),
    "exp that is a text": (lambda i: i.token("ann", exp="tomorrow"), "malformed"),
    "exp beyond all calendars": (lambda i: i.token("ann", exp=10**30), "no time"),
    "not good yet": (lambda i: i.token("ann", nbf=int(NOW) + HOUR), "not good yet"),
    "from the future": (lambda i: i.token("ann", iat=int(NOW) + HOUR), "not good yet"),
    "no sub": (lambda i: i.token(None), "`sub` is missing"),
    "an empty sub": (lambda i: i.token(""), "`sub` is missing, empty"),
    "a sub that no record can have": (lambda i: i.token("u" * 5000), "`sub`"),
    "role service_role": (lambda i: i.token("ann", role="service_role"), "role is service_role"),
    "role anon": (lambda i: i.token("ann", role="anon"), "role is anon"),
    "role postgres": (lambda i: i.token("ann", role="postgres"), "role"),
    "a role that is a list": (lambda i: i.token("ann", role=["authenticated"]), "role"),
    "no role": (lambda i: i.token("ann", role=None), "has no role"),
    "another issuer": (lambda i: i.token("ann", iss="https://clerk.evil.example.com"), "issuer"),
    "the issuer with a slash": (lambda i: i.token("ann", iss=i.url + "/"), "issuer"),
    "no issuer": (lambda i: i.token("ann", iss=None), "`iss` is missing"),
    "another authorized party": (lambda i: i.token("ann", azp="https://evil.example.com"), "azp"),
    "an authorized party that is a list": (lambda i: i.token("ann", azp=[APP]), "azp"),
    "no authorized party": (lambda i: i.token("ann", azp=None), "azp"),
    "an audience where none is expected": (lambda i: i.token("ann", aud="another-app"), "CHATSTORE_TOKEN_AUDIENCE"),
    "the secret key": (lambda _: "sb_secret_0123456789", "secret key"),
    "the publishable key": (lambda _: "sb_publishable_0123456789", "publishable key"),
    "nothing": (lambda _: "", "no user's token"),
    "no text": (lambda _: None, "no user's token"),
    "bytes": (lambda i: i.token("ann").encode(), "no user's token"),
    "a text": (lambda _: "hello", "no JWT"),
    "two dots": (lambda _: "..", "header is malformed"),
    "letters that no JWT has": (lambda i: i.token("ann") + "ü", "no JWT"),
    "the scheme before it": (lambda i: "Bearer " + i.token("ann"), "header is malformed"),
    "more than a header holds": (lambda i: i.token("ann", more="x" * 20_000), "no JWT"),
    "a header 10,000 levels deep": (lambda _: f"{part(b'[' * 10_000)}.e30.c2ln", "header is malformed"),
    "a header that is a list": (lambda _: by_hand(["alg", "RS256"], {}), "header is malformed"),
    "an encrypted token": (lambda _: "a.b.c.d.e", "no JWT"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
async def test_it_is_refused_with_the_reason_and_not_told(issuer, verifier, case):
    make, reason = REFUSED[case]
    token = make(issuer)
    with pytest.raises(TokenRefusedError, match=reason) as refused:
        await verifier.verify(token)
    error = refused.value
    assert not token or str(token) not in str(error)
    # Nothing lies behind it but what chatstore itself has said of the id.
    assert isinstance(error.__context__, InvalidRecordError | None)


async def test_a_users_session_token_is_taken_for_what_it_says(issuer, verifier):
    now = int(time.time())
    token = issuer.token("user_2abc", exp=now + 600)
    verified = await verifier.verify(token)
    assert (verified.user_id, verified.text) == ("user_2abc", token)
    assert verified.expires_at.timestamp() == now + 600 + 10
    assert token not in repr(verified)
    assert "user_2abc" in repr(verified)


async def test_a_clock_may_differ_a_little(issuer, verifier):
    now = int(time.time())
    ahead, behind = issuer.token("ann", nbf=now + 1800, iat=now + 1800), issuer.token("ann", exp=now - 1800)
    lenient = TokenVerifier(issuer.url, leeway=timedelta(hours=1))
    assert await lenient.verify(ahead)
    assert (await lenient.verify(behind)).expires_at.timestamp() == now + 1800
    for token in (ahead, behind):
        with pytest.raises(TokenRefusedError, match=r"expired|not good yet"):
            await verifier.verify(token)


async def test_a_token_of_supabase_auth_is_taken_by_its_audience(issuer):
    issuer.keys = [curve_jwk("ec_1")]
    verifier = TokenVerifier(issuer.url, audience="authenticated")
    made = {"kid": "ec_1", "key": curve_key("ec_1"), "alg": "ES256", "azp": None}
    assert (await verifier.verify(issuer.token("0b9f", aud="authenticated", **made))).user_id == "0b9f"
    for aud in ("another", None):
        with pytest.raises(TokenRefusedError, match="aud"):
            await verifier.verify(issuer.token("0b9f", aud=aud, **made))


async def test_a_short_key_of_the_issuers_is_not_trusted(issuer, verifier):
    numbers = private_key("short", 1024).public_key().public_numbers()
    issuer.keys = [public_jwk("ins_1") | {"kid": "short", "n": part(numbers.n.to_bytes(128, "big"))}]
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
        token = issuer.token("ann", key=private_key("short", 1024), kid="short")
    with pytest.raises(TokenRefusedError, match="too short"):
        await verifier.verify(token)


@pytest.mark.parametrize("issuer_url", ["http://clerk.example.com", "clerk.example.com", "", "ftp://127.0.0.1"])
def test_keys_are_not_fetched_from_where_anybody_could_change_them(issuer_url):
    with pytest.raises(ConfigurationError, match="CHATSTORE_TOKEN_ISSUER"):
        TokenVerifier(issuer_url)


def test_one_text_is_no_collection_of_parties():
    with pytest.raises(ConfigurationError, match="collection"):
        TokenVerifier("https://clerk.example.com", parties=APP)


def test_a_users_token_is_not_made_by_naming_a_user(issuer):
    with pytest.raises(TypeError, match="TokenVerifier"):
        UserToken(user_id="ann", expires_at=utc_now(), text="t")
    for case in ("no sub", "role service_role", "no role", "expired", "no exp", "the secret key", "a text", "nothing"):
        make, reason = REFUSED[case]
        with pytest.raises(TokenRefusedError, match=reason):
            UserToken.verified_elsewhere(make(issuer))


def test_whose_a_token_is_that_the_app_verified_it_says_itself(issuer):
    token = UserToken.verified_elsewhere(issuer.token("ann"))
    assert token.user_id == "ann"
    with pytest.raises(AttributeError):
        token.user_id = "ben"
