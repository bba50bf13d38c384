"""`python -m chatstore` is `chatstore`."""

from chatstore.cli import main

main()
