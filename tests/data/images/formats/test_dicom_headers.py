"""DICOM headers that contradict their pixels: told for each file, corrected where they have one meaning."""

import io
import struct
import warnings

import mutated_images
import numpy as np
import pydicom
import pytest
from dicom_reference import RAMP, table, window, written

from semenet.data.images.errors import ImageError, ImageHeaderWarning
from semenet.data.images.reading import read_image

FULL = np.rint(RAMP / 4095 * 255)
RLE = "1.2.840.10008.1.2.5"


def told(contents, *parts):
    """Reads an image, and checks that one warning names the file and has these parts."""
    with pytest.warns(ImageHeaderWarning) as caught:
        image = read_image(contents, name="scan 7")
    messages = [str(warning.message) for warning in caught]
    assert any(all(part in message for part in ("scan 7", *parts)) for message in messages), messages
    return image


def silent(contents):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_image(contents)


def with_text(contents, keyword, text):
    """Writes a decimal string as it stands: pydicom refuses to write a wrong one."""
    tag = struct.pack("<HH", *divmod(pydicom.tag.Tag(keyword), 1 << 16)) + b"DS"
    text = text.encode() + b" " * (len(text) % 2)
    start = contents.index(tag)
    (length,) = struct.unpack_from("<H", contents, start + 6)
    return contents[: start + 6] + struct.pack("<H", len(text)) + text + contents[start + 8 + length :]


@pytest.mark.parametrize("bits", [8, 10, 12, 15])
def test_a_lut_of_fewer_bits_than_declared_has_the_range_of_its_entries(bits):
    entries = np.arange(4096) >> max(12 - bits, 0) << max(bits - 12, 0)
    expected = np.rint(entries[RAMP] / (2**bits - 1) * 255)
    image = told(written(VOILUTSequence=table(entries)), f"It was read as {bits} bits", "VOI LUT of 16 bits")
    np.testing.assert_array_equal(image, expected)
    image = told(written(ModalityLUTSequence=table(entries)), "modality LUT of 16 bits")
    np.testing.assert_array_equal(image, expected)
    np.testing.assert_array_equal(silent(written(VOILUTSequence=table(entries, bits=bits))), expected)


def test_the_first_value_of_a_lut_with_the_wrong_sign_is_corrected():
    entries = np.arange(4096)
    pixels = (RAMP + 40_000).astype(np.uint16)
    contents = written(pixels, BitsStored=16, VOILUTSequence=table(entries, first=40_000 - 65_536, bits=12))
    np.testing.assert_array_equal(told(contents, "begins at -25,536", "read as 40,000"), FULL)
    signed = RAMP.astype(np.int16) - 2048
    contents = written(signed, BitsStored=12, VOILUTSequence=table(entries, first=65_536 - 2048, bits=12))
    np.testing.assert_array_equal(told(contents, "read as -2,048"), FULL)
    # 40,000 entries, whose number is written as a signed one.
    item = table(np.arange(40_000), bits=16)
    contents = written(RAMP * 9, BitsStored=16, VOILUTSequence=item)
    descriptor = contents.index(b"\x28\0\x02\x30US") + 4
    image = silent(contents[:descriptor] + b"SS" + contents[descriptor + 2 :])
    np.testing.assert_array_equal(image, np.rint(RAMP * 9 / 65_535 * 255))
    shifted = written(VOILUTSequence=table(entries, first=-2048, bits=12))
    told(shifted, "begins at -2,048", "Values above its end")
    # After a rescale, values may be negative though pixels are not.
    rescaled = written(
        RescaleSlope=1, RescaleIntercept=-1024, VOILUTSequence=table(entries, first=-1024, bits=12)
    )
    np.testing.assert_array_equal(silent(rescaled), FULL)


