"""Stages for tests, through OpenFeature's own in-memory provider."""

from openfeature import api
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

from chatstore.models import Kind, Stage, new_id
from chatstore.routing import FLAGS

VARIANTS = {stage.value: stage.value for stage in Stage}


class Flags:
    """A flag service of one test: `set` moves everybody, `move` one user."""

    def __init__(self, stage=Stage.OFF):
        self._domain = f"test-{new_id()}"
        self._users = {}
        self.set(stage)
        self.client = api.get_client(domain=self._domain)

    def set(self, stage):
        self._stage = stage
        self._provide()

    def move(self, user_id, stage):
        self._users[user_id] = stage
        self._provide()

    def fail(self):
        api.set_provider_and_wait(InMemoryProvider({}), self._domain)

    def _provide(self):
        def evaluate(flag, context):
            stage = self._users.get(context.targeting_key if context else None, self._stage)
            return FlagResolutionDetails(value=str(stage), reason=Reason.TARGETING_MATCH)

        flags = {FLAGS[kind]: InMemoryFlag("off", VARIANTS, context_evaluator=evaluate) for kind in Kind}
        api.set_provider_and_wait(InMemoryProvider(flags), self._domain)
