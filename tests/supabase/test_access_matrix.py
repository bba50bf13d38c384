"""Each cell of `access.py` is tried: in SQL as each role, and through the API with each kind of key and token.

What the database has is asked of its catalog: a table, a column or a function without cells fails.
"""

import json

import httpx
import psycopg
import pytest

from tests.supabase.access import (
    ASKING,
    CHANGED_BY_USERS,
    FUNCTION_CELLS,
    OPERATIONS,
    READ_BY_USERS,
    TABLE_CELLS,
    column_cell,
)

OWNER, OTHER = "matrix-owner", "matrix-other"
ROLES = {"nobody": "anon", "owner": "authenticated", "other": "authenticated", "service": "service_role"}
TABLES = sorted({table for table, _, _ in TABLE_CELLS})
FUNCTIONS = sorted({function for function, _ in FUNCTION_CELLS})
EXPOSED = [table for table in reversed(TABLES) if table.startswith("public.")]
NOT_EXPOSED = [table for table in TABLES if table not in EXPOSED]
METHODS = {"select": "GET", "insert": "POST", "update": "PATCH", "delete": "DELETE"}
REFUSED = psycopg.errors.InsufficientPrivilege


def rows(user):
    """A row of each table that is this user's, in an order in which they may be inserted."""
    at = "2026-11-24T00:00:00Z"
    return {
        "public.sessions": {"id": user, "user_id": user},
        "public.messages": {"session_id": user, "id": "m", "user_id": user, "position": 1, "role": "user", "content": "hi"},
        "chatstore.session_states": {"session_id": user, "user_id": user},
        "chatstore.tombstones": {"session_id": user, "id": "gone", "version": 1},
        "chatstore.copied": {"session_id": user, "fingerprint": "f", "digest": "\\x00", "messages": 1},
        "chatstore.marks": {"token": user, "key": "k", "user_id": user, "side": "new", "op": "clear", "at": at},
        "chatstore.migration": {"only_one": True},
    }  # fmt: skip


def tables_of(database):
    found = database.execute(
        "select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname in ('public', 'chatstore') and c.relkind in ('r', 'p', 'v', 'm', 'f')"
    )
    return {name for (name,) in found}


def functions_of(database):
    """Each function's signature, and the types of its arguments."""
    found = database.execute(
        "select n.nspname || '.' || p.proname,"
        " array(select format('%s.%s', tn.nspname, t.typname) from unnest(p.proargtypes) with ordinality a (oid, place)"
        " join pg_type t on t.oid = a.oid join pg_namespace tn on tn.oid = t.typnamespace order by place),"
        " array(select format_type(a.oid, null) from unnest(p.proargtypes) with ordinality a (oid, place) order by place)"
        " from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('public', 'chatstore')"
    )
    return {
        f"{name}({','.join(full if full.startswith(('public.', 'chatstore.')) else short for full, short in zip(long, brief, strict=True))})": long
        for name, long, brief in found
    }


def columns_of(database, table, *, key=False):
    found = database.execute(
        "select a.attname from pg_attribute a left join pg_index i on i.indrelid = a.attrelid and i.indisprimary"
        " where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped"
        " and (a.attnum = any (i.indkey) or not %s) order by a.attnum",
        (table, key),
    )
    return [name for (name,) in found]


def without_cells(database):
    """What the database has and no cell speaks of, and what cells speak of and the database has not."""
    spoken_of = {
        f"{table}.{name}"
        for each in (CHANGED_BY_USERS, READ_BY_USERS)
        for table, names in each.items()
        for name in names
    }
    columns = {f"{table}.{name}" for table in TABLES for name in columns_of(database, table)}
    return (tables_of(database) ^ set(TABLES)) | (set(functions_of(database)) ^ set(FUNCTIONS)) | (spoken_of - columns)


