import pytest
from tables import markdown
from tools import OURS, PEERS, RIVALS, environments

USED = {"cpu_seconds": 2.0, "wall_seconds": 2.5, "peak_mb": 1500}


def result(kind, found):
    ours = {"name": "curate", "ours": True, "found": found, "median": USED}
    ours["ratio_to_ours"] = dict.fromkeys(USED, 1.0)
    peer = ours | {"name": "peer", "ours": False, "ratio_to_ours": dict.fromkeys(USED, 12.4)}
    return {
        "kind": kind,
        "date": "2026-01-01",
        "command": "python benchmarks/compare.py",
        "machine": {"cpus": 2, "processor": "x"},
        "corpus": {"rows": 1000, "name": "generated"},
        "runs": 3,
        "tools": [ours, peer, {"name": "broken", "ours": False, "error": "no memory"}],
    }


def groups(recall=1.0):
    return {"recall": recall, "precision": 1.0, "lost": 0}


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def near():
    planted = {"0.8-1": {"recall": 0.9996}, "0.7-0.8": {"recall": 0.5}}
    found = {"planted": planted, "at_0.8": groups(), "at_0.7": groups()}
    return found | {"short": {"texts": 1200, "lost": 3}}


@pytest.mark.parametrize(
    ("kind", "found"), [("near", near()), ("images", {"groups": groups(0.25)})]
)
def test_markdown_has_a_full_line_a_tool(kind, found):
    caption, empty, *lines = markdown(result(kind, found)).splitlines()
    assert "1,000 rows" in caption
    assert empty == ""
    assert [cells(line)[0] for line in lines[2:]] == ["curate", "peer", "broken"]
    assert len({len(cells(line)) for line in lines}) == 1
    assert cells(lines[3])[1:5] == ["2.0", "12", "2.5", "1,500"]
    assert cells(lines[4])[1] == "failed: no memory"


def test_markdown_says_one_only_of_everything():
    lines = markdown(result("near", near())).splitlines()
    assert cells(lines[4])[5:8] == ["0.9996", "0.500", "1.000"]
    assert cells(lines[4])[-1] == "3 of 1,200"


def test_every_tool_has_its_script_and_environment():
    assert set(OURS) == set(RIVALS)
    peers = [peer for rivals in RIVALS.values() for peer in rivals]
    assert all((PEERS / peer.script).exists() for peer in peers)
    assert {peer.environment for peer in peers} | {"matplotlib"} == set(environments())


def test_every_requirement_is_pinned_and_none_is_cuda():
    for environment in environments():
        text = (PEERS / "requirements" / f"{environment}.txt").read_text()
        lines = text.splitlines()
        assert lines
        assert all(line.count("==") == 1 for line in lines)
        assert not any("nvidia" in line or "cuda" in line or "triton" in line for line in lines)
