"""The router: stages, flags, the second side, shadow reads, merge and repair."""

from chatstore.routing.agreement import Agreement, SearchTolerance
from chatstore.routing.chat import ChatRouter, chat_replicator
from chatstore.routing.comparison import Comparison, OnComparison, Outcome
from chatstore.routing.documents import DocumentRouter, document_replicator
from chatstore.routing.flags.decision import StageDecision, StageReport, StageSource
from chatstore.routing.flags.provider import ProviderState
from chatstore.routing.flags.resolver import FLAGS, StageResolver
from chatstore.routing.flags.tracking import Tracker, Tracking
from chatstore.routing.forget import forget_chat, forget_documents
from chatstore.routing.merge import Merged, announcements, merge_chat, merge_documents
from chatstore.routing.refusals import Refusal, put_chat, put_documents
from chatstore.routing.repair import Repairer, chat_repairer, document_repairer
from chatstore.routing.replication import ReplicationCounts, Replicator
from chatstore.routing.reports import RepairReport, Round
from chatstore.routing.settle import settle, withdraw
from chatstore.routing.shadow import Mismatch, ShadowCounts, ShadowReader
from chatstore.routing.sides import Sides
from chatstore.routing.stages import ROUTES, Route, refusal
from chatstore.routing.traces import Traces

__all__ = [
    "FLAGS",
    "ROUTES",
    "Agreement",
    "ChatRouter",
    "Comparison",
    "DocumentRouter",
    "Merged",
    "Mismatch",
    "OnComparison",
    "Outcome",
    "ProviderState",
    "Refusal",
    "RepairReport",
    "Repairer",
    "ReplicationCounts",
    "Replicator",
    "Round",
    "Route",
    "SearchTolerance",
    "ShadowCounts",
    "ShadowReader",
    "Sides",
    "StageDecision",
    "StageReport",
    "StageResolver",
    "StageSource",
    "Traces",
    "Tracker",
    "Tracking",
    "announcements",
    "chat_repairer",
    "chat_replicator",
    "document_repairer",
    "document_replicator",
    "forget_chat",
    "forget_documents",
    "merge_chat",
    "merge_documents",
    "put_chat",
    "put_documents",
    "refusal",
    "settle",
    "withdraw",
]
