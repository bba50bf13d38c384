"""The layouts by the names that the settings call them. A new one is a new file and one line here."""

from __future__ import annotations

from typing import TypeVar

from chatstore.errors import ConfigurationError
from chatstore.models.ownership import Owners
from chatstore.redis.layouts.agent_framework_chat import AgentFrameworkChat
from chatstore.redis.layouts.chatstore_chat import ChatstoreChat
from chatstore.redis.layouts.chatstore_documents import ChatstoreDocuments
from chatstore.redis.layouts.hash_chat import HashChat
from chatstore.redis.layouts.hash_documents import HashDocuments
from chatstore.redis.layouts.langchain_chat import LangchainChat
from chatstore.redis.layouts.langchain_documents import LangchainDocuments
from chatstore.redis.layouts.langchain_js_chat import LangchainJsChat
from chatstore.redis.layouts.langchain_js_documents import LangchainJsDocuments
from chatstore.redis.layouts.langchain_redis_chat import LangchainRedisChat
from chatstore.redis.layouts.langchain_redis_documents import LangchainRedisDocuments
from chatstore.redis.layouts.layout import ChatLayout, DocumentLayout
from chatstore.redis.layouts.llamaindex_chat import LlamaindexChat
from chatstore.redis.layouts.llamaindex_documents import LlamaindexDocuments
from chatstore.redis.layouts.openai_agents_chat import OpenaiAgentsChat
from chatstore.redis.layouts.redisvl_chat import RedisvlChat
from chatstore.redis.layouts.redisvl_documents import RedisvlDocuments
from chatstore.redis.layouts.vector_set_documents import VectorSetDocuments
from chatstore.redis.layouts.vercel_kv_chat import VercelKvChat

CHAT_LAYOUTS: dict[str, type[ChatLayout]] = {
    layout.name: layout
    for layout in (
        HashChat,
        ChatstoreChat,
        LangchainChat,
        LangchainJsChat,
        LlamaindexChat,
        OpenaiAgentsChat,
        AgentFrameworkChat,
        VercelKvChat,
        LangchainRedisChat,
        RedisvlChat,
    )
}
"""The layouts of chats, by the name that CHATSTORE_LAYOUT gives them."""
DOCUMENT_LAYOUTS: dict[str, type[DocumentLayout]] = {
    layout.name: layout
    for layout in (
        HashDocuments,
        ChatstoreDocuments,
        LangchainDocuments,
        LangchainJsDocuments,
        LangchainRedisDocuments,
        LlamaindexDocuments,
        RedisvlDocuments,
        VectorSetDocuments,
    )
}
"""The layouts of documents, by the name that CHATSTORE_LAYOUT gives them."""

Layout = TypeVar("Layout")


def chat_layout(
    name: str, *, prefix: str | None = None, index: str | None = None, owners: Owners | None = None
) -> ChatLayout:
    """Return the chat layout of that name.

    Args:
        name: Which.
        prefix: What the keys begin with; what the framework begins them with when left out.
        index: The name of the search index, in layouts that need one; the framework's own when left out.
        owners: Whose a session is, in layouts that do not say.

    Raises:
        ConfigurationError: There is none; the message lists the names.
    """
    return _find("chats", CHAT_LAYOUTS, name)(prefix=prefix, index=index, owners=owners)


def document_layout(
    name: str, *, prefix: str | None = None, index: str | None = None, owners: Owners | None = None
) -> DocumentLayout:
    """Return the document layout of that name.

    Args:
        name: Which.
        prefix: What the keys begin with; what the framework begins them with when left out.
        index: The name of the search index, in layouts that have one.
        owners: Whose a document is, in layouts that do not say.

    Raises:
        ConfigurationError: There is none; the message lists the names.
    """
    return _find("documents", DOCUMENT_LAYOUTS, name)(prefix=prefix, index=index, owners=owners)


def _find(records: str, layouts: dict[str, Layout], name: str) -> Layout:
    if name not in layouts:
        raise ConfigurationError(f"there is no layout {name!r} of {records}; there are {', '.join(sorted(layouts))}")
    return layouts[name]
