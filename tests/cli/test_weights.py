import json

import pytest
from published_set import read_metadata, write_index, write_metadata, write_plain_set

from semenet.cli.main import main
from semenet.models.weights import fetching, places
from semenet.models.weights.transfer.pushing import WRITTEN_BY


@pytest.fixture
def sets(tmp_path, monkeypatch):
    """Folders of two sets in SEMENET_ZOO, which this version expects; nothing else is on the machine."""
    monkeypatch.setattr(places, "_PACKAGE", tmp_path / "site" / "semenet")
    monkeypatch.setenv("SEMENET_ZOO", str(tmp_path / "zoo"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SEMENET_ZOO_URL", raising=False)
    hospital = {
        "name": "elsewhere",
        "split": "test",
        "count": 40,
        "figures": {"accuracy": {"value": 0.5, "interval": [0.4, 0.6]}},
    }
    near = write_plain_set(tmp_path / "zoo", "vgg19_gap", "near")
    far = write_plain_set(tmp_path / "zoo", "unet", "far", license="our own")
    metadata = read_metadata(near)
    metadata["metrics"]["other_hospitals"] = [hospital]
    write_metadata(near, metadata)
    monkeypatch.setattr(fetching, "INDEX", write_index(tmp_path / "index.json", near, far))
    return near, far


def failure(arguments, capsys):
    """Runs a command that must fail; returns its message."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 1
    return capsys.readouterr().err


def test_lists_say_what_a_set_was_trained_on_and_how_it_does_elsewhere(sets, capsys):
    for arguments in (["weights", "list"], ["list"]):
        main(arguments)
        output = capsys.readouterr().out
        near = output[output.index("vgg19_gap:near  ") :].splitlines()[:5]
        assert near == [
            "vgg19_gap:near  0.0 MB, CC BY 4.0, in SEMENET_ZOO",
            "  input 32 x 32 x 1, 1,234 parameters, classes a, b",
            "  trained on 1,200 images of 30 patients: images of one hospital",
            "  validation (not a test): AUROC 0.900 (0.800 to 1.000), 9 images; audit: not measured",
            "  other hospitals: elsewhere: accuracy 0.500 (0.400 to 0.600), 40 images",
        ]
        far = output[output.index("unet:far  ") :].splitlines()[:5]
        assert far[-1] == "  other hospitals: not measured"
    main(["weights", "list", "*:far"])
    assert "near" not in capsys.readouterr().out
    assert "Received: 'x*'. The sets are vgg19_gap:near, unet:far" in failure(
        ["weights", "list", "x*"], capsys
    )


def test_get_prints_the_folder_of_a_set_that_is_here(sets, capsys):
    near, far = sets
    main(["weights", "get", "vgg19_gap:near", "unet:far"])
    assert capsys.readouterr().out.split() == [str(near), str(far)]
    main(["weights", "get", "--all"])
    assert set(capsys.readouterr().out.split()) == {str(near), str(far)}
    for arguments, received in (([], "neither"), (["unet:far", "--all"], "both"), (["near"], "near")):
        assert f"Received: {received}." in failure(["weights", "get", *arguments], capsys)


def test_verify_names_every_wrong_file(sets, capsys):
    near, far = sets
    main(["weights", "verify"])
    assert [line.split(":")[0:2] for line in capsys.readouterr().out.splitlines()] == [
        ["vgg19_gap", "near"],
        ["unet", "far"],
    ]
    (near / "golden.npz").write_bytes(b"other")
    write_metadata(far, read_metadata(far) | {"license": "MIT"})
    with pytest.raises(SystemExit) as ended:
        main(["weights", "verify"])
    assert ended.value.code == 1
    captured = capsys.readouterr()
    assert f"must have the hash of their metadata.json. Received: {near / 'golden.npz'}" in captured.out
    assert (
        f"that this version of semenet was published with. Received: {far / 'metadata.json'}" in captured.out
    )
    assert "Received: vgg19_gap:near, unet:far with others" in captured.err


def test_push_copies_sets_into_a_folder_that_serves_as_a_zoo(sets, tmp_path, monkeypatch, capsys):
    near, far = sets
    copy = tmp_path / "copy"
    main(["weights", "push", str(copy), "vgg19_gap:near"])
    assert "unet:far" not in (copy / "README.md").read_text()
    (copy / "vgg19_gap" / "near" / "stale.h5").write_bytes(b"")
    main(["weights", "push", str(copy), "--all"])
    for folder in (near, far):
        pushed = copy / folder.parent.name / folder.name
        assert {path.name: path.read_bytes() for path in pushed.iterdir()} == {
            path.name: path.read_bytes() for path in folder.iterdir()
        }
    readme = (copy / "README.md").read_text()
    assert readme.count("card.md)") == 2
    assert WRITTEN_BY in readme
    assert r"Tells a \| from b." in readme
    monkeypatch.setenv("SEMENET_ZOO", str(copy))
    main(["weights", "verify"])
    assert capsys.readouterr().out.count("as published") == 2


def test_push_replaces_no_readme_of_others_and_pushes_no_broken_set(sets, tmp_path, capsys):
    near, _ = sets
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("My notes")
    push = ["weights", "push", str(tmp_path / "mine"), "vgg19_gap:near"]
    assert f"is not replaced. Received: {tmp_path / 'mine' / 'README.md'}" in failure(push, capsys)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["README.md"]
    assert "belong to a repository on the Hub" in failure([*push, "--private"], capsys)
    (near / "golden.npz").unlink()
    assert "without golden.npz" in failure(["weights", "push", str(tmp_path / "new"), "--all"], capsys)
    assert not (tmp_path / "new").exists()


def test_a_set_without_a_licence_is_not_pushed(sets, tmp_path, capsys):
    near, _ = sets
    metadata = read_metadata(near)
    del metadata["license"]
    write_metadata(near, metadata)
    push = ["weights", "push", str(tmp_path / "copy"), "vgg19_gap:near"]
    assert "states licence, data and metrics. Received: " in failure(push, capsys)
    assert not (tmp_path / "copy").exists()


@pytest.fixture
def hub(monkeypatch):
    """An empty stand-in of the Hugging Face Hub."""
    pytest.importorskip("huggingface_hub", reason="the extra hub is not installed")
    from hub_stand_in import running_hub

    with running_hub(monkeypatch) as hub:
        yield hub


def pushed_address(arguments, capsys):
    main(["weights", "push", *arguments])
    return capsys.readouterr().out.splitlines()[-1]


def test_what_is_pushed_to_the_hub_is_fetched_from_it(sets, hub, monkeypatch, capsys):
    near, far = sets
    first = pushed_address(["hf://org/zoo", "vgg19_gap:near"], capsys)
    assert first == f"hf://org/zoo@{hub.names['org/zoo']['main']}"
    # A file of an earlier version, and a note of somebody else.
    hub.commit("org/zoo", hub.files("org/zoo") | {"vgg19_gap/near/stale.h5": b"1", "notes.txt": b"2"})
    second = pushed_address(["hf://org/zoo", "unet:far", "vgg19_gap:near"], capsys)
    expected = {
        f"{folder.parent.name}/{folder.name}/{path.name}": path.read_bytes()
        for folder in (near, far)
        for path in folder.iterdir()
    }
    files = hub.files("org/zoo")
    assert {name: files[name] for name in files if name.count("/") == 2} == expected
    assert {"notes.txt", ".gitattributes", "README.md"} <= set(files)
    monkeypatch.delenv("SEMENET_ZOO")
    monkeypatch.setenv("SEMENET_ZOO_URL", second)
    main(["weights", "get", "--all"])
    assert all("cache" in line for line in capsys.readouterr().out.splitlines())
    main(["weights", "verify"])
    assert capsys.readouterr().out.count("in the cache, as published") == 2


def test_the_hub_s_own_parser_reads_the_readme(sets, hub, capsys):
    import huggingface_hub

    pushed_address(["hf://org/zoo", "vgg19_gap:near"], capsys)
    # The README of a later push covers the sets that are in the repository already.
    pushed_address(["hf://org/zoo", "unet:far", "--message", "Add the lungs"], capsys)
    readme = hub.files("org/zoo")["README.md"].decode()
    card = huggingface_hub.ModelCard(readme)
    assert (card.data.license, card.data.license_name) == ("other", "CC BY 4.0; our own")
    assert {"keras", "chest-x-ray", "image-segmentation", "image-classification"} <= set(card.data.tags)
    results = {result.dataset_name: result for result in card.data.eval_results}
    assert set(results) == {
        "unet:far, validation (not a test)",
        "vgg19_gap:near, validation (not a test)",
        "vgg19_gap:near, other hospital: elsewhere",
    }
    elsewhere = results["vgg19_gap:near, other hospital: elsewhere"]
    assert (elsewhere.task_type, elsewhere.metric_type) == ("image-classification", "accuracy")
    assert (elsewhere.metric_value, elsewhere.dataset_split) == (0.5, "test")
    assert "[`vgg19_gap:near`](vgg19_gap/near/card.md)" in readme


def test_the_hub_s_refusals_are_shown(sets, hub, monkeypatch, capsys):
    hub.commit("org/mine", {"README.md": b"My notes"})
    message = failure(["weights", "push", "hf://org/mine", "unet:far"], capsys)
    assert "is not replaced. Received: hf://org/mine/README.md" in message
    assert set(hub.files("org/mine")) == {"README.md"}
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    message = failure(["weights", "push", "hf://org/zoo", "unet:far"], capsys)
    assert "Received: hf://org/zoo: " in message
    assert "401" in message
    assert "hf auth login" in message


def test_a_single_licence_stands_in_the_header(sets, hub, capsys):
    pushed_address(["hf://org/zoo", "vgg19_gap:near"], capsys)
    header = hub.files("org/zoo")["README.md"].decode().split("---")[1]
    assert "\nlicense: cc-by-4.0\n" in header
    assert "\npipeline_tag: image-classification\n" in header
    assert json.loads(header.split("model-index:\n- ")[1].splitlines()[0])["name"] == "vgg19_gap:near"
