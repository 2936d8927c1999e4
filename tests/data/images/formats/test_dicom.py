"""DICOM: all files in pydicom's package, and files written for each rule."""

import io
import pathlib
import struct
import sys
import threading
import warnings
import zlib

import cv2
import numpy as np
import pydicom
import pytest
from dicom_reference import RAMP, table, window, written

from semenet.data.images.errors import ImageError, ImageHeaderWarning
from semenet.data.images.formats.dicom_pixels import codestreams
from semenet.data.images.listing import list_images
from semenet.data.images.reading import read_image, read_mask

pytestmark = pytest.mark.usefixtures("fresh_range_warning")

ROOT = pathlib.Path(pydicom.__file__).parent / "data"
IMPLICIT, BIG, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
BASELINE, EXTENDED, LOSSLESS, LOSSLESS_FIRST, JPEG_LS, JPEG_2000 = (
    f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70, 80, 90)
)
FULL = np.rint(RAMP / 4095 * 255)

# The files of pydicom that are refused, and why; all others are read. The first matching pattern counts.
REFUSED = {
    "charset_files/chr*Multi*": (("Jap", "Korean"), "no pixels \\(modality CR"),
    "charset_files/chrSQ*": ((), "no pixels"),
    "palettes/*": ((), "no pixels"),
    "test_files/*NoMeta.dcm": ((), "no pixels \\(modality RTPLAN"),
    "test_files/JPEG2000-embedded-sequence-delimiter.dcm": ((), "JPEG 2000 header is damaged"),
    "test_files/MR_truncated.dcm": ((), "8,130 of 8,192 bytes of pixels"),
    "test_files/*_2frame.dcm": ((), "DICOM file of 2 frames"),
    "test_files/SC_rgb_rle_32bit.dcm": ((), "32 bits stored in 32"),
    "test_files/UN_sequence.dcm": ((), "no pixels"),
    "test_files/badVR.dcm": ((), "cannot be read"),
    "test_files/*.icc": ((), "must be a PNG, JPEG, TIFF, BMP or DICOM"),
    "test_files/*.dump": ((), "must be a PNG, JPEG, TIFF, BMP or DICOM"),
    "test_files/*.gz": ((), "must be a PNG, JPEG, TIFF, BMP or DICOM"),
    "test_files/**/README*": ((), "must be a PNG, JPEG, TIFF, BMP or DICOM"),
    "test_files/no_meta.dcm": ((), "must be a PNG, JPEG, TIFF, BMP or DICOM"),
    "test_files/dicomdirtests/77654033/CT2/171[69]6": ((), "its window, center 30 and width 100, makes all"),
    "test_files/dicomdirtests/DICOMDIR*": ((), "no pixels"),
    "test_files/dicomdirtests/TINY_ALPHA/*": ((), "no pixels"),
    "test_files/dicomdirtests/TINY_ALPHA/PT*/**/*": ((), "no pixels \\(modality CT"),
    "test_files/examples_ybr_color.dcm": ((), "DICOM file of 30 frames"),
    "test_files/liver_*1frame.dcm": ((), "1 bits stored in 1"),
    "test_files/meta_missing_tsyntax.dcm": ((), "attribute Rows"),
    "test_files/nested_priv_SQ.dcm": ((), "attribute Rows"),
    "test_files/rtdose*1frame.dcm": ((), "32 bits stored in 32"),
    "test_files/rtdose*.dcm": ((), "DICOM file of 15 frames"),
    "test_files/no_meta_group_length.dcm": ((), "no pixels"),
    "test_files/empty_charset_LEI.dcm": ((), "no pixels"),
    "test_files/priv_SQ.dcm": ((), "no pixels"),
    "test_files/reportsi*.dcm": ((), "no pixels \\(modality SR"),
    "test_files/test-SR.dcm": ((), "no pixels \\(modality SR"),
    "test_files/rtplan*.dcm": ((), "no pixels \\(modality RTPLAN"),
    "test_files/rtstruct.dcm": ((), "no pixels \\(modality RTSTRUCT"),
    "test_files/waveform_ecg.dcm": ((), "no pixels \\(modality ECG"),
}


