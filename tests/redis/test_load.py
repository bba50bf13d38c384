"""How busy a Redis says it is."""

from chatstore.redis import RedisChat, chat_layout, connect


async def test_it_tells_the_round_trip_the_cpu_used_so_far_and_the_operations_a_second(chat, client):
    before = await chat.load()
    for _ in range(20):
        await client.ask_all(("SET", f"key-{i}", "x") for i in range(1000))
    after = await chat.load()
    assert 0 < after.latency < 1
    assert after.cpu_seconds > before.cpu_seconds
    assert after.operations >= 0


async def test_of_a_cluster_it_tells_what_all_primaries_do(redis_cluster):
    async with connect(redis_cluster.url) as client:
        load = await RedisChat(client, chat_layout("chatstore")).load()
        used = [(await server.ask("INFO", "cpu"))["used_cpu_user"] for server in (await client.primaries()).values()]
    assert load.latency > 0
    assert max(used) < load.cpu_seconds
