"""The verbs that list things: `networks` and `doctor`; and those that need extras."""

from __future__ import annotations

import json

import pytest

from figureground.cli.doctor import double_installs
from figureground.cli.extras import extra
from figureground.errors import MissingExtraError


@pytest.fixture
def two_networks(tiny_bundle, monkeypatch):
    from figureground.runtime import catalogue

    monkeypatch.setattr(catalogue, "shipped", lambda: {"person": tiny_bundle, "person-fast": tiny_bundle})


def test_networks_are_listed(call, two_networks):
    answer = call("networks")
    assert answer.code == 0
    assert answer.lines[0].split() == ["name", "MB", "labels", "description"]
    assert "person (default)" in answer.lines[1]
    assert "calls bright pixels a person" in answer.lines[2]
    assert call("networks", "list").out == answer.out


def test_networks_as_json(call, two_networks, tiny_bundle):
    listed = json.loads(call("networks", "--json").out)["networks"]
    assert [(network["name"], network["default"]) for network in listed] == [("person", True), ("person-fast", False)]
    assert listed[0]["bytes"] == tiny_bundle.stat().st_size
    assert json.loads(call("networks", "list", "--json").out)["networks"] == listed


def test_an_installation_without_networks(call, monkeypatch):
    from figureground.runtime import catalogue

    monkeypatch.setattr(catalogue, "shipped", dict)
    assert call("networks").out == "no networks in this installation\n"
    assert call("doctor").code == 3


def test_the_card_of_a_network(call, two_networks, tiny_bundle):
    text = call("networks", "show", "person").out
    assert "description: calls bright pixels a person; for tests" in text
    facts = json.loads(call("networks", "show", tiny_bundle, "--json").out)
    assert facts["card"]["description"].startswith("calls bright pixels")
    assert facts["sizing"] == {"area": 128 * 128, "multiple": 32, "max_aspect": 4.0}
    assert len(facts["sha256"]) == 64


def test_the_card_of_an_unknown_network(call, two_networks):
    answer = call("networks", "show", "peson")
    assert answer.code == 3
    assert "did you mean 'person'?" in answer.one_error


def test_a_folder_is_no_network(call, two_networks, tmp_path):
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    answer = call("networks", "show", "runs/mine")
    assert answer.code == 3
    assert "is a folder, not a network" in answer.one_error
    assert "figureground export runs/mine -o mine.onnx" in answer.one_error


def test_an_architecture_is_drawn_beside_a_folder_of_its_name(call, two_networks, tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "linknet").mkdir()
    assert call("networks", "show", "linknet", "--size", "32x32").out.startswith("linknet, for an image of 32x32")


def test_architectures_are_listed(call, two_networks):
    pytest.importorskip("torch")
    listed = json.loads(call("networks", "--all", "--json").out)["architectures"]
    unet = next(one for one in listed if one["name"] == "unet")
    assert unet["parameters"] > 1_000_000
    assert "unet" in call("networks", "list", "--all").out


def test_doctor(call, two_networks):
    answer = call("doctor", "--json")
    facts = json.loads(answer.out)
    assert (answer.code, facts["ok"]) == (0, True)
    assert facts["networks"] == ["person", "person-fast"]
    assert "CPUExecutionProvider" in facts["onnxruntime"]["providers"]
    assert facts["core"]["numpy"]
    assert {"figureground", "python", "cores", "extras", "torch", "runs", "problems"} <= set(facts)
    text = call("doctor").out
    assert "CPUExecutionProvider" in text
    assert "segment and evaluate run on" in text


def test_doctor_names_a_damaged_network(call, tmp_path, monkeypatch):
    from figureground.runtime import catalogue

    (tmp_path / "person.onnx").write_bytes(b"hello")
    monkeypatch.setattr(catalogue, "shipped", lambda: {"person": tmp_path / "person.onnx"})
    answer = call("doctor")
    assert answer.code == 3
    assert "person.onnx" in answer.out


def test_double_installs():
    assert double_installs({"numpy", "onnxruntime"}) == []
    assert double_installs({"onnxruntime", "onnxruntime-gpu", "opencv-python"}) == [["onnxruntime", "onnxruntime-gpu"]]


def test_a_missing_extra_says_what_to_install():
    said = r"Training needs the package 'no_such_thing'.*figureground\[train\]"
    with pytest.raises(MissingExtraError, match=said), extra("train", "Training"):
        import no_such_thing  # noqa: F401


def test_a_missing_module_of_ours_is_our_mistake():
    with pytest.raises(ModuleNotFoundError), extra("train", "Training"):
        import figureground.no_such_thing  # noqa: F401


def test_train_passes_its_options_on(call, monkeypatch, tmp_path):
    train = pytest.importorskip("figureground.train")
    seen = []
    monkeypatch.setattr(train, "run", lambda *a, **k: seen.append((a, k)) or tmp_path / "runs")
    answer = call("train", "r.yaml", "--set", "a.b=1", "--set", "c=x=y", "-o", "runs/x", "--resume")
    [((recipe, overrides), options)] = seen
    assert (str(recipe), overrides) == ("r.yaml", ["a.b=1", "c=x=y"])
    assert (str(options["output"]), options["resume"]) == ("runs/x", True)
    assert answer.out == f"{tmp_path / 'runs'}\n"


def test_export_passes_its_options_on(call, monkeypatch, tmp_path):
    export = pytest.importorskip("figureground.export")
    seen = []
    monkeypatch.setattr(export, "export_run", lambda *a, **k: seen.append((a, k)))
    monkeypatch.setattr(export, "export_inference", lambda run, bundle: bundle.with_suffix(".json"))
    (tmp_path / "card.json").write_text('{"description": "mine"}')
    answer = call(
        "export", "runs/x", "-o", "x.onnx", "--name", "mine", "--report", "r.json", "--card", "card.json",
        "--storage", "int8", "--threshold", "0.4",
    )  # fmt: skip
    [((run, output), options)] = seen
    assert (str(run), str(output), answer.out) == ("runs/x", "x.onnx", "x.onnx\nx.json\n")
    assert (options["name"], str(options["report"]), options["card"]) == ("mine", "r.json", {"description": "mine"})
    assert (options["storage"], options["threshold"], options["photos"]) == ("int8", 0.4, None)


def test_the_report_does_not_take_the_place_of_the_predictor(call):
    answer = call("export", "runs/x", "-o", "x.onnx", "--report", "x.json")
    assert (answer.code, "name --report otherwise" in answer.one_error) == (2, True)


@pytest.mark.parametrize("text", [None, "no JSON", "[1]"])
def test_export_says_what_is_wrong_with_a_card(call, tmp_path, text):
    if text is not None:
        (tmp_path / "card.json").write_text(text)
    answer = call("export", "runs/x", "-o", "x.onnx", "--card", "card.json")
    assert answer.code == 2
    assert "card.json" in answer.one_error


@pytest.mark.parametrize("override", ["epochs", "=3", "epochs:3"])
def test_train_refuses_what_is_no_assignment(call, override):
    answer = call("train", "r.yaml", "--set", override)
    assert answer.code == 2
    assert "KEY=VALUE" in answer.one_error
