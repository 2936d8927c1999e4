"""Writes the script with which a shell completes semenet's commands, options and choices."""

import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from semenet.cli.help.options import command_options
from semenet.errors import SemenetError

SHELLS = ("bash", "zsh")

_BASH = """\
# Completion of semenet. Load it with: source <(semenet --print-completion bash)
_semenet() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
    local command=${{COMP_WORDS[1]}} words=""
    case "$command" in
        {nested}) [ "$COMP_CWORD" -gt 2 ] && command="$command ${{COMP_WORDS[2]}}" ;;
    esac
    if [ "$COMP_CWORD" -eq 1 ]; then
        words={commands}
    else
        case "$command $previous" in
{choices}
            *)
                case "$command" in
{options}
                esac
                ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
# Where no word fits, a file does.
complete -o default -F _semenet semenet
"""
_ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"


def completion_script(
    shell: str,
    commands: Mapping[str, Callable[..., Any]],
    nested: Mapping[str, Mapping[str, Callable[..., Any]]],
) -> str:
    """Returns a script that completes the commands, their options, and the choices of an option.

    Args:
        shell: one of `SHELLS`.
        commands: the functions of the commands by name, without those that have commands of their own.
        nested: for each command that has commands of its own, such as data: their functions by name.

    Raises:
        SemenetError: there is no completion for this shell.
    """
    if shell not in SHELLS:
        raise SemenetError(
            f"Completion is written for {' and '.join(SHELLS)}. Received: {shell!r}. Name one of them."
        )
    functions = dict(commands)
    functions |= {f"{name} {sub}": function for name, of in nested.items() for sub, function in of.items()}
    options, choices = [], []
    # All recipes share one function.
    for function in dict.fromkeys(functions.values()):
        names = [name for name, of in functions.items() if of is function]
        listed = command_options(function)
        words = [word for option in listed for word in option.names if word.startswith("--")]
        options.append(_case(names, [*words, "--help"], 20))
        for option in listed:
            if option.choices:
                pattern = [f"{name} {word}" for name in names for word in option.names]
                choices.append(_case(pattern, option.choices, 12))
    options += [_case([name], of, 20) for name, of in nested.items()]
    script = _BASH.format(
        nested="|".join(nested),
        commands=shlex.quote(" ".join([*commands, *nested, "--help"])),
        choices="\n".join(choices),
        options="\n".join(options),
    )
    return (_ZSH if shell == "zsh" else "") + script


def _case(patterns: Iterable[str], words: Iterable[str], indent: int) -> str:
    quoted = "|".join(f'"{text}"' for text in patterns)
    return f"{' ' * indent}{quoted}) words={shlex.quote(' '.join(words))} ;;"
