"""Lists image files by their names, and DICOM files without a suffix by their first bytes."""

import collections
import os
import pathlib
import sys
from collections.abc import Collection, Iterable, Iterator

from semenet.data.images.errors import ImageError, missing_image
from semenet.data.images.formats.dicom import HEAD_BYTES, is_dicom
from semenet.data.images.formats.dicom_classes import CLASS_BYTES, kind_without_image
from semenet.storage.file_names import as_paths, shown_name

IMAGE_SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".tif",
    ".tiff",
    ".bmp",
    ".dcm",
    ".dicom",
)
_NEVER_DICOM = tuple(suffix for suffix in IMAGE_SUFFIXES if suffix not in (".dcm", ".dicom"))
# File names that end in a point and a number would otherwise make a line of thousands of suffixes.
_MOST_SUFFIXES = 10


def list_images(paths: str | os.PathLike | Iterable[str | os.PathLike]) -> list[pathlib.Path]:
    """Lists the images in files and folders, and reports on stderr the other files of the folders.

    Folders are searched through all levels, including links to folders, for the suffixes `IMAGE_SUFFIXES` in
    upper or lower case, and for files without a suffix that begin as DICOM files do. DICOM files that hold no
    image, such as the DICOMDIR, presentation states and reports of a disc, are passed over and counted.
    Hidden files and folders are skipped. A folder that is reachable by several ways is searched once: by its
    own name, if it has one below the given folder.

    Args:
        paths: one path or several, of files, which are listed whatever their names, or folders.

    Returns:
        The files in the order of `paths`, each folder's sorted, without duplicates.

    Raises:
        MissingImageError: a path does not exist.
        ImageError: no path is given, or a folder holds no image.

    Example:
        >>> from semenet.data.images import list_images
        >>> files = list_images("images")
        >>> len(files), files[0].suffix
        (45, '.png')
    """
    paths = as_paths(paths)
    if not paths:
        raise ImageError("Give at least one image or folder of images. Received: no path.")
    found, others, kinds = {}, set(), {}
    for path in paths:
        if path.is_dir():
            below = sorted(_files_below(path))
            files = [file for file in below if _is_image(file)]
            without_image = {file: kind for file in files if (kind := _kind_without_image(file))}
            skipped = set(below).difference(files)
            files = [file for file in files if file not in without_image]
            kinds |= without_image
            if not files:
                counts = [_counted(skipped)] if skipped else []
                counts += [_counted_kinds(without_image)] if without_image else []
                contained = f"none, but {' and '.join(counts)}" if counts else "none"
                raise ImageError(
                    f"A folder must hold images ({', '.join(IMAGE_SUFFIXES)}). Received: {shown_name(path)}, "
                    f"which holds {contained}. Give another folder, or files."
                )
            found.update(dict.fromkeys(files))
            others |= skipped
        elif path.exists():
            found[path] = None
        else:
            raise missing_image(shown_name(path))
    if others := others.difference(found):
        print(f"Skipped {_counted(others)}.", file=sys.stderr)
    if kinds := {file: kind for file, kind in kinds.items() if file not in found}:
        print(f"Skipped {_counted_kinds(kinds)}.", file=sys.stderr)
    return list(found)


def _files_below(top: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields the files of a folder except hidden ones. Links to folders are followed last."""
    seen, waiting = set(), collections.deque([os.fspath(top)])
    while waiting:
        for parent, folders, names in os.walk(waiting.popleft(), onerror=_report_unreadable):
            status = os.stat(parent)
            if (status.st_dev, status.st_ino) in seen:
                # Already searched by another way, or a link to a folder above, which would never end.
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            below = (os.path.join(parent, name) for name in folders)
            waiting.extend(folder for folder in below if os.path.islink(folder))
            yield from (pathlib.Path(parent, name) for name in names if not name.startswith("."))


def _report_unreadable(error: OSError) -> None:
    folder = shown_name(error.filename)
    print(f"Skipped a folder that cannot be read: {folder} ({error.strerror}).", file=sys.stderr)


def _counted(files: Collection[pathlib.Path]) -> str:
    """Returns how many files have names that are not those of images, and which suffixes they have."""
    suffixes = collections.Counter(shown_name(file.suffix.lower()) or "no suffix" for file in files)
    counts = dict(sorted(suffixes.most_common(_MOST_SUFFIXES)))
    if rest := len(files) - sum(counts.values()):
        counts["others"] = rest
    number = "1 file that is not an image by its name"
    if len(files) > 1:
        number = f"{len(files)} files that are not images by their names"
    return f"{number}: {', '.join(f'{suffix} ({count})' for suffix, count in counts.items())}"


def _counted_kinds(kinds: dict[pathlib.Path, str]) -> str:
    """Returns how many DICOM files hold no image, and what they hold."""
    counts = dict(sorted(collections.Counter(kinds.values()).items()))
    number = "1 DICOM file" if len(kinds) == 1 else f"{len(kinds)} DICOM files"
    return f"{number} without an image: {', '.join(f'{kind} ({count})' for kind, count in counts.items())}"


def _kind_without_image(path: pathlib.Path) -> str | None:
    """Returns what a DICOM file holds that has no image; None for all others."""
    if path.name.lower().endswith(_NEVER_DICOM):
        return None
    try:
        if not path.is_file():
            return None
        with open(path, "rb") as file:
            head = file.read(CLASS_BYTES)
    except OSError:
        # The error of reading the image names the cause.
        return None
    return kind_without_image(head) if is_dicom(head) else None


def _is_image(path: pathlib.Path) -> bool:
    return path.name.lower().endswith(IMAGE_SUFFIXES) or _is_dicom_without_suffix(path)


def _is_dicom_without_suffix(path: pathlib.Path) -> bool:
    """Returns whether a file is DICOM and has no suffix, or a number after a point that is not a suffix."""
    if path.suffix and not path.suffix[1:].isdigit():
        return False
    try:
        # Reading a pipe would wait for a writer.
        if not path.is_file():
            return False
        with open(path, "rb") as file:
            return is_dicom(file.read(HEAD_BYTES))
    except OSError as error:
        raise ImageError(
            f"The files of a folder must be readable. Received: {shown_name(path)} ({error.strerror}). "
            "Check its permissions."
        ) from error
