"""The documents say what is so: their commands exist, their links lead somewhere, their examples run."""

from __future__ import annotations

import doctest
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")])
WITH_EXAMPLES = [path for path in DOCUMENTS if ">>>" in path.read_text(encoding="utf-8")]
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def shell_lines(path: Path) -> list[str]:
    """The commands of a document's sh blocks, a trailing backslash joined with the next line."""
    blocks = [body for language, body in BLOCK.findall(path.read_text(encoding="utf-8")) if language == "sh"]
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def test_readme_and_ci_run_the_same_test_command():
    [command] = [line for line in shell_lines(ROOT / "README.md") if line.endswith("pytest")]
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_readme_opens_with_the_demo_photo():
    first = shell_lines(ROOT / "README.md")[0]
    photo = re.search(r"segment (\S+)", first).group(1)
    assert (ROOT / photo).is_file()


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_links_lead_somewhere(path):
    targets = [link for link in LINK.findall(path.read_text(encoding="utf-8")) if "://" not in link]
    assert not [link for link in targets if not (path.parent / link).exists()]


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_commands_exist(path):
    """Every `figureground VERB --option` of a document is a verb and an option that the command line has."""
    from figureground.cli.app import cli

    wrong = []
    for line in shell_lines(path):
        for part in re.split(r"&&|\|\|?|;", line):
            words = shlex.split(part, comments=True)
            starts = [i for i, word in enumerate(words) if Path(word).name == "figureground"]
            if not starts or words[starts[0] - 1 : starts[0]] == ["install"]:
                continue
            problem = _misused(cli, words[starts[0] + 1 :])
            wrong += [f"{line}: {problem}"] if problem else []
    assert not wrong, "\n".join(wrong)


def _misused(command, words: list[str]) -> str | None:
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            # A group that also runs by itself takes what follows as arguments.
            return f"no verb {words[0]}" if not command.params or command.name == "figureground" else None
        command, words = command.commands[words[0]], words[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--help", "-h"}
    unknown = [word for word in words if re.match(r"--?[a-z]", word) and word.split("=")[0] not in known]
    return f"no option {unknown[0]}" if unknown else None


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=relative)
def test_examples_run(path, tmp_path, monkeypatch, tiny_bundle, tiny_parts_bundle):
    """The `>>>` examples, in a folder that holds the photos and the tiny networks that the documents assume."""
    from figureground.runtime import catalogue

    demo = (ROOT / "src" / "figureground" / "demo" / "astronaut.jpg").read_bytes()
    (tmp_path / "photos").mkdir()
    for name in ("photo.jpg", "photos/a.jpg", "photos/b.jpg"):
        (tmp_path / name).write_bytes(demo)
    (tmp_path / "tiny.onnx").write_bytes(tiny_bundle.read_bytes())
    (tmp_path / "tiny-parts.onnx").write_bytes(tiny_parts_bundle.read_bytes())
    _colored_person().save(tmp_path / "parts.png")
    monkeypatch.chdir(tmp_path)
    if "person" not in catalogue.shipped():  # a tree without trained weights
        monkeypatch.setattr(catalogue, "shipped", lambda: {"person": tiny_bundle, "person-fast": tiny_bundle})
    result = doctest.testfile(str(path), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert result.attempted
    assert not result.failed


def _colored_person() -> Image.Image:
    """A head above a torso above a leg, in the colours that the network of `tiny_parts_bundle` knows."""
    picture = Image.new("RGB", (128, 96))
    for box, color in {(32, 0, 64, 32): "red", (32, 32, 96, 64): "lime", (32, 64, 64, 96): "cyan"}.items():
        picture.paste(color, box)
    return picture


def documented_names(section: str) -> set[str]:
    """The names that docs/api.md lists under the heading of a module, one `- `name`` line each."""
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    body = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^- `(\w+)", body, re.MULTILINE))


def documented_modules() -> list[str]:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    return re.findall(r"^## (figureground[\w.]*)$", text, re.MULTILINE)


@pytest.mark.parametrize("name", documented_modules())
def test_public_names_are_the_documented_ones(name):
    module = import_module(name)
    assert set(module.__all__) == documented_names(name)
    assert all(hasattr(module, public) for public in module.__all__)


def test_every_public_package_is_documented(modules):
    packages = {
        name
        for name, module in modules.items()
        if module.path.name == "__init__.py" and "__all__" in module.text and name.count(".") <= 1
    }
    assert packages == set(documented_modules())
