"""The reference has every public name, once, and says of each what a reader needs."""

import ast
import re
from pathlib import Path

import griffe
import pytest

from scripts import reference

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "reference"
SAY_IT_THEMSELVES = {"user_id", "session_id", "message_id", "document_id"}
"""Arguments that mean the same wherever they stand."""


@pytest.fixture(scope="module")
def library():
    return griffe.load("chatstore", search_paths=[ROOT / "src"], docstring_parser="google", resolve_aliases=True)


def found(library, path):
    """Return what a name leads to, in the module that defines it."""
    named = library[path.removeprefix("chatstore.")]
    return named.final_target if named.is_alias else named


def packages(module):
    """Yield the modules whose `__all__` is for users: the packages, and each framework's module; never the program's."""
    yield module
    for one in module.modules.values():
        framework = module.path == "chatstore.integrations"
        if not one.is_alias and (one.is_package or framework) and one.name not in {"cli", "__main__"}:
            yield from packages(one)


def public(library):
    """Return where each public name is defined."""
    return {
        found(library, f"{module.path}.{name}").path: f"{module.path}.{name}"
        for module in packages(library)
        for name in module.exports or []
    }


def described(library):
    """Return what stands on the pages: where it is defined, and on which pages."""
    places = {}
    for page in PAGES.rglob("*.md"):
        for path in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
            places.setdefault(found(library, path).path, []).append(page.name)
    return places


def test_every_public_name_is_on_the_pages_once(library):
    places = described(library)
    assert {name for path, name in public(library).items() if path not in places} == set()
    assert {path: pages for path, pages in places.items() if len(pages) > 1} == {}


def test_what_the_docs_import_is_on_the_pages(library):
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    blocks = [
        block
        for document in documents
        for block in re.findall(
            r"^ *```python.*?\n(.*?)^ *```", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        )
    ]
    imported = {
        f"{module}.{name.split()[0]}"
        for block in blocks
        for module, names in re.findall(r"from (chatstore[\w.]*) import (\([^)]*\)|.*)", block)
        for name in names.strip("()\n ").split(",")
        if name.strip()
    }
    assert len(imported) > 20
    places = described(library)
    assert {
        name for name in imported if found(library, name).path not in places and not found(library, name).is_module
    } == set()


def calls(library):
    """Yield each function on the pages, and each public method that a class there defines, with its class."""
    for path in described(library):
        one = found(library, path)
        if one.is_function:
            yield one, None
        elif one.is_class:
            for member in one.members.values():
                if not member.is_alias and member.is_function and not re.match("_|test_", member.name):
                    yield member, one


def overrides(method, owner):
    """Return whether an interface documents the method: one of ours, or a framework's, which lies elsewhere."""
    if owner is None:
        return False
    ours = owner.mro()
    return any(method.name in base.members for base in ours) or len(ours) < len(owner.bases)


def test_everything_on_the_pages_has_a_docstring(library):
    assert {path for path in described(library) if not found(library, path).has_docstring} == set()


def test_every_call_has_a_docstring_or_an_interface_that_has_it(library):
    assert {
        call.path for call, owner in calls(library) if not call.has_docstring and not overrides(call, owner)
    } == set()


def words(text):
    return {word.removesuffix("s") for word in re.findall(r"[a-z]+", text.lower())}


def explained(parameter, call, owner, by_name):
    """Return whether each word of the parameter's name is in the docstring, or of one that the docstring names for it."""
    text = call.docstring.value + (owner.docstring.value if owner and owner.has_docstring else "")
    if words(parameter) <= words(text):
        return True
    named = re.findall(r"`(?:\w+\.)*(\w+)`", text)
    others = [other for name in named for other in by_name.get(name, []) if other.path != call.path]
    return any(
        parameter in {one.name for one in other.parameters} and words(parameter) <= words(other.docstring.value)
        for other in others
    )


def test_every_argument_is_explained(library):
    """In `Args` or a sentence, by its name or the words of it; with its class; or by the call that the docstring names.

    What overrides an interface's method takes what that takes, and is documented there.
    """
    by_name = {}
    for other in [*(call for call, _ in calls(library)), *(found(library, path) for path in described(library))]:
        if (other.is_function or other.is_class) and other.has_docstring:
            by_name.setdefault(other.name, []).append(other)
    unexplained = {
        f"{call.path}({parameter.name})"
        for call, owner in calls(library)
        if call.has_docstring and not overrides(call, owner)
        for parameter in call.parameters
        if parameter.name not in {"self", "cls"} | SAY_IT_THEMSELVES
        and not explained(parameter.name.lstrip("*"), call, owner, by_name)
    }
    assert unexplained == set()


def test_every_error_that_a_call_raises_itself_is_named(library):
    errors = {name for name, one in library["errors"].members.items() if not one.is_alias and one.is_class}
    sources = {}
    unnamed = set()
    for call, _owner in calls(library):
        if not call.has_docstring:
            continue
        tree = sources.setdefault(call.filepath, ast.parse(call.filepath.read_text(encoding="utf-8")))
        [node] = [
            n
            for n in ast.walk(tree)
            if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
            and call.lineno <= n.lineno <= call.endlineno
            and n.name == call.name
        ][:1]
        for raised in ast.walk(node):
            if (
                isinstance(raised, ast.Raise)
                and isinstance(raised.exc, ast.Call)
                and isinstance(raised.exc.func, ast.Name)
            ):
                name = raised.exc.func.id
                if name in errors and name not in call.docstring.value:
                    unnamed.add(f"{call.path}: {name}")
    assert unnamed == set()


@pytest.mark.parametrize("name", ["commands", "settings"])
def test_a_page_made_of_the_program_is_as_it_is_made_now(name):
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert page == getattr(reference, name)(), "make it anew: .venv/bin/python scripts/reference.py"
