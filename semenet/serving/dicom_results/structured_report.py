"""A cascade's answer as a DICOM Structured Report by template TID 1500."""

from __future__ import annotations

from collections.abc import Iterator

from highdicom.sr import (
    AlgorithmIdentification,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    SourceImageForMeasurementGroup,
    TrackingIdentifier,
)
from pydicom.sr.codedict import codes

from semenet.serving.dicom_results.concepts import (
    ARTIFICIAL_INTELLIGENCE,
    BOTH_SIDES,
    CHEST_RADIOGRAPHY,
    LUNGS,
    PROBABILITY_UNIT,
    class_concept,
    own_concept,
    private_scheme,
)
from semenet.serving.dicom_results.finding import MANUFACTURER, MODEL, ImageFinding

SERIES_NUMBER = 9102
NOT_CLASSES = {"abstain": "No answer: not sure enough", "rejected": "Rejected by the input gate"}


def structured_report(finding: ImageFinding) -> ComprehensiveSR:
    """Returns the report of one image.

    One group of measurements holds the answer: the decision and its reason, the flags, and the joint
    probabilities. Each stage has a group of its own.

    Args:
        finding: the answer for the image.
    """
    device = DeviceObserverIdentifyingAttributes(
        uid=finding.uid("device"),
        name=MODEL,
        manufacturer_name=MANUFACTURER,
        model_name=f"{MODEL} {finding.version}",
    )
    observer = ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    groups = [_group(finding, "cascade", finding.probabilities, list(_evaluations(finding)))]
    groups += [_group(finding, stage, values, []) for stage, values in finding.stages.items()]
    content = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=CHEST_RADIOGRAPHY,
        imaging_measurements=groups,
        referenced_images=[finding.source],
    )
    report = ComprehensiveSR(
        evidence=[finding.source],
        content=content[0],
        series_instance_uid=finding.uid("series of reports"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=finding.uid("report"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        series_description="semenet: report (research use only)",
    )
    report.CodingSchemeIdentificationSequence = [private_scheme()]
    return report


def _group(
    finding: ImageFinding,
    name: str,
    probabilities: dict[str, float],
    evaluations: list[QualitativeEvaluation],
) -> MeasurementsAndQualitativeEvaluations:
    """Returns the group of the cascade's joint probabilities, or of one stage's."""
    source = SourceImageForMeasurementGroup(finding.source.SOPClassUID, finding.source.SOPInstanceUID)
    algorithm = AlgorithmIdentification(
        name=f"{MODEL} {name}",
        version=finding.version,
        parameters=finding.parameters,
        family=ARTIFICIAL_INTELLIGENCE,
        manufacturer=MANUFACTURER,
    )
    measurements = [
        Measurement(
            name=own_concept(f"PROB {label}", f"Probability of {label}"),
            value=round(float(value), 4),
            unit=PROBABILITY_UNIT,
        )
        for label, value in probabilities.items()
    ]
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=finding.uid(f"group {name}"), identifier=f"{MODEL} {name}"
        ),
        algorithm_id=algorithm,
        finding_sites=[FindingSite(anatomic_location=LUNGS, laterality=BOTH_SIDES)],
        measurements=measurements or None,
        qualitative_evaluations=evaluations or None,
        source_images=[source],
    )


def _evaluations(finding: ImageFinding) -> Iterator[QualitativeEvaluation]:
    decision = finding.predicted
    value = (
        own_concept(decision.upper(), NOT_CLASSES[decision])
        if decision in NOT_CLASSES
        else class_concept(decision)
    )
    yield QualitativeEvaluation(name=own_concept("DECISION", "Decision of the cascade"), value=value)
    yield QualitativeEvaluation(
        name=own_concept("REASON", "Reason of the decision"),
        value=own_concept(f"R {finding.reason}", finding.reason),
    )
    use = own_concept("USE", "Intended use")
    yield QualitativeEvaluation(
        name=use, value=own_concept("RESEARCH", "Research use only, not for diagnosis")
    )
    for flag in finding.input_flags:
        yield QualitativeEvaluation(
            name=own_concept("INPUT FLAG", "Finding of the input gate"), value=own_concept(f"I {flag}", flag)
        )
    for flag in finding.lung_flags:
        yield QualitativeEvaluation(
            name=own_concept("LUNG FLAG", "Check that the lung mask failed"),
            value=own_concept(f"L {flag}", flag),
        )
