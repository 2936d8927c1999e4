"""Finds and loads the teacher of a distillation, and checks that it fits the recipe's network."""

import os
import pathlib

import keras

from semenet.data.transforms.lung_view import LungView
from semenet.errors import SemenetError
from semenet.models.layers.heads import ClassifierHead
from semenet.models.loading import load_model
from semenet.models.weights.published import find_published, parse_published_name, remedy
from semenet.training.recipe import Recipe
from semenet.training.run_folder.file_names import MODEL


class TeacherError(SemenetError):
    """A teacher that cannot be found, or that does not fit the student."""


def find_teacher(teacher: str | os.PathLike, out: str | os.PathLike | None = None) -> pathlib.Path:
    """Finds the file of a teacher, without loading it.

    Args:
        teacher: path of a run folder or a `.keras` file, or `ENTRY:NAME` for published weights of an entry.
        out: the run's own folder, which cannot hold the teacher; None for no check.

    Returns:
        Path of the `.keras` or published `.weights.h5` file.

    Raises:
        TeacherError: there is no such teacher, or it is in the run's own folder.
    """
    name = parse_published_name(teacher)
    if name is not None:
        entry, weights = name
        known = find_published(entry, weights)
        if known is None:
            raise TeacherError(
                "A teacher ENTRY:NAME must be the name of published weights. "
                f"Received: {teacher!r}. {remedy(entry, weights)} "
                "Or pass a run folder or a .keras file."
            )
        return known.path
    path = pathlib.Path(teacher)
    if out is not None and pathlib.Path(out).resolve() in (path.resolve(), *path.resolve().parents):
        raise TeacherError(
            "A network cannot teach itself: the teacher must be outside the run's own folder. "
            f"Received: teacher {path}, folder {out}. Pass another --teacher or another --out."
        )
    file = path / MODEL if path.is_dir() else path
    if not file.is_file() or file.suffix != ".keras":
        raise TeacherError(
            f"A teacher must be a run folder with {MODEL}, a .keras file, or ENTRY:NAME for published "
            f"weights. Received: {teacher!r}, which is none of these. Check --teacher; `semenet list` "
            "shows the published weights."
        )
    return file


def load_teacher(recipe: Recipe, out: str | os.PathLike | None = None) -> keras.Model:
    """Loads the teacher of a recipe, and checks that it can teach the recipe's network.

    Its input size and channels may differ from the recipe's.

    Args:
        recipe: a recipe with a `teacher`.
        out: the run's own folder; None for no check.

    Returns:
        The teacher.

    Raises:
        TeacherError: there is no such teacher; or one of the networks segments; or the teacher has other
            classes, another order of classes, another `inference_clahe`, `lungs_alone` or lung view, or a
            sigmoid head.
        WeightsError: the file cannot be read.
    """
    if recipe.segments:
        raise TeacherError(
            "Distillation is only for networks that classify. "
            f"Received: --teacher {recipe.teacher} for a network that segments. Leave --teacher out."
        )
    file = find_teacher(recipe.teacher, out)
    teacher = load_model(file if parse_published_name(recipe.teacher) is None else recipe.teacher)
    head = find_head(teacher, "The teacher", recipe.teacher)
    if head.class_names != tuple(recipe.classes):
        raise TeacherError(
            "Teacher and student must have the same classes in the same order. "
            f"Received: {', '.join(head.class_names)} of {recipe.teacher}, and {', '.join(recipe.classes)} "
            "of the recipe. Pass the teacher's classes as --classes, or another --teacher."
        )
    if head.inference_clahe != recipe.inference_clahe:
        raise TeacherError(
            "Teacher and student must see the same images: both with CLAHE at inference, or both without. "
            f"Received: inference_clahe {head.inference_clahe} of {recipe.teacher}, and "
            f"{recipe.inference_clahe} of the recipe. Pass another --teacher, or change --inference-clahe."
        )
    if head.lungs_alone != recipe.lungs_alone:
        raise TeacherError(
            "Teacher and student must see the same images: whole images, or lungs alone. "
            f"Received: lungs_alone {head.lungs_alone} of {recipe.teacher}, and {recipe.lungs_alone} of the "
            "recipe, which follows from its --views. Pass another --teacher, or change --views."
        )
    views = LungView.from_settings(vars(head)), recipe.lung_view
    if views[0] != views[1]:
        described = [view.describe() or "whole images as they are" for view in views]
        raise TeacherError(
            "Teacher and student must see the same images, with the same lungs' box and standardisation. "
            f"Received: {described[0]} of {recipe.teacher}, and {described[1]} of the recipe. Pass another "
            "--teacher, or change --lungs-box, --lungs-box-margin or --standardize."
        )
    return teacher


def find_head(model: keras.Model, role: str, received: str) -> ClassifierHead:
    """Returns the classifier at the end of a network of the zoo.

    Args:
        model: the network.
        role: the start of the error message, "The teacher" or "The student".
        received: how the user named the network.

    Raises:
        TeacherError: the network is not of the zoo, segments, or has a sigmoid head.
    """
    head = next((layer for layer in model.layers if layer.name == "head"), None)
    activation = getattr(getattr(head, "activation", None), "__name__", "no")
    # Soft labels are a distribution over the classes, which sigmoid outputs are not.
    if not isinstance(head, ClassifierHead) or activation not in ("softmax", "linear"):
        raise TeacherError(
            f"{role} of a distillation must be a network of the zoo that classifies, with softmax or logits. "
            f"Received: {received}, whose head is a {type(head).__name__} with {activation} activation. "
            "Build it with semenet.build."
        )
    return head
