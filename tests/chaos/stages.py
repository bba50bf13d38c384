"""Stages for many processes: one file says at which stage each of them serves each user, and each asks it at every call."""

import json

from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

from chatstore.models import Kind, Stage
from chatstore.routing import FLAGS

VARIANTS = {stage.value: stage.value for stage in Stage}


class StageFile:
    """What the tests write and the processes read: `{slot: {user: stage}}`."""

    def __init__(self, file):
        self._file = file
        self._read_at = None
        self._stages = {}

    def write(self, stages):
        draft = self._file.with_suffix(".new")
        draft.write_text(json.dumps(stages))
        draft.replace(self._file)

    def stage(self, slot, user):
        status = self._file.stat()
        if self._read_at != (status.st_ino, status.st_mtime_ns):
            self._stages = json.loads(self._file.read_text())
            self._read_at = status.st_ino, status.st_mtime_ns
        return self._stages[str(slot)][user]

    def provider(self, slot):
        """An OpenFeature provider for the process that has this slot."""

        def evaluate(flag, context):
            return FlagResolutionDetails(value=self.stage(slot, context.targeting_key), reason=Reason.TARGETING_MATCH)

        flags = {FLAGS[kind]: InMemoryFlag("off", VARIANTS, context_evaluator=evaluate) for kind in Kind}
        return InMemoryProvider(flags)
