"""What README.md says of the evidence is what its files say."""

import shown

from training.metrics import metric_named


def test_every_row_of_the_table_is_in_its_file():
    lines = [line for line in shown.table().splitlines() if line.startswith("| ")][1:]
    found = shown.stored()
    assert len(lines) == len(found) > 0
    for line, (name, evidence) in zip(lines, found.items(), strict=True):
        metric = metric_named(evidence["metric"])
        means = {arm["name"]: arm["mean"] for arm in evidence["arms"]}
        assert shown.TITLES[name] in line
        assert f"{metric.value(means['raw'])} → {metric.value(means['curated'])}" in line
        assert metric.span(evidence["ci95"]) in line
        assert all(
            f"`{step['step'].partition('.')[2]}`" in line for step in evidence["attribution"]
        )


def test_every_evidence_says_how_it_was_made():
    for name, found in shown.stored().items():
        assert found["experiment"] == name
        assert len(found["plan_hash"]) == 64
        assert len(found["commit"]) == 40, "evidence is made of a clean work tree"
        assert {"machine", "date", "versions"} <= set(found)
        assert not found["trial"]


def test_evidence_holds_a_negative_result():
    assert any(found["verdict"] == "worse" for found in shown.stored().values())


def test_figure_shows_every_experiment_on_accuracy():
    figure = shown.figure()
    for name, found in shown.stored().items():
        if found["metric"] == "accuracy":
            assert shown.TITLES[name].replace("*", "") in figure
