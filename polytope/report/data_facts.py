"""The report on the data points: how many, and how well the outputs fit their labels."""

from __future__ import annotations

import numpy as np

from polytope.labelled import Estimate
from polytope.report.data_sections import MOST_WRONG, DataFacts, Misclassified
from polytope.report.subject import Subject
from polytope.report.task import chosen

FLOATS = "outputs in float64"


def data_facts(subject: Subject) -> DataFacts | None:
    """Accuracy and misclassified points of a classification, the error of a regression."""
    if subject.points is None or subject.values is None:
        return None
    n, task = len(subject.points), subject.task
    right, error, wrong = None, None, tuple[Misclassified, ...]()
    if task.classes is not None:
        predicted = chosen(subject.values)
        others = np.flatnonzero(predicted != task.classes)
        right = Estimate(n - len(others), FLOATS)
        wrong = tuple(
            Misclassified(i, int(task.classes[i]), int(predicted[i])) for i in others[:MOST_WRONG].tolist()
        )
    if task.targets is not None:
        error = Estimate(float(np.sqrt(np.square(subject.values - task.targets).mean())), FLOATS)
    return DataFacts(
        points=n,
        labelled=0 if task.kind == "not known" else n,
        task=task.kind,
        right=right,
        wrong=wrong,
        error=error,
        names=subject.names,
    )
