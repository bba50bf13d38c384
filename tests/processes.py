"""Programs that a test starts."""

import signal
import subprocess


def started(command, **options):
    """Start a program as a terminal does: it ends at Ctrl-C."""
    # A job that a shell put into the background ignores Ctrl-C, and so would its children.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    finally:
        signal.signal(signal.SIGINT, before)
