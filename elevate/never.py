"""What sudo has and ``elevate run`` has not: why, and what to do instead. Loaded where somebody asks for it.

Source: sudo(8); docs/adr/0068-no-pin-but-in-the-prompt.md.
"""

from elevate.late import errors

_SHELL = "there is no shell without a rule for it"
_REFUSED = {
    "-E": "only named variables can be passed on",
    "-i": _SHELL,
    "-s": _SHELL,
}
_INSTEAD = {
    "-E": "name them: --preserve-env=NAME,NAME",
    "-i": "a shell is a command as any: elevate run -- bash",
    "-s": "a shell is a command as any: elevate run -- bash",
    "-B": "leave it out: the prompt says what it wants",
    "-C": "leave it out: no descriptor of yours but the three standard ones reaches the command",
    "-D": "change the folder first: it is shown, and agreed to",
    "-H": "leave it out: HOME is never yours",
    "-P": "leave it out: groups are those of whom the command runs as; see -g",
    "-R": "there is no other root folder; name the command's full path",
    "-T": "a time limit is for a rule to set",
    "-U": "root asks the policy itself: elevate policy explain --user",
    "-V": "see: elevate --version",
    "-b": "let the shell do it, once you have agreed: Ctrl-Z, then bg",
    "-e": "see: elevate edit FILE",
    "-p": "leave it out: the words of the prompt are the broker's own",
    "-t": "leave it out: no rule speaks of it",
}
_LONG = {
    "--background": "-b",
    "--bell": "-B",
    "--chdir": "-D",
    "--chroot": "-R",
    "--close-from": "-C",
    "--command-timeout": "-T",
    "--edit": "-e",
    "--login": "-i",
    "--other-user": "-U",
    "--preserve-env": "-E",
    "--preserve-groups": "-P",
    "--prompt": "-p",
    "--set-home": "-H",
    "--shell": "-s",
    "--type": "-t",
    "--version": "-V",
}


def refusal(option: str) -> "errors.ElevateError":
    """Give the error for an option that ``elevate run`` does not have."""
    short = _LONG.get(option.partition("=")[0], option if option.startswith("--") else option[:2])
    if short in _REFUSED:
        return errors.RefusedError(_REFUSED[short], hint=_INSTEAD[short])
    if short in _INSTEAD:
        return errors.TaskInvalidError(f"there is no option {option.partition('=')[0]}, as sudo has it", hint=_INSTEAD[short])
    return errors.TaskInvalidError(
        f"unknown option {option}", hint="options of the command come after --: elevate run -- COMMAND"
    )


def piped_pin() -> "errors.ElevateError":
    """Give the error for ``-S`` where something is piped in."""
    return errors.RefusedError(
        "the PIN is typed into the broker's own prompt, and never piped; nothing was read",
        hint="leave -S out: the prompt reads the terminal, and what is piped in is the command's; "
        'for a program that runs with nobody there a rule says prompt = "service"',
    )
