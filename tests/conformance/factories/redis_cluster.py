"""A Redis Cluster, in layouts whose records lie in one slot each."""

from contextlib import asynccontextmanager

from chatstore.models import Kind
from chatstore.redis import RedisChat, RedisDocuments, RedisProgress, chat_layout, connect, document_layout


def _on_cluster(make):
    @asynccontextmanager
    async def opened(request):
        async with connect(request.getfixturevalue("redis_cluster").url) as client:
            yield make(client)

    return opened


# One of ours and one of a list, as they are the two ways of keeping a session; and the documents' three.
CHAT = {
    f"redis-cluster-{name}": _on_cluster(lambda client, name=name: RedisChat(client, chat_layout(name)))
    for name in ("chatstore", "langchain")
}
DOCUMENTS = {
    f"redis-cluster-{name}": _on_cluster(lambda client, name=name: RedisDocuments(client, document_layout(name)))
    for name in ("chatstore", "hash")
}
PROGRESS = {"redis-cluster": _on_cluster(lambda client: RedisProgress(client, Kind.CHAT))}
