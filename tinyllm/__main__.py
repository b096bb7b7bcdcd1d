"""`python -m tinyllm` is `tinyllm`."""

from .cli import main

main()
