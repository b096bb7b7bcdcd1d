"""What `tinyllm finetune classify` prints at its end, and `tinyllm classify`."""


def results_table(rows, problem):
    """A line for each split: how good the model is on its test part, and what costs nothing to train."""
    import numpy as np

    from ..summary import rounded_table

    if problem == "regression":
        names, of_row = ("mean error", "of the mean", "R²"), regression_row
    elif problem == "multi-label":
        names, of_row = ("accuracy", "F1"), multi_label_row
    else:
        names, of_row = ("tinyllm", "naive Bayes"), single_label_row
    table = {str(row["seed"]): of_row(row) for row in rows}
    if len(rows) > 1:
        table["mean"] = np.mean(list(table.values()), axis=0)
    title = "accuracy on the test part" if problem == "single-label" else "on the test part"
    return f"\n{title}\n\n{rounded_table('split', names, table)}"


def single_label_row(row):
    from ...finetune.naive_bayes import NaiveBayes

    task = row["task"]
    train, test = task.split.train, task.split.test
    bayes = NaiveBayes([e.text for e in train], task.targets(train, "int"), task.targets.size)
    right = bayes.predict([e.text for e in test]) == task.targets(test, "int")
    return task.test(row["model"]).accuracy, right.mean()


def multi_label_row(row):
    scores = row["task"].test(row["model"])
    return scores.accuracy, scores.f1.mean()


def regression_row(row):
    import numpy as np

    task = row["task"]
    numbers = task.measure(task.judge(row["model"], "test")[1], "test")
    errors = [abs(e.label - task.targets.mean) for e in task.split.test]
    return numbers["mae"], np.mean(errors), numbers["r2"]


def print_confusion(row, problem):
    """Precision, recall and F1 of each class and, where a text has one, what was taken for what."""
    from ..summary import rounded_table

    task = row["task"]
    if problem == "regression":
        return
    scores = task.test(row["model"])
    quality = zip(scores.precision, scores.recall, scores.f1)
    names = ("precision", "recall", "F1")
    table = dict(zip(task.split.classes, map(list, quality)))
    if problem == "single-label":
        names += tuple(f"said {name}" for name in task.split.classes)
        table = {name: [*table[name], *map(int, counts)] for name, counts in zip(table, scores.confusion)}
    print(f"\n{rounded_table('class', names, table)}")
