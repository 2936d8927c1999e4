from .codestreams import decode_frame as decode_frame
from .tones import tone_table as tone_table

__all__ = ["decode_frame", "tone_table"]
