"""What stands on the command line of ``elevate run``: options, additions to the environment, the command.

The ways of sudo are kept where they can be: ``-n``, ``-l``, ``-v``, ``-k``, ``-u``, ``-g``, ``--preserve-env``, ``VAR=value``.
The PIN goes to the broker's own prompt only, so ``-A`` is ``-n`` (no program of the caller's is asked), and ``-S`` is refused
where something is piped in. What can't be is told by `elevate.never`.

Source: sudo(8). The thin client loads this at every start, so it imports nothing but the errors, late.
"""

from elevate.late import errors

USAGE = """\
usage: elevate run [OPTION…] [VAR=VALUE…] [--] COMMAND [ARGUMENT…]
       elevate run -l [COMMAND…] | -v | -k

Run one command with admin rights, once, after your agreement.

  -r, --reason REASON      why; shown in the prompt and kept in the log
  -n, --non-interactive    ask nothing on the terminal: only a service identity can agree, or, with an emulated host, a sensor
  -A, --askpass            the same: no program of yours is asked for the PIN
  -S, --stdin              refused where something is piped in: the PIN is typed into the broker's own prompt only
      --no-stdin           leave out standard input; by default what is piped in is passed on, up to 16 MiB
      --preserve-env=LIST  pass these variables on, names with commas between, where a rule allows them
  -l, --list               print the rules for you, or whether the command would be allowed; nobody is asked
  -v, --validate           make a gesture and have it verified; nothing is elevated
  -k, -K, -N               forget, or don't extend, cached rights: there are none, ever
  -u, --user USER          run as this user, where a rule says run_as: a name, or a number as '#1000'; root is the admin account
  -g, --group GROUP        run with this group, where a rule says run_as_group; without -u, as yourself
  -h, --help               print this

What is typed reaches a command only where a rule says interactive; any other reads what is piped in, or nothing.
The exit status is the command's. 125: the broker failed; 126: refused; 127: not found or not executable.
"""
_VALUES = {
    "-r": "reason",
    "--reason": "reason",
    "--preserve-env": "preserve",
    "-u": "run_as",
    "--user": "run_as",
    "-g": "run_as_group",
    "--group": "run_as_group",
}
_FLAGS = {
    "-n": "non_interactive",
    "--non-interactive": "non_interactive",
    "--no-stdin": "no_stdin",
    "-l": "list",
    "--list": "list",
    "-v": "validate",
    "--validate": "validate",
    "-k": "forget",
    "-K": "forget_all",
    "--reset-timestamp": "forget",
    "--remove-timestamp": "forget_all",
    "-A": "non_interactive",
    "--askpass": "non_interactive",
    "-S": "pin_piped",
    "--stdin": "pin_piped",
    "-N": "no_update",
    "--no-update": "no_update",
    "-h": "help",
    "--help": "help",
}
_ROOT = ("root", "#0")
ALONE = ("help", "list", "validate", "forget", "forget_all")
"""Options that need no command."""
_TAKE_NONE = {"help": "-h", "validate": "-v", "forget_all": "-K"}


def parse(words: "list[str]", environ: "dict[bytes, bytes]") -> "tuple[dict[str, object], list[str]]":
    """Split options and additions to the environment from the command.

    Args:
        words: The command line after ``run``.
        environ: This process's environment, for ``--preserve-env``.

    Returns:
        The options by name, ``env`` among them, and the command.

    Raises:
        TaskInvalidError: An unknown option, an option without its value, or no command.
        RefusedError: A way of sudo that there is not here.
    """
    options: dict[str, object] = {}
    rest = list(words)
    added: dict[str, str] = {}
    while rest and (_is_option(rest[0]) or _is_assignment(rest[0])):
        word = rest.pop(0)
        if word == "--":
            break
        if _is_option(word):
            _option(word, rest, options)
            added |= _preserved(str(options.pop("preserve", "")), environ)
        else:
            name, _, added[name] = word.partition("=")
    if added:
        options["env"] = added
    _check_command(rest, options)
    _check_identity(options)
    return options, rest


def _option(word: str, rest: "list[str]", options: "dict[str, object]") -> None:
    name, equals, value = word.partition("=") if word.startswith("--") else (word[:2], word[2:], word[2:])
    if name in _VALUES and (equals or name != "--preserve-env"):
        if not equals and not rest:
            raise errors.TaskInvalidError(f"the option {name} needs a value")
        options[_VALUES[name]] = value if equals else rest.pop(0)
    elif name in _FLAGS and (not equals or word[:2] != "--"):
        options[_FLAGS[name]] = True
        if equals:
            _option("-" + value, rest, options)  # as -nk
    else:
        from elevate import never

        raise never.refusal(word)


def _preserved(names: str, environ: "dict[bytes, bytes]") -> "dict[str, str]":
    found = ((name, environ.get(name.encode("utf-8", "surrogateescape"))) for name in names.split(",") if name)
    return {name: value.decode("utf-8", "surrogateescape") for name, value in found if value is not None}


def _check_command(rest: "list[str]", options: "dict[str, object]") -> None:
    for name, option in _TAKE_NONE.items():
        if rest and name in options:
            raise errors.TaskInvalidError(f"the option {option} takes no command", hint="give one of the two")
    if not rest and not any(name in options for name in ALONE):
        raise errors.TaskInvalidError("the command is empty", hint="give a command: elevate run -- COMMAND")


def _is_option(word: str) -> bool:
    return word.startswith("-") and word != "-"


def _is_assignment(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and name.isidentifier()


def _check_identity(options: "dict[str, object]") -> None:
    """Leave root out: it is the admin account, as the rule says. Any other name is the broker's to judge."""
    if options.get("run_as") in _ROOT:
        del options["run_as"]
    if options.get("run_as_group") in _ROOT and "run_as" not in options:
        del options["run_as_group"]
    if "" in (options.get("run_as"), options.get("run_as_group")):
        raise errors.RefusedError("there is no user or group without a name", hint="leave it out; the rule says the identity")
