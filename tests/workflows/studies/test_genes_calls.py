"""Coverage, wrong calls and power of simulated experiments, against values worked out by hand."""

from pathlib import Path

import pandas as pd
import pytest

from workflows.studies.genes.calls import Calls, coverage, judge, judged, plan_of

GENES = pd.Index([f"g{number}" for number in range(6)], name="gene")
TRUE = pd.Series([1.0, -1.0, 2.0, 0.0, 0.0, 0.5], GENES)


def test_a_call_is_right_where_the_gene_changes_that_way() -> None:
    called = pd.Series([True, True, False, True, False, True], GENES)
    sign = pd.Series([0.8, 0.7, 2.0, 0.3, 0.1, 0.4], GENES)
    assert judged(called, sign, TRUE) == Calls(called=4, wrong=2, right=2, ranked=1)


def test_ranked_are_those_of_the_longest_list_with_few_wrong() -> None:
    """Of 40 genes the 21st and the 40th are wrong: 2 of 40 is 5%. Where the 3rd is wrong too, of 25: 1 of 20 is 5%, and
    2 of 21 is more."""
    genes = pd.Index([f"g{number:02d}" for number in range(40)])
    called, sign, truth = pd.Series(False, genes), pd.Series(1.0, genes), pd.Series(1.0, genes)
    truth.iloc[[20, 39]] = 0.0
    assert judged(called, sign, truth) == Calls(0, 0, 0, 38)
    truth.iloc[2] = -1.0
    assert judged(called[:25], sign[:25], truth) == Calls(0, 0, 0, 19)


def test_coverage_is_told_by_expression() -> None:
    table = pd.DataFrame({"low": TRUE - 1, "high": TRUE + 1, "mean_count": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}, GENES)
    table.loc["g5", "low"] = 0.6
    assert coverage(table, TRUE).to_dict() == {
        "all": pytest.approx(5 / 6),
        "changing": 0.75,
        "low": 1.0,
        "middle": 1.0,
        "high": 0.5,
    }


def test_every_third_experiment_has_outliers_and_laws_take_turns() -> None:
    plans = [plan_of(number, 10) for number in range(6)]
    assert [plan.law for plan in plans] == ["heavy", "normal"] * 3
    assert [plan.outliers > 0 for plan in plans] == [False, False, True] * 2


def test_the_page_has_a_row_an_experiment_and_the_sums(tmp_path: Path) -> None:
    """Ours: all six called, two wrongly, of four that change all found. Theirs: the first three, all rightly; of g5
    they know nothing, nor has it an interval of ours in the second experiment, where it is not in the table."""
    columns = {"log2_fold_change": TRUE, "low": TRUE - 1, "high": TRUE + 1, "mean_count": range(6), "s_value": 0.01}
    theirs = pd.DataFrame({"log2FoldChange": TRUE, "padj": [0.01, 0.02, 0.05, 0.06, 0.5, None]}, GENES)
    theirs["pvalue"] = theirs["padj"]
    for name, rows in (("00", 6), ("01", 5)):
        (tmp_path / name).mkdir()
        pd.DataFrame(columns, GENES)[:rows].to_csv(tmp_path / name / "table.tsv", sep="\t")
        theirs.to_csv(tmp_path / name / "deseq2.tsv", sep="\t")
        TRUE.rename("log2_fold_change").to_csv(tmp_path / name / "truth.tsv", sep="\t")
    lines = judge([tmp_path / "00", tmp_path / "01"], 6)
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]] == [
        ["00 heavy", *["1.000"] * 5, "6", "0.333", "1.000", "0.750", "3", "0.000", "0.750", "0.750"],
        ["01 normal", *["1.000"] * 5, "5", "0.400", "0.750", "0.750", "3", "0.000", "0.750", "0.750"],
        ["all 2", *["1.000"] * 5, "11", "0.364", "0.875", "0.750", "6", "0.000", "0.750", "0.750"],
    ]
