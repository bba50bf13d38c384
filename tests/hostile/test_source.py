"""What no file of the package does, whatever lies in a store: it makes no code and no objects of it."""

import ast
from pathlib import Path

import pytest

import chatstore

SOURCE = Path(chatstore.__file__).parent
FILES = {str(path.relative_to(SOURCE)): path for path in sorted(SOURCE.rglob("*.py"))}

# What makes objects or code of bytes, with the names under which it could be imported.
MAKERS = {
    "builtins": {"eval", "exec", "compile", "__import__"},
    "pickle": {"load", "loads", "Unpickler"},
    "marshal": {"load", "loads"},
    "shelve": {"open"},
    "dill": {"load", "loads"},
    "joblib": {"load"},
    "yaml": {"load", "load_all", "unsafe_load", "full_load"},
    "langchain_core.load": {"load", "loads"},
    "numpy": {"load", "fromfile"},
    "torch": {"load"},
}
# Bytes that the very line before made of an object of ours: whether it can be sent to another process.
ALLOWED = {("workers/worker.py", "pickle.loads")}


def found_in(source):
    """Return each maker that a file imports or calls, by its full name; also under another name."""
    tree = ast.parse(source)
    modules, members, found = {}, {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                modules[name.asname or name.name] = name.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                modules[name.asname or name.name] = f"{node.module}.{name.name}"
                members[name.asname or name.name] = (node.module, name.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            module, name = members.get(node.id, ("builtins", node.id))
            if any(module == maker or module.startswith(f"{maker}.") for maker in MAKERS if name in MAKERS[maker]):
                found.add(f"{module}.{name}")
        elif isinstance(node, ast.Attribute):
            module = modules.get(_dotted(node.value))
            if module and any(
                module == maker or module.startswith(f"{maker}.") for maker in MAKERS if node.attr in MAKERS[maker]
            ):
                found.add(f"{module}.{node.attr}")
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            found.add("numpy.allow_pickle")
    return found


def _dotted(node):
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("name", FILES)
def test_no_object_and_no_code_is_made_of_what_was_stored(name):
    found = {(name, maker) for maker in found_in(FILES[name].read_text())}
    assert found <= ALLOWED


@pytest.mark.parametrize(
    ("source", "maker"),
    [
        ("eval(text)", "builtins.eval"),
        ("import pickle\npickle.loads(raw)", "pickle.loads"),
        ("import pickle as p\nfor make in (p.loads,): make(raw)", "pickle.loads"),
        ("from pickle import loads as read\nread(raw)", "pickle.loads"),
        ("from langchain_core.load import load\nload(value)", "langchain_core.load.load"),
        ("from langchain_core import load\nload.loads(value)", "langchain_core.load.loads"),
        ("import yaml\nyaml.load(text)", "yaml.load"),
        ("import numpy as np\nnp.load(file, allow_pickle=True)", "numpy.load"),
        ("def f():\n    exec(text)", "builtins.exec"),
    ],
)
def test_it_would_be_found(source, maker):
    assert maker in found_in(source)


def test_what_is_allowed_is_there():
    assert {(name, maker) for name, _ in ALLOWED for maker in found_in(FILES[name].read_text())} == ALLOWED


def test_every_collection_is_opened_without_an_embedding_function():
    """chromadb's own default would be used in its place: it downloads a model."""
    opened = []
    for name, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            names = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            names += [node.func.attr] if isinstance(node.func, ast.Attribute) else []
            if {"get_collection", "create_collection", "get_or_create_collection"}.intersection(map(str, names)):
                given = {keyword.arg: keyword.value for keyword in node.keywords}
                assert isinstance(given.get("embedding_function"), ast.Constant), name
                assert given["embedding_function"].value is None, name
                opened.append(name)
    assert opened
