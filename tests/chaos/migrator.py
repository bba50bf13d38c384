"""The command `chatstore migrate` as a process that is killed. Forked from a warm parent, as the others of `app`."""

import sys

import chatstore.cli.bars
import chatstore.cli.telling
import chatstore.migration
import chatstore.routing  # noqa: F401 - all that the command imports when it is called, so that it begins at once
from chatstore.cli import main
from tests.chaos import app


def migrate(place, name, options, pipe):
    """Run the command with some options; the process's exit status is the command's."""
    with app._process(place, name):
        sys.argv = ["chatstore", "migrate", *options]
        pipe.send(app.READY)
        main()
