"""What can go wrong at a point between a process and its servers."""

from enum import StrEnum

from chatstore.errors import UnavailableError


class Fault(StrEnum):
    """Each happens at a request that waits to be sent, or at a reply that waits to be received.

    Attributes:
        FAILS: The caller gets an error; the request never reached its server, or it was the reply that got lost.
        TIMES_OUT: The caller gets an error, and the request reaches its server later.
        CANCELLED: The caller is cancelled.
        DIES: The process is no more, and what it was sending was not sent.
        DIES_SENT: The process is no more, and what it was sending reaches its server.
        DIES_LATE: The same, but only after the others have repaired what they saw.
        BESIDE: Nothing goes wrong, but another process writes.
    """

    FAILS = "fails"
    TIMES_OUT = "times-out"
    CANCELLED = "cancelled"
    DIES = "dies"
    DIES_SENT = "dies-sent"
    DIES_LATE = "dies-late"
    BESIDE = "beside"

    def can_be(self, point):
        """Whether it makes a difference there: a reply, or a read, cannot arrive late."""
        if self is Fault.CANCELLED:
            return point.called
        return point.changes or self not in {Fault.TIMES_OUT, Fault.DIES_SENT, Fault.DIES_LATE}

    def happen(self, world, op, gate, beside):
        """Let it happen; `beside` is what another process does."""
        match self:
            case Fault.FAILS:
                fail(world, gate)
            case Fault.TIMES_OUT:
                world.late.append(gate.sent)
                fail(world, gate)
            case Fault.CANCELLED:
                op.task.cancel()
                world.spin()
            case Fault.DIES:
                gate.process.crash(arrives=False)
            case Fault.DIES_SENT:
                gate.process.crash(arrives=True)
                while world.late:
                    world.arrive(0)
            case Fault.DIES_LATE:
                gate.process.crash(arrives=True)
            case Fault.BESIDE:
                beside(world)


FAULTS = [fault for fault in Fault if fault is not Fault.BESIDE]


def fail(world, gate):
    world.gates.remove(gate)
    gate.future.set_exception(UnavailableError("no answer (by the test's order)"))
    world.spin()