@pytest.mark.parametrize(
    "attributes",
    [
        {"WindowCenter": 32_768, "WindowWidth": 65_536},
        {"WindowCenter": 32_768, "WindowWidth": 65_536, "PhotometricInterpretation": "MONOCHROME1"},
        {"WindowCenter": 32_768, "WindowWidth": 65_536, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowCenter": 2048, "WindowWidth": 100_000, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": 10, "WindowWidth": 50},
        {"WindowCenter": 2048, "WindowWidth": 8},
        {"WindowCenter": 0, "WindowWidth": 100, "RescaleSlope": 0.001, "RescaleIntercept": 0},
        {"WindowCenter": 32_768, "WindowWidth": 65_536, "PixelPaddingValue": 0},
        {"VOILUTSequence": table([*range(4000, 4096)], first=2000, bits=12)},
        {"BitsStored": 16},
    ],
)
def test_grey_levels_that_are_hardly_used_are_told_for_each_file(attributes):
    for _ in range(2):
        told(written(**attributes), "The grey levels of a DICOM file must show its pixels")


def test_burned_in_labels_do_not_hide_a_dark_image():
    labelled = RAMP.copy()
    labelled[0, :10] = 65_535
    told(written(labelled, BitsStored=16), "grey levels 0 to 16")


@pytest.mark.parametrize(
    "attributes",
    [
        {"WindowCenter": -500, "WindowWidth": 100},
        {"WindowCenter": 9000, "WindowWidth": 100, "PhotometricInterpretation": "MONOCHROME1"},
        {"WindowCenter": 9e9, "WindowWidth": 1, "VOILUTFunction": "SIGMOID"},
        {"VOILUTSequence": table([7] * 4096, bits=3)},
        {"VOILUTSequence": table([*range(4096)], first=30_000, bits=12)},
        {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 4095},
    ],
)
def test_one_tone_is_refused(attributes):
    with pytest.raises(ImageError, match="scan 7"):
        read_image(written(**attributes), name="scan 7")


def test_a_blank_image_is_told():
    assert not told(written(np.zeros((4, 4), np.uint16)), "a blank image").any()


def test_ordinary_headers_are_silent():
    for attributes in (
        {},
        {"WindowCenter": 2048, "WindowWidth": 4096},
        {"WindowCenter": 1000, "WindowWidth": 300, "PresentationLUTShape": "IDENTITY"},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
        {"PixelPaddingValue": 0},
    ):
        silent(written(**attributes))


@pytest.mark.parametrize(
    ("center", "width", "part"),
    [
        (0, 0, "center 0.0 and width 0.0"),
        (None, None, "center empty and width empty"),
        (40, None, "width empty"),
    ],
)
def test_no_window_is_named_and_the_stored_range_is_used(center, width, part):
    image = told(written(WindowCenter=center, WindowWidth=width), part, "which is no window")
    np.testing.assert_array_equal(image, FULL)


def test_a_decimal_comma_is_read_and_told():
    contents = written(WindowCenter=1000, WindowWidth=300, RescaleSlope=1, RescaleIntercept=0)
    contents = with_text(with_text(contents, "WindowCenter", "1000,5"), "WindowWidth", "300,0")
    np.testing.assert_array_equal(told(contents, "'1000,5'", "comma"), window(RAMP, 1000.5, 300))
    np.testing.assert_array_equal(
        told(with_text(contents, "RescaleSlope", "2,0"), "RescaleSlope"), window(RAMP * 2.0, 1000.5, 300)
    )
    for text in ("1,000", "1000,2000", "wide", "1_0", "nan"):
        with pytest.raises(ImageError, match=rf"scan 7 with WindowCenter '{text}'"):
            read_image(with_text(contents, "WindowCenter", text), name="scan 7")


