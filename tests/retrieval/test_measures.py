"""The measures of the retrieval benchmark, against examples that were worked out by hand or published."""

import math

import pytest

from benchmarks.ranking import mean, ndcg, recall, shared

# Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002, with their discount moved by a place,
# as trec_eval and everybody since has it: gains 3, 2, 3, 0, 0, 1, 2, 2, 3, 0 of the first ten.
GAINS = [3, 2, 3, 0, 0, 1, 2, 2, 3, 0]
RANKED = [f"d{place}" for place in range(10)]
GRADES = {name: gain for name, gain in zip(RANKED, GAINS, strict=True) if gain}


def test_ndcg_is_the_discounted_gain_divided_by_that_of_the_best_ranking():
    gained = 3 + 2 / math.log2(3) + 3 / 2 + 1 / math.log2(7) + 2 / 3 + 2 / math.log2(9) + 3 / math.log2(10)
    best = 3 + 3 / math.log2(3) + 3 / 2 + 2 / math.log2(5) + 2 / math.log2(6) + 2 / math.log2(7) + 1 / 3
    assert ndcg(RANKED, GRADES, 10) == pytest.approx(gained / best)
    assert ndcg(RANKED, GRADES, 10) == pytest.approx(0.916808879032177)  # what trec_eval gives of it


def test_ndcg_of_a_known_example():
    # Wikipedia, "Discounted cumulative gain": gains 3, 2, 3, 0, 1, 2 and two more documents of 3 and 2 not retrieved.
    grades = {"a": 3, "b": 2, "c": 3, "e": 1, "f": 2, "g": 3, "h": 2}
    assert ndcg(["a", "b", "c", "d", "e", "f"], grades, 6) == pytest.approx(0.785, abs=5e-4)


@pytest.mark.parametrize(
    ("ranked", "k", "expected"),
    [
        (["a", "b"], 2, 1.0),
        (["b", "a"], 2, (1 + 4 / math.log2(3)) / (4 + 1 / math.log2(3))),
        (["x", "a"], 2, 4 / math.log2(3) / (4 + 1 / math.log2(3))),
        (["x", "y"], 2, 0.0),
        (["a", "b"], 1, 1.0),
        (["b", "a"], 1, 0.25),
        ([], 10, 0.0),
    ],
)
def test_ndcg_counts_grades_and_places_up_to_k(ranked, k, expected):
    assert ndcg(ranked, {"a": 4, "b": 1}, k) == pytest.approx(expected)


def test_recall_is_the_share_of_all_documents_of_interest():
    grades = {"a": 1, "b": 4, "c": 2, "z": 0}
    assert recall(["a", "x", "b"], grades, 2) == pytest.approx(1 / 3)
    assert recall(["a", "x", "b"], grades, 3) == pytest.approx(2 / 3)
    assert recall(["z"], grades, 1) == 0.0


def test_where_nothing_is_of_interest_nothing_is_found():
    assert (ndcg(["a"], {}, 10), recall(["a"], {}, 10), recall(["a"], {"a": 0}, 10)) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("one", "other", "k", "expected"),
    [
        (["a", "b"], ["b", "a"], 2, 1.0),
        (["a", "b"], ["b", "a"], 1, 0.0),
        (["a", "b", "c", "d"], ["a", "x", "c", "y"], 4, 0.5),
        (["a"], ["a", "b"], 10, 1.0),
        ([], [], 10, 0.0),
    ],
)
def test_what_two_rankings_share(one, other, k, expected):
    assert shared(one, other, k) == expected


def test_the_mean_is_over_queries():
    assert mean([1.0, 0.0, 0.5]) == 0.5
