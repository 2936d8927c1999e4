"""The schemas of what the zoo's JSON files hold, as far as semenet reads it."""

from semenet.storage.json_files import SHA256, object_schema

# A plain name: nothing is read or written outside the set's own folder.
FILE_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
MAX_SIDE = 16_384
# The largest published set has 54 MB; VGG19 with its three dense layers has 560 MB in float32.
MAX_FILE_BYTES = 4 << 30
_TEXT = {"type": "string"}
_FLAG = {"type": "boolean"}
_SIDE = {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_SIDE}
_LUNG_VIEW = object_schema(
    {},
    {
        "lungs_box": _FLAG,
        "lungs_box_margin": {"type": "number", "minimum": 0, "maximum": 0.5},
        "standardize": _FLAG,
    },
) | {"additionalProperties": False}

METADATA_SCHEMA = object_schema(
    {
        "network": object_schema(
            {
                "class_names": {
                    "type": "array",
                    "items": {"type": "string", "minLength": 1},
                    "minItems": 1,
                    "maxItems": 10_000,
                    "uniqueItems": True,
                },
                "input_shape": {
                    "type": "array",
                    "prefixItems": [_SIDE, _SIDE, {"enum": [1, 3]}],
                    "minItems": 3,
                    "maxItems": 3,
                },
                "activation": {"enum": ["softmax", "sigmoid"]},
                "imagenet_scaling": _FLAG,
                "inference_clahe": _FLAG,
                "lungs_alone": _FLAG,
                "architecture": {
                    "type": "object",
                    "additionalProperties": {
                        "type": ["number", "string", "null"],
                        "maximum": 64,
                        "minimum": 0,
                    },
                },
            },
            {"lung_view": _LUNG_VIEW},
        ),
        "weights": {"type": ["string", "null"]},
        "files": {
            "type": "object",
            "propertyNames": {"pattern": FILE_NAME},
            "additionalProperties": object_schema(
                {
                    "sha256": SHA256,
                    "bytes": {"type": "integer", "minimum": 0, "maximum": MAX_FILE_BYTES},
                }
            ),
        },
    },
    {
        "calibration": {
            "anyOf": [
                {"type": "null"},
                object_schema(
                    {
                        "temperature": {"type": "number", "exclusiveMinimum": 0},
                        "operating_points": {"type": "object"},
                        "abstain": {"type": ["object", "null"]},
                    }
                ),
            ]
        },
        "training": {
            "anyOf": [
                {"type": "null"},
                object_schema({"recipe": {"type": "object"}, "command": _TEXT, "manifest_sha256": _TEXT}),
            ]
        },
        "golden": {"type": ["object", "null"]},
    },
)

# <entry>/<name> to the hash of its metadata.json.
INDEX_SCHEMA = {
    "type": "object",
    "propertyNames": {"pattern": r"^[a-z0-9_]+/[A-Za-z0-9_][A-Za-z0-9_.-]*$"},
    "additionalProperties": SHA256,
}

# What Keras writes beside weights that are split into several files.
SHARDS_SCHEMA = object_schema(
    {
        "weight_map": {
            "type": "object",
            "additionalProperties": {
                "anyOf": [
                    {"type": "string", "pattern": FILE_NAME},
                    {"type": "array", "items": {"type": "string", "pattern": FILE_NAME}},
                ]
            },
        }
    }
)
