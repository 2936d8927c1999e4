"""Which rows of a manifest a run trains and validates on."""

from semenet.data.checks.screening import screen_rows
from semenet.data.manifest.table import check_patients
from semenet.progress import show_steps


def select_rows(manifest, options, *, masks):
    """Takes the rows to train and to validate on.

    Args:
        manifest: a `Manifest`.
        options: `DataOptions`.
        masks: whether the masks are the targets.

    Returns:
        (rows of train, rows of val, dict for the run's record): the record has `patient_overlap`, a dict of
        the patients who stand in two splits to their splits, and `skipped`, a list of dicts of split, file
        and reason.

    Raises:
        ManifestError: a split has no rows, or a patient stands in two and may not.
        ImageError: more files cannot be read than may be left out.
    """
    overlap = check_patients(manifest, allow_overlap=options.allow_patient_overlap)
    chosen, skipped = [], []
    for split in ("train", "val"):
        rows = manifest.split(split)
        if options.on_error == "skip":
            with show_steps(f"Reading the split {split}") as progress:
                rows, bad = screen_rows(
                    rows, masks=masks, skip_at_most=options.skip_at_most, progress=progress
                )
            skipped += bad.assign(split=split).to_dict("records")
        chosen.append(rows)
    return *chosen, {"patient_overlap": overlap.to_dict(), "skipped": skipped}
