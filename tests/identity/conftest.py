import pytest

from chatstore.identity import TokenVerifier
from tests.identity.issuer import APP, running_issuer


@pytest.fixture
def issuer():
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture
def verifier(issuer):
    return TokenVerifier(issuer.url, parties=[APP])
