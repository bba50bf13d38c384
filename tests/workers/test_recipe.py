"""What travels to a worker, and what a worker refuses to work with."""

import pickle

import pytest
from pydantic import SecretStr

from chatstore.backends import Backends
from chatstore.errors import ChatStoreError, ConfigurationError, LayoutError
from chatstore.migration.batches import Batch, Work
from chatstore.models import Kind, Side
from chatstore.settings import load_settings
from chatstore.workers import Recipe, copy_batch

PASSWORD = "hunter2"
SETTINGS = {
    "_env_file": None,
    "redis_url": f"redis://:{PASSWORD}@localhost:1/0",
    "supabase_url": "http://localhost:1",
    "supabase_secret_key": PASSWORD,
}


def backends(**settings):
    return Backends(load_settings(**SETTINGS, **settings))


def batch(kind=Kind.CHAT):
    return Batch(kind=kind, source=Side.OLD, work=Work.COPY, keys=("s1",), holder="h")


def all_errors(root):
    for error in root.__subclasses__():
        yield error
        yield from all_errors(error)


@pytest.mark.parametrize("error", [ChatStoreError, *all_errors(ChatStoreError)], ids=lambda error: error.__name__)
def test_every_error_comes_back_whole_from_another_process(error):
    made = error(b"key", b"raw", "no list") if error is LayoutError else error("what happened")
    back = pickle.loads(pickle.dumps(made))
    assert (type(back), str(back), vars(back)) == (type(made), str(made), vars(made))


def test_a_recipe_carries_the_passwords_and_shows_none():
    recipe = Recipe.of(backends())
    there = pickle.loads(pickle.dumps(recipe))
    assert there.settings_here().redis_url == SecretStr(SETTINGS["redis_url"])
    assert PASSWORD not in repr(there)


def test_a_recipe_from_the_environment_carries_no_password(monkeypatch, tmp_path):
    recipe = Recipe.from_environment(backends())
    assert PASSWORD.encode() not in pickle.dumps(recipe)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", "redis://from-here/1")
    assert recipe.settings_here().redis_url == SecretStr("redis://from-here/1")


def test_a_worker_whose_own_settings_lay_records_out_differently_refuses(monkeypatch, tmp_path):
    recipe = Recipe.from_environment(backends(chat_layout="langchain", owners="all:ann"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHATSTORE_CHAT_LAYOUT", "langchain")
    monkeypatch.setenv("CHATSTORE_OWNERS", "all:bob")
    with pytest.raises(ConfigurationError, match=r"CHATSTORE_OWNERS is 'all:bob' in a worker's own settings"):
        recipe.settings_here()


def test_a_worker_of_another_version_refuses(monkeypatch):
    recipe = Recipe.of(backends())
    monkeypatch.setattr("chatstore.workers.recipe.version", lambda _: "0.0.9")
    with pytest.raises(ConfigurationError, match=r"a worker has chatstore 0\.0\.9"):
        copy_batch(recipe, batch())


@pytest.mark.parametrize("passed", ["owners", "document_owners", "users"])
def test_what_was_passed_beside_the_settings_is_refused_before_anything_is_copied(passed):
    given = Backends(load_settings(**SETTINGS), **{passed: {"key": "ann"}})
    with pytest.raises(ConfigurationError, match=rf"passed beside them \({passed}=\).*call:package\.module:function"):
        Recipe.of(given)


def test_an_embedded_chroma_is_refused_to_other_processes(tmp_path):
    recipe = Recipe.of(backends(chroma_path=tmp_path))
    with pytest.raises(ConfigurationError, match="CHROMA_PATH"):
        copy_batch(recipe, batch(Kind.DOCUMENTS))


class CannotTravelError(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def test_an_error_that_cannot_be_pickled_says_where_it_came_from_and_nothing_else(monkeypatch):
    def fail(*_):
        raise CannotTravelError("a", PASSWORD)

    monkeypatch.setattr("chatstore.workers.worker.Backends", fail)
    with pytest.raises(RuntimeError, match=r"unexpected CannotTravelError at workers/test_recipe\.py") as raised:
        copy_batch(Recipe.of(backends()), batch())
    assert PASSWORD not in str(raised.value)
