"""A teacher by its name: where it lies, and whether it can teach a recipe's network."""

import pathlib

from semenet.errors import SemenetError
from semenet.models.layers.heads import ClassifierHead
from semenet.models.loading import load_model
from semenet.models.weights.published import find_published, parse_published_name, published_names


class TeacherError(SemenetError):
    """A teacher cannot be found, or does not fit the student."""


def find_teacher(teacher, out=None):
    """The file of a teacher. Loads nothing.

    Args:
        teacher: path of a run folder or a `.keras` file, or `ENTRY:NAME` for an entry's published weights.
        out: the run's own folder, or None.

    Returns:
        Path of its `.keras` or published `.weights.h5` file.

    Raises:
        TeacherError: if there is none, or it lies in the run's own folder.
    """
    name = parse_published_name(teacher)
    if name is not None:
        entry, weights = name
        known = find_published(entry, weights)
        if known is None:
            names = ", ".join(published_names(entry)) or "none"
            raise TeacherError(
                "A teacher written ENTRY:NAME has published weights of that name. "
                f"Received: {teacher!r}. Names of `{entry}` here: {names}. "
                "Give one of them, or a run folder or .keras file."
            )
        return known.path
    path = pathlib.Path(teacher)
    if out is not None and pathlib.Path(out).resolve() in (path.resolve(), *path.resolve().parents):
        raise TeacherError(
            "A network does not teach itself: the teacher lies outside the run's own folder. "
            f"Received: teacher {path}, folder {out}. Give another --teacher or another --out."
        )
    file = path / "model.keras" if path.is_dir() else path
    if not file.is_file() or file.suffix != ".keras":
        raise TeacherError(
            "A teacher is a run folder with model.keras, a .keras file, or ENTRY:NAME for an entry's "
            f"published weights. Received: {teacher!r}, which is none. Check --teacher; `semenet list` shows "
            "the published weights."
        )
    return file


def load_teacher(recipe, out=None):
    """Loads the teacher that a recipe names, and checks that it can teach the recipe's network.

    Its input size and channels may differ from the recipe's.

    Args:
        recipe: `Recipe` with a `teacher`.
        out: the run's own folder, or None.

    Returns:
        `keras.Model`.

    Raises:
        TeacherError: if there is no such teacher, or either network segments, or the teacher has other
            classes, another order of them, another `inference_clahe` or `lungs_alone`, or a sigmoid head.
        WeightsError: if its file cannot be read.
    """
    if recipe.segments:
        raise TeacherError(
            "Distillation is for networks that classify. "
            f"Received: --teacher {recipe.teacher} for a network that segments. Leave --teacher out."
        )
    file = find_teacher(recipe.teacher, out)
    teacher = load_model(file if parse_published_name(recipe.teacher) is None else recipe.teacher)
    head = find_head(teacher, "The teacher", recipe.teacher)
    if head.class_names != tuple(recipe.classes):
        raise TeacherError(
            "Teacher and student have the same classes in the same order. "
            f"Received: {', '.join(head.class_names)} of {recipe.teacher}, and {', '.join(recipe.classes)} "
            "of the recipe. Pass the teacher's as --classes, or give another --teacher."
        )
    if head.inference_clahe != recipe.inference_clahe:
        raise TeacherError(
            "Teacher and student see the same images: CLAHE applies to both at inference, or to neither. "
            f"Received: inference_clahe {head.inference_clahe} of {recipe.teacher}, and "
            f"{recipe.inference_clahe} of the recipe. Give another --teacher, or change --inference-clahe."
        )
    if head.lungs_alone != recipe.lungs_alone:
        raise TeacherError(
            "Teacher and student see the same images: whole ones, or lungs alone. "
            f"Received: lungs_alone {head.lungs_alone} of {recipe.teacher}, and {recipe.lungs_alone} of the "
            "recipe, as its --views make it. Give another --teacher, or change --views."
        )
    return teacher


def find_head(model, role, received):
    """The classifier at the end of a network of the zoo.

    Args:
        model: `keras.Model`.
        role: str that begins the error, "The teacher" or "The student".
        received: what the user called the network.

    Returns:
        `ClassifierHead`.

    Raises:
        TeacherError: for a network that is not of the zoo, that segments, or whose head is sigmoid.
    """
    head = next((layer for layer in model.layers if layer.name == "head"), None)
    activation = getattr(getattr(head, "activation", None), "__name__", "no")
    # Sigmoid outputs are no distribution over the classes, and soft labels are one.
    if not isinstance(head, ClassifierHead) or activation not in ("softmax", "linear"):
        raise TeacherError(
            f"{role} of a distillation is a network of the zoo that classifies, by softmax or logits. "
            f"Received: {received}, whose head is a {type(head).__name__} with {activation} activation. "
            "Build it with semenet.build."
        )
    return head
