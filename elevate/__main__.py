"""The door: ``run`` goes straight to the thin client, ``serve`` to the daemon, all else loads the command line."""

import sys


def main() -> None:
    """Run ``elevate`` with the arguments of this process; the console script calls this."""
    words = sys.argv[1:]
    if words[:1] == ["run"]:
        import posix

        from elevate.client import run

        posix._exit(run(words[1:]))  # noqa: SLF001 - all is written; taking the interpreter down costs a millisecond
    if words[:1] == ["serve"]:
        from elevate.server.main import main as serve

        sys.exit(serve(words[1:]))
    if words[:1] == ["audit"]:
        # A group of its own, so that showing one token's life does not load the broker.
        from elevate.cli.audit import app
        from elevate.cli.running import run as command

        sys.exit(command(app, words[1:], "elevate audit"))
    from elevate.cli.app import main as command_line

    sys.exit(command_line(words))


if __name__ == "__main__":
    main()
