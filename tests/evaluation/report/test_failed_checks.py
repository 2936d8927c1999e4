import copy
import re

from semenet.evaluation.report.failed_checks import failed_checks, failed_hospitals
from semenet.evaluation.report.result_lines import (
    audit_lines,
    calibration_lines,
    evaluation_lines,
    hospital_lines,
)

POINT = {"target": 0.9, "threshold": 0.4, "sensitivity": 0.92, "intervals": {"sensitivity": [0.85, 0.97]}}
PASSED = {
    "class_names": ["normal", "virus"],
    "per_class": {"normal": {}, "virus": {}},
    "split": "test",
    "count": 50,
    "patients": 40,
    "evidence": "held-out",
    "accuracy": 0.9,
    "macro_auroc": 0.95,
    "ece": 0.04,
    "intervals": {"accuracy": [0.8, 0.96], "macro_auroc": [0.9, 0.99]},
    "where": {"sanity": {"passes": True, "groups": [{"high": 0.2}]}},
    "calibration": {"chosen_on": {"split": "val"}, "uncalibrated": {"ece": 0.1}},
    "abstain": {"accuracy": 0.93, "target_accuracy": 0.95, "intervals": {"accuracy": [0.85, 0.98]}},
    "operating_points": {"virus": {"sensitivity": POINT}, "normal": {"sensitivity": None}},
    "audit": {"verdict": "clean", "words": ["No way was found."]},
}


def changed(*path, to):
    result = copy.deepcopy(PASSED)
    at = result
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = to
    return result


def test_nothing_fails():
    assert failed_checks(PASSED) == []
    lines = list(evaluation_lines(PASSED))
    assert lines == [
        "Accuracy 0.900 (95 % interval 0.800 to 0.960); Macro AUROC 0.950 (95 % interval 0.900 to 0.990).",
        "50 images of 40 patients, split test: held-out. Audit: clean.",
    ]


def test_each_check_that_fails_is_told():
    failures = {
        "Heat maps: they remain similar .* up to 0.812": changed(
            "where", "sanity", to={"passes": False, "groups": [{"high": 0.1}, {"high": 0.812}]}
        ),
        "Calibration: .* is 0.200 with it and 0.100 without": changed("ece", to=0.2),
        "share of right answers is 0.930 .* target was 0.95": changed(
            "abstain", "intervals", to={"accuracy": [0.85, 0.94]}
        ),
        "do not reach their targets: sensitivity of virus": changed(
            "operating_points", "virus", "sensitivity", "intervals", to={"sensitivity": [0.6, 0.89]}
        ),
        "Audit: shortcut. It can": changed("audit", to={"verdict": "shortcut", "words": ["It can."]}),
    }
    for pattern, result in failures.items():
        (sentence,) = failed_checks(result)
        assert re.search(pattern, sentence), (pattern, sentence)
        assert list(evaluation_lines(result))[-1] == f"failed check: {sentence}"


def test_what_was_not_measured_does_not_fail():
    assert failed_checks(changed("where", "sanity", "passes", to=None)) == []
    assert failed_checks(changed("calibration", "chosen_on", to=None)) == []
    assert failed_checks(changed("audit", to={"verdict": "undecided", "words": ["It is."]})) == []
    assert "Not audited" in list(evaluation_lines(changed("audit", to=None)))[1]
    segmentation = {"dice": 0.9, "mean_iou": 0.8, "intervals": {}, "audit": None}
    assert failed_checks(segmentation) == []


def test_synthetic_images_are_told():
    line = list(evaluation_lines(PASSED | {"synthetic_images": 50}))[2]
    assert line.startswith("All 50 images are synthetic")


def hospital(name, internal=False, difference=None):
    return {
        "hospital": name,
        "column": None,
        "internal": internal,
        "count": 20,
        "figures": {"accuracy": 0.7, "macro_auroc": 0.6},
        "intervals": {"accuracy": [0.6, 0.8], "macro_auroc": [0.5, 0.7]},
        "difference": difference,
    }


def test_an_external_drop_is_an_interval_below_0():
    falls = {"value": -0.25, "interval": [-0.4, -0.1]}
    may_fall = {"value": -0.05, "interval": [-0.2, 0.1]}
    unknown = {"value": None, "interval": None}
    rows = [
        hospital("here", internal=True),
        hospital("there", difference={"accuracy": may_fall, "macro_auroc": falls}),
        hospital("elsewhere", difference={"accuracy": unknown, "macro_auroc": unknown}),
    ]
    expected = (
        "External drop: in there the Macro AUROC is lower by 0.250 (95 % interval 0.100 to 0.400) than in "
        "the internal manifest."
    )
    assert failed_hospitals({"hospitals": rows}) == [expected]
    lines = list(hospital_lines({"hospitals": rows, "warnings": ["set: All 20 images are synthetic"]}))
    assert len(lines) == 5
    assert lines[3] == "caution: set: All 20 images are synthetic"
    assert lines[1].startswith("there (external): Macro AUROC 0.600")
    assert lines[-1] == f"failed check: {expected}"


def test_the_lines_of_a_calibration_and_an_audit():
    found = {
        "temperature": 1.5,
        "count": 40,
        "before": {"ece": 0.2},
        "after": {"ece": 0.1},
        "abstain": {"confidence": 0.7, "coverage": 0.5, "accuracy": 0.95},
        "warnings": ["few images"],
    }
    temperature, answers, caution = calibration_lines(found)
    assert temperature == "temperature 1.500; expected calibration error 0.200 before, 0.100 after"
    assert "0.700 or more: 50 % of these 40 images, of which 95 % are right" in answers
    assert caution == "caution: few images"
    assert list(audit_lines({"verdict": "clean", "words": ["None.", "a", "b"]})) == ["clean: None.", "a b"]
