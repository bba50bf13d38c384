"""No lock pins a release that is known to be bad, and no lower bound lets one in; exceptions stand beside, with a reason."""

from __future__ import annotations

import re

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.supply_chain.known_bad import BAD, EXCEPTIONS, found, is_excepted
from tests.supply_chain.locks import Pin, all_pins, asked_for

_ADVISORY = re.compile(r"CVE-\d{4}-\d{4,7}|GHSA(-[23456789cfghjmpqrvwx]{4}){3}|PYSEC-\d{4}-\d+|https://\S+")


def test_nothing_that_is_pinned_is_known_to_be_bad() -> None:
    assert [one for one in found(all_pins()) if not is_excepted(one)] == []


def test_no_lower_bound_lets_in_a_release_that_is_known_to_be_bad() -> None:
    assert [one for one in found(_lowest()) if not is_excepted(one)] == []


def test_every_exception_is_still_needed() -> None:
    pins = [*all_pins(), *_lowest()]
    needed = {(finding.where, finding.package, finding.advisory) for finding in found(pins)}
    idle = [
        (where, exception["package"], advisory)
        for exception in EXCEPTIONS
        for where in exception["where"]
        for advisory in exception["advisories"]
        if (where, exception["package"], advisory) not in needed
    ]
    assert idle == []


@pytest.mark.parametrize(
    ("package", "version", "bad"),
    [
        ("litellm", "1.82.8", True),
        ("litellm", "1.82.9", False),
        ("langchain-core", "0.3.80", True),
        ("langchain-core", "0.3.85", True),  # of that line, the fix of CVE-2026-34070 never came
        ("langchain-core", "1.3.3", False),
        ("pyjwt", "2.14.0", True),
        ("pyjwt", "2.15.1", False),
        ("redis", "4.5.3", True),
        ("redis", "4.5.4", False),
    ],
)
def test_a_release_is_bad_in_the_range_that_its_advisory_names(package: str, version: str, bad: bool) -> None:
    assert bool(list(found([Pin("pypi", package, version, (), "a lock")]))) is bad


def test_a_package_is_not_taken_for_its_namesake_of_another_registry() -> None:
    assert list(found([Pin("pypi", "axios", "1.14.1", (), "a lock")])) == []
    assert list(found([Pin("npm", "axios", "1.14.1", (), "a lock")])) != []


def test_every_entry_says_what_is_bad_by_whose_word_and_why() -> None:
    for entry in BAD:
        assert set(entry) <= {"ecosystem", "package", "versions", "advisory", "why"}
        assert entry.get("ecosystem", "pypi") in {"pypi", "npm"}
        assert entry.get("ecosystem") == "npm" or entry["package"] == canonicalize_name(entry["package"])
        assert _ADVISORY.fullmatch(entry["advisory"]), entry["advisory"]
        assert entry["versions"]
        assert entry["why"].strip()
    keys = [(entry.get("ecosystem", "pypi"), entry["package"], entry["advisory"]) for entry in BAD]
    assert len(keys) == len(set(keys))
    assert all(exception["why"].strip() for exception in EXCEPTIONS)


def _lowest() -> list[Pin]:
    """Return the oldest release that each of our bounds lets in."""
    lowest = []
    for asked in asked_for():
        bounds = [one.version for one in asked.specifier if one.operator == ">="]
        assert bounds, f"{asked} has no lower bound"
        lowest.append(Pin("pypi", canonicalize_name(asked.name), max(bounds, key=Version), (), "pyproject.toml"))
    return lowest
