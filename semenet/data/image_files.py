"""Which files are images, by their names, and DICOM files without a name's help by their first bytes."""

import os
import pathlib

from semenet.data import dicom
from semenet.data.headers import ImageError, absent

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dcm", ".dicom")


def list_images(paths):
    """Lists the images that files and folders name.

    Args:
        paths: paths of files, taken as they are, and of folders, searched through all levels for
            the suffixes `IMAGE_SUFFIXES` in any case, and for files without any suffix that begin
            as DICOM files do; hidden files and folders are passed over.

    Returns:
        A list of pathlib.Path: in the order of `paths`, each folder's sorted, none twice.

    Raises:
        ImageError: there is no path, one does not exist, or a folder holds no image.
    """
    if not paths:
        raise ImageError("Name at least one image or folder of images. Received: no path at all.")
    found = {}
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            files = sorted(_images_below(path))
            if not files:
                raise ImageError(
                    f"A folder must hold images ({', '.join(IMAGE_SUFFIXES)}). Received: {path}, which "
                    "holds none. Name another folder, or files."
                )
            found.update(dict.fromkeys(files))
        elif path.exists():
            found[path] = None
        else:
            raise absent(path)
    return list(found)


def _images_below(folder):
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = pathlib.Path(parent, name)
            if not name.startswith(".") and (name.lower().endswith(IMAGE_SUFFIXES) or _is_bare_dicom(path)):
                yield path


def _is_bare_dicom(path):
    """DICOM files often have no suffix, or a number after a point that only looks like one."""
    if path.suffix and not path.suffix[1:].isdigit():
        return False
    try:
        with open(path, "rb") as file:
            return dicom.is_dicom(file.read(dicom.HEAD_BYTES))
    except OSError as error:
        raise ImageError(
            f"A folder's files must be readable. Received: {path} ({error.strerror}). Check its permissions."
        ) from error
