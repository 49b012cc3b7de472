"""docs/proof.md says what is so: options, models, guards."""

import ast
import re
from pathlib import Path

from curate.prove.prove_command import prove
from curate.recipe.prove_section import Prove
from curate.recipe.recipe import load_recipe
from training.design.arms import ARMS
from training.recipes import MODELS

TEXT = (Path(__file__).parents[3] / "docs/proof.md").read_text()
HEAD = "name: x\nread: {format: jsonl, path: d.jsonl}\nwrite: {path: out}\n"


def test_docs_example_section_is_valid(tmp_path):
    (block,) = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    (tmp_path / "r.yaml").write_text(HEAD + block)
    assert load_recipe(tmp_path / "r.yaml").prove.model == "textcnn"


def test_docs_name_every_model():
    for task, models in MODELS.items():
        assert f"| `{task}` | {', '.join(f'`{model}`' for model in models)} |" in TEXT


def test_docs_name_every_arm():
    table = TEXT[TEXT.index("### Arms") : TEXT.index("## Which test data")]
    for name, arm in ARMS.items():
        assert f"`{name}`" in table or (arm.recipe and f"{arm.recipe}`" in table), name


def test_docs_python_parses():
    (block,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert ast.parse(block)


def test_every_option_of_the_section_is_a_flag():
    flags = {option.name for option in prove.params}
    assert set(Prove.model_fields) - {"format"} <= flags
