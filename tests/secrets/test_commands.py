"""Every command over data, keys and URLs with canaries in them: its output, its report and all logs hold none."""

import json
import signal

import pytest
import redis

from tests.cli.conftest import ended, program  # noqa: F401
from tests.conformance.factories.chroma import new_database
from tests.e2e.conftest import empty_supabase, nothing_is_recorded  # noqa: F401

NOBODY = "127.0.0.1:1"
COMMANDS = [
    ("inspect",),
    ("inspect", "--json"),
    ("acl", "router"),
    ("schema",),
    ("stage", "chat", "dualwrite"),
    ("stage", "documents", "dualwrite"),
    ("limits", "--chat", "--rate", "1000"),
    ("--debug", "pause"),
    ("--debug", "resume"),
    ("status",),
    ("--debug", "migrate", "--report", "migrate.html"),
    ("migrate", "--json"),
    ("repair",),
    ("--debug", "verify", "--report", "verify.html"),
    ("verify", "--json"),
    ("--debug", "verify", "--as-user", "--writes"),
    ("quarantine", "list"),
    ("quarantine", "list", "--json"),
    ("sweep",),
    ("status", "--json"),
    ("--debug", "stage", "chat", "live"),
]


def fill(client, canaries, name):
    """Write sessions, messages and documents of the layout `hash`, good ones, and some that nobody can take."""
    new, times = canaries.new, {"createdAt": 1_700_000_000_000, "updatedAt": 1_700_000_000_000}
    embedding = json.dumps([1.0, 2.0])

    def session(key, **fields):
        held = {"userId": f"{name}-u", "title": new(f"title of {key}"), "messageIds": json.dumps([f"{name}-{key}"])}
        client.hset(f"session:{name}-{key}", mapping=held | {"metadata": meta(key)} | times | fields)
        message = {"sessionId": f"{name}-{key}", "role": "user", "content": new(f"content of {key}")}
        client.hset(
            f"message:{name}-{key}", mapping=message | {"metadata": meta(f"m{key}"), "createdAt": times["createdAt"]}
        )

    def document(key, **fields):
        held = {
            "title": new(f"doctitle of {key}"),
            "content": new(f"text of {key}"),
            "url": f"https://{new(f'url of {key}')}",
        }
        held |= {"userId": f"{name}-u", "embedding": embedding, "metadata": meta(f"d{key}")}
        client.hset(f"document:{name}-{key}", mapping=held | times | fields)

    def meta(key):
        return json.dumps({"a": new(f"metadata of {key}")})

    session("good")
    session("no time", createdAt=new("time"))
    session("no json", metadata=f"{{{new('broken json')}")
    session("not utf8", title=new("not utf8").encode() + b"\xff")
    session("too late", createdAt=10**18)
    session("no list", messageIds=json.dumps({"a": new("no list")}))
    document("good")
    document("no embedding", embedding=f'["{new("embedding")}"]')
    document("no json", metadata=f'["{new("list")}"')
    document("other size", embedding="[1.0, 2.0, 3.0]")
    client.set(f"session:{name}-text", new("no hash"))
    client.rpush(f"document:{name}-list", new("no hash either"))


@pytest.fixture
def environment(program, canaries, guarded_redis, *, namespace, settings, empty_supabase):  # noqa: F811
    """The settings of a migration with passwords and keys in them, and data in its Redis."""
    canaries.plant("secret key", settings.supabase_secret_key)
    canaries.plant("database password", settings.supabase_db_url.split(":")[2].split("@")[0])
    password = canaries.new("chroma password")
    program.set(
        REDIS_URL=guarded_redis,
        SUPABASE_URL=settings.supabase_url,
        SUPABASE_SECRET_KEY=settings.supabase_secret_key,
        SUPABASE_DB_URL=settings.supabase_db_url,
        CHROMA_URL=settings.chroma_url.replace("http://", f"http://someone:{password}@"),
        CHROMA_DATABASE=new_database(settings.chroma_url),
        CHATSTORE_QUARANTINE_KEY=canaries.plant("quarantine key", "3Yh3yZyA4yS9v1xZ0m0W8mY4o3Jv5y2o7bZ8cQx1k1E="),
        CHATSTORE_FLAG_FILE=program.folder / "flags.json",
    )
    with redis.Redis.from_url(guarded_redis) as client:
        fill(client, canaries, namespace)
    return program