def corpus():
    """Lists the files in pydicom's wheel. pydicom downloads further ones, which no test does."""
    folders = [ROOT / name for name in ("charset_files", "palettes", "test_files")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sorted(path for path in files if path.suffix not in (".py", ".pyc", ".txt", ".md", ".json"))


def reason(path):
    for pattern, (parts, message) in REFUSED.items():
        if path in ROOT.glob(pattern) and (not parts or any(part in path.name for part in parts)):
            return message
    return None


def own(name):
    return ROOT / "test_files" / name


def stored(name):
    """Returns the stored values of an uncompressed file, read without the reader under test."""
    dataset = pydicom.dcmread(own(name))
    dtype = f"{'i' if dataset.PixelRepresentation else 'u'}{dataset.BitsAllocated // 8}"
    shape = (dataset.Rows, dataset.Columns, dataset.SamplesPerPixel)
    values = np.frombuffer(dataset.PixelData, dtype, count=np.prod(shape)).reshape(shape)
    return values[..., 0] if shape[2] == 1 else values


def grey(colours):
    red, green, blue = np.moveaxis(colours.astype(np.int64), -1, 0)
    return (9797 * red + 19234 * green + 3737 * blue) >> 15


@pytest.mark.filterwarnings("ignore")
def test_every_file_of_pydicom_is_read_or_refused_for_the_known_reason():
    read = 0
    refused_as = {path: reason(path) for path in corpus()}
    assert len(refused_as) > 150
    for path, message in refused_as.items():
        if message is None:
            image = read_image(path)
            dataset = pydicom.dcmread(path)
            assert image.dtype == np.uint8, path
            assert image.shape == (dataset.Rows, dataset.Columns), path
            read += 1
        else:
            with pytest.raises(ImageError, match=message) as error:
                read_image(path)
            assert str(path) in str(error.value)
    assert read > 80


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["MR_small.dcm", "CT_small.dcm", "examples_overlay.dcm"])
def test_known_files_have_the_grey_levels_computed_by_hand(name):
    values = stored(name).astype(np.float64)
    expected = {
        "MR_small.dcm": lambda: window(values, 600, 1600),
        "CT_small.dcm": lambda: np.where(values == -2000, 0, np.rint((values + 32768) / 65535 * 255)),
        "examples_overlay.dcm": lambda: window(values, 450, 790),
    }[name]()
    np.testing.assert_array_equal(read_image(own(name)), expected)


@pytest.mark.filterwarnings("ignore")
def test_monochrome1_with_rescale_and_window_agrees_with_values_computed_by_hand():
    path = ROOT / "test_files/dicomdirtests/77654033/CR1/6154"
    dataset = pydicom.dcmread(path)
    values = np.frombuffer(dataset.PixelData, "<u2").reshape(16, 16) * 0.684 + 200
    levels = 1 - np.clip((values - 1599.5) / 2799 + 0.5, 0, 1)
    np.testing.assert_array_equal(read_image(path), np.rint(levels * 255))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    [
        *("MR_small_RLE", "MR_small_implicit", "MR_small_bigendian", "MR_small_expb", "MR_small_padded"),
        *("MR_small_jp2klossless", "MR_small_jpeg_ls_lossless"),
    ],
)
def test_one_image_in_seven_encodings_has_the_same_pixels(name):
    np.testing.assert_array_equal(read_image(own(name + ".dcm")), read_image(own("MR_small.dcm")))


def test_colours_follow_the_grey_rule():
    np.testing.assert_array_equal(
        read_image(own("examples_rgb_color.dcm")), grey(stored("examples_rgb_color.dcm"))
    )
    odd = read_image(own("SC_rgb_small_odd.dcm"))
    np.testing.assert_array_equal(odd, grey(stored("SC_rgb_small_odd.dcm")))
    np.testing.assert_array_equal(read_image(own("SC_rgb_small_odd_big_endian.dcm")), odd)
    lossless = read_image(own("SC_rgb_jpeg_gdcm.dcm"))
    for same in ("SC_rgb_rle.dcm", "SC_rgb_gdcm_KY.dcm"):
        np.testing.assert_array_equal(read_image(own(same)), lossless)
    # The same JPEG, and what another decoder made of it.
    by_another = grey(stored("SC_rgb_jpeg_dcmd.dcm"))
    assert np.abs(read_image(own("SC_rgb_jpeg.dcm")).astype(int) - by_another).max() <= 1