@pytest.fixture(scope="module")
def seeded(project):
    """A connection to a database in which both users have a row of each table. All is undone at the end."""
    with psycopg.connect(project) as connection:
        for user in (OWNER, OTHER):
            for table, row in rows(user).items():
                if table != "chatstore.migration" or user == OWNER:
                    insert(connection, table, row)
        # From here on no foreign key is asked: the cells are about rights.
        connection.execute("set local session_replication_role = replica")
        yield connection
        connection.rollback()


@pytest.fixture
def database(seeded):
    """The same, for a test that may change what it likes."""
    with seeded.transaction(force_rollback=True):
        yield seeded


def insert(database, table, row):
    columns = ", ".join(row)
    return database.execute(
        f"insert into {table} ({columns}) select {columns} from jsonb_populate_record(null::{table}, %s)",
        (json.dumps(row),),
    )


def become(database, who):
    """Ask from now on, to the end of the transaction, as PostgREST asks for them."""
    role = ROLES[who]
    claims = {"role": role, "sub": OWNER} if role == "authenticated" else {"role": role}
    database.execute("select set_config('request.jwt.claims', %s, true)", (json.dumps(claims),))
    database.execute(f"set local role {role}")


def attempt(database, who, work):
    """What comes of it, as the cells say it. Nothing of it stays."""
    with database.transaction(force_rollback=True):
        become(database, who)
        try:
            with database.transaction():
                return "yes" if work().rowcount else "none"
        except REFUSED:
            return "no"


def an_operation(database, table, operation, row, columns=None, *, by_key=True):
    where = " and ".join(f"{name} = %({name})s" for name in columns_of(database, table, key=True)) if by_key else "true"
    if operation == "insert":
        return lambda: insert(database, table, row)
    if operation == "select":
        statement = f"select {', '.join(columns or ['*'])} from {table} where {where}"
    elif operation == "update":
        changes = ", ".join(f"{name} = {name}" for name in columns)
        statement = f"update {table} set {changes} where {where}"
    else:
        statement = f"delete from {table} where {where}"
    return lambda: database.execute(statement, row)


def test_nothing_in_the_database_is_without_cells(database):
    assert without_cells(database) == set()


@pytest.mark.parametrize(
    ("addition", "name"),
    [
        ("create table public.notes (id text primary key)", "public.notes"),
        ("create table chatstore.notes (id text primary key)", "chatstore.notes"),
        ("create view public.overview as select 1", "public.overview"),
        ("create function public.peek(text, public.sessions) returns integer language sql return 1", "public.peek(text,public.sessions)"),
        ("create function chatstore.add_marks(json) returns integer language sql return 1", "chatstore.add_marks(json)"),
        ("alter table public.sessions drop column title cascade", "public.sessions.title"),
    ],
)  # fmt: skip
def test_what_is_new_or_gone_is_noticed(database, addition, name):
    database.execute(addition)
    assert without_cells(database) == {name}


@pytest.mark.parametrize("who", ASKING)
@pytest.mark.parametrize("table", TABLES)
def test_the_cells_hold_in_sql(database, table, who):
    row = rows(OTHER if who == "other" else OWNER)[table]
    found, expected = {}, {}
    for operation in OPERATIONS:
        columns = (CHANGED_BY_USERS.get(table) or columns_of(database, table)) if operation == "update" else None
        with database.transaction(force_rollback=True):
            if operation == "insert":
                an_operation(database, table, "delete", row)()
            found[operation] = attempt(database, who, an_operation(database, table, operation, row, columns))
        expected[operation] = TABLE_CELLS[table, operation, who]
    assert found == expected


@pytest.mark.parametrize("who", ASKING)
@pytest.mark.parametrize("table", TABLES)
def test_the_cells_of_each_column_hold_in_sql(database, table, who):
    row = rows(OTHER if who == "other" else OWNER)[table]
    found, expected = {}, {}
    for operation in ("select", "update"):
        for column in columns_of(database, table):
            # Where not all columns may be read, a row cannot be asked for by its key.
            by_key = operation == "update" or table not in READ_BY_USERS
            found[operation, column] = attempt(
                database, who, an_operation(database, table, operation, row, [column], by_key=by_key)
            )
            expected[operation, column] = column_cell(table, column, operation, who)
    assert found == expected


