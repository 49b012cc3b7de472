import json
import pickle
from pathlib import Path

import pytest
from tiny_recipe import STEPS, TinyRecipe, WordCount

from curate.errors import RecipeError, TooManyQuarantined, shown
from curate.recipe.fieldtypes import first_sentence
from curate.recipe.recipe import Recipe, load_recipe, parse_size, quarantine_budget, recipe_yaml
from curate.recipe.reference import find_operator, operator_markdown, operators, recipe_schema
from pipelines.errors import did_you_mean
from pipelines.steps import STEPS as REAL_STEPS

SOUND = """\
name: web
read: {format: jsonl, path: data/*.jsonl.gz, text: body}
steps:
  - op: word_count
    at_least: 20
  - op: embed
  - op: semantic_dedup
    similarity: 0.9
  - op: word_count
    at_most: 9000
write: {path: out/web}
"""
NEEDED = {
    "drop_columns": "columns: [x]",
    "augment_text": "method: keyboard",
    "language": "keep: [en]",
    "sample": "rows: 3",
    "select_top": "by: score, rows: 1",
    "mix": "by: source, temperature: 2",
    "dsir": "target: t.jsonl, rows: 1",
    "cluster_sample": "rows: 3",
    "prune_prototypes": "rows: 3",
    "k_center": "rows: 3",
}
HEAD = "name: web\nread: {format: jsonl, path: x, text: t, label: l}\nwrite: {path: out}\n"


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a recipe text as r.yaml of the current folder."""
    monkeypatch.chdir(tmp_path)

    def loads(text: str | bytes, *overrides: str) -> TinyRecipe:
        raw = text if isinstance(text, bytes) else text.encode()
        Path("r.yaml").write_bytes(raw)
        return load_recipe("r.yaml", overrides, model=TinyRecipe)

    return loads


@pytest.fixture
def wrong(load):
    """Return what is said about a recipe that does not load."""

    def said(text: str | bytes, *overrides: str) -> list[str]:
        with pytest.raises(RecipeError) as caught:
            load(text, *overrides)
        return list(caught.value.messages)

    return said


def test_recipe_fills_in_defaults(load):
    recipe = load(SOUND)
    assert recipe.seed == 0
    assert recipe.max_quarantined == 0.01
    assert recipe.steps[0] == WordCount(at_least=20)
    assert recipe.write.shard_size == 256_000_000
    assert recipe.run.workers == "auto"


def test_recipe_is_frozen(load):
    with pytest.raises(ValueError, match="frozen"):
        load(SOUND).name = "other"


def test_recipe_yaml_loads_back_to_an_equal_recipe(load):
    prove = 'prove: {task: text_classification, test: "a\\nb: yes"}\n'
    run = "run: {workers: 2, options: {project: p, n: 1, flag: true}}\n"
    recipe = load(f"{SOUND}{prove}{run}notes: [no, '1', '*x']\nmax_quarantined: 1\n")
    text = recipe_yaml(recipe)
    again = load(text)
    assert again == recipe
    assert isinstance(again.max_quarantined, int)
    assert "at_most:" in text
    assert "shard_size: 256000000" in text
    assert recipe_yaml(again) == text


@pytest.mark.parametrize("op", list(REAL_STEPS))
def test_every_operator_loads_back_with_its_defaults_written_out(tmp_path, op):
    needed = NEEDED.get(op, "")
    path = tmp_path / "r.yaml"
    path.write_text(f"{HEAD}steps: [{{op: embed}}, {{op: {op}, {needed}}}]\n")
    if op in ("split", "embed") or op.startswith("augment"):
        path.write_text(f"{HEAD}steps: [{{op: {op}, {needed}}}]\n")
    recipe = load_recipe(path)
    path.write_text(recipe_yaml(recipe))
    assert load_recipe(path) == recipe


def test_recipe_survives_pickling(load):
    recipe = load(SOUND)
    assert pickle.loads(pickle.dumps(recipe)) == recipe


@pytest.mark.parametrize(
    ("text", "size"),
    [("256MB", 256_000_000), ("1.5 GiB", 3 << 29), ("10", 10), ("8kb", 8000), (7, 7)],
)
def test_shard_size_reads_units(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("value", "rows", "budget"),
    [("0", 1000, 0), ("0.0", 1000, 0), ("1", 1000, 1), ("0.01", 1050, 10), ("7", 3, 7)],
)
def test_max_quarantined_is_a_count_or_a_fraction(load, value, rows, budget):
    recipe = load(f"{HEAD}max_quarantined: {value}\n")
    assert quarantine_budget(recipe, rows) == budget


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "max_quarantined: 1.0",
            "max_quarantined: neither a count (1, 2, …) nor a fraction (0 ≤ x < 1), got 1.0; "
            "for a count of rows write 1",
        ),
        (
            "max_quarantined: -0.5",
            "max_quarantined: neither a count (1, 2, …) nor a fraction (0 ≤ x < 1), got -0.5",
        ),
        ("max_quarantined: -1", "max_quarantined: must not be negative (got -1); 0 allows none"),
        ("max_quarantined: few", "max_quarantined: must be a whole number or a number (got 'few')"),
        ("seed: 1.5", "seed: must be a whole number (got 1.5)"),
        ("seed: true", "seed: must be a whole number (got true)"),
        ('seed: "7"', "seed: must be a whole number (got '7' in quotes: remove them)"),
        ("seed:", "seed: must be a whole number (got nothing)"),
        ("seed: -1", "seed: must be at least 0 (got -1); allowed: ≥ 0"),
        (
            "sead: 1",
            "sead: a recipe has no 'sead'; allowed: name, seed, notes, max_quarantined, read, "
            "steps, write, prove, run, storage; did you mean 'seed'?",
        ),
        ("steps: word_count", "steps: must be a list (`- …` lines, or [a, b]) (got 'word_count')"),
        ("steps: [word_count]", "steps.1: is only a name; write `op: word_count`"),
        (
            "steps: [3]",
            "steps.1: must be a mapping (`key: value`) (got 3)",
        ),
        (
            "steps: [{word_count: {at_least: 3}}]",
            "steps.1: has no `op`; write `op: word_count` with its options on the lines below",
        ),
        (
            "steps: [{at_least: 3}]",
            "steps.1: has no `op`; allowed: word_count, embed, semantic_dedup, languages, split, "
            "synonyms, label_noise",
        ),
        (
            "steps: [{op: WordCount}]",
            "steps.1: no such op 'WordCount'; allowed: word_count, embed, semantic_dedup, "
            "languages, split, synonyms, label_noise; did you mean 'word_count'?",
        ),
        (
            "steps: [{op: }]",
            "steps.1: no such op nothing; allowed: word_count, embed, semantic_dedup, "
            "languages, split, synonyms, label_noise",
        ),
        (
            "steps: [{op: word_count, at_lest: 3}]",
            "steps.1.at_lest: word_count has no 'at_lest'; allowed: op, at_least, at_most; "
            "did you mean 'at_least'?",
        ),
        (
            "steps: [{op: word_count, at_most: 0}]",
            "steps.1.at_most: must be at least 1 (got 0); allowed: ≥ 1",
        ),
        (
            "steps: [{op: embed, model: minlm}]",
            "steps.1.model: must be hash or minilm (got 'minlm'); did you mean 'minilm'?",
        ),
        ("steps: [{op: languages}]", "steps.1.keep: missing; add `keep: …` (Codes)"),
        (
            "steps: [{op: languages, keep: []}]",
            "steps.1.keep: must not be empty",
        ),
        (
            "steps: [{op: languages, keep: [en], where: 3}]",
            "steps.1.where: must be text or a list (`- …` lines, or [a, b]) (got 3)",
        ),
        (
            "steps: [{op: languages, keep: [en], where: [a, 3]}]",
            "steps.1.where.2: must be text (got 3)",
        ),
        (
            "prove: {task: text_clasification, test: x}",
            "prove.task: must be text_classification, image_classification or language_modelling "
            "(got 'text_clasification'); did you mean 'text_classification'?",
        ),
        (
            "prove: {task: text_classification}",
            "prove.test: missing; add `test: …` (Held-out data no step sees)",
        ),
        (
            "prove: {task: text_classification, test: x, seeds: 2}",
            "prove.seeds: must be at least 3 (got 2); allowed: ≥ 3",
        ),
        (
            "run: {workers: atuo}",
            "run.workers: must be auto or a whole number (got 'atuo'); did you mean 'auto'?",
        ),
        ("run: {workers: 0}", "run.workers: must be at least 1 (got 0)"),
        (
            "run: {runer: dask}",
            "run.runer: `run` has no 'runer'; allowed: runner, workers, cache, stalled_after, "
            "options; did you mean 'runner'?",
        ),
    ],
)
def test_recipe_error_is_told_in_plain_words(wrong, line, message):
    assert wrong(f"{HEAD}{line}\n") == [f"r.yaml:4: {message}"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "r.yaml: empty; a recipe has name, read, steps and write"),
        ("# nothing\n", "r.yaml: empty; a recipe has name, read, steps and write"),
        ("- a\n", 'r.yaml:1: a recipe is a mapping (`key: value` lines), got ["a"]'),
        ("a: 1\n\tb: 2\n", "r.yaml:2: not YAML at column 1: a tab: YAML is indented with spaces"),
        (
            "a: 1\nb: c: d\n",
            "r.yaml:2: not YAML at column 5: a `:` where none is expected: check the indentation, "
            "or quote the value",
        ),
        ("a: 'x\n", "r.yaml:2: not YAML at column 1: a quote that is never closed"),
        (
            "a: 1\n---\nb: 1\n",
            "r.yaml:2: not YAML at column 1: a second document (`---`): write one recipe per file",
        ),
        ("a: 1\nb\n", "r.yaml:3: not YAML at column 1: a line without `:` (write `key: value`)"),
        (
            b"a: 1\nb: \xff\n",
            "r.yaml:2: not UTF-8 (byte 0xff); save the file as UTF-8",
        ),
        (
            "a: \x01\n",
            "r.yaml:1: not YAML: unacceptable character #x0001: special characters are not allowed",
        ),
        ("seed: 1\nname: x\nseed: 2\n", "r.yaml:3: seed: stands twice (first at line 1)"),
        (
            "steps:\n  - {op: x, a: 1,\n     a: 2}\n",
            "r.yaml:3: steps.1.a: stands twice (first at line 2)",
        ),
        (
            "read: {path: *.jsonl}\n",
            "r.yaml:1: `*.jsonl` is an alias in YAML; quote it ('*.jsonl') if it is a text, else "
            "write the value out",
        ),
        (
            "name: !!python/object/apply:os.system [ls]\n",
            "r.yaml:1: a tag (`tag:yaml.org,2002:python/object/apply:os.system`): a recipe is "
            "plain data, write the value without it",
        ),
    ],
)
def test_file_that_is_no_recipe_is_refused(wrong, text, message):
    assert wrong(text) == [message]


def test_byte_order_mark_is_read_over(load):
    assert load(b"\xef\xbb\xbf" + SOUND.encode()).name == "web"


def test_dates_and_yes_stay_text(load):
    recipe = load(HEAD.replace("name: web", "name: 2026-11-01") + "run: {options: {a: yes}}\n")
    assert recipe.name == "2026-11-01"
    assert recipe.run.options == {"a": "yes"}


def test_missing_file_names_the_nearest(tmp_path):
    (tmp_path / "web.yaml").write_text(SOUND)
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "wbe.yaml")
    assert str(caught.value) == (
        f"{tmp_path}/wbe.yaml: no such file; did you mean '{tmp_path}/web.yaml'?"
    )
    with pytest.raises(RecipeError, match=r"cannot be read: Is a directory"):
        load_recipe(tmp_path)
    with pytest.raises(RecipeError, match=r"no such file \(and no folder .*/nowhere\)"):
        load_recipe(tmp_path / "nowhere" / "r.yaml")


def test_all_errors_come_at_once_in_file_order(wrong):
    messages = wrong(
        """\
