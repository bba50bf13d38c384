"""The search indexes that the frameworks make, made without them: as in `tests/frameworks/dumps`."""

_FIELDS = {
    "langchain-redis": (
        "ON JSON PREFIX 1 {prefix} SCHEMA $.session_id AS session_id TAG SEPARATOR , $.data.content AS content TEXT "
        "$.type AS type TAG SEPARATOR , $.timestamp AS timestamp NUMERIC"
    ),
    "redisvl": (
        "ON HASH PREFIX 1 {prefix} SCHEMA role TAG SEPARATOR , content TEXT tool_call_id TAG SEPARATOR , "
        "timestamp NUMERIC session_tag TAG SEPARATOR , metadata TEXT"
    ),
}


async def make_index(client, layout):
    """Make the index of a layout of messages with a key each."""
    words = _FIELDS[layout.name].format(prefix=layout.prefix.decode().removesuffix(":" * (layout.name == "redisvl")))
    await client.execute_command("FT.CREATE", layout.index, *words.split())