@pytest.mark.parametrize("who", ["nobody", "owner", "service"])
def test_functions_may_be_called_by_those_who_should_in_sql(database, who):
    found, expected = {}, {}
    for function, types in functions_of(database).items():
        schema, _, name = function.partition("(")[0].partition(".")
        # What is no request ends where a function begins: but it does begin.
        given = ", ".join(f"'no request'::{each}" if each == "pg_catalog.text" else f"null::{each}" for each in types)
        found[function], expected[function] = "yes", FUNCTION_CELLS.get((function, who))
        with database.transaction(force_rollback=True):
            become(database, who)
            try:
                with database.transaction():
                    database.execute(f"select {schema}.{name}({given})")
            except REFUSED as error:
                # Inside of it something else may be refused: then that is what is named.
                if error.diag.message_primary.endswith((f" for function {name}", f" for schema {schema}")):
                    found[function] = "no"
            except psycopg.Error:
                pass
    assert found == expected


# Whose a row is, is kept twice: by what users may change, and by the policies. Each is enough.

OWNED = ["public.sessions", "public.messages", "chatstore.session_states"]


def test_these_are_the_tables_of_users_that_say_whose_a_row_is(database):
    found = {table for table in TABLES if "user_id" in columns_of(database, table)}
    assert found == {*OWNED, "chatstore.marks"}  # of which users may not change a row at all


@pytest.mark.parametrize("table", OWNED)
def test_nobody_gives_a_row_away_even_where_they_may_change_every_column(database, table):
    database.execute(f"grant update on {table} to authenticated")
    become(database, "owner")
    assert database.execute(f"update {table} set user_id = user_id").rowcount == 1
    with pytest.raises(REFUSED, match="row-level security"):
        database.execute(f"update {table} set user_id = %s", (OTHER,))


@pytest.mark.parametrize("table", OWNED)
def test_nobody_takes_a_row_even_where_a_policy_of_the_apps_own_lets_them_change_it(database, table):
    database.execute(f"create policy all_may on {table} for all to authenticated using (true) with check (true)")
    become(database, "owner")
    with pytest.raises(REFUSED, match="permission denied"):
        database.execute(f"update {table} set user_id = %s", (OWNER,))


@pytest.mark.parametrize("table", OWNED)
def test_without_both_a_row_could_be_taken(database, table):
    database.execute(f"grant update on {table} to authenticated")
    database.execute(f"create policy all_may on {table} for all to authenticated using (true) with check (true)")
    become(database, "owner")
    assert database.execute(f"update {table} set user_id = %s", (OWNER,)).rowcount == 2


@pytest.mark.parametrize(
    ("table", "changes"),
    [
        ("public.messages", {"session_id": OTHER, "id": "new"}),
        ("public.messages", {"user_id": OTHER, "id": "new"}),
        ("chatstore.tombstones", {"session_id": OTHER, "id": "new"}),
    ],
)
def test_nothing_of_ones_own_gets_into_anothers_session(database, table, changes):
    row = rows(OWNER)[table] | changes
    assert attempt(database, "owner", lambda: insert(database, table, row)) == "no"
    assert attempt(database, "service", lambda: insert(database, table, row)) == "yes"


def test_a_token_without_a_subject_sees_and_writes_nothing(database):
    for claims in (
        {"role": "authenticated"},
        {"role": "authenticated", "sub": None},
        {"role": "authenticated", "sub": ""},
    ):
        with database.transaction(force_rollback=True):
            database.execute("select set_config('request.jwt.claims', %s, true)", (json.dumps(claims),))
            database.execute("set local role authenticated")
            for table in ("public.sessions", "public.messages", "chatstore.session_states", "chatstore.tombstones"):
                assert database.execute(f"select from {table}").rowcount == 0
            with pytest.raises(REFUSED), database.transaction():
                insert(database, "public.sessions", {"id": "new", "user_id": OWNER})


# Through the API


@pytest.fixture(scope="module")
async def http():
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


