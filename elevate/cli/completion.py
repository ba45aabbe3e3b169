"""``elevate completion SHELL``: a script for bash, zsh or fish, made from the commands that there are."""

from typing import Annotated

import typer

from elevate.errors import TaskInvalidError

_BASH = """\
# source this: . <(elevate completion bash)
_elevate() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} i
    if ((COMP_CWORD == 1)); then
        COMPREPLY=($(compgen -W "%(commands)s" -- "$word"))
        return
    fi
    # bash takes = for a word of its own
    if [[ $word == = ]]; then word=; elif [[ $before == = ]]; then before=${COMP_WORDS[COMP_CWORD - 2]}; fi
    case $command in
    run | explain)
        for ((i = 2; i < COMP_CWORD; i++)); do
            case ${COMP_WORDS[i]} in
            --) ((i + 1 < COMP_CWORD)) && { COMPREPLY=($(compgen -f -- "$word")); return; } ;;
            -[!-]*[rug] | --reason | --user | --group | -r | -u | -g | --preserve-env | --kind)
                [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))
                ((i++))
                ;;
            -* | *=*) ;;
            *) [[ ${COMP_WORDS[i + 1]} == = ]] || { COMPREPLY=($(compgen -f -- "$word")); return; }
                ((i += 2))
                ;;
            esac
        done
        case $before in
        -[!-]*u | -u | --user) COMPREPLY=($(compgen -u -- "$word")); return ;;
        -[!-]*g | -g | --group) COMPREPLY=($(compgen -g -- "$word")); return ;;
        --preserve-env) COMPREPLY=($(compgen -v -- "$word")); return ;;
        -[!-]*r | -r | --reason) return ;;
        esac
        case $command$word in
        run-*) COMPREPLY=($(compgen -W "%(options)s" -- "$word")) ;;
        explain-*) COMPREPLY=($(compgen -W "--kind --json -h --help" -- "$word")) ;;
        *) COMPREPLY=($(compgen -c -- "$word")) ;;
        esac
        ;;
%(cases)s    *) COMPREPLY=($(compgen -f -- "$word")) ;;
    esac
}
complete -F _elevate elevate
"""
_BASH_CASE = '    %s) ((COMP_CWORD == 2)) && COMPREPLY=($(compgen -W "%s" -- "$word")) ;;\n'
_ZSH = """\
#compdef elevate
_elevate() {
    if ((CURRENT == 2)); then
        compadd %(commands)s
        return
    fi
    case $words[2] in
    run)
        shift words
        ((CURRENT--))
        while ((CURRENT > 2)) && [[ $words[2] == [[:alpha:]_]*=* ]]; do
            words[2]=()
            ((CURRENT--))
        done
        _arguments -s -S %(zsh)s '(-)1:command:_command_names -e' '*::arguments:_normal'
        ;;
    explain)
        shift words
        ((CURRENT--))
        _arguments -S --kind: --json '(-)1:command:_command_names -e' '*::arguments:_normal'
        ;;
%(cases)s    *) _files ;;
    esac
}
compdef _elevate elevate
"""
_ZSH_CASE = "    %s) ((CURRENT == 3)) && compadd %s ;;\n"
_FISH = """\
complete -c elevate -f -n __fish_use_subcommand -a '%(commands)s'
%(cases)s%(fish)s\
complete -c elevate -n '__fish_seen_subcommand_from explain' -l kind -x
complete -c elevate -n '__fish_seen_subcommand_from explain' -l json
complete -c elevate -n '__fish_seen_subcommand_from run explain' -xa \
'(__fish_complete_subcommand --fcs-skip=2 -r --reason -u --user -g --group --kind)'
"""
_FISH_CASE = "complete -c elevate -f -n '__fish_seen_subcommand_from %s' -a '%s'\n"
_VALUES = {"reason": "", "user": "_users", "group": "_groups", "preserve-env": "_parameters"}
_SHORT = {
    "reason": "r",
    "user": "u",
    "group": "g",
    "non-interactive": "n",
    "askpass": "A",
    "list": "l",
    "validate": "v",
    "reset-timestamp": "k",
    "help": "h",
}
_LONG = ("reason", "no-stdin", "preserve-env", *(name for name in _SHORT if name != "reason"))
_FISH_VALUES = {"user": "(__fish_complete_users)", "group": "(__fish_complete_groups)", "preserve-env": "(set -n)"}
_SHELLS = {"bash": (_BASH, _BASH_CASE), "zsh": (_ZSH, _ZSH_CASE), "fish": (_FISH, _FISH_CASE)}
OPTIONS = (
    "-r",
    "--reason",
    "-n",
    "--non-interactive",
    "-A",
    "--askpass",
    "--no-stdin",
    "--preserve-env=",
    "-l",
    "--list",
    "-v",
    "--validate",
    "-k",
    "-u",
    "--user=",
    "-g",
    "--group=",
    "-h",
    "--help",
)


def completion(context: typer.Context, shell: Annotated[str, typer.Argument(help="bash, zsh or fish.")]) -> None:
    """Print a completion script."""
    if shell not in _SHELLS:
        raise TaskInvalidError(f"there is no completion for {shell[:40]}", hint="there is one for bash, zsh and fish")
    tree = _tree(context)
    script, case = _SHELLS[shell]
    cases = "".join(case % (name, " ".join(below)) for name, below in tree.items() if below)
    parts = {"commands": " ".join(tree), "options": " ".join(OPTIONS), "cases": cases, "zsh": _zsh(), "fish": _fish()}
    typer.echo(script % parts, nl=False)


def _zsh() -> str:
    """Give the options of ``run`` as zsh's _arguments takes them."""
    words = []
    for name in _LONG:
        value = f":{name}:{_VALUES[name]}" if name in _VALUES else ""
        words.append(f"'--{name}{'=' if value else ''}{value}'")
        if name in _SHORT:
            words.append(f"'-{_SHORT[name]}{'+' if value else ''}{value}'")
    return " ".join(words)


def _fish() -> str:
    """Give the options of ``run`` as fish's complete takes them."""
    lines = []
    for name in _LONG:
        short = f" -s {_SHORT[name]}" if name in _SHORT else ""
        value = f" -xa '{_FISH_VALUES.get(name, '')}'" if name in _VALUES else ""
        lines.append(f"complete -c elevate -n '__fish_seen_subcommand_from run' -l {name}{short}{value}\n")
    return "".join(lines)


def _tree(context: typer.Context) -> dict[str, list[str]]:
    """Give each command with its sub-commands, from the command line itself."""
    root = context.find_root().command
    commands: dict[str, object] = getattr(root, "commands", {})
    return {name: sorted(getattr(command, "commands", {})) for name, command in commands.items()}