def test_bits_above_those_stored_are_refused_unless_they_are_sign_or_declared_overlay():
    for contents in (
        written(RAMP, BitsStored=10),
        written(RAMP | 0xF000),
        written(RAMP | 0x8000, syntax="1.2.840.10008.1.2.2"),
        written(RAMP, BitsStored=10, syntax=RLE, frame=mutated_images.run_length(RAMP)),
        written((RAMP >> 4).astype(np.uint8), BitsStored=6),
        written((RAMP >> 1).astype(np.int16) | 0x4000, BitsStored=12),
    ):
        with pytest.raises(ImageError, match="scan 7, whose values reach"):
            read_image(contents, name="scan 7")
    dataset = pydicom.dcmread(io.BytesIO(written(RAMP | ((RAMP & 1) << 14))))
    dataset.add_new((0x6002, 0x0100), "US", 16)
    dataset.add_new((0x6002, 0x0102), "US", 14)
    stream = io.BytesIO()
    dataset.save_as(stream)
    np.testing.assert_array_equal(silent(stream.getvalue()), FULL)
    negative = RAMP.astype(np.int16) - 2048
    np.testing.assert_array_equal(silent(written(negative, BitsStored=12)), FULL)
    unextended = (negative & 0xFFF).astype(np.int16)
    np.testing.assert_array_equal(silent(written(unextended, BitsStored=12)), FULL)


@pytest.mark.parametrize(
    "keyword",
    ["PhotometricInterpretation", "SamplesPerPixel", "BitsStored", "PixelRepresentation", "Columns"],
)
def test_a_missing_attribute_is_named(keyword):
    with pytest.raises(ImageError, match=f"attribute {keyword}, which has no default. Received: scan 7"):
        read_image(written(drop=[keyword]), name="scan 7")


def test_an_empty_high_bit_is_the_highest_that_is_stored():
    np.testing.assert_array_equal(silent(written(HighBit=None)), FULL)


def test_a_missing_planar_configuration_is_named():
    colours = np.dstack([RAMP >> 4] * 3).astype(np.uint8)
    assert silent(written(colours)).max() == 255
    with pytest.raises(ImageError, match="PlanarConfiguration"):
        read_image(written(colours, drop=["PlanarConfiguration"]))
    with pytest.raises(ImageError, match="PhotometricInterpretation.*empty"):
        read_image(written(PhotometricInterpretation=""))


def test_pages_without_their_number_are_told():
    import imagecodecs
    from pydicom.encaps import encapsulate

    frame = imagecodecs.jpegls_encode(RAMP)
    single = written(syntax="1.2.840.10008.1.2.4.80", frame=frame)
    contents = [written(np.vstack([RAMP, RAMP]), Rows=64)]
    for syntax, one, has_offsets in (
        ("1.2.840.10008.1.2.4.80", frame, True),
        ("1.2.840.10008.1.2.4.80", frame, False),
        (RLE, mutated_images.run_length(RAMP), False),
    ):
        dataset = pydicom.dcmread(io.BytesIO(single))
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = encapsulate([one, one], has_bot=has_offsets)
        stream = io.BytesIO()
        dataset.save_as(stream)
        contents.append(stream.getvalue())
    for several in contents:
        with pytest.raises(ImageError, match="Number of Frames. Received: scan 7, .* 2 images"):
            read_image(several, name="scan 7")
    # One image in several fragments is one image.
    dataset = pydicom.dcmread(io.BytesIO(single))
    dataset.PixelData = encapsulate([frame], fragments_per_frame=3, has_bot=False)
    stream = io.BytesIO()
    dataset.save_as(stream)
    np.testing.assert_array_equal(silent(stream.getvalue()), FULL)


def test_a_palette_of_fewer_bits_than_declared_has_the_range_of_its_entries():
    path = pydicom.data.get_testdata_file("examples_palette.dcm", download=False)
    dataset = pydicom.dcmread(path)
    for colour in ("Red", "Green", "Blue"):
        entries = np.frombuffer(dataset[f"{colour}PaletteColorLookupTableData"].value, "<u2") >> 8
        dataset[f"{colour}PaletteColorLookupTableData"].value = entries.astype("<u2").tobytes()
    stream = io.BytesIO()
    dataset.save_as(stream)
    narrow = told(stream.getvalue(), "palette of 16 bits", "read as 8 bits").astype(int)
    assert np.abs(narrow - read_image(path)).max() <= 1
