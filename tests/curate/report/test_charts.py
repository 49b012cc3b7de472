from curate.report.charts import figure


def test_figure_draws_each_bin_with_its_counts():
    drawn = figure("characters", {-1: 2, 14: 5, 15: 9}, {14: 5})
    assert "0 characters: 2 before, 0 after" in drawn.svg
    assert "128–181 characters: 5 before, 5 after" in drawn.svg
    assert "182–255 characters: 9 before, 0 after" in drawn.svg
    assert drawn.middle == "middle row: 182–255 characters before, 128–181 characters after"


def test_figure_of_nothing_is_empty():
    drawn = figure("image bytes", {}, {})
    assert drawn.svg == ""
    assert drawn.middle == "middle row: none before, none after"