def test_ybr_is_read_as_its_stored_luma():
    luma = np.frombuffer(pydicom.dcmread(own("SC_ybr_full_422_uncompressed.dcm")).PixelData, np.uint8)
    expected = luma[:20000].reshape(-1, 4)[:, :2].reshape(100, 100)
    np.testing.assert_array_equal(read_image(own("SC_ybr_full_422_uncompressed.dcm")), expected)


def test_a_palette_is_looked_up_before_grey():
    dataset = pydicom.dcmread(own("examples_palette.dcm"))
    indices = stored("examples_palette.dcm").astype(int)
    colours = np.empty((*indices.shape, 3), np.int64)
    for channel, colour in enumerate(("Red", "Green", "Blue")):
        count, first, bits = dataset[f"{colour}PaletteColorLookupTableDescriptor"].value
        assert bits == 16
        entries = np.frombuffer(dataset[f"{colour}PaletteColorLookupTableData"].value, "<u2")
        colours[..., channel] = entries[np.clip(indices - first, 0, count - 1)]
    np.testing.assert_array_equal(read_image(own("examples_palette.dcm")), (grey(colours) + 128) // 257)


def test_without_a_window_the_stored_range_is_the_scale(tmp_path):
    np.testing.assert_array_equal(read_image(written()), FULL)
    path = tmp_path / "scan"
    path.write_bytes(written())
    np.testing.assert_array_equal(read_image(path), FULL)
    half = (RAMP // 2).astype(np.uint16)
    assert read_image(written(half)).max() == round(2047 / 4095 * 255)
    eight = (RAMP // 16).astype(np.uint8)
    np.testing.assert_array_equal(read_image(written(eight)), eight)
    sixteen = (RAMP * 16).astype(np.uint16)
    np.testing.assert_array_equal(read_image(written(sixteen, BitsStored=16)), np.rint(sixteen / 65535 * 255))
    # A rescale moves the range with the values; a negative slope turns it round.
    np.testing.assert_array_equal(read_image(written(RescaleSlope=2.5, RescaleIntercept=-1024)), FULL)
    turned = read_image(written(RescaleSlope=-1, RescaleIntercept=0))
    np.testing.assert_array_equal(turned, np.rint((4095 - RAMP.astype(float)) / 4095 * 255))


def test_signed_values_of_few_bits_are_signed():
    signed = RAMP.astype(np.int16) - 2048
    np.testing.assert_array_equal(read_image(written(signed, BitsStored=12)), FULL)
    np.testing.assert_array_equal(
        read_image(written(signed, BitsStored=12, WindowCenter=0, WindowWidth=1000)), window(signed, 0, 1000)
    )


@pytest.mark.parametrize(("center", "width"), [(2048, 4096), (1000, 300), (40.5, 1), (2000, 2)])
def test_a_window_agrees_with_the_formula_of_the_standard(center, width):
    image = read_image(written(WindowCenter=center, WindowWidth=width))
    np.testing.assert_array_equal(image, window(RAMP, center, width))


def test_windows_of_other_kinds():
    first = read_image(written(WindowCenter=[1000, 3000], WindowWidth=[300, 50]))
    np.testing.assert_array_equal(first, window(RAMP, 1000, 300))
    exact = read_image(written(WindowCenter=1000, WindowWidth=510, VOILUTFunction="LINEAR_EXACT"))
    np.testing.assert_array_equal(exact, np.rint(np.clip((RAMP - 1000.0) / 510 + 0.5, 0, 1) * 255))
    sigmoid = read_image(written(WindowCenter=1000, WindowWidth=300, VOILUTFunction="SIGMOID"))
    np.testing.assert_array_equal(sigmoid, np.rint(255 / (1 + np.exp(-4 * (RAMP - 1000.0) / 300))))
    after_rescale = read_image(
        written(WindowCenter=0, WindowWidth=800, RescaleSlope=2, RescaleIntercept=-1024)
    )
    np.testing.assert_array_equal(after_rescale, window(RAMP * 2.0 - 1024, 0, 800))
    inverted = read_image(
        written(WindowCenter=1000, WindowWidth=300, PhotometricInterpretation="MONOCHROME1")
    )
    levels = np.clip((RAMP - 999.5) / 299 + 0.5, 0, 1)
    np.testing.assert_array_equal(inverted, np.rint((1 - levels) * 255))
    empty = read_image(written(WindowCenter=None, WindowWidth=None))
    np.testing.assert_array_equal(empty, FULL)


@pytest.mark.parametrize(
    "attributes",
    [
        {"WindowWidth": 0},
        {"WindowWidth": -5},
        {"WindowWidth": 0, "VOILUTFunction": "SIGMOID"},
        {"WindowWidth": 10, "VOILUTFunction": "CUBIC"},
    ],
)
def test_an_invalid_window_or_slope_is_refused(attributes):
    with pytest.raises(ImageError, match="window must be"):
        read_image(written(WindowCenter=100, **attributes))
    with pytest.raises(ImageError, match="slope"):
        read_image(written(RescaleSlope=0, RescaleIntercept=1))


def test_windows_agree_with_those_of_pydicom():
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    for attributes in (
        {"WindowCenter": 900, "WindowWidth": 700, "RescaleSlope": 1.5, "RescaleIntercept": -200},
        {"WindowCenter": 900, "WindowWidth": 700, "VOILUTFunction": "SIGMOID"},
    ):
        dataset = pydicom.dcmread(io.BytesIO(written(**attributes)))
        toned = apply_voi_lut(apply_modality_lut(RAMP, dataset), dataset)
        low, high = apply_voi_lut(np.array([-1e6, 1e6]), dataset)
        expected = np.rint((toned - low) / (high - low) * 255)
        assert np.abs(read_image(written(**attributes)) - expected).max() <= 1


def test_a_voi_lut_takes_precedence_over_a_window():
    entries = np.linspace(1023, 0, 2000).astype(int)
    attributes = {"VOILUTSequence": table(entries, first=1000, bits=10), "WindowCenter": 5, "WindowWidth": 9}
    expected = np.rint(entries[np.clip(RAMP.astype(int) - 1000, 0, 1999)] / 1023 * 255)
    np.testing.assert_array_equal(read_image(written(**attributes)), expected)
    np.testing.assert_array_equal(read_image(written(syntax=IMPLICIT, **attributes)), expected)
    signed = RAMP.astype(np.int16) - 2048
    item = table(entries, first=-500, bits=10)
    expected = np.rint(entries[np.clip(signed.astype(int) + 500, 0, 1999)] / 1023 * 255)
    np.testing.assert_array_equal(read_image(written(signed, BitsStored=12, VOILUTSequence=item)), expected)


def test_the_bits_of_a_modality_lut_determine_the_range():
    entries = np.arange(4096) ** 2 // 4096
    image = read_image(written(ModalityLUTSequence=table(entries, bits=12)))
    np.testing.assert_array_equal(image, np.rint(entries[RAMP] / 4095 * 255))
    windowed = read_image(
        written(ModalityLUTSequence=table(entries, bits=12), WindowCenter=500, WindowWidth=400)
    )
    np.testing.assert_array_equal(windowed, window(entries[RAMP], 500, 400))
    with pytest.raises(ImageError, match="look-up table must have"):
        read_image(written(ModalityLUTSequence=table(entries, bits=8)))


def test_padding_is_black_whatever_the_grey_levels():
    one = read_image(written(PixelPaddingValue=4095, PhotometricInterpretation="MONOCHROME1"))
    expected = np.rint((1 - RAMP / 4095) * 255)
    np.testing.assert_array_equal(one, np.where(RAMP == 4095, 0, expected))
    for ends in ((4000, 4095), (4095, 4000)):
        several = read_image(written(PixelPaddingValue=ends[0], PixelPaddingRangeLimit=ends[1]))
        np.testing.assert_array_equal(several, np.where(RAMP >= 4000, 0, FULL))
    zero = read_image(written(PixelPaddingValue=0, PhotometricInterpretation="MONOCHROME1"))
    assert zero[0, 0] == 0
    assert zero[0, 1] == 255


def test_twelve_bits_stored_in_sixteen_cause_a_warning_unless_there_is_a_window():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(written(RAMP, BitsStored=16, WindowCenter=2048, WindowWidth=4096))
    with pytest.warns(ImageHeaderWarning, match="scan 9, where the range of its 65,536 storable values"):
        read_image(written(RAMP, BitsStored=16), name="scan 9")


def test_several_frames_floats_and_odd_bits_are_refused():
    for attributes, message in (
        ({"NumberOfFrames": 2}, "DICOM file of 2 frames"),
        ({"HighBit": 15}, "high bit 15"),
        ({"BitsAllocated": 32, "BitsStored": 32}, "32 bits stored in 32"),
        ({"PhotometricInterpretation": "HSV"}, "HSV"),
        ({"drop": ("PixelData",)}, "no pixels"),
        ({"drop": ("Rows",)}, "Rows"),
        ({"Rows": 0}, "0 x 64"),
    ):
        with pytest.raises(ImageError, match=message) as error:
            read_image(written(**attributes), name="scan 7")
        assert "scan 7" in str(error.value)
    with pytest.raises(ImageError, match="floating-point"):
        read_image(written(drop=("PixelData",), FloatPixelData=np.zeros(4, np.float32).tobytes()))


def test_an_oversized_image_is_refused_before_it_is_decoded():
    with pytest.raises(ImageError, match="20,000 x 20,000"):
        read_image(written(Rows=20_000, Columns=20_000))
    with pytest.raises(ImageError, match="64 x 64"):
        read_image(written(), max_pixels=4095)
    large = cv2.imencode(".jpg", np.zeros((2000, 3000), np.uint8))[1].tobytes()
    small = np.zeros((20, 30), np.uint8)
    with pytest.raises(ImageError, match="holds a jpeg image of 2000 x 3000"):
        read_image(written(small, syntax=BASELINE, frame=large))
    # If the file were inflated completely, the error would be about its rows.
    with pytest.raises(ImageError, match="inflates beyond"):
        read_image(written(np.zeros((6000, 6000), np.uint8), syntax=DEFLATED), max_pixels=1000)


@pytest.mark.parametrize("syntax", [IMPLICIT, BIG, DEFLATED, "1.2.840.10008.1.2.1"])
def test_uncompressed_syntaxes_agree_and_truncated_files_are_refused(syntax):
    contents = written(syntax=syntax)
    np.testing.assert_array_equal(read_image(contents), FULL)
    for share in (0.99, 0.9, 0.5, 0.2, 0.1):
        with pytest.raises(ImageError):
            read_image(contents[: int(len(contents) * share)])
    with pytest.raises(ImageError):
        read_image(written(syntax=syntax, keep=8190))


def compressed():
    """Returns, for each compressed syntax, its UID, an image, its frame, and the tolerance of its decoder."""
    import imagecodecs

    smooth = cv2.GaussianBlur(
        np.random.default_rng(2).integers(0, 4096, (61, 83)).astype(np.float32), (0, 0), 3
    )
    deep = cv2.normalize(smooth, None, 0, 4095, cv2.NORM_MINMAX).astype(np.uint16)
    eight = (deep // 16).astype(np.uint8)
    return {
        "baseline": (
            BASELINE,
            eight,
            cv2.imencode(".jpg", eight, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes(),
            4,
        ),
        "extended": (EXTENDED, deep, imagecodecs.jpeg_encode(deep, level=98, bitspersample=12), 4),
        "lossless": (LOSSLESS, deep, imagecodecs.jpeg_encode(deep, lossless=True, bitspersample=12), 0),
        "lossless_first": (LOSSLESS_FIRST, eight, imagecodecs.jpeg_encode(eight, lossless=True), 0),
        "jpeg_ls": (JPEG_LS, deep, imagecodecs.jpegls_encode(deep), 0),
        "jpeg_2000": (
            JPEG_2000,
            deep,
            imagecodecs.jpeg2k_encode(deep, codecformat="j2k", reversible=True),
            0,
        ),
    }


COMPRESSED = compressed()


@pytest.mark.parametrize("kind", COMPRESSED)
def test_compressed_images_are_read_and_truncated_ones_are_refused(kind):
    syntax, pixels, frame, tolerance = COMPRESSED[kind]
    expected = np.rint(pixels / (4095 if pixels.dtype == np.uint16 else 255) * 255)
    image = read_image(written(pixels, syntax=syntax, frame=frame))
    assert np.abs(image - expected).max() <= tolerance
    whole = frame[: frame.rindex(b"\xff\xd9")]
    for share in (0.95, 0.7, 0.4, 0.1):
        cut = whole[: int(len(whole) * share)].removesuffix(b"\xff")
        for end, message in ((b"", "image is truncated"), (b"\xff\xd9", "complete and undamaged")):
            with pytest.raises(ImageError, match=message):
                read_image(written(pixels, syntax=syntax, frame=cut + end))
    with pytest.raises(ImageError, match="holds a"):
        read_image(written(pixels[:-1], syntax=syntax, frame=frame))


def test_a_frame_of_another_kind_than_its_transfer_syntax_is_refused():
    _, pixels, frame, _ = COMPRESSED["jpeg_ls"]
    with pytest.raises(ImageError, match="holds a jpeg-ls image"):
        read_image(written(pixels, syntax=JPEG_2000, frame=frame))
    with pytest.raises(ImageError, match=r"transfer syntax 1\.2\.840\.10008\.1\.2\.4\.102"):
        read_image(written(pixels, syntax="1.2.840.10008.1.2.4.102", frame=frame))


def test_a_header_that_contradicts_itself_is_not_decoded(monkeypatch):
    # Such sampling factors, predictors and tables crash decoders.
    def decoded(*_):
        raise AssertionError("a decoder saw it")

    monkeypatch.setattr(codestreams, "_decode", decoded)
    _, pixels, frame, _ = COMPRESSED["lossless"]
    start, scan, codes = (frame.index(mark) for mark in (b"\xff\xc3", b"\xff\xda", b"\xff\xc4"))
    for place, value in ((start + 11, 0xB2), (scan + 7, 9), (scan + 9, 12), (scan + 4, 3), (codes + 5, 255)):
        broken = bytearray(frame)
        broken[place] = value
        with pytest.raises(ImageError, match="header is damaged"):
            read_image(written(pixels, syntax=LOSSLESS, frame=bytes(broken)))


def test_a_file_without_its_preamble_is_recognised():
    contents = written()
    np.testing.assert_array_equal(read_image(contents[132:]), FULL)
    bare = written(syntax=IMPLICIT)
    length = struct.unpack_from("<I", bare, 140)[0]
    np.testing.assert_array_equal(read_image(bare[144 + length :]), FULL)


def test_a_preamble_may_be_a_tiff_header():
    contents = written()
    np.testing.assert_array_equal(read_image(b"II*\0" + contents[4:]), FULL)


@pytest.mark.parametrize("package", ["pydicom", "imagecodecs"])
def test_a_missing_package_is_named(package, monkeypatch):
    syntax, pixels, frame, _ = COMPRESSED["jpeg_ls"]
    contents = written(pixels, syntax=syntax, frame=frame)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImageError, match=f"pip install {package}"):
        read_image(contents)


def test_folders_are_searched_for_dicom_without_a_suffix(tmp_path):
    for name in ("IM000001", "1.2.840.113619", "scan.DCM", "scan.dicom"):
        (tmp_path / name).write_bytes(written())
    (tmp_path / "README").write_text("No image, and no suffix.")
    (tmp_path / "notes.txt").write_bytes(written())
    names = [path.name for path in list_images([tmp_path])]
    assert names == ["1.2.840.113619", "IM000001", "scan.DCM", "scan.dicom"]


def test_a_mask_may_be_dicom():
    inside = (RAMP > 2000).astype(np.uint8) * 255
    np.testing.assert_array_equal(read_mask(written(inside)), inside // 255)


def test_many_threads_read_the_same():
    from concurrent.futures import ThreadPoolExecutor

    files = [written(pixels, syntax=syntax, frame=frame) for syntax, pixels, frame, _ in COMPRESSED.values()]
    files += [written(syntax=DEFLATED), own("MR_small_RLE.dcm").read_bytes()]
    expected = [read_image(contents) for contents in files]
    together = threading.Barrier(8)

    def read(_):
        together.wait(timeout=30)
        return [read_image(contents) for contents in files * 5]

    with ThreadPoolExecutor(8) as pool:
        for read_images in pool.map(read, range(8)):
            for image, known in zip(read_images, expected * 5, strict=True):
                np.testing.assert_array_equal(image, known)


def test_inflating_stops_where_the_data_do():
    contents = written(syntax=DEFLATED)
    start = 144 + struct.unpack_from("<I", contents, 140)[0]
    assert zlib.decompress(contents[start:], -15)
    with pytest.raises(ImageError, match="truncated"):
        read_image(contents[: start + 40])
