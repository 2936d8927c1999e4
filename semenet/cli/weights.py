"""The commands `semenet weights ...`: list, get, verify and push published weights."""

import pathlib
from fnmatch import fnmatchcase
from typing import Annotated, NoReturn

import rich.console
import tyro

from semenet.errors import SemenetError
from semenet.models.weights.described_set import PublishedSet

Positional = tyro.conf.Positional
Sets = Annotated[tuple[str, ...], tyro.conf.arg(metavar="ENTRY:NAME"), Positional]


def list_weights(pattern: Positional[str] = "*") -> None:
    """Lists the published weights: where they are, what they were trained on, and how they do elsewhere.

    Args:
        pattern: Shell pattern of ENTRY:NAME, such as "seme_*" or "*:lung".
    """
    from semenet.models.weights.published import all_sets

    sets = [one for one in all_sets() if any(fnmatchcase(name, pattern) for name in (one.entry, one.label))]
    if not sets:
        names = ", ".join(described.label for described in all_sets())
        raise SemenetError(
            "The pattern must match at least one set of published weights, given as ENTRY:NAME. "
            f"Received: {pattern!r}. The sets are {names}."
        )
    print_sets(sets)


def print_sets(sets: list[PublishedSet]) -> None:
    """Prints what lists say about sets of weights."""
    from semenet.models.weights.listing.summaries import description_lines
    from semenet.models.weights.published import availability

    console = rich.console.Console(soft_wrap=True, highlight=False, markup=False)
    for described in sets:
        licence = described.metadata.get("license", "licence not stated")
        size = f"{described.size / 1e6:.1f} MB"
        console.print(f"{described.label}  {size}, {licence}, {availability(described)}", style="bold")
        for line in description_lines(described.metadata):
            console.print(f"  {line}")


def get(sets: Sets = (), all: bool = False) -> None:
    """Fetches weights into the cache, and prints the folder of each set. What is here already is verified.

    Weights are fetched from the address in SEMENET_ZOO_URL: http(s), or hf://OWNER/REPO[@REVISION] with the
    extra hub. A broken set in the cache is fetched again.

    Args:
        sets: Names of published weights, such as unet:lung.
        all: All weights that this version of semenet was published with.
    """
    from semenet.models.weights.transfer.obtaining import get_set

    for entry, name in _names(sets, all):
        print(get_set(entry, name).folder)


def verify(sets: Sets = ()) -> None:
    """Verifies the SHA-256 of every file of weights that are on this machine; exit status 1 if one is wrong.

    Args:
        sets: Names of published weights. None: all that are on this machine.
    """
    from semenet.models.weights.published import all_sets, require_published
    from semenet.models.weights.transfer.obtaining import verify_set

    if sets:
        chosen = [require_published(*pair) for pair in _names(sets, everything=False)]
    else:
        chosen = [described for described in all_sets() if described.origin is not None]
    wrong = []
    for published in chosen:
        try:
            print(f"{published.label}: {verify_set(published)}")
        except SemenetError as error:
            wrong.append(published.label)
            print(f"{published.label}: {error}")
    if wrong:
        raise SemenetError(
            "The files of published weights must be those that were published. "
            f"Received: {', '.join(wrong)} with others, see above. Replace them before you use them."
        )


def push(
    target: Annotated[str, tyro.conf.arg(metavar="FOLDER|hf://OWNER/REPO"), Positional],
    sets: Sets = (),
    all: bool = False,
    private: bool = False,
    message: str | None = None,
) -> None:
    """Copies weights to a folder or to a repository on the Hugging Face Hub, with a README.md for the Hub.

    The target gets the layout of the folder zoo, so that SEMENET_ZOO (a folder) or SEMENET_ZOO_URL (a
    repository, or a folder behind a web server) can name it. Sets that are there already stay, and the
    README.md covers them too. Every file is verified first. Log in to the Hub with `hf auth login`.

    Args:
        target: Folder, which is created if needed; or hf://OWNER/REPO, also with @BRANCH.
        sets: Names of published weights, such as unet:lung.
        all: All weights that are on this machine.
        private: Create the repository as a private one.
        message: Message of the commit. None: the names of the sets.
    """
    from semenet.evaluation.report.hub_readme import render_hub_readme
    from semenet.models.weights.published import all_sets, require_published
    from semenet.models.weights.transfer.hub_source import SCHEME
    from semenet.models.weights.transfer.pushing import push_to_folder, push_to_hub

    if all:
        chosen = [described for described in all_sets() if described.origin is not None]
    else:
        chosen = [require_published(*pair) for pair in _names(sets, everything=False)]
    if target.startswith(SCHEME):
        print(push_to_hub(chosen, target, render_hub_readme, private=private, message=message))
        return
    if private or message is not None:
        raise SemenetError(
            "--private and --message belong to a repository on the Hub. "
            f"Received: the folder {target}. Leave them out, or give hf://OWNER/REPO."
        )
    print(push_to_folder(chosen, pathlib.Path(target), render_hub_readme))


def _names(sets: tuple[str, ...], everything: bool) -> list[tuple[str, str]]:
    """Returns the pairs of entry and name that a command line chooses."""
    from semenet.models.weights.fetching import read_index
    from semenet.models.weights.published import parse_published_name

    if everything == bool(sets):
        _refuse("both" if sets else "neither")
    if everything:
        return [tuple(key.split("/")) for key in read_index()]
    pairs = [parse_published_name(text) for text in sets]
    if None in pairs:
        _refuse(sets[pairs.index(None)])
    return pairs


def _refuse(received: str) -> NoReturn:
    raise SemenetError(
        "Give the names of published weights as ENTRY:NAME, such as unet:lung, or --all. "
        f"Received: {received}. `semenet weights list` shows the names."
    )


WEIGHTS_COMMANDS = {"list": list_weights, "get": get, "verify": verify, "push": push}