@pytest.fixture
def request_as(settings, token_for, http):
    """A function that sends a request as one of those who ask."""

    async def send(who, method, path, **options):
        token = {
            "nobody": lambda: settings.supabase_publishable_key,
            "service": lambda: settings.supabase_secret_key,
        }.get(who, lambda: token_for(OWNER))()
        key = token if who == "service" else settings.supabase_publishable_key
        headers = {"apikey": key, "Authorization": f"Bearer {token}", "Prefer": "return=representation"}
        headers |= options.pop("headers", {})
        return await http.request(method, f"{settings.supabase_url}/rest/v1/{path}", headers=headers, **options)

    return send


@pytest.fixture
def live(database_url):
    """The database behind the API, with both users' rows in its exposed tables; they are gone afterwards."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        reset(connection)
        yield connection
        connection.execute("delete from public.sessions where user_id in (%s, %s)", (OWNER, OTHER))


def reset(database):
    database.execute("delete from public.sessions where user_id in (%s, %s)", (OWNER, OTHER))
    for user in (OWNER, OTHER):
        for table in EXPOSED:
            insert(database, table, rows(user)[table])


def cell_of(answer):
    """What came of a request, as the cells say it."""
    if answer.is_success:
        return "yes" if answer.json() else "none"
    assert answer.status_code in {401, 403}, answer.text
    assert answer.json()["code"] == "42501", answer.text
    return "no"


@pytest.mark.parametrize("who", ASKING)
@pytest.mark.parametrize("table", EXPOSED)
async def test_the_cells_hold_through_the_api(live, request_as, table, who):
    found, expected = {}, {}
    row = rows(OTHER if who == "other" else OWNER)[table]
    where = {name: f"eq.{row[name]}" for name in columns_of(live, table, key=True)}
    name = table.partition(".")[2]
    whole = live.execute(f"select to_jsonb(t) from {table} t where user_id = %s", (row["user_id"],)).fetchone()[0]
    for column, value in whole.items():
        answer = await request_as(who, "PATCH", name, params=where, json={column: value})
        found["update", column] = cell_of(answer)
        expected["update", column] = column_cell(table, column, "update", who)
    for operation in ("select", "delete", "insert"):
        if operation == "insert":
            live.execute(f"delete from {table} where user_id = %s", (row["user_id"],))
        sent = {"json": row} if operation == "insert" else {"params": where}
        found[operation] = cell_of(await request_as(who, METHODS[operation], name, **sent))
        expected[operation] = TABLE_CELLS[table, operation, who]
    assert found == expected


@pytest.mark.parametrize("who", ASKING)
@pytest.mark.parametrize("table", NOT_EXPOSED)
async def test_what_is_chatstores_own_cannot_be_named_in_a_request(request_as, table, who):
    name = table.partition(".")[2]
    for method in METHODS.values():
        profile = {"Accept-Profile": "chatstore", "Content-Profile": "chatstore"}
        sent = {} if method in {"GET", "DELETE"} else {"json": rows(OWNER)[table]}
        answer = await request_as(who, method, name, headers=profile, **sent)
        assert (answer.status_code, answer.json()["code"]) == (406, "PGRST106")
        # Nor does it stand among the tables of `public`.
        assert (await request_as(who, method, name, **sent)).status_code == 404


@pytest.mark.parametrize("who", ["nobody", "owner", "service"])
async def test_functions_may_be_called_by_those_who_should_through_the_api(request_as, who):
    found, expected = {}, {}
    for function in FUNCTIONS:
        schema, _, name = function.partition("(")[0].partition(".")
        sent = {"request": "no request"} if "(text" in function else {}
        answer = await request_as(who, "POST", f"rpc/{name}", json=sent)
        if schema == "public":
            refused = answer.status_code in {401, 403} and f"function {name}" in answer.text
            found[function], expected[function] = ("no" if refused else "yes"), FUNCTION_CELLS[function, who]
        else:
            found[function], expected[function] = answer.status_code, 404
    assert found == expected
