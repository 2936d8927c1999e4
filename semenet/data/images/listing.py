"""Which files are images, by their names, and DICOM files without a name's help by their first bytes."""

import collections
import os
import pathlib
import sys

from semenet.data.images import dicom
from semenet.data.images.jpeg_png import ImageError, absent
from semenet.storage.file_names import shown_name

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
# Names that end in a number after a point would otherwise make a line of thousands.
_SUFFIXES_TOLD = 10


def list_images(paths):
    """Lists the images that files and folders name; on stderr, what of the folders is no image by its name.

    Args:
        paths: paths of files, taken as they are, and of folders, searched through all levels, links to
            folders too, for the suffixes `IMAGE_SUFFIXES` in any case, and for files without any suffix that
            begin as DICOM files do; hidden files and folders are passed over. A folder that is found by
            several ways is searched once: by its own name, if it has one below the folder that was given.

    Returns:
        A list of pathlib.Path: in the order of `paths`, each folder's sorted, none twice.

    Raises:
        ImageError: there is no path, one does not exist, or a folder holds no image.
    """
    if not paths:
        raise ImageError("Name at least one image or folder of images. Received: no path at all.")
    found, others = {}, set()
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            below = sorted(_files_below(path))
            files = [file for file in below if _is_image(file)]
            passed_over = set(below).difference(files)
            if not files:
                what = f"none, but {_counted(passed_over)}" if passed_over else "none"
                raise ImageError(
                    f"A folder must hold images ({', '.join(IMAGE_SUFFIXES)}). Received: {shown_name(path)}, "
                    f"which holds {what}. Name another folder, or files."
                )
            found.update(dict.fromkeys(files))
            others |= passed_over
        elif path.exists():
            found[path] = None
        else:
            raise absent(shown_name(path))
    if others := others.difference(found):
        print(f"Passed over {_counted(others)}.", file=sys.stderr)
    return list(found)


def _files_below(top):
    """The files of a folder, hidden ones left out; links to folders are followed when all else is done."""
    seen, waiting = set(), collections.deque([top])
    while waiting:
        for parent, folders, names in os.walk(waiting.popleft(), onerror=_tell_unreadable):
            status = os.stat(parent)
            if (status.st_dev, status.st_ino) in seen:
                # Found before by another way, or a link to a folder above, which would go round for ever.
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            below = (os.path.join(parent, name) for name in folders)
            waiting.extend(folder for folder in below if os.path.islink(folder))
            yield from (pathlib.Path(parent, name) for name in names if not name.startswith("."))


def _tell_unreadable(error):
    folder = shown_name(error.filename)
    print(f"Passed over a folder that cannot be read: {folder} ({error.strerror}).", file=sys.stderr)


def _counted(files):
    """How many files there are that are no images by their names, and of which suffixes."""
    suffixes = collections.Counter(shown_name(file.suffix.lower()) or "no suffix" for file in files)
    told = dict(sorted(suffixes.most_common(_SUFFIXES_TOLD)))
    if rest := len(files) - sum(told.values()):
        told["others"] = rest
    number = "1 file that is not an image by its name"
    if len(files) > 1:
        number = f"{len(files)} files that are not images by their names"
    return f"{number}: {', '.join(f'{suffix} ({count})' for suffix, count in told.items())}"


def _is_image(path):
    return path.name.lower().endswith(IMAGE_SUFFIXES) or _is_bare_dicom(path)


def _is_bare_dicom(path):
    """DICOM files often have no suffix, or a number after a point that only looks like one."""
    if path.suffix and not path.suffix[1:].isdigit():
        return False
    try:
        # A pipe would be waited for.
        if not path.is_file():
            return False
        with open(path, "rb") as file:
            return dicom.is_dicom(file.read(dicom.HEAD_BYTES))
    except OSError as error:
        raise ImageError(
            f"A folder's files must be readable. Received: {shown_name(path)} ({error.strerror}). "
            "Check its permissions."
        ) from error