sead: 1
read: {format: josnl, path: x}
steps:
  - op: synonyms
  - op: word_count
    at_least: many
  - op: semantic_dedup
    similarity: 0.5
  - op: nope
write:
  shard_size: 256 megs
""",
        "steps.9.x=1",
        "steps.3.similarity=3",
    )
    assert [message.partition(";")[0] for message in messages] == [
        "--set steps.9.x: no steps.9",
        "r.yaml:1: name: missing",
        "r.yaml:1: sead: a recipe has no 'sead'",
        "r.yaml:2: read: no such format 'josnl'",
        "r.yaml:6: steps.2.at_least: must be a whole number (got 'many')",
        "r.yaml:9: steps.4: no such op 'nope'",
        "r.yaml:10: write.path: missing",
        "r.yaml:11: write.shard_size: not a size (got '256 megs')",
        "--set steps.3.similarity: must be at most 1 (got 3)",
    ]


def test_whole_recipe_is_checked_next_to_single_values(wrong):
    messages = wrong(
        f"{HEAD}sead: 1\nsteps:\n  - op: synonyms\n  - op: word_count\n  - {{op: semantic_dedup}}\n"
    )
    assert [m.partition(";")[0] for m in messages] == [
        "r.yaml:4: sead: a recipe has no 'sead'",
        "r.yaml:7: steps.2: word_count must stand before augmentation (synonyms, step 1): rows "
        "are derived from rows that stay",
        "r.yaml:8: steps.3: semantic_dedup must stand before augmentation (synonyms, step 1): "
        "rows are derived from rows that stay",
        "r.yaml:8: steps.3.column: no step before it adds the column '_embedding'",
    ]


def test_column_of_a_later_step_names_the_step_to_add(wrong, load):
    steps = "steps:\n  - op: semantic_dedup\n  - op: embed\n"
    assert wrong(HEAD + steps) == [
        "r.yaml:5: steps.1.column: no step before it adds the column '_embedding'; "
        "add `- op: embed` before it"
    ]
    assert load(f"{HEAD}steps: [{{op: embed}}, {{op: semantic_dedup}}]\n")
    for column in ("vector", "_my_own"):
        assert load(f"{HEAD}steps: [{{op: semantic_dedup, column: {column}}}]\n")
    assert wrong(f"{HEAD}steps: [{{op: embed}}, {{op: semantic_dedup, column: _embeding}}]\n") == [
        "r.yaml:4: steps.2.column: no step before it adds the column '_embeding'; "
        "did you mean '_embedding'?"
    ]


def test_split_and_filters_stand_before_augmentation(wrong, load):
    assert load(f"{HEAD}steps: [{{op: split}}, {{op: synonyms}}, {{op: embed}}]\n")
    assert wrong(f"{HEAD}steps:\n  - op: synonyms\n  - op: split\n") == [
        "r.yaml:6: steps.2: split must stand before augmentation (synonyms, step 1): rows are "
        "derived from rows that stay; move it above step 1"
    ]


def test_role_that_the_format_cannot_have_is_an_error(wrong):
    head = HEAD.replace("{format: jsonl, path: x, text: t, label: l}", "{format: text, path: x}")
    assert wrong(f"{head}steps: [{{op: label_noise}}]\n")[-1] == (
        "r.yaml:4: steps.1: label_noise needs a label column; `read` with format: text has only "
        "text"
    )


def test_missing_package_names_the_command(wrong):
    assert wrong(f"{HEAD}steps: [{{op: label_noise}}]\n") == [
        "r.yaml:4: steps.1: label_noise needs no_such_module_here, not installed here; "
        "run: pip install 'curate-proof[labels]'"
    ]


def test_override_counts_steps_from_one_or_takes_the_op(load):
    recipe = load(
        SOUND,
        "steps.3.similarity=0.5",
        "steps.1.at_least=7",
        "seed=4",
        "prove={task: text_classification, test: t.csv}",
        "prove.seeds=9",
        "run.options.project=p",
    )
    assert recipe.steps[2].similarity == 0.5
    assert recipe.steps[0].at_least == 7
    assert recipe.seed == 4
    assert recipe.prove.seeds == 9
    assert recipe.run.options == {"project": "p"}
    assert load(SOUND, "steps.semantic_dedup.similarity=0.25").steps[2].similarity == 0.25
    assert load(SOUND, "prove=").prove is None


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("seed", "--set seed: not an assignment; write --set steps.2.similarity=0.9"),
        ("steps.0.op=x", "--set steps.0.op: no steps.0; allowed: 1 to 4"),
        (
            "steps.word_count.at_least=1",
            "--set steps.word_count.at_least: 'word_count' stands 2 times; write steps.1 or "
            "steps.4",
        ),
        (
            "steps.semantik_dedup.similarity=1",
            "--set steps.semantik_dedup.similarity: no 'semantik_dedup' in steps; allowed: 1 to "
            "4, or word_count, embed, semantic_dedup; did you mean 'semantic_dedup'?",
        ),
        ("name.x=1", "--set name.x: name is 'web' and has no 'x'"),
        (
            "read.path=*.csv",
            "--set read.path: `*.csv` is an alias in YAML; quote it ('*.csv') if it is a text, "
            "else write the value out",
        ),
        (
            "steps.1.at_lest=2",
            "--set steps.1.at_lest: word_count has no 'at_lest'; allowed: op, at_least, at_most; "
            "did you mean 'at_least'?",
        ),
        (
            "steps.semantic_dedup.similarity=2",
            "--set steps.semantic_dedup.similarity: steps.3.similarity: must be at most 1 "
            "(got 2); allowed: > 0, ≤ 1",
        ),
        (
            "write.pth=x",
            "--set write.pth: `write` has no 'pth'; allowed: path, shard_size, overwrite, format, "
            "keys; "
            "did you mean 'path'?",
        ),
        ("prove.seeds=9", "--set prove.seeds: prove.task: missing; add `task: …`"),
    ],
)
def test_wrong_override_is_located_at_the_override(wrong, assignment, message):
    assert wrong(SOUND, assignment)[0].startswith(message)


def test_schema_has_the_options_of_each_section():
    schema = json.loads(recipe_schema())
    assert schema["title"] == "curate recipe"
    assert schema["required"] == ["name", "read", "write"]
    assert set(schema["properties"]) == set(Recipe.model_fields)
    size = schema["$defs"]["Write"]["properties"]["shard_size"]
    assert {"type": "string"} in size["anyOf"]
    assert schema["additionalProperties"] is False


def test_reference_tells_options_bounds_and_reasons():
    told = find_operator("word_count", STEPS)
    assert (told.kind, told.summary) == ("filter", "Drop texts with too few or too many words.")
    assert told.reasons == ("too_short", "too_long")
    assert [option.head for option in told.options] == [
        "at_least: int, ≥ 0, default 0",
        "at_most: int | null, ≥ 1, default null",
    ]
    assert [option.head for option in find_operator("languages", STEPS).options] == [
        "keep: list of text, not empty, required",
        "where: text | list of text, default text",
    ]


def test_reference_sorts_operators_by_kind():
    kinds = [told.kind for told in operators(STEPS)]
    assert kinds == sorted(kinds, key=["map", "filter", "corpus", "derive"].index)
    assert kinds.count("corpus") == 1


def test_reference_refuses_an_unknown_operator():
    with pytest.raises(ValueError, match=r"no operator 'wordcount'; did you mean 'word_count'\?"):
        find_operator("wordcount", STEPS)


@pytest.mark.parametrize(
    ("doc", "sentence"),
    [
        ("Drop it (Northcutt et al. 2021). Then", "Drop it (Northcutt et al. 2021)."),
        ("One, e.g. This\none. Two", "One, e.g. This one."),
        ("No end\n\nmore", "No end."),
        (None, ""),
    ],
)
def test_first_sentence_ends_where_it_does(doc, sentence):
    assert first_sentence(doc) == sentence


def test_operator_markdown_is_a_table():
    text = operator_markdown(find_operator("word_count", STEPS))
    assert "| `at_most` | int \\| null, ≥ 1 | `null` | Most words a kept text has. |" in text
    assert "Drops rows as: too_short, too_long." in text


def test_too_many_quarantined_says_budget_and_culprits():
    error = TooManyQuarantined(30, 1000, 0.01, ["a.jsonl: line 3: not JSON"])
    assert str(error) == (
        "too many rows quarantined: 30 of 1,000; allowed: 0.01 of them (`max_quarantined` in the "
        "recipe)\n  a.jsonl: line 3: not JSON\n  … and 29 more"
    )
    assert "allowed: none" in str(TooManyQuarantined(1, 2, 0, []))
    assert "allowed: 5 (" in str(TooManyQuarantined(6, 9, 5, []))
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_recipe_error_survives_pickling():
    error = pickle.loads(pickle.dumps(RecipeError(["a", "b"])))
    assert (error.messages, str(error)) == (("a", "b"), "a\nb")


def test_did_you_mean_folds_case_and_hyphens():
    assert did_you_mean("Near-Dedup", ["near_dedup", "x"]) == "; did you mean 'near_dedup'?"
    assert did_you_mean("zzz", ["near_dedup"]) == ""


def test_shown_values_are_cut():
    assert shown("x" * 100) == "'" + "x" * 58 + "…"
    assert shown(None) == "nothing"
    assert shown({"a": [True]}) == '{"a": [true]}'
