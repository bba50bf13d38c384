"""How good a ranking is: nDCG and recall, by what people judged.

nDCG is that of trec_eval (Järvelin and Kekäläinen 2002, the gain being the grade): a document at place n, counted from
1, brings its grade divided by log2(n + 1), and the sum is divided by that of the best ranking there can be. Recall is
the share of all documents of any interest that are among the first k.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import TypeAlias

Grades = Mapping[str, int]
"""The grades of the documents that were judged for one query, from 1 on; what is not named is of no interest."""
Measure: TypeAlias = "Callable[[Sequence[str], Grades, int], float]"
"""How good the first so many ids of a ranking are."""


def ndcg(ranked: Sequence[str], grades: Grades, k: int) -> float:
    """Return the nDCG of the first `k` ids of a ranking, from 0 to 1; 0 where nothing is of interest."""
    best = _gain(sorted(grades.values(), reverse=True)[:k])
    return _gain([grades.get(one, 0) for one in ranked[:k]]) / best if best else 0.0


def recall(ranked: Sequence[str], grades: Grades, k: int) -> float:
    """Return which share of the documents of interest is among the first `k` ids; 0 where nothing is of interest."""
    wanted = {one for one, grade in grades.items() if grade > 0}
    return len(wanted.intersection(ranked[:k])) / len(wanted) if wanted else 0.0


def shared(one: Sequence[str], other: Sequence[str], k: int) -> float:
    """Return which share of the first `k` ids of one ranking is among those of another, whatever their order."""
    return len(set(one[:k]).intersection(other[:k])) / max(1, min(k, len(one)))


def mean(values: Sequence[float]) -> float:
    """Return the mean over queries."""
    return fmean(values)


def _gain(grades: Sequence[int]) -> float:
    return sum(grade / math.log2(place + 2) for place, grade in enumerate(grades))
