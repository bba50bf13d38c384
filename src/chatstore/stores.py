"""An app's stores: for any user, or as one user has them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack

from chatstore.errors import ConfigurationError
from chatstore.forgetting import Forgetting
from chatstore.identity import TokenVerifier, UserToken
from chatstore.interfaces import ChatHistoryStore, DocumentStore, UserChat, UserDocuments
from chatstore.models import Backlog, Forgotten, Kind
from chatstore.routing import ChatRouter, DocumentRouter, StageDecision, StageReport

_NO_CHAT = (
    "there is no chat store: set REDIS_URL (and a layout with chats), or SUPABASE_URL with its secret key, or both"
)
_NO_DOCUMENTS = (
    "there is no document store: set REDIS_URL (and a layout with documents), or one of Chroma's settings, or both"
)


class UserStores:
    """An app's chat store and document store as one user has them: by that user's token, and without his id.

    Attributes:
        user_id: Whose they are.
        token: The token.
    """

    def __init__(self, stores: Stores, token: UserToken) -> None:
        self._stores = stores
        self.token = token
        self.user_id = token.user_id

    @property
    def chat(self) -> UserChat:
        """The user's sessions and messages.

        Raises:
            ConfigurationError: As of `Stores.chat`.
        """
        return UserChat(self._stores.chat, self.token)

    @property
    def documents(self) -> UserDocuments:
        """The user's documents.

        Raises:
            ConfigurationError: As of `Stores.documents`.
        """
        return UserDocuments(self._stores.documents, self.token)


class Stores:
    """An app's chat store and document store."""

    def __init__(
        self,
        chat: ChatHistoryStore | None,
        documents: DocumentStore | None,
        *,
        why_none: Mapping[Kind, str] | None = None,
        forgetting: Forgetting | None = None,
        verifier: TokenVerifier | None = None,
    ) -> None:
        self._chat = chat
        self._documents = documents
        self._why_none = why_none or {}
        self._forgetting = forgetting
        self._verifier = verifier

    @property
    def chat(self) -> ChatHistoryStore:
        """Sessions and messages.

        Raises:
            ConfigurationError: The settings name no side for them, or do not say whose they are.
        """
        if self._chat is None:
            raise ConfigurationError(self._why_none.get(Kind.CHAT, _NO_CHAT))
        return self._chat

    @property
    def documents(self) -> DocumentStore:
        """Documents with embeddings.

        Raises:
            ConfigurationError: The settings name no side for them, or do not say whose they are.
        """
        if self._documents is None:
            raise ConfigurationError(self._why_none.get(Kind.DOCUMENTS, _NO_DOCUMENTS))
        return self._documents

    async def for_user(self, token: str | UserToken) -> UserStores:
        """Return the stores as one user has them, by the token that came with that user's request.

        Every call on them is for the token's user, on both sides and at every stage, whatever the app passes; Supabase
        is asked with the token itself, so that row-level security holds, too. They are good until the token expires,
        and cost next to nothing: make them anew for each request.

        Args:
            token: A text is verified first, by CHATSTORE_TOKEN_ISSUER or the `verifier` that the stores were opened
                with. A `UserToken` is taken as it is.

        Raises:
            TokenRefusedError: The token is not taken; the message says why.
            UnavailableError: The issuer's keys are not known, and cannot be fetched now.
            ConfigurationError: It is a text, and nothing says who signs users' tokens.
        """
        if not isinstance(token, UserToken):
            if self._verifier is None:
                raise ConfigurationError(
                    "nothing says who signs users' tokens: set CHATSTORE_TOKEN_ISSUER, or open the stores with a "
                    "`verifier`; where the app verifies them itself, give `UserToken.verified_elsewhere(token)`"
                )
            token = await self._verifier.verify(token)
        token.check()
        return UserStores(self, token)

    async def backlog(self) -> dict[Kind, Backlog]:
        """Return how far the two sides of each kind are apart; nothing of a kind that has one side only.

        Raises:
            UnavailableError: A side did not answer.
        """
        return {kind: await router.sides.backlog() for kind, router in routers(self._chat, self._documents).items()}

    def stages(self) -> dict[Kind, StageReport]:
        """Return how the stages of each kind are decided in this process; nothing of a kind that has one side only.

        It asks no server: which flag provider there is and how it is, which stage is recorded, how many calls were
        served without a usable answer of the flag, and why the last of them was.
        """
        return {kind: router.stages.report() for kind, router in routers(self._chat, self._documents).items()}

    def stages_of(self, user_id: str) -> dict[Kind, StageDecision]:
        """Return at which stage a user's last call was served in this process, and what decided that, by kind.

        A kind is left out where that is not known: the user has called nothing of it here, or long ago; or it has one
        side only.
        """
        decisions = {
            kind: router.stages.decision(user_id) for kind, router in routers(self._chat, self._documents).items()
        }
        return {kind: decision for kind, decision in decisions.items() if decision is not None}

    async def forget(self, user_id: str, *, dry_run: bool = False) -> dict[Kind, Forgotten]:
        """Delete all that is held of a user, on every side that the settings name; return what came of it, by kind.

        It is the same at every stage. What was acknowledged before the call began is gone on all sides when it
        returns, also while a backfill runs; what is written beside it is gone or stays, a session or a document as a
        whole; what is written after it stays. Calling it again finishes what was interrupted.

        Args:
            user_id: Whose.
            dry_run: Only count.

        Raises:
            InvalidRecordError: There can be no such user id.
            UnavailableError: A side did not answer. What the other one holds is deleted all the same, and marked.
            BusyError: Others were at work on the user's records for two minutes: call it again.
            ConfigurationError: The stores were not opened by `chatstore.open`.
        """
        if self._forgetting is None:
            raise ConfigurationError("these stores were not opened by `chatstore.open`: nothing can be forgotten")
        return await self._forgetting(user_id, dry_run=dry_run)

    async def close(self) -> None:
        """Finish what is under way; what the second side lacks then stays marked."""
        async with AsyncExitStack() as closing:
            for store in (self._chat, self._documents):
                if store is not None:
                    closing.push_async_callback(store.close)


def routers(chat: ChatHistoryStore | None, documents: DocumentStore | None) -> dict[Kind, ChatRouter | DocumentRouter]:
    """Return the stores that stand before two sides."""
    stores = {Kind.CHAT: chat, Kind.DOCUMENTS: documents}
    return {kind: store for kind, store in stores.items() if isinstance(store, ChatRouter | DocumentRouter)}
