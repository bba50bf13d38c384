"""Runs coroutines step by step in an order that hypothesis draws, and kills some of them on the way."""


class Scheduler:
    """Each `step` resumes one coroutine up to its next suspension. No event loop: only `asyncio.sleep(0)` may wait."""

    def __init__(self):
        self.running = []

    def start(self, coroutine, done=lambda _: None):
        self.running.append((coroutine, done))

    def step(self, index):
        coroutine, done = self.running[index % len(self.running)]
        try:
            coroutine.send(None)
        except StopIteration as end:
            self.running.remove((coroutine, done))
            done(end.value)

    def kill(self, index):
        """Its process dies here: nothing behind this point happens."""
        entry = self.running[index % len(self.running)]
        self.running.remove(entry)
        coroutine, _ = entry
        # `close` would run what a crash does not: the `finally` blocks. Keep the frame instead, suspended for ever.
        self._dead = [*getattr(self, "_dead", []), coroutine]

    def finish(self, stuck=lambda: None):
        """Run everybody to the end, in turns; `stuck` is called when they seem to wait for the dead."""
        turns = 0
        while self.running:
            self.step(turns)
            turns += 1
            if turns % 1000 == 0:
                stuck()


def run(coroutine):
    """Run a coroutine that only ever waits by `asyncio.sleep(0)` to its end."""
    while True:
        try:
            coroutine.send(None)
        except StopIteration as end:
            return end.value
