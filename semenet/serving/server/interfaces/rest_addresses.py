"""The addresses of TF Serving's REST interface, as Starlette's routes."""

from starlette.convertors import StringConvertor, register_url_convertor

MODEL = "/v1/models/{name:model_name}"
VERSION = MODEL + "/versions/{version:digits}"


class ModelName(StringConvertor):
    """A model's name in an address: ":" ends it."""

    regex = "[^/:]+"


class Digits(StringConvertor):
    """A version in an address, as text: Python refuses to convert thousands of digits to a number."""

    regex = "[0-9]+"


register_url_convertor("model_name", ModelName())
register_url_convertor("digits", Digits())