def call(program, heard, *command):  # noqa: F811
    done = program(*command)
    name = f"chatstore {' '.join(command)}"
    heard.add(name, done.out)
    heard.add(name, done.err)
    return done


@pytest.mark.timeout(240)
@pytest.mark.filterwarnings("ignore")
def test_commands_say_nothing_of_it(heard, canaries, environment):
    done = {command: call(environment, heard, *command) for command in COMMANDS}
    assert {one.status for one in done.values()} <= {0, 1, 2}
    assert done["migrate", "--json"].json["chat"]["quarantined"] >= 5
    assert done["migrate", "--json"].json["documents"]["quarantined"] >= 3
    for report in environment.folder.glob("*.html"):
        heard.add(report.name, report.read_text())
    assert len(list(environment.folder.glob("*.html"))) == 2
    assert heard.leaks(canaries) == []


@pytest.mark.timeout(240)
def test_the_processes_that_copy_or_watch_say_nothing_of_it(heard, canaries, environment, *, guarded_redis, namespace):
    environment("--debug", "stage", "chat", "dualwrite")
    name = "chatstore migrate --workers"
    copied = environment.apart("--debug", "migrate", "--workers", "2")
    heard.add(name, copied.out)
    heard.add(name, copied.err)
    assert "goes to quarantine" in copied.err
    assert copied.status == 1
    watching = environment.started("--debug", "repair", "--watch", "--enable-notifications")
    begun = [watching.stderr.readline(), watching.stderr.readline()]
    with redis.Redis.from_url(guarded_redis) as client:
        fill(client, canaries, f"{namespace}-later")
    repaired = watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    watched = ended(watching)
    heard.add("chatstore repair --watch", "".join([*begun, repaired, watched.out, watched.err]))
    assert (watched.status, "merged" in repaired) == (0, True), repaired
    assert heard.leaks(canaries) == []


@pytest.mark.filterwarnings("ignore")
def test_forgetting_a_user_says_nothing_of_what_it_was(heard, canaries, environment, namespace):
    call(environment, heard, "migrate", "--json")
    command = ("--debug", "forget", f"{namespace}-u")
    assert call(environment, heard, *command, "--dry-run").status == 0
    assert call(environment, heard, *command, "--yes", "--json").json["chat"]["records"]["new"] >= 1
    assert heard.leaks(canaries) == []


@pytest.mark.parametrize("away", ["REDIS_URL", "SUPABASE_URL", "SUPABASE_DB_URL", "CHROMA_URL", "password", "key"])
@pytest.mark.filterwarnings("ignore")
def test_commands_say_nothing_of_it_when_they_fail(heard, canaries, environment, *, settings, guarded_redis, away):
    wrong = canaries.new("wrong password")
    match away:
        case "password":
            environment.set(REDIS_URL=guarded_redis.replace(canaries.planted["redis password"], wrong))
            environment.set(
                SUPABASE_DB_URL=settings.supabase_db_url.replace(canaries.planted["database password"], wrong)
            )
        case "key":
            environment.set(SUPABASE_SECRET_KEY=f"sb_secret_{wrong}")
        case "SUPABASE_URL":
            environment.set(SUPABASE_URL=f"http://{NOBODY}")
        case _:
            scheme = {"REDIS_URL": "redis", "SUPABASE_DB_URL": "postgresql", "CHROMA_URL": "http"}[away]
            environment.set(**{away: f"{scheme}://user:{wrong}@{NOBODY}/0"})
    commands = [("status",), ("--debug", "quarantine", "list"), ("--debug", "stage", "chat", "live")]
    if away in {"SUPABASE_DB_URL", "password"}:  # where it cannot change what other tests use
        commands.append(("--debug", "schema", "--apply"))
    for command in commands:
        call(environment, heard, *command)
    assert heard.leaks(canaries) == []
