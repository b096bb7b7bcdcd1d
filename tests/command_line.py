"""A command line run in this process."""

from tinyllm.cli.app import main


def runner(capsys):
    """run(*arguments) -> (exit code, standard output, standard error)"""

    def run(*arguments):
        code = 0
        try:
            main(arguments)
        except SystemExit as error:
            code = error.code or 0
        return code, *capsys.readouterr()

    return run
