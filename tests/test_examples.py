"""Every public name is annotated and documented, and its example runs."""

import dataclasses
import doctest
import importlib
import inspect
import io
import shutil
import types

import numpy as np
import pytest

import semenet

PACKAGES = ["semenet", *(f"semenet.{room}" for room in ["storage", "data", "models", "metrics", "training"])]
PACKAGES += [f"semenet.{room}" for room in ["inference", "evaluation", "serving"]]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def public_names():
    return [(package, name) for package in PACKAGES for name in importlib.import_module(package).__all__]


def names_of_examples():
    """The public names without those of an object that an earlier package has too."""
    found = {}
    for package, name in public_names():
        found.setdefault(id(getattr(importlib.import_module(package), name)), (package, name))
    return list(found.values())


def public_object(package, name):
    found = getattr(importlib.import_module(package), name)
    if isinstance(found, types.ModuleType):
        pytest.skip("a package, whose own names are listed separately")
    return found


@pytest.fixture(scope="session")
def example_folder(phantoms, classifier_run, unet_run, tmp_path_factory):
    """Folder that the examples start in: manifest.csv, images, run, unet, cascade."""
    folder = tmp_path_factory.mktemp("examples") / "start"
    shutil.copytree(phantoms.parent, folder)
    shutil.copytree(classifier_run, folder / "run")
    shutil.copytree(unet_run, folder / "unet")
    small = {"input_shape": (32, 32, 1), "width": 0.125, "depth": 0.01}
    stage2 = semenet.build("seme_densenet169", classes=("other_viral", "COVID-19"), **small)
    semenet.Cascade(classifier_run, unet_run, stage2, gated=False).save(folder / "cascade")
    return folder


@pytest.mark.parametrize(("package", "name"), public_names(), ids=str)
def test_a_public_name_is_documented_and_annotated(package, name):
    found = public_object(package, name)
    if inspect.isclass(found) and issubclass(found, BaseException):
        assert found.__doc__
        return
    assert ">>>" in (inspect.getdoc(found) or ""), f"{package}.{name} has no example"
    if inspect.isclass(found) and not dataclasses.is_dataclass(found):
        return
    signature = inspect.signature(found)
    bare = [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.annotation is parameter.empty
    ]
    assert not bare, f"{package}.{name}: parameters without a type: {bare}"
    assert inspect.isclass(found) or signature.return_annotation is not signature.empty


@pytest.mark.parametrize(("package", "name"), names_of_examples(), ids=str)
def test_an_example_runs(package, name, example_folder, tmp_path, monkeypatch):
    found = public_object(package, name)
    folder = tmp_path / "examples"
    shutil.copytree(example_folder, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")
    example = doctest.DocTestParser().get_doctest(
        inspect.getdoc(found) or "", {"semenet": semenet, "np": np}, f"{package}.{name}", None, 0
    )
    output = io.StringIO()
    result = doctest.DocTestRunner(optionflags=OPTIONS).run(example, out=output.write)
    assert result.failed == 0, output.getvalue()


def test_a_wrong_example_fails():
    example = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3", {}, "wrong", None, 0)
    assert (
        doctest.DocTestRunner(optionflags=OPTIONS, verbose=False).run(example, out=lambda text: None).failed
        == 1
    )
