"""`python -m seqgen` is `seqgen`."""

from seqgen.cli import main

main()
